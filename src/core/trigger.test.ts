import { describe, expect, it } from "vitest"
import { OPERATOR } from "../../test/scenario.ts"
import { PLAIN, Waking } from "../../test/waking.ts"
import { unreadJobId } from "./trigger.ts"
import { wakesDue } from "./unread-wake.ts"

describe("unread messages", () => {
  it("make one job of an agent that a supervisor wakes, and the same unread state never makes a second", () => {
    const waking = new Waking()
    waking.asleep("bob")
    waking.post(waking.ann, "agent/bob")
    expect(waking.sweep()).toEqual([])
    waking.claim_(["bob"])
    expect(waking.sweep()).toEqual(["trigger.requested"])
    expect(waking.sweep()).toEqual([])
    expect(waking.of("bob")).toMatchObject({ origin: "unread", thread: "agent/bob", message: 1, reason: "1 unread message", status: "fallback_spawn" })
    const [claim] = waking.claim_(["bob"])
    waking.send(claim!)
    waking.must("trigger.confirm", { agent: "bob", session: null, role: "worker" }, { job: claim!.job, evidence: "turn" })
    expect(waking.sweep()).toEqual([])
    waking.post(waking.ann, "agent/bob")
    expect(waking.sweep()).toEqual(["trigger.requested"])
  })

  it("wake nobody who is in a turn, retired, not in the thread, or whose thread is closed", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.claim_(["bob", "ann", "boss"])
    waking.must("thread.create", waking.ann, { thread: "plan", title: "P", type: "conversation", participants: ["bob"] })
    waking.post(waking.ann, "plan")
    const due = (busy: string[] = []): string[] => wakesDue(waking.state, new Set(busy)).map(({ target }) => target)
    expect(due()).toEqual(["bob"])
    expect(due(["bob"])).toEqual([])
    waking.must("thread.setStatus", waking.boss, { thread: "plan", status: "closed", reason: "r" })
    expect(due()).toEqual([])
    waking.must("thread.setStatus", waking.boss, { thread: "plan", status: "active", reason: "r" })
    expect(due()).toEqual(["ann", "bob"])
    waking.must("thread.leave", bob, { thread: "plan" })
    expect(due()).toEqual(["ann"])
    waking.must("agent.retire", OPERATOR, { name: "ann", reason: "r" })
    expect(due()).toEqual([])
  })

  it("wake again where the session that was woken for them has ended without reading", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.post(waking.ann, "agent/bob")
    const claim = waking.woken("bob")
    waking.must("trigger.confirm", bob, { job: claim.job, evidence: "turn" })
    expect(waking.sweep()).toEqual([])
    waking.must("session.end", bob, { session: bob.session as string, reason: "crashed" })
    expect(waking.sweep()).toEqual(["trigger.requested"])
    expect(waking.job(claim.job)).toMatchObject({ status: "fallback_spawn", failed: { live: 0 } })
    expect(waking.job(claim.job).entries.length).toBe(6)
  })

  it("are not counted anew by what the agent itself says", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.must("thread.create", waking.ann, { thread: "plan", title: "P", type: "conversation", participants: ["bob"] })
    waking.post(waking.ann, "plan")
    const claim = waking.woken("bob")
    waking.must("trigger.confirm", bob, { job: claim.job, evidence: "turn" })
    waking.post(bob, "plan")
    expect(waking.sweep()).toEqual([])
    expect(unreadJobId(7, 0, "bob")).toBe("u7.0.bob")
  })

  it("are retracted as soon as they are read, the thread is closed, or no supervisor is left; and found again by the next supervisor", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.post(waking.ann, "agent/bob")
    waking.claim_(["bob"])
    waking.sweep()
    waking.must("message.ack", bob, { thread: "agent/bob", lastReadSeq: 1 })
    expect(waking.of("bob")).toMatchObject({ status: "cancelled", code: "RETRACTED", detail: "bob has read it" })
    waking.must("thread.create", waking.ann, { thread: "plan", title: "P", type: "conversation", participants: ["bob"] })
    waking.post(waking.ann, "plan")
    waking.sweep()
    const first = waking.of("bob").id
    waking.must("thread.setStatus", waking.boss, { thread: "plan", status: "closed", reason: "r" })
    expect(waking.sweep()).toEqual(["trigger.cancelled"])
    expect(waking.job(first)).toMatchObject({ status: "cancelled", code: "RETRACTED" })
    waking.must("thread.setStatus", waking.boss, { thread: "plan", status: "active", reason: "r" })
    waking.sweep()
    expect(waking.of("bob")).toMatchObject({ status: "queued", thread: "plan" })
    waking.must("session.end", waking.keeper, { session: waking.keeper.session as string, reason: "down" })
    expect(waking.sweep()).toEqual(["trigger.cancelled"])
    const other = waking.agent("other", { role: "supervisor" })
    waking.claim_(["bob"], other)
    expect(waking.sweep()).toEqual(["trigger.requested"])
  })

  it("that may have reached their agent are kept while their supervisor is away, and go on under the same nonce; with the agent's session they end", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.post(waking.ann, "agent/bob")
    const claim = waking.woken("bob")
    waking.must("session.end", waking.keeper, { session: waking.keeper.session as string, reason: "killed" })
    expect(waking.timesOut(claim.job)).toMatchObject({ status: "retrying", maybeSent: true, session: bob.session })
    expect(waking.sweep()).toEqual([])
    const other = waking.agent("other", { role: "supervisor" })
    waking.wait(10_000)
    const [again] = waking.claim_(["bob"], other)
    expect(again).toMatchObject({ job: claim.job, maybeSent: true })
    waking.record(again!, "delivering", {}, other)
    waking.record(again!, "failed", { code: "SEND_KEYS_ERROR" }, other)
    waking.must("session.end", other, { session: other.session as string, reason: "down" })
    expect(waking.sweep()).toEqual([])
    waking.must("session.end", bob, { session: bob.session as string, reason: "down" })
    expect(waking.sweep()).toEqual(["trigger.cancelled"])
    expect(waking.of("bob")).toMatchObject({ id: claim.job, code: "RETRACTED", detail: "no supervisor is to wake bob" })
  })

  it("are not kept for a session that ended so long ago that it is forgotten", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.post(waking.ann, "agent/bob")
    const claim = waking.woken("bob")
    waking.timesOut(claim.job)
    waking.must("session.end", bob, { session: bob.session as string, reason: "down" })
    waking.wait(24 * 3_600_000 + 1)
    waking.kept("bob", "s_b2")
    expect(waking.state.sessions.get(bob.session as string)).toBeUndefined()
    waking.must("session.end", waking.keeper, { session: waking.keeper.session as string, reason: "down" })
    expect(waking.sweep()).toEqual(["trigger.cancelled"])
  })
})

