import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { kept } from "../../test/derived.ts"
import { expectEqual, expectSame } from "../../test/quick-expect.ts"
import { fold, Scenario, START_MS, types } from "../../test/scenario.ts"
import { Detached } from "../../test/core-detached.ts"
import { copied, history, inHistory, Pair, type Step } from "../../test/core-history.ts"
import { type Entry, HUB } from "./entry.ts"
import type { Seq } from "./ids.ts"
import { Ink } from "./ink.ts"
import type { Table } from "./table.ts"
import { evolve, fromSnapshot, mark, type Snapshot, takeSnapshot, undoTo, Workspace } from "./workspace.ts"

const RUNS = Number(process.env["CORE_RUNS"] ?? 100)
const SEED = Number(process.env["CORE_SEED"] ?? Date.now() % 0x7fffffff)

/** All of a state that counts, as text: equal states have equal text. */
function text(state: Workspace): string {
  return JSON.stringify(takeSnapshot(state))
}

/** The record as the state digest counts it. */
function written({ write }: Table<unknown>, record: unknown): string {
  const ink = new Ink()
  write(record, ink)
  return new TextDecoder().decode(ink.written)
}

/** Holds a property for random histories; a failure prints its seed and path: `CORE_SEED=…` runs it again. */
function forHistories(seed: number, holds: (steps: Step[], extra: number) => void): void {
  fc.assert(fc.property(history, fc.nat(100), holds), { seed, numRuns: RUNS })
}

describe(`random histories (seed ${SEED})`, () => {
  it("follow the rules as the slow model says them, at every step, and nothing kept beside the tables goes astray", () => {
    forHistories(SEED, (steps) => void inHistory(steps))
  })

  it("reach what matters", () => {
    // Of one seed: what is rare is not met in every hundred.
    const reached = new Set<string>()
    forHistories(1, (steps) => {
      for (const outcome of inHistory(steps).reached) reached.add(outcome)
    })
    const likely = [
      "claim ok",
      "next ok",
      "next nothing_ready",
      "claim claim_denied",
      "complete ok",
      "complete stale_fence",
      "block ok",
      "unblock ok",
      "review ok",
      "edit ok",
      "sweep ok",
    ]
    expect([...reached]).toEqual(expect.arrayContaining(likely))
  })

  it("can be undone: tables and all that follows from them are as they were", () => {
    forHistories(SEED + 1, (steps, extra) => {
      const pair = new Pair()
      const { scenario } = pair
      for (const at of steps.keys()) {
        const ahead = steps.slice(at, at + 1 + ((extra + at) % 4)).filter((step) => step.do !== "restart" && step.do !== "wait")
        const before = {
          mark: mark(scenario.state),
          text: text(scenario.state),
          kept: kept(scenario.state),
          bytes: scenario.bytes.length,
          nowMs: scenario.nowMs,
        }
        // The steps ahead are taken on a copy of nothing: the model is left where it is, so only the core moves.
        const ahead_ = new Detached(scenario)
        for (const step of ahead) ahead_.take(pair, step)
        undoTo(scenario.state, before.mark)
        scenario.bytes.length = before.bytes
        scenario.nowMs = before.nowMs
        expectSame(text(scenario.state), before.text)
        const now = kept(scenario.state)
        expectEqual(now, before.kept)
        expectEqual(now, kept(fromSnapshot(takeSnapshot(scenario.state))))
        pair.take(steps[at] as Step)
      }
    })
  })

  it("fold to the same state from their bytes, and a snapshot's JSON is the same however the state came about", () => {
    forHistories(SEED + 2, (steps) => {
      const { scenario } = inHistory(steps)
      const folded = fold(scenario.bytes)
      expect(text(folded)).toBe(text(scenario.state))
      // Nobody has asked this board anything: all that decisions ask for is made of the records here.
      const leases = folded.board.overdue(Number.POSITIVE_INFINITY)
      expect(kept(folded)).toEqual(kept(scenario.state))
      expect(leases).toEqual(folded.board.overdue(Number.POSITIVE_INFINITY))
      expect(text(fromSnapshot(copied(takeSnapshot(folded))))).toBe(text(scenario.state))
      for (const table of folded.tables) {
        const again = scenario.state.tables.find((other) => other.name === table.name)
        for (const [key, record] of table.entries()) {
          expectSame(written(table, record), written(table, again?.get(key)))
          expectEqual(record, copied(record))
        }
      }
    })
  })
})

describe("the fold", () => {
  it("refuses an entry that does not follow, and one of a type that it does not know", () => {
    const entry = (seq: Seq, type: string): Entry => ({
      seq,
      atMs: START_MS,
      type,
      v: 1,
      actor: HUB,
      commandId: null,
      commandHash: null,
      causedBy: null,
      data: { id: "t", name: "t" },
    })
    expect(() => evolve(new Workspace(), entry(2, "workspace.created"))).toThrow("entry 2 does not follow 0")
    for (const type of ["task.baked", "agent.baked", "session.baked", "plan.baked", "event.baked", "workspace.baked", "baked"]) {
      const scenario = new Scenario()
      scenario.task("t")
      expect(() => evolve(scenario.state, entry(3, type)), type).toThrow(`unknown type ${type}`)
    }
  })

  it("takes a snapshot of the version that was there, not of what comes after", () => {
    const scenario = new Scenario()
    scenario.task("t")
    const before = text(scenario.state)
    const snapshot: Snapshot = takeSnapshot(scenario.state)
    scenario.claim(scenario.agent("ann"), "t")
    expect(JSON.stringify(snapshot)).toBe(before)
  })

  it("gives whoever held a lease time to come back after the hub was down", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.wait(119_000)
    expect(types(scenario.must("hub.start", HUB, { graceMs: 60_000 }))).toEqual(["hub.started"])
    expect(scenario.at("t").leaseEndsAtMs).toBe(scenario.nowMs + 60_000)
    scenario.wait(59_999)
    scenario.must("task.update", ann, { task: "t", fence, progress: null, note: null })
    scenario.must("hub.start", HUB, { graceMs: 60_000 })
    expect(scenario.at("t").leaseEndsAtMs).toBe(scenario.nowMs + 120_000)
  })
})
