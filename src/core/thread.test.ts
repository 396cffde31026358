import { describe, expect, it } from "vitest"
import { fold, OPERATOR, Scenario } from "../../test/scenario.ts"
import { team } from "../../test/talking-team.ts"
import { PLAIN } from "../../test/waking.ts"
import { openNotices } from "./directive.ts"
import { type Actor, decodeEntry, type Entry, HUB } from "./entry.ts"
import { ledgerSeqs } from "./message-page.ts"
import { viewMessage } from "./message-view.ts"
import type { Metadata } from "./message.ts"
import { THREAD_STATUSES, type Thread, type ThreadStatus } from "./thread.ts"
import { cursorOf, unreadOf } from "./unread.ts"
import { mark, undoTo } from "./workspace.ts"

function post(scenario: Scenario, actor: Actor, thread: string, body = "hello", metadata: Partial<Metadata> = {}, inReplyTo: number | null = null): number {
  return scenario.must("message.post", actor, { thread, body, kind: "chat", inReplyTo, metadata: { ...PLAIN, ...metadata } }).answer.message
}

const thread = (scenario: Scenario, id = "plan"): Thread => scenario.state.threads.get(id) as Thread

describe("a thread", () => {
  it("numbers its messages from 1, and asks nobody to read its own", () => {
    const { scenario, ann, bob } = team()
    expect([post(scenario, ann, "plan"), post(scenario, bob, "plan"), post(scenario, ann, "plan")]).toEqual([1, 2, 3])
    expect(unreadOf(scenario.state, ann)).toEqual([{ thread: "plan", unread: 1, lastReadSeq: 0, headSeq: 3 }])
    expect(unreadOf(scenario.state, bob)).toEqual([{ thread: "plan", unread: 2, lastReadSeq: 0, headSeq: 3 }])
    scenario.must("message.ack", bob, { thread: "plan", lastReadSeq: 1 })
    expect(unreadOf(scenario.state, bob)).toEqual([{ thread: "plan", unread: 1, lastReadSeq: 1, headSeq: 3 }])
    scenario.must("message.ack", bob, { thread: "plan", lastReadSeq: 3 })
    expect(unreadOf(scenario.state, bob)).toEqual([])
  })

  it("moves a cursor neither back nor beyond its head, and records nothing where it stands", () => {
    const { scenario, ann, bob, boss } = team()
    post(scenario, ann, "plan")
    expect(scenario.refuses("cursor_ahead", "message.ack", bob, { thread: "plan", lastReadSeq: 2 }).details).toMatchObject({ head: 1, lastReadSeq: 0 })
    scenario.must("message.ack", bob, { thread: "plan", lastReadSeq: 1 })
    expect(scenario.must("message.ack", bob, { thread: "plan", lastReadSeq: 1 }).entries).toEqual([])
    expect(scenario.refuses("cursor_regression", "message.ack", bob, { thread: "plan", lastReadSeq: 0 }).details).toMatchObject({ lastReadSeq: 1 })
    scenario.refuses("forbidden", "message.ack", boss, { thread: "plan", lastReadSeq: 1 })
    scenario.refuses("not_found", "message.ack", boss, { thread: "none", lastReadSeq: 1 })
  })

  it("gives whoever is invited all of it to read, whoever joins what comes then, and whoever left nothing", () => {
    const { scenario, ann, bob, boss } = team()
    const cat = scenario.agent("cat")
    post(scenario, ann, "plan")
    scenario.refuses("forbidden", "thread.invite", cat, { thread: "plan", agents: ["cat"] })
    scenario.must("thread.invite", bob, { thread: "plan", agents: ["boss", "bob"] })
    expect(cursorOf(scenario.state, boss, thread(scenario))).toMatchObject({ unread: 1 })
    scenario.must("thread.join", cat, { thread: "plan" })
    expect(cursorOf(scenario.state, cat, thread(scenario))).toMatchObject({ unread: 0, lastReadSeq: 1 })
    scenario.must("thread.leave", bob, { thread: "plan" })
    post(scenario, ann, "plan")
    expect(cursorOf(scenario.state, cat, thread(scenario))).toMatchObject({ unread: 1 })
    expect(cursorOf(scenario.state, bob, thread(scenario))).toBeNull()
    expect(post(scenario, bob, "plan")).toBe(3)
    expect(cursorOf(scenario.state, bob, thread(scenario))).toMatchObject({ unread: 2, lastReadSeq: 0 })
    scenario.refuses("not_found", "thread.invite", boss, { thread: "plan", agents: ["nobody"] })
  })

  it("names in each entry whom it concerns, and never its sender", () => {
    const { scenario, ann, bob } = team()
    const data = (entries: Entry[]): unknown => (entries[0] as Entry<string, { audience: string[] }>).data.audience
    const said = scenario.must("message.post", ann, { thread: "plan", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN })
    expect(data(said.entries)).toEqual(["agent:bob"])
    expect(data(scenario.must("thread.setStatus", bob, { thread: "plan", status: "resolved", reason: "done" }).entries)).toEqual(["agent:ann"])
    const toTeam = scenario.must("message.post", ann, { thread: "team", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN })
    expect(data(toTeam.entries)).toEqual(["everyone"])
    const toBob = scenario.must("message.post", ann, { thread: "agent/bob", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN })
    expect(data(toBob.entries)).toEqual(["agent:bob"])
    expect(unreadOf(scenario.state, ann).map((row) => row.thread)).toEqual(["plan"])
  })

  it("refuses what is too large in bytes, names nothing, or replies to what is not there", () => {
    const { scenario, ann } = team()
    const message = { thread: "plan", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN } as const
    expect(scenario.refuses("too_large", "message.post", ann, { ...message, body: "é".repeat(16_385) }).details).toEqual({ bytes: 32_770, limit: 32_768 })
    scenario.must("message.post", ann, { ...message, body: "é".repeat(16_384) })
    scenario.refuses("invalid", "message.post", ann, { ...message, inReplyTo: 2 })
    scenario.refuses("not_found", "message.post", ann, { ...message, metadata: { ...PLAIN, task: "none" } })
    for (const id of ["none", "task/none", "agent/none", "role/none"]) scenario.refuses("not_found", "message.post", ann, { ...message, thread: id })
    scenario.must("agent.add", OPERATOR, { name: "gone" })
    scenario.must("message.post", ann, { ...message, thread: "agent/gone" })
    scenario.must("agent.retire", OPERATOR, { name: "gone", reason: "r" })
    scenario.refuses("retired", "message.post", ann, { ...message, thread: "agent/gone" })
    scenario.refuses("already_exists", "thread.create", ann, { thread: "plan", title: "P", type: "incident", participants: [] })
    for (const id of ["team", "a/b", ""]) scenario.refuses("invalid", "thread.create", ann, { thread: id, title: "P", type: "incident", participants: [] })
    const many = Array.from({ length: 128 }, (_, at) => `a${at}`)
    for (const name of many) scenario.must("agent.add", OPERATOR, { name })
    scenario.refuses("at_limit", "thread.invite", ann, { thread: "plan", agents: many })
    scenario.must("thread.invite", ann, { thread: "plan", agents: many.slice(0, 126) })
    scenario.refuses("at_limit", "thread.join", { ...ann, agent: "a127" }, { thread: "plan" })
    scenario.refuses("at_limit", "message.post", { ...ann, agent: "a127" }, message)
    // By role there may be any number.
    for (const agent of many) scenario.must("message.post", { ...ann, agent }, { ...message, thread: "role/worker" })
    expect(scenario.state.forum.membersOf("role/worker")).toEqual([])
  })

  it("posts once for a key, and answers the same again", () => {
    const { scenario, ann } = team()
    const message = { thread: "plan", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN } as const
    const key = { id: "k", hash: "h" }
    const first = scenario.must("message.post", ann, message, key)
    post(scenario, ann, "plan")
    expect(scenario.must("message.post", ann, message, key).answer).toEqual(first.answer)
    expect(thread(scenario).head).toBe(2)
    scenario.refuses("idempotency_conflict", "message.post", ann, message, { id: "k", hash: "other" })
    const create = { thread: "t_1", title: "T", type: "conversation", participants: [] } as const
    scenario.must("thread.create", ann, { ...create, participants: [] }, { id: "c", hash: "h" })
    expect(scenario.must("thread.create", ann, { ...create, thread: "t_2", participants: [] }, { id: "c", hash: "h" }).answer.thread).toBe("t_1")
  })
})

