import fc from "fast-check"
import { expect, it } from "vitest"
import type { Task } from "../core/task.ts"
import { Workspace } from "../core/workspace.ts"
import { sha256 } from "../ledger/sha256.ts"
import { digestOf, Fingerprint } from "./fingerprint.ts"

const TASK = { id: "", usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }, status: "cancelled", attempts: 0 } as Task
const step = fc.oneof(
  fc.record({ put: fc.constantFrom("a", "b", "c"), attempts: fc.nat(3) }),
  fc.record({ forget: fc.constantFrom("a", "b", "c") }),
  fc.constant("durable" as const),
  fc.constant("counted" as const),
  fc.constant("undone" as const),
  fc.record({ settle: fc.option(fc.nat(2)) }),
)

it("the digest that is kept up is that of the records as they stand, whenever they are counted", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60, size: "max" }), (steps) => {
      const state = new Workspace()
      const fingerprint = new Fingerprint(sha256)
      for (const one of steps) {
        if (one === "durable") fingerprint.note(state.journal.drain())
        else if (one === "counted") {
          fingerprint.note(state.journal.drain())
          fingerprint.settle()
        } else if (one === "undone") state.journal.undoTo(0)
        else if ("put" in one) state.tasks.put(one.put, { ...TASK, id: one.put, addedSeq: 1 + "abc".indexOf(one.put), attempts: one.attempts })
        else if ("forget" in one) state.tasks.delete(one.forget)
        else {
          // No batch is in flight when records are counted.
          state.journal.undoTo(0)
          fingerprint.settle(one.settle ?? undefined)
        }
      }
      state.journal.undoTo(0)
      expect(fingerprint.digest()).toBe(digestOf(sha256, state))
      expect(fingerprint.waiting).toBe(0)
    }),
  )
})
