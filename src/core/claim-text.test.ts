import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { history, inHistory } from "../../test/core-history.ts"
import { fold, OPERATOR, Scenario } from "../../test/scenario.ts"
import { claimsText } from "./claim-text.ts"
import type { Claimed } from "./answer.ts"
import { type TaskView, viewTask } from "./view.ts"
import type { Workspace } from "./workspace.ts"

const claim = (task: TaskView): Claimed => ({ fence: 7, leaseEndsAtMs: 1_700_000_120_000, leaseMs: 120_000, task })
const viewsOf = (state: Workspace): TaskView[] => [...state.tasks.keys()].map((id) => viewTask(state, id) as TaskView)

const text = fc.oneof(fc.string({ unit: anyUnit }), fc.constantFrom("", "plain words", 'a "quoted" \\ one', "\u2028\0", "\ud800 alone", "src/a.ts"))
const orNothing = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> => fc.option(value, { nil: null })
const count = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constant(0))
/** Anything that a field of a task may hold. */
const fields = fc.record(
  {
    title: text,
    body: text,
    dependsOn: fc.array(text, { maxLength: 3 }),
    requires: fc.dictionary(text, fc.nat(5), { maxKeys: 3 }),
    budgetMicroUsd: orNothing(count),
    touches: fc.array(text, { maxLength: 3 }),
    run: orNothing(fc.record({ command: text })),
    env: fc.dictionary(text, text, { maxKeys: 3 }),
    estimateMs: orNothing(count),
    prefers: orNothing(text),
    model: orNothing(text),
    account: orNothing(text),
    gates: fc.array(text, { maxLength: 3 }),
    filler: fc.boolean(),
    review: fc.boolean(),
    leaseMs: orNothing(count),
    labels: fc.array(text, { maxLength: 3 }),
    id: text,
    plan: orNothing(text),
    owner: orNothing(text),
    session: orNothing(text),
    fence: orNothing(count),
    leaseEndsAtMs: orNothing(count),
    progress: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, -0, 1, 1e-9)),
    note: orNothing(text),
    blockedOn: orNothing(fc.record({ kind: fc.constant("external" as const), ref: text, reason: text, sinceSeq: count })),
    helpWanted: orNothing(fc.record({ reason: text, helper: orNothing(text) })),
    deliverable: orNothing(fc.record({ text, evidence: fc.record({ testsPass: orNothing(fc.boolean()), commit: orNothing(text), links: fc.array(text) }) })),
    usage: fc.record({ costMicroUsd: count, inputTokens: count, outputTokens: count }),
    reason: orNothing(text),
    stale: fc.constantFrom(null, "owner" as const, "operator" as const),
    claimedAtMs: orNothing(count),
    closedAtMs: orNothing(count),
    pathMs: count,
  },
  { requiredKeys: [] },
)

describe("the JSON of claims is that of JSON.stringify", () => {
  test("whatever a task's fields hold", () => {
    const scenario = new Scenario()
    scenario.must("task.add", OPERATOR, { id: "a", title: "A" })
    const [view] = viewsOf(scenario.state) as [TaskView]
    fc.assert(
      fc.property(fc.array(fields, { maxLength: 3 }), (changes) => {
        const claims = changes.map((changed) => claim({ ...view, ...changed }))
        expect(claimsText(claims)).toBe(JSON.stringify(claims))
      }),
      { numRuns: 300 },
    )
  })

  test("of every task of any history", () => {
    fc.assert(
      fc.property(history, (steps) => {
        const claims = viewsOf(inHistory(steps).scenario.state).map(claim)
        expect(claimsText(claims)).toBe(JSON.stringify(claims))
      }),
      { numRuns: 20 },
    )
  })

  test("of every task of a ledger of a released version", () => {
    const bytes = readFileSync(new URL("../../test/ledgers/0.1.0.jsonl", import.meta.url), "utf8")
      .trimEnd()
      .split("\n")
    const claims = viewsOf(fold(bytes)).map(claim)
    expect(claims.length).toBeGreaterThan(5)
    expect(claimsText(claims)).toBe(JSON.stringify(claims))
  })
})