describe("what is unread of a group's threads", () => {
  const tell = (scenario: Scenario, actor: Actor, task: string | null): unknown =>
    scenario.must("event.send", actor, {
      kind: "info",
      directive: null,
      to: { everyone: true },
      task,
      priority: "normal",
      text: "n",
      payload: {},
      requiresAck: false,
    })

  it("is unread again when an acknowledgement lost its race", () => {
    const { scenario, ann, boss } = team()
    tell(scenario, boss, null)
    const point = mark(scenario.state)
    scenario.must("message.ack", ann, { thread: "team", lastReadSeq: 1 })
    expect(unreadOf(scenario.state, ann)).toEqual([])
    undoTo(scenario.state, point)
    expect(unreadOf(scenario.state, ann)).toMatchObject([{ thread: "team", unread: 1 }])
  })

  it("is found where a thread that lost its race stood in the ledger before it", () => {
    const { scenario, ann, boss } = team()
    scenario.task("t")
    tell(scenario, boss, null)
    scenario.must("message.ack", ann, { thread: "team", lastReadSeq: 1 })
    const [point, kept] = [mark(scenario.state), scenario.bytes.length]
    post(scenario, boss, "plan")
    tell(scenario, boss, "t")
    undoTo(scenario.state, point)
    scenario.bytes.length = kept
    expect(unreadOf(scenario.state, ann)).toEqual([])
    tell(scenario, boss, null)
    expect(unreadOf(scenario.state, ann)).toMatchObject([{ thread: "team", unread: 1 }])
  })
})