describe("trigger.participant", () => {
  it("answers the same envelope again for the same request, and a conflict for another payload", () => {
    const waking = new Waking()
    waking.agent("bob")
    const input = { job: `r${"0".repeat(24)}`, request: "q", thread: "agent/bob", target: "bob", reason: "now", prompt: "p" }
    const first = waking.must("trigger.participant", waking.ann, input)
    expect(first.answer).toMatchObject({
      mode: "trigger_runtime",
      action: "queued",
      status: "queued",
      code: "NO_SUPERVISOR",
      trace: { request: "q", caller: "ann", target: "bob" },
    })
    const again = waking.must("trigger.participant", waking.ann, input)
    expect(again.entries).toEqual([])
    expect({ ...again.answer, seq: first.answer.seq }).toEqual(first.answer)
    waking.refuses("idempotency_conflict", "trigger.participant", waking.ann, { ...input, prompt: "other" })
  })

  it("is for members of the thread, and reaches only members of it", () => {
    const waking = new Waking()
    waking.agent("bob")
    waking.must("thread.create", waking.boss, { thread: "plan", title: "P", type: "conversation", participants: [] })
    const input = { job: `r${"0".repeat(24)}`, request: "q", thread: "plan", target: "bob", reason: "now", prompt: "" }
    waking.refuses("forbidden", "trigger.participant", waking.ann, input)
    waking.refuses("forbidden", "trigger.participant", waking.boss, input)
    expect(waking.refuses("not_found", "trigger.participant", waking.boss, { ...input, target: "none" }).details).toMatchObject({ code: "TARGET_NOT_FOUND" })
    waking.must("thread.invite", waking.boss, { thread: "plan", agents: ["bob", "ann"] })
    waking.must("trigger.participant", waking.ann, input)
    waking.must("thread.overrideClose", OPERATOR, { thread: "plan", reason: "r" })
    waking.refuses("wrong_status", "trigger.participant", waking.boss, { ...input, job: `r${"1".repeat(24)}` })
    waking.sweep()
    expect(waking.of("bob")).toMatchObject({ status: "cancelled", code: "RETRACTED", detail: "thread plan is closed" })
  })

  it("takes the live session, else one that can be resumed and was heard of within 12 h, else a new one", () => {
    const waking = new Waking()
    const bob = waking.asleep("bob")
    const action = (): string => {
      const id = waking.ask(waking.ann, "bob")
      waking.must("trigger.cancel", waking.boss, { job: id, reason: "looked" })
      return waking.job(id).route
    }
    expect(action()).toBe("spawn")
    const session = waking.kept("bob", "s_b1", { resumeId: "conversation" })
    expect(action()).toBe("live")
    waking.must("session.end", bob, { session, reason: "over" })
    waking.wait(43_200_000)
    expect(action()).toBe("resume")
    waking.wait(1)
    expect(action()).toBe("spawn")
  })

  it("is put off beyond 10 of one agent and thread in a minute", () => {
    const waking = new Waking()
    waking.agent("bob")
    for (let at = 0; at < 10; at += 1) expect(waking.job(waking.ask(waking.ann, "bob")).code).toBeNull()
    waking.wait(1_000)
    const late = waking.job(waking.ask(waking.ann, "bob"))
    expect(late).toMatchObject({ status: "deferred", code: "TRIGGER_RATE_LIMITED", notBeforeMs: waking.nowMs - 1_000 + 60_000 })
    waking.wait(59_000)
    expect(waking.job(waking.ask(waking.ann, "bob")).code).toBeNull()
  })

  it("shows NO_SUPERVISOR when nobody took it for 15 s, and is claimed all the same later", () => {
    const waking = new Waking()
    waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    waking.wait(14_999)
    expect(waking.sweep()).toEqual([])
    waking.wait(1)
    expect(waking.sweep()).toEqual(["trigger.flagged"])
    expect(waking.sweep()).toEqual([])
    expect(waking.job(id).code).toBe("NO_SUPERVISOR")
    expect(waking.claim_(["bob"])).toMatchObject([{ job: id }])
    expect(waking.job(id).code).toBeNull()
  })
})

