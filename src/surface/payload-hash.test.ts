import { createHash } from "node:crypto"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import fc from "fast-check"
import { expect, test } from "vitest"
import { type Payload, PayloadHash } from "./payload-hash.ts"

const hashOf = (payload: Payload): string =>
  createHash("sha256")
    .update(`task.claimNext\n${JSON.stringify(payload)}`)
    .digest("hex")
    .slice(0, 32)

/** Values that look alike, so that payloads which follow each other often nearly are the same. */
const value = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, 0, -0, 1, "", "0", "1", "null", "[]", "\ud800", "\udc00", true, false, Number.NaN, Number.POSITIVE_INFINITY),
  fc.constantFrom(2 ** 53, 2 ** 53 + 2, 2 ** 53 - 1, 1e21, 1e-7, "x".repeat(256), "x".repeat(257), "x".repeat(5_000)),
  fc
    .constantFrom(
      () => [],
      () => [[]],
      () => [null],
      () => [0],
      () => ({}),
      () => ({ a: [] }),
      () => ({ length: 0 }),
    )
    .map((make) => make()),
)
const payload = fc.array(fc.tuple(fc.constantFrom("plan", "labels", "max", "__proto__", "0", "a"), value), { maxLength: 3 }).map((fields) => {
  const made: Record<string, unknown> = {}
  for (const [name, value] of fields) Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true })
  return made
})

test("the hash is that of the payload's JSON, whatever was hashed before it, and whatever becomes of it afterwards", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(payload, fc.nat(2)), { maxLength: 12, size: "max" }), (calls) => {
      const hash = new PayloadHash("task.claimNext")
      for (const [asked, again] of calls) {
        for (let time = 0; time <= again; time += 1) expect(hash.of(asked)).toBe(hashOf(asked))
        // Whoever is handed the payload may change it.
        for (const inner of Object.values(asked)) if (Array.isArray(inner)) inner.push("more")
        expect(hash.of(asked)).toBe(hashOf(asked))
      }
    }),
    { numRuns: 500 },
  )
})

test("a payload that cannot be the same again is let go", async () => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  setFlagsFromString("--no-expose-gc")
  const hash = new PayloadHash("plan.add")
  const asked = (() => {
    const tasks = [{ title: "one of thousands" }]
    hash.of({ name: "release", tasks })
    return new WeakRef(tasks)
  })()
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
  collect()
  expect(asked.deref()).toBeUndefined()
})