describe("a task's thread", () => {
  it("outlives its task: what is said after the delivery reaches whoever delivered, and a participant may end it", () => {
    const { scenario, ann, boss } = team()
    scenario.task("t")
    scenario.claim(ann, "t")
    post(scenario, ann, "task/t", "done soon")
    scenario.complete(ann, "t")
    expect(scenario.state.tasks.get("t")?.status).toBe("completed")
    post(scenario, boss, "task/t", "What of the second case?")
    expect(unreadOf(scenario.state, ann)).toMatchObject([{ thread: "task/t", unread: 1 }])
    for (const status of ["resolved", "closed"] as const) scenario.must("thread.setStatus", ann, { thread: "task/t", status, reason: "answered" })
    expect(unreadOf(scenario.state, ann)).toEqual([])
  })
})

describe("a thread's status", () => {
  /** Who may take it from one to another, said once more: w worker in it, o orchestrator, d operator, - nobody. */
  const TABLE: Record<ThreadStatus, Record<ThreadStatus, string>> = {
    active: { active: "=", blocked: "wod", resolved: "wod", closed: "od" },
    blocked: { active: "od", blocked: "=", resolved: "od", closed: "d" },
    resolved: { active: "wod", blocked: "-", resolved: "=", closed: "wod" },
    closed: { active: "od", blocked: "-", resolved: "-", closed: "=" },
  }
  const POSTS: Record<ThreadStatus, string> = { active: "wod", blocked: "od", resolved: "wod", closed: "" }

  for (const from of THREAD_STATUSES) {
    it(`${from} changes and takes messages by the role of the caller`, () => {
      for (const to of THREAD_STATUSES) {
        for (const who of ["w", "o", "d", "x"] as const) {
          const { scenario, ann, boss } = team()
          const outsider = scenario.agent("cat")
          if (from !== "active") scenario.must("thread.setStatus", OPERATOR, { thread: "plan", status: from, reason: "so" })
          const actor = { w: ann, o: boss, d: OPERATOR, x: outsider }[who]
          const change = { thread: "plan", status: to, reason: "why" }
          const allowed = TABLE[from][to]
          if (allowed === "=") expect(scenario.must("thread.setStatus", actor, change).entries).toEqual([])
          else if (allowed === "-") scenario.refuses("wrong_status", "thread.setStatus", actor, change)
          else if (!allowed.includes(who)) scenario.refuses("forbidden", "thread.setStatus", actor, change)
          else {
            const { entries } = scenario.must("thread.setStatus", actor, change)
            expect(viewMessage(entries[0] as Entry, thread(scenario).head)).toMatchObject({ kind: "system", body: `${from} -> ${to}: why` })
            expect(thread(scenario)).toMatchObject({ status: to, reason: "why", changedBy: actor.agent })
          }
        }
      }
      for (const who of ["w", "o", "d"] as const) {
        const { scenario, ann, boss } = team()
        if (from !== "active") scenario.must("thread.setStatus", OPERATOR, { thread: "plan", status: from, reason: "so" })
        const actor = { w: ann, o: boss, d: OPERATOR }[who]
        if (POSTS[from].includes(who)) post(scenario, actor, "plan")
        else scenario.refuses("wrong_status", "message.post", actor, { thread: "plan", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN })
      }
    })
  }

  it("closed leaves nothing to read, until it is opened again", () => {
    const { scenario, ann, bob, boss } = team()
    post(scenario, ann, "plan")
    scenario.must("thread.setStatus", boss, { thread: "plan", status: "closed", reason: "over" })
    expect(unreadOf(scenario.state, bob)).toEqual([])
    scenario.must("thread.setStatus", boss, { thread: "plan", status: "active", reason: "not over" })
    expect(unreadOf(scenario.state, bob)).toMatchObject([{ thread: "plan", unread: 3 }])
  })

  it("does not exist for an inbox: nobody joins, leaves or closes it", () => {
    const { scenario, ann, bob } = team()
    post(scenario, ann, "agent/bob")
    post(scenario, ann, "team")
    for (const id of ["agent/bob", "team"]) {
      scenario.refuses("invalid", "thread.setStatus", OPERATOR, { thread: id, status: "closed", reason: "r" })
      scenario.refuses("invalid", "thread.leave", bob, { thread: id })
      scenario.refuses("invalid", "thread.join", ann, { thread: id })
      scenario.refuses("invalid", "thread.invite", ann, { thread: id, agents: ["boss"] })
    }
  })
})

