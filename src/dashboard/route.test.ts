import fc from "fast-check"
import { expect, test } from "vitest"
import { parseRoute } from "./address.ts"
import { hrefOf } from "./route.ts"

test("an address names a view, its parts, its filters and a moment; without any it is Flight, now", () => {
  expect(parseRoute("")).toEqual({ view: "flight", parts: [], filters: {}, moment: "live" })
  expect(parseRoute("#/plan/orders.1%2Fstore?state=failed@1234")).toEqual({
    view: "plan",
    parts: ["orders.1/store"],
    filters: { state: "failed" },
    moment: 1234,
  })
  expect(parseRoute("#/ledger@")).toMatchObject({ view: "ledger@", moment: "live" })
  expect(parseRoute("#/agents/%")).toMatchObject({ view: "agents", parts: ["%"] })
})

test("what an address is made of is what is read from it", () => {
  const part = fc.string({ minLength: 1, unit: "grapheme" })
  const moment = fc.oneof(fc.constant("live" as const), fc.integer({ min: 1 }))
  fc.assert(
    fc.property(fc.constantFrom("plan", "files"), fc.array(part), fc.dictionary(part, part), moment, (view, parts, filters, at) => {
      // A filter called __proto__ is none: nothing in the page asks for it.
      fc.pre(!Object.hasOwn(filters, "__proto__"))
      expect(parseRoute(hrefOf(view, parts, filters, at))).toEqual({ view, parts, filters: { ...filters }, moment: at })
    }),
  )
})
