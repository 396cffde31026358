import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { DIRECTIVES, EVENT_KINDS, INBOX_MAX, INBOX_SENDER_MAX, type Notice, openNotices } from "./directive.ts"
import type { Actor, Entry } from "./entry.ts"
import { evolve, fromSnapshot, takeSnapshot } from "./workspace.ts"

const info: Notice = { kind: "info", directive: null, to: { everyone: true }, task: null, priority: "normal", text: "hello", payload: {}, requiresAck: true }

describe("a notice", () => {
  it("reaches one agent, all of a role, or everyone, and waits until each has acknowledged it", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    const boss = scenario.agent("boss", { role: "orchestrator" })
    const seqs = [{ agent: "ann" }, { role: "worker" as const }, { everyone: true as const }].map(
      (to) => scenario.must("event.send", boss, { ...info, to }).answer.seq,
    )
    const seen = (): number[][] => [ann, bob, boss].map((actor) => openNotices(scenario.state, actor).map((notice) => notice.seq))
    const [own, toWorkers, toAll] = seqs as [number, number, number]
    expect(seen()).toEqual([[own, toWorkers, toAll], [toWorkers, toAll], [toAll]])
    for (const seq of [own, toWorkers, toAll]) scenario.must("event.ack", ann, { seq })
    expect(seen()).toEqual([[], [toWorkers, toAll], [toAll]])
    expect(scenario.must("event.ack", ann, { seq: toAll }).entries).toEqual([])
    scenario.refuses("not_found", "event.ack", ann, { seq: own })
    scenario.refuses("not_found", "event.ack", bob, { seq: own })
    scenario.refuses("not_found", "event.ack", boss, { seq: toWorkers })
  })

  it("to orchestrators is the operator's to see to once the last of them is retired, where none has acknowledged it", () => {
    const scenario = new Scenario()
    const [ann, boss] = [scenario.agent("ann"), scenario.agent("boss", { role: "orchestrator" })]
    scenario.agent("other", { role: "orchestrator" })
    const send = (): number => scenario.must("event.send", ann, { ...info, to: { role: "orchestrator" } }).answer.seq
    const [seen, left] = [send(), send()]
    scenario.must("event.ack", boss, { seq: seen })
    scenario.must("agent.retire", OPERATOR, { name: "boss", reason: "r" })
    const inbox = (): number[] => openNotices(scenario.state, OPERATOR).map(({ seq }) => seq)
    expect(inbox()).toEqual([])
    scenario.refuses("not_found", "event.ack", OPERATOR, { seq: left })
    scenario.must("agent.retire", OPERATOR, { name: "other", reason: "r" })
    expect(inbox()).toEqual([left])
    scenario.refuses("not_found", "event.ack", ann, { seq: left })
    scenario.must("event.ack", OPERATOR, { seq: left })
    expect(inbox()).toEqual([])
  })

  it("that asks for no acknowledgement waits in no inbox", () => {
    const scenario = new Scenario()
    scenario.must("event.send", OPERATOR, { ...info, requiresAck: false })
    expect(openNotices(scenario.state, OPERATOR)).toEqual([])
    expect(scenario.state.notices.size).toBe(0)
  })

  it("gives way to newer ones where too many wait, the oldest first, and only for that target", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const first = scenario.must("event.send", OPERATOR, { ...info, to: { agent: "ann" } }).answer.seq
    const other = scenario.must("event.send", OPERATOR, info).answer.seq
    for (let at = 1; at < INBOX_MAX; at++) scenario.must("event.send", OPERATOR, { ...info, to: { agent: "ann" } })
    expect(openNotices(scenario.state, ann)[0]?.seq).toBe(first)
    scenario.must("event.send", OPERATOR, { ...info, to: { agent: "ann" } })
    expect(openNotices(scenario.state, ann)[0]?.seq).toBe(other)
    expect(scenario.state.board.noticeCount("agent:ann")).toBe(INBOX_MAX)
    const again = fromSnapshot(takeSnapshot(scenario.state))
    expect(openNotices(again, ann)).toEqual(openNotices(scenario.state, ann))
  })

  it("of one agent is refused where twenty of its own wait there already, until somebody acknowledges one; a directive never is", () => {
    const scenario = new Scenario()
    const [ann, boss] = [scenario.agent("ann"), scenario.agent("boss", { role: "orchestrator" })]
    const toOperator = { ...info, to: { role: "operator" as const } }
    const seqs = Array.from({ length: INBOX_SENDER_MAX }, () => scenario.must("event.send", ann, toOperator).answer.seq)
    const refused = scenario.refuses("at_limit", "event.send", ann, toOperator)
    expect(refused.message).toBe("20 of ann's events to role:operator wait for their acknowledgement")
    scenario.must("event.send", ann, { ...toOperator, requiresAck: false })
    scenario.must("event.send", ann, { ...info, to: { agent: "boss" } })
    scenario.must("event.send", boss, toOperator)
    scenario.must("event.ack", OPERATOR, { seq: seqs[0] as number })
    scenario.must("event.send", ann, toOperator)
    const stop: Notice = { ...info, kind: "directive", directive: "stop", to: { agent: "ann" } }
    for (let at = 0; at <= INBOX_SENDER_MAX; at += 1) scenario.must("event.send", boss, stop)
  })

  it("that the hub's rules told gives way to nothing that agents send, however many they are", () => {
    const scenario = new Scenario()
    const [ann, other] = [scenario.agent("ann", { maxActive: 1_000 }), scenario.agent("other")]
    const toOperator = { ...info, to: { role: "operator" as const } }
    const rules = { windowMs: null, perClaimMicroUsd: null, warnPercent: [], graceMs: 0, absorb: false, reason: "r" }
    scenario.must("budget.set", OPERATOR, { ...rules, scope: "agent/ann", limitMicroUsd: 1 })
    const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
    scenario.must("usage.report", ann, { agent: null, session: null, task: null, model: null, requests: 1, costMicroUsd: 5, ...tokens })
    const [closed] = openNotices(scenario.state, OPERATOR)
    expect(closed?.text).toContain("budget agent/ann is closed")
    scenario.must("budget.set", OPERATOR, { ...rules, scope: "agent/ann", limitMicroUsd: null })
    const word = scenario.must("event.send", other, toOperator).answer.seq
    // Whoever delivers for review has the hub tell of it: as often as it likes, with tasks of its own.
    for (let at = 0; at < INBOX_MAX; at += 1) {
      scenario.task(`t${at}`, { review: true })
      scenario.claim(ann, `t${at}`)
      scenario.complete(ann, `t${at}`)
    }
    const waiting = openNotices(scenario.state, OPERATOR)
    expect(waiting).toHaveLength(INBOX_MAX)
    expect(waiting[0]).toEqual(closed)
    expect(waiting.some(({ seq }) => seq === word)).toBe(false)
    // What is seen to makes room before anything else does.
    for (const { seq } of waiting.slice(0, INBOX_MAX / 2)) scenario.must("event.ack", OPERATOR, { seq })
    const words = Array.from({ length: INBOX_SENDER_MAX }, () => scenario.must("event.send", other, toOperator).answer.seq)
    expect(openNotices(scenario.state, OPERATOR).map(({ seq }) => seq)).toEqual([...waiting.slice(INBOX_MAX / 2).map(({ seq }) => seq), ...words])
  })

  it("of a ledger of before gives way by its age alone, so that it folds as it did", () => {
    const scenario = new Scenario()
    const at = (seq: number): object => ({ seq, atMs: scenario.nowMs, v: 1, actor: OPERATOR, commandId: null, commandHash: null, causedBy: null })
    const send = (data: Notice): void => evolve(scenario.state, { ...at(scenario.state.seq + 1), type: "event.sent", data } as Entry)
    const first = scenario.state.seq + 1
    for (let count = 0; count <= INBOX_MAX; count += 1) {
      send({ ...info, to: { role: "operator" } })
      if (count === 1)
        evolve(scenario.state, { ...at(scenario.state.seq + 1), type: "event.acked", data: { seq: first + 1, target: "role:operator" } } as Entry)
    }
    expect([first, first + 1].map((seq) => scenario.state.notices.has(String(seq)))).toEqual([false, true])
  })

  it("needs an agent that is there and a task that exists", () => {
    const scenario = new Scenario()
    scenario.agent("ann")
    scenario.refuses("not_found", "event.send", OPERATOR, { ...info, to: { agent: "nobody" } })
    scenario.refuses("not_found", "event.send", OPERATOR, { ...info, task: "none" })
    scenario.must("event.send", OPERATOR, { ...info, to: { agent: "ann" } })
    scenario.must("agent.retire", OPERATOR, { name: "ann", reason: "r" })
    scenario.refuses("retired", "event.send", OPERATOR, { ...info, to: { agent: "ann" } })
    expect(scenario.state.notices.size).toBe(0)
  })

  it("of any kind may be sent by a worker, but a directive or an assignment", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const boss = scenario.agent("boss", { role: "orchestrator" })
    for (const kind of EVENT_KINDS) {
      const notice: Notice = { ...info, kind, directive: kind === "directive" ? "nudge" : null }
      if (kind === "directive" || kind === "task_assign") scenario.refuses("forbidden", "event.send", ann, notice)
      else scenario.must("event.send", ann, notice)
      scenario.must("event.send", boss, notice)
    }
    for (const directive of DIRECTIVES) scenario.must("event.send", OPERATOR, { ...info, kind: "directive", directive })
    scenario.refuses("invalid", "event.send", OPERATOR, { ...info, kind: "directive", directive: null })
  })

  it("of an agent about a task is a turn in its thread: such notices go round in no circle, and do not go on in a thread that is blocked", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    const boss = scenario.agent("boss", { role: "orchestrator" })
    scenario.task("t")
    const thread = (): unknown => scenario.state.threads.get("task/t")
    const say = (actor: Actor): string[] => types(scenario.must("event.send", actor, { ...info, task: "t" }))
    scenario.must("wake.setPolicy", OPERATOR, { changes: { turnsMax: 3 }, reason: "r" })
    expect([say(ann), say(bob), say(OPERATOR)]).toEqual([["event.sent"], ["event.sent"], ["event.sent"]])
    expect(thread()).toMatchObject({ status: "active", turns: 2 })
    const fence = scenario.claim(ann, "t")
    scenario.must("task.update", ann, { task: "t", fence, progress: 0.5, note: null })
    expect(thread()).toMatchObject({ turns: 0 })
    expect([say(ann), say(bob)]).toEqual([["event.sent"], ["event.sent"]])
    expect(say(ann)).toEqual(["event.sent", "thread.status_changed", "event.sent", "event.sent"])
    expect(thread()).toMatchObject({ status: "blocked", changedBy: "hub" })
    expect(scenario.refuses("wrong_status", "event.send", bob, { ...info, task: "t" }).details).toMatchObject({ thread: "task/t" })
    scenario.must("event.send", bob, info)
    for (const actor of [boss, OPERATOR]) expect(say(actor)).toEqual(["event.sent"])
    scenario.must("thread.unblock", boss, { thread: "task/t", reason: "r" })
    expect(say(bob)).toEqual(["event.sent"])
  })

  it("of a task that waits for its review goes to orchestrators, or to the operator where there is none", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const to = (id: string): unknown => {
      scenario.task(id, { review: true })
      scenario.claim(ann, id)
      return scenario.complete(ann, id).entries.map(({ data }) => (data as Partial<Notice>).to)[1]
    }
    expect(to("a")).toEqual({ role: "operator" })
    scenario.agent("boss", { role: "orchestrator" })
    expect(to("b")).toEqual({ role: "orchestrator" })
    scenario.must("agent.retire", OPERATOR, { name: "boss", reason: "r" })
    expect(to("c")).toEqual({ role: "operator" })
  })
})