describe("a notice", () => {
  it("is a message of its task's thread, else of its target's, unread for whom it is to", () => {
    const { scenario, ann, bob, boss } = team()
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.must("lease.end", OPERATOR, { task: "t", reason: "enough" })
    expect(unreadOf(scenario.state, ann)).toEqual([{ thread: "task/t", unread: 1, lastReadSeq: 0, headSeq: 1 }])
    const [seq] = ledgerSeqs(scenario.state, thread(scenario, "task/t"), 1, 1) as [number]
    const entry = decodeEntry(scenario.bytes[seq - 1] as string)
    expect(viewMessage(entry, 1)).toMatchObject({
      thread: "task/t",
      sender: "olga",
      kind: "event",
      to: "agent:ann",
      metadata: { eventType: "stop", task: "t" },
    })
    expect(openNotices(scenario.state, ann)).toMatchObject([{ thread: "task/t", directive: "stop" }])
    expect(fence).toBeGreaterThan(0)
    const notice = { kind: "info", directive: null, task: null, priority: "normal", text: "main is red", payload: {}, requiresAck: false } as const
    scenario.must("event.send", boss, { ...notice, to: { role: "worker" } })
    scenario.must("event.send", bob, { ...notice, to: { everyone: true } })
    expect(unreadOf(scenario.state, bob).map((row) => row.thread)).toEqual(["role/worker"])
    expect(unreadOf(scenario.state, ann).map((row) => row.thread)).toEqual(["team", "role/worker", "task/t"])
    expect(unreadOf(scenario.state, boss).map((row) => row.thread)).toEqual(["team"])
    // Whoever comes later was not spoken to.
    expect(unreadOf(scenario.state, scenario.agent("late"))).toEqual([])
    scenario.must("event.send", bob, { ...notice, to: { everyone: true } })
    expect(unreadOf(scenario.state, { agent: "late", role: "worker" })).toEqual([{ thread: "team", unread: 1, lastReadSeq: 1, headSeq: 2 }])
    scenario.must("message.ack", { agent: "late", session: null, role: "worker" }, { thread: "team", lastReadSeq: 2 })
    expect(unreadOf(scenario.state, { agent: "late", role: "worker" })).toEqual([])
  })

  it("of an older ledger, which names no thread, folds as it did and makes none", () => {
    const { scenario } = team()
    const data = { kind: "info", directive: null, to: { agent: "ann" }, task: null, priority: "low", text: "", payload: {}, requiresAck: true }
    const entry = {
      seq: scenario.state.seq + 1,
      atMs: scenario.nowMs,
      type: "event.sent",
      v: 1,
      actor: HUB,
      commandId: null,
      commandHash: null,
      causedBy: null,
    }
    const state = fold([...scenario.bytes, JSON.stringify({ ...entry, data })])
    expect(state.threads.size).toBe(1)
    expect(state.notices.size).toBe(1)
  })
})

