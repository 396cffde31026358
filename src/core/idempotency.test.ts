import { describe, expect, it } from "vitest"
import { delivery, OPERATOR, PLAN, Scenario } from "../../test/scenario.ts"
import type { Entry } from "./entry.ts"
import { KEY_WINDOW_MS, KEYS_MAX, recall, remember } from "./idempotency.ts"
import { fromSnapshot, mark, takeSnapshot, undoTo, Workspace } from "./workspace.ts"

const key = (id: string, hash = "h"): { id: string; hash: string } => ({ id, hash })

describe("a key that comes again", () => {
  it("is answered as before, though the state has gone on", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("a")
    scenario.task("b", { dependsOn: ["a"] })
    const claim = scenario.must("task.claim", ann, { task: "a" }, key("1"))
    const { fence } = claim.answer
    const input = { task: "a", fence, ...delivery() }
    const complete = scenario.must("task.complete", ann, input, key("2"))
    expect(complete.answer).toMatchObject({ status: "completed", ready: ["b"] })
    scenario.wait(5_000)
    const taken = scenario.claim(bob, "b")
    const seq = scenario.state.seq
    expect(scenario.must("task.complete", ann, input, key("2")).answer).toEqual(complete.answer)
    expect(scenario.must("task.claim", ann, { task: "a" }, key("1")).answer).toMatchObject({
      fence,
      leaseMs: 120_000,
      leaseEndsAtMs: claim.answer.leaseEndsAtMs,
    })
    scenario.must("task.fail", bob, { task: "b", fence: taken, reason: "r", retry: true, usage: delivery().usage }, key("3"))
    scenario.claim(bob, "b")
    expect(scenario.must("task.fail", bob, { task: "b", fence: taken, reason: "r", retry: true, usage: delivery().usage }, key("3")).answer.status).toBe(
      "pending",
    )
    expect(scenario.must("task.complete", ann, input, key("2")).answer.seq).toBeLessThan(seq)
  })

  it("tells of no lease but the caller's own", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("a")
    const fence = scenario.claim(ann, "a")
    const update = { task: "a", fence, progress: 0.5, note: null }
    expect(scenario.must("task.update", ann, update, key("1")).answer.leaseEndsAtMs).toBe(scenario.nowMs + 120_000)
    scenario.must("task.release", ann, { task: "a", fence, reason: "r" })
    scenario.claim(bob, "a")
    expect(scenario.must("task.update", ann, update, key("1")).answer.leaseEndsAtMs).toBeNull()
  })

  it("with another payload is a conflict; the same key of another agent is another key", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("a")
    scenario.task("b")
    scenario.must("task.claim", ann, { task: "a" }, key("1"))
    expect(scenario.refuses("idempotency_conflict", "task.claim", ann, { task: "b" }, key("1", "other")).details).toMatchObject({ commandId: "1" })
    expect(scenario.must("task.claim", bob, { task: "b" }, key("1", "other")).entries).toHaveLength(1)
  })

  it("after a refusal, or where there was nothing to record, is a new one", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.refuses("not_found", "task.claim", ann, { task: "a" }, key("1"))
    scenario.task("a")
    const first = scenario.must("task.claim", ann, { task: "a" }, key("1"))
    expect(scenario.must("task.claim", ann, { task: "a" }, key("2"))).toEqual({ entries: [], answer: first.answer })
    expect(scenario.state.keys.has("ann 2")).toBe(false)
  })

  it("covers all the entries of its command, however many", () => {
    const scenario = new Scenario()
    const tasks = Array.from({ length: 50 }, (_, at) => ({ id: `t${at}`, title: "t" }))
    const input = { ...PLAN, tasks }
    const first = scenario.must("plan.add", OPERATOR, input, key("1"))
    expect(scenario.state.keys.get("olga 1")).toEqual({ hash: "h", first: 2, last: 52, atMs: scenario.nowMs })
    expect(scenario.must("plan.add", OPERATOR, input, key("1")).answer).toEqual(first.answer)
  })
})

