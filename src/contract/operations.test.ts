import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type * as z from "zod"
import { referencePages } from "../../scripts/reference.ts"
import { BODY_MAX_BYTES } from "./schema.ts"
import { ERRORS } from "./errors.ts"
import { KINDS, type OperationName } from "./names.ts"
import { operations } from "./operations.ts"

const names = Object.keys(operations) as OperationName[]
const parse = (name: OperationName, input: unknown) => (operations[name].input as z.ZodType).safeParse(input)
const accepts = (name: OperationName, input: unknown): boolean => parse(name, input).success

test("every name has its row, and every row its name", () => {
  expect(names.toSorted()).toEqual(Object.keys(KINDS))
})

test("every row tells what it does, and names no error twice", () => {
  for (const name of names) {
    const { summary, text, errors } = operations[name]
    expect(summary, name).toMatch(/^[A-Z].*\.$/)
    expect(text, name).toMatch(/^[A-Z`].*\.$/s)
    expect(new Set(errors).size, name).toBe(errors.length)
    for (const code of errors) expect(ERRORS, name).toHaveProperty(code)
  }
})

test("no input takes a field that its schema does not have", () => {
  for (const name of names) {
    const { error } = parse(name, { sneaky: 1 })
    expect(error?.issues, name).toContainEqual(expect.objectContaining({ code: "unrecognized_keys", keys: ["sneaky"] }))
  }
})

test("the reference pages are those that the contract makes now: node scripts/reference.ts", () => {
  for (const [path, text] of Object.entries(referencePages())) expect(readFileSync(path, "utf8"), path).toBe(text)
})

describe("bounds", () => {
  const task = (more: object): object => ({ id: "a", title: "A", ...more })

  test("a body is 32 KiB of UTF-8 at the most, whatever its characters", () => {
    fc.assert(
      fc.property(fc.constantFrom("a", "é", "日", "😀"), fc.integer({ min: -3, max: 3 }), (character, off) => {
        const bytes = Buffer.byteLength(character)
        const count = Math.floor(BODY_MAX_BYTES / bytes) + off
        expect(accepts("task.add", task({ body: character.repeat(count) }))).toBe(count * bytes <= BODY_MAX_BYTES)
      }),
    )
  })

  test("a title has no control character, no line break and no override of direction; a body may have all", () => {
    for (const code of [0x00, 0x07, 0x09, 0x0a, 0x1b, 0x7f, 0x80, 0x9b, 0x2028, 0x061c, 0x200e, 0x202a, 0x202e, 0x2066, 0x2069]) {
      const text = `a${String.fromCodePoint(code)}b`
      expect(accepts("task.add", task({ title: text })), code.toString(16)).toBe(false)
      expect(accepts("task.add", task({ labels: [text] })), code.toString(16)).toBe(false)
      expect(accepts("task.add", task({ body: text })), code.toString(16)).toBe(true)
    }
    expect(accepts("task.add", task({ title: "naïve 日本語 😀" }))).toBe(true)
  })

  test("one line has no half of a character, and the refusal says where it stands and what to do; a body may have it", () => {
    const half = "a\ud83d"
    const issues = Object.entries({ title: half, labels: ["x", half], touches: [half], model: half, account: half }).flatMap(
      ([field, value]) => parse("task.add", task({ [field]: value })).error?.issues ?? [],
    )
    expect(issues.map(({ path }) => path.join("."))).toEqual(["title", "labels.1", "touches.0", "model", "account"])
    for (const { message } of issues) expect(message).toMatch(/^Half of a character .* or leave it out$/)
    expect(accepts("task.add", task({ requires: { [half]: 1 } }))).toBe(false)
    expect(accepts("task.claimNext", { labels: [half] })).toBe(false)
    expect(accepts("agent.add", { name: "ann", model: half })).toBe(false)
    expect(accepts("task.add", task({ body: half, labels: ["a😀"] }))).toBe(true)
  })

  test("a path never leaves the repository, however it is put together", () => {
    const step = fc.constantFrom("a", "b.ts", "**", "..", ".", "", "~", "C:", "\\")
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
        const path = steps.join("/")
        if (!accepts("task.add", task({ touches: [path] }))) return
        expect(new URL(path, "file:///repo/root/").pathname.startsWith("/repo/root/")).toBe(true)
        expect(path).not.toMatch(/^[/~\\]|\\|^C:/)
      }),
    )
    expect(accepts("task.add", task({ touches: ["src/**/*.ts", ".github/*", "a..b"] }))).toBe(true)
  })

  const edges: [rule: string, OperationName, ok: unknown[], no: unknown[]][] = [
    [
      "a lease lasts from 1 s to 1 h",
      "task.add",
      [task({ leaseMs: 1_000 }), task({ leaseMs: 3_600_000 }), task({ leaseMs: null })],
      [task({ leaseMs: 999 }), task({ leaseMs: 3_600_001 }), task({ leaseMs: 1_000.5 })],
    ],
    [
      "progress is 0 to 1",
      "task.update",
      [
        { task: "a", fence: 1, progress: 0 },
        { task: "a", fence: 1, progress: 1 },
      ],
      [
        { task: "a", fence: 1, progress: -0.01 },
        { task: "a", fence: 1, progress: Number.NaN },
      ],
    ],
    [
      "a fence is a seq",
      "task.update",
      [{ task: "a", fence: 1 }],
      [{ task: "a", fence: 0 }, { task: "a", fence: 1.5 }, { task: "a", fence: "1" }, { task: "a" }],
    ],
    [
      "a claim waits 150 s at the most, for 100 tasks at the most",
      "task.claimNext",
      [{}, { waitMs: 150_000, max: 100 }],
      [{ waitMs: 150_001 }, { max: 0 }, { max: 101 }],
    ],
    ["money is whole micro-USD", "task.add", [task({ budgetMicroUsd: 0 })], [task({ budgetMicroUsd: 0.5 }), task({ budgetMicroUsd: -1 })]],
    [
      "a skill's level is 1 to 5",
      "agent.add",
      [{ name: "a", capabilities: { ts: 1, rust: 5 } }],
      [
        { name: "a", capabilities: { ts: 0 } },
        { name: "a", capabilities: { ts: 6 } },
      ],
    ],
    ["a name is no path", "agent.add", [{ name: "a.b-c_1" }], [{ name: "../a" }, { name: "a/b" }, { name: "" }, { name: ".a" }, { name: "a".repeat(65) }]],
    [
      "a run is one of three",
      "task.add",
      [task({ run: { command: "true" } }), task({ run: { argv: ["true"] } }), task({ run: { standIn: { ms: 1, costMicroUsd: 0 } } })],
      [task({ run: { command: "true", argv: ["x"] } }), task({ run: {} }), task({ run: "true" })],
    ],
  ]
  test.for(edges)("%s", ([, name, ok, no]) => {
    for (const input of ok) expect(parse(name, input).error).toBeUndefined()
    for (const input of no) expect(accepts(name, input), JSON.stringify(input)).toBe(false)
  })
})