describe("a claim", () => {
  it("gives a job to one supervisor only, one job of an agent at a time, and to the next once it has run out", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    const other = waking.agent("other", { role: "supervisor" })
    const first = waking.ask(waking.ann, "bob")
    const second = waking.ask(waking.ann, "bob")
    const [mine] = waking.claim_(["bob"])
    expect(mine?.job).toBe(first)
    expect(waking.claim_(["bob"], other)).toEqual([])
    waking.wait(30_000)
    const late = { job: first, fence: mine!.fence, channel: null, code: null, detail: "", session: null, beside: false, untilMs: null, bits: 0 }
    waking.refuses("stale_fence", "trigger.record", waking.keeper, { ...late, step: "delivering" })
    expect(waking.sweep()).toEqual(["trigger.released"])
    const [theirs] = waking.claim_(["bob"], other)
    expect(theirs?.job).toBe(first)
    waking.refuses("stale_fence", "trigger.record", waking.keeper, { ...late, step: "delivering" })
    waking.refuses("stale_fence", "trigger.record", waking.keeper, { ...late, fence: theirs!.fence, step: "delivering" })
    waking.record(theirs!, "delivering", {}, other)
    // No text is typed twice under one claim.
    waking.refuses("stale_fence", "trigger.record", other, { ...late, fence: theirs!.fence, step: "delivering" })
    waking.record(theirs!, "sent", {}, other)
    expect(waking.claim_(["bob"])).toEqual([])
    waking.must("message.post", waking.ann, { thread: "agent/bob", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN })
    waking.must("message.ack", bob, { thread: "agent/bob", lastReadSeq: 1 })
    expect(waking.job(first)).toMatchObject({ status: "delivered", evidence: "cursor" })
    expect(waking.claim_(["bob"])[0]?.job).toBe(second)
  })

  it("of a supervisor that fell silent in the middle of a delivery counts as sent: whoever tries again is told to look for its nonce", () => {
    const waking = new Waking()
    waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    const [claim] = waking.claim_(["bob"])
    waking.record(claim!, "delivering")
    waking.wait(30_000)
    expect(waking.sweep()).toEqual(["trigger.sent"])
    expect(waking.timesOut(id)).toMatchObject({ status: "retrying", code: "ACK_TIMEOUT" })
    waking.wait(3_000)
    expect(waking.claim_(["bob"])).toMatchObject([{ job: id, maybeSent: true }])
  })

  it("is put off until its time, and an earlier claim of the same supervisor says nothing of it any more", () => {
    const waking = new Waking()
    waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    const [first] = waking.claim_(["bob"])
    waking.record(first!, "delivering")
    const { notBeforeMs } = waking.record(first!, "failed", { code: "SEND_KEYS_ERROR" })
    waking.wait(notBeforeMs - waking.nowMs - 1)
    expect(waking.claim_(["bob"])).toEqual([])
    waking.wait(1)
    const [second] = waking.claim_(["bob"])
    expect(second).toMatchObject({ job: id })
    const late = { job: id, channel: null, code: null, detail: "", session: null, beside: false, untilMs: null, bits: 0 }
    waking.refuses("stale_fence", "trigger.record", waking.keeper, { ...late, fence: first!.fence, step: "delivering" })
    waking.record(second!, "delivering")
  })

  it("is for a supervisor that is there: one that was lost or has ended takes nothing", () => {
    const waking = new Waking()
    waking.agent("bob")
    waking.ask(waking.ann, "bob")
    const session = waking.keeper.session as string
    waking.must("hub.sweep", waking.keeper, { beats: [], silent: [{ id: session, silentMs: 1_000_000 }] })
    waking.refuses("wrong_status", "trigger.claim", waking.keeper, { agents: ["bob"], max: 1, busy: [] })
    waking.must("session.end", waking.keeper, { session, reason: "over" })
    waking.refuses("wrong_status", "trigger.claim", waking.keeper, { agents: ["bob"], max: 1, busy: [] })
  })

  it("leaves a live session to the supervisor that keeps it, while that one lives", () => {
    const waking = new Waking()
    waking.asleep("bob")
    const other = waking.agent("other", { role: "supervisor" })
    waking.kept("bob", "s_b1", { by: other })
    const id = waking.ask(waking.ann, "bob")
    expect(waking.claim_(["bob"])).toEqual([])
    waking.refuses("not_owner", "session.adopt", waking.keeper, { session: "s_b1", resumeId: null })
    waking.must("session.end", other, { session: other.session as string, reason: "gone" })
    expect(waking.claim_(["bob"])).toMatchObject([{ job: id, hop: "live", session: "s_b1" }])
    waking.must("session.adopt", waking.keeper, { session: "s_b1", resumeId: null })
    expect(waking.state.sessions.get("s_b1")).toMatchObject({ managedBy: waking.keeper.session, resumeId: null })
  })

  it("resumes a conversation that became known while it went on, and forgets none", () => {
    const waking = new Waking()
    const bob = waking.asleep("bob")
    waking.kept("bob", "s_b1")
    const adopt = (resumeId: string | null): string[] =>
      waking.must("session.adopt", waking.keeper, { session: "s_b1", resumeId }).entries.map(({ type }) => type)
    expect(adopt(null)).toEqual([])
    expect(adopt("conversation")).toEqual(["session.adopted"])
    expect(adopt("conversation")).toEqual([])
    expect(adopt(null)).toEqual([])
    waking.must("session.end", bob, { session: "s_b1", reason: "over" })
    expect(waking.job(waking.ask(waking.ann, "bob")).route).toBe("resume")
    expect(waking.state.sessions.get("s_b1")?.resumeId).toBe("conversation")
  })

  it("starts nothing beside an agent that is in a turn", () => {
    const waking = new Waking()
    waking.asleep("bob")
    const id = waking.ask(waking.ann, "bob")
    expect(waking.claim_(["bob"], waking.keeper, ["bob"])).toEqual([])
    expect(waking.claim_(["bob"])).toMatchObject([{ job: id, hop: "spawn" }])
  })
})