describe("what is remembered", () => {
  it("is one command's stretch of entries: the same key later, once forgotten or by another hub, starts anew", () => {
    const state = new Workspace()
    const entry = (seq: number, commandId: string): Entry => ({
      seq,
      atMs: seq,
      type: "x",
      v: 1,
      actor: OPERATOR,
      commandId,
      commandHash: "h",
      causedBy: null,
      data: null,
    })
    for (const seq of [1, 2]) remember(state, entry(seq, "k"))
    expect(state.keys.get("olga k")).toEqual({ hash: "h", first: 1, last: 2, atMs: 1 })
    remember(state, entry(3, "other"))
    remember(state, entry(4, "k"))
    expect(state.keys.get("olga k")).toEqual({ hash: "h", first: 4, last: 4, atMs: 4 })
    expect(state.keys.oldest).toBe("olga other")
  })
})

describe("the window", () => {
  it("is 24 h of entry time: at its end a key is known, after it no more", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    scenario.must("task.claim", ann, { task: "a" }, key("1"))
    scenario.wait(KEY_WINDOW_MS)
    scenario.task("b")
    scenario.must("task.edit", OPERATOR, { task: "b", reason: "r", changes: { title: "B" } }, key("2"))
    expect(recall(scenario.state, "ann", "1", "h")).not.toBeNull()
    scenario.wait(1)
    const before = mark(scenario.state)
    const text = JSON.stringify(takeSnapshot(scenario.state))
    scenario.must("task.edit", OPERATOR, { task: "b", reason: "r", changes: { title: "C" } }, key("3"))
    expect(recall(scenario.state, "ann", "1", "h")).toBeNull()
    undoTo(scenario.state, before)
    expect(JSON.stringify(takeSnapshot(scenario.state))).toBe(text)
    expect(scenario.state.keys.oldest).toBe("ann 1")
  })

  it("holds a million keys at the most: the oldest gives way", () => {
    const state = new Workspace()
    const entry = (seq: number): Entry => ({
      seq,
      atMs: 1,
      type: "x",
      v: 1,
      actor: OPERATOR,
      commandId: `k${seq}`,
      commandHash: "h",
      causedBy: null,
      data: null,
    })
    for (let seq = 1; seq <= KEYS_MAX + 2; seq++) {
      remember(state, entry(seq))
      if (seq % 4_096 === 0) state.journal.drain()
    }
    expect(state.keys.size).toBe(KEYS_MAX)
    expect([state.keys.has("olga k2"), state.keys.has("olga k3"), state.keys.oldest]).toEqual([false, true, "olga k3"])
  })
})

describe("a key past its window", () => {
  it("is a new one, also while nobody else's key has come to have it forgotten", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.agent("bob")
    const wake = (request: string) => ({ job: `r${request}`, request, thread: "agent/bob", target: "bob", reason: "r", prompt: "" })
    scenario.must("trigger.participant", ann, wake("1"), key("1"))
    scenario.must("trigger.cancel", OPERATOR, { job: "r1", reason: "r" })
    scenario.wait(KEY_WINDOW_MS)
    scenario.session("ann")
    expect(scenario.must("trigger.participant", ann, wake("1"), key("1")).answer).toMatchObject({ job: "r1", status: "cancelled" })
    scenario.wait(1)
    // Another wake there has the old one forgotten, of which the key told.
    scenario.must("trigger.participant", ann, wake("2"))
    expect(scenario.must("trigger.participant", ann, wake("1"), key("1")).answer).toMatchObject({ job: "r1", status: "queued" })
    scenario.refuses("idempotency_conflict", "trigger.participant", ann, wake("3"), key("1", "other"))
  })
})

describe("the ages of keys", () => {
  it("come back with a snapshot whatever order its rows were in", () => {
    const scenario = new Scenario()
    for (let at = 0; at < 5; at++) scenario.must("task.add", OPERATOR, { id: `t${at}`, title: "t" }, key(`${9 - at}`))
    expect(fromSnapshot(takeSnapshot(scenario.state)).keys.oldest).toBe("olga 9")
  })
})