describe("findings, turns and progress", () => {
  it("count a finding that comes back, whatever its case and spacing, and open it again after its resolution", () => {
    const { scenario, ann, bob } = team()
    const where = { eventType: "finding", severity: "high", file: "a.ts", line: 3, endLine: 5 } as const
    post(scenario, ann, "plan", "Null  dereference", where)
    post(scenario, ann, "plan", "null dereference ", where)
    post(scenario, ann, "plan", "null dereference", { ...where, line: 4 })
    const seen = (): unknown[] => scenario.state.forum.findingsOf("plan").map(({ first, last, times, open }) => [first, last, times, open])
    expect(seen()).toEqual([
      [1, 2, 2, true],
      [3, 3, 1, true],
    ])
    post(scenario, bob, "plan", "mended", { eventType: "resolution" }, 1)
    expect(seen()[0]).toEqual([1, 2, 2, false])
    post(scenario, ann, "plan", "NULL dereference", where)
    expect(seen()[0]).toEqual([1, 5, 3, true])
  })

  it("count messages by agents since the last finding that is new, commit, change of status or update of the task", () => {
    const { scenario, ann, bob } = team()
    const turns = (): number => thread(scenario).turns
    for (const actor of [ann, bob, OPERATOR, ann]) post(scenario, actor, "plan")
    expect(turns()).toBe(3)
    post(scenario, ann, "plan", "wrong", { eventType: "finding" })
    expect(turns()).toBe(0)
    post(scenario, ann, "plan", "wrong", { eventType: "finding" })
    expect(turns()).toBe(1)
    post(scenario, ann, "plan", "abc1234", { eventType: "commit" })
    expect(turns()).toBe(0)
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    post(scenario, ann, "plan", "on it", { task: "t" })
    expect(turns()).toBe(1)
    scenario.must("task.update", ann, { task: "t", fence, progress: 0.5, note: null })
    expect(turns()).toBe(0)
    post(scenario, ann, "plan")
    scenario.must("thread.setStatus", ann, { thread: "plan", status: "resolved", reason: "r" })
    expect(turns()).toBe(0)
  })
})

describe("a thread that is blocked by the very message that brings somebody into it", () => {
  const said = { body: "it leaks", kind: "chat", inReplyTo: null, metadata: { ...PLAIN, eventType: "finding" } } as const
  const audience = (entries: readonly Entry[]): unknown[] =>
    entries.flatMap(({ type, data }) => (type === "thread.status_changed" ? [(data as { audience: string[] }).audience] : []))

  it("tells them too, whether they post it", () => {
    const { scenario, ann } = team()
    const cat = scenario.agent("cat")
    for (let times = 0; times < 2; times += 1) scenario.must("message.post", ann, { thread: "plan", ...said })
    const { entries } = scenario.must("message.post", cat, { thread: "plan", ...said })
    expect(audience(entries)).toEqual([["agent:ann", "agent:bob", "agent:cat"]])
    expect(unreadOf(scenario.state, cat)).toEqual([{ thread: "plan", unread: 1, lastReadSeq: 2, headSeq: 4 }])
  })

  it("or it is an event about its task: whoever sends it, and whom it is for", () => {
    const { scenario, ann, bob } = team()
    scenario.must("task.add", ann, { id: "t1", title: "t1" })
    const sent = { kind: "info", directive: null, task: "t1", priority: "normal", text: "", payload: {}, requiresAck: false } as const
    for (let times = 0; times < 19; times += 1) scenario.must("event.send", bob, { ...sent, to: { agent: "boss" } })
    const { entries } = scenario.must("event.send", ann, { ...sent, to: { role: "worker" } })
    expect(audience(entries)).toEqual([["agent:ann", "agent:bob", "agent:boss", "role:worker"]])
  })
})
