import { expect, test } from "vitest"
import { parsePlanFile } from "./plan-file.ts"

/** What fuzzing found in plan files, each case reduced. */

function faultsOf(text: string) {
  const read = parsePlanFile(Buffer.from(text))
  return "faults" in read ? read.faults : []
}

test.each(["[", '{"a":', "- ", "? ", "[{a: "])("nesting without end is told where it gets too deep, and costs no time: %s", (open) => {
  const start = process.cpuUsage()
  const [fault] = faultsOf(`plan: deep\ntasks:\n  ${open.repeat(1_000_000)}`)
  const { user } = process.cpuUsage(start)
  expect(fault).toMatchObject({ code: "too_deep", line: 3 })
  expect(user / 1_000).toBeLessThan(2_000)
})

test("sixty levels are no fault of nesting", () => {
  expect(faultsOf(`plan: deep\ntasks: ${"[".repeat(60)}${"]".repeat(60)}\n`).map(({ code }) => code)).not.toContain("too_deep")
})

test("a fault quotes a key of any length shortly", () => {
  const [fault] = faultsOf(`plan: a\n${"k".repeat(100_000)}: 1\ntasks: [{ id: a, title: A }]\n`)
  expect(fault?.message.length).toBeLessThan(600)
  expect(fault?.at.length).toBeLessThan(600)
})

test("a skill may have a name that every object has", () => {
  const read = parsePlanFile(Buffer.from("plan: a\ntasks: [{ id: a, title: A, requires: { constructor: 2, toString: 1 } }]\n"))
  expect("ok" in read && read.ok.plan.agents?.[0]?.capabilities).toEqual({ constructor: 2, toString: 1 })
})
