import { describe, expect, it } from "vitest"
import { OPERATOR } from "../../test/scenario.ts"
import { BITS, PLAIN, Waking } from "../../test/waking.ts"
import type { Actor } from "./entry.ts"
import type { ClaimedTrigger } from "./trigger-view.ts"
import { standOf } from "./trigger-why.ts"

const NOTHING = { channel: null, code: null, detail: "", session: null, beside: false, untilMs: null, bits: BITS } as const

describe("the chain", () => {
  it("is three attempts at the live session, two resumes, one spawn, then the dead letter, which an operator opens again", () => {
    const waking = new Waking()
    waking.asleep("bob")
    waking.kept("bob", "s_b1", { resumeId: "c" })
    const id = waking.ask(waking.ann, "bob")
    const walked: [string, string, number][] = []
    for (let at = 0; at < 6; at += 1) {
      const [claim] = waking.claim_(["bob"])
      expect(claim, `attempt ${at}`).toBeDefined()
      waking.send(claim!)
      const { status, notBeforeMs } = waking.timesOut(id)
      walked.push([claim!.hop, status, notBeforeMs - waking.nowMs])
      waking.wait(notBeforeMs - waking.nowMs)
    }
    expect(walked.map(([hop, status]) => [hop, status])).toEqual([
      ["live", "retrying"],
      ["live", "retrying"],
      ["live", "fallback_resume"],
      ["resume", "fallback_resume"],
      ["resume", "fallback_spawn"],
      ["spawn", "dead"],
    ])
    for (const [at, ms] of [2_000, 4_000].entries()) expect(Math.abs(walked[at]![2] - ms)).toBeLessThanOrEqual(ms / 4)
    expect(waking.job(id)).toMatchObject({ code: "ACK_TIMEOUT", failed: { live: 3, resume: 2, spawn: 1 } })
    expect(waking.claim_(["bob"])).toEqual([])
    waking.must("trigger.retry", OPERATOR, { job: id, reason: "mended", force: false })
    expect(waking.job(id)).toMatchObject({ status: "queued", failed: { live: 0, resume: 0, spawn: 0 } })
  })

  it("skips what cannot help: a dead pane is not tried again, a stale conversation and a crash loop are not resumed", () => {
    const waking = new Waking()
    const bob = waking.asleep("bob")
    waking.kept("bob", "s_b1", { resumeId: "c" })
    const fails = (code: "PANE_DEAD" | "REGISTRY_DRIFT" | "TARGET_NOT_FOUND" | "RESUME_FAILED"): string => {
      waking.ask(waking.ann, "bob")
      const [claim] = waking.claim_(["bob"])
      const { status } = waking.record(claim!, "failed", { code })
      waking.must("trigger.cancel", waking.boss, { job: claim!.job, reason: "looked" })
      return status
    }
    expect(fails("TARGET_NOT_FOUND")).toBe("fallback_resume")
    expect(fails("PANE_DEAD")).toBe("fallback_resume")
    expect(fails("REGISTRY_DRIFT")).toBe("fallback_resume")
    expect(fails("PANE_DEAD")).toBe("fallback_spawn")
    waking.wait(900_001)
    expect(fails("PANE_DEAD")).toBe("fallback_resume")
    waking.must("session.end", bob, { session: "s_b1", reason: "crashed" })
    expect(fails("RESUME_FAILED")).toBe("fallback_resume")
    waking.wait(43_200_001)
    expect(waking.job(waking.ask(waking.ann, "bob")).hop).toBe("spawn")
    const [claim] = waking.claim_(["bob"])
    expect(waking.record(claim!, "failed", { code: "SPAWN_FAILED", detail: "no such command" })).toMatchObject({ status: "dead", code: "SPAWN_FAILED" })
  })

  it.each<[string, (waking: Waking, claim: ClaimedTrigger) => unknown]>([
    ["a text that was sent", (waking, claim) => waking.send(claim)],
    ["one of which nobody knows, since its supervisor died with it", (waking, claim) => waking.record(claim, "delivering")],
  ])("does not wait for a sign of a process that has ended: %s", (_, hands) => {
    const waking = new Waking()
    waking.asleep("bob")
    waking.kept("bob", "s_b1", { resumeId: "c" })
    const id = waking.ask(waking.ann, "bob")
    const [claim] = waking.claim_(["bob"])
    hands(waking, claim!)
    const next: Actor = { ...waking.keeper, session: "s_next" }
    waking.must("session.start", { ...next, session: null }, { id: "s_next", agent: "keeper", runtime: "supervisor", resumeId: null, owned: true })
    waking.must("session.end", next, { session: waking.keeper.session as string, reason: "another run goes on" })
    waking.sweep()
    expect(waking.job(id)).toMatchObject({ status: "awaiting_ack", session: "s_b1" })
    waking.must("session.end", next, { session: "s_b1", reason: "its pane was killed" })
    waking.sweep()
    expect(waking.job(id)).toMatchObject({ status: "fallback_resume", code: "PANE_DEAD", failed: { live: 1 }, notBeforeMs: waking.nowMs })
    expect(waking.claim_(["bob"], next)).toMatchObject([{ job: id, hop: "resume", maybeSent: true }])
  })

  it("waits for what was started for it, though that has ended: it would be given up within moments", () => {
    const waking = new Waking()
    waking.asleep("bob")
    const id = waking.ask(waking.ann, "bob")
    const [claim] = waking.claim_(["bob"])
    waking.record(claim!, "delivering")
    waking.kept("bob", "s_b1")
    waking.record(claim!, "sent", { session: "s_b1" })
    waking.must("session.end", waking.keeper, { session: "s_b1", reason: "it died" })
    waking.sweep()
    expect(waking.job(id)).toMatchObject({ status: "awaiting_ack", hop: "spawn", session: "s_b1" })
  })

  it("goes back to a live session that came meanwhile", () => {
    const waking = new Waking()
    waking.asleep("bob")
    waking.kept("bob", "s_b1", { resumeId: "c" })
    const id = waking.ask(waking.ann, "bob")
    const [claim] = waking.claim_(["bob"])
    expect(waking.record(claim!, "failed", { code: "PANE_DEAD" }).status).toBe("fallback_resume")
    waking.wait(1)
    waking.kept("bob", "s_b2")
    expect(waking.claim_(["bob"])).toMatchObject([{ job: id, hop: "live", session: "s_b2" }])
  })

  it("waits for a person: put off every 5 s, after 60 s given up where something may run beside the session, else shown and tried each minute", () => {
    for (const beside of [false, true]) {
      const waking = new Waking()
      waking.agent("bob")
      const id = waking.ask(waking.ann, "bob")
      for (const [at, code] of (["OPERATOR_BUSY", "MENU_OPEN", "DRAFT_PRESENT", "COPY_MODE"] as const).entries()) {
        const [claim] = waking.claim_(["bob"])
        expect(waking.record(claim!, "deferred", { code })).toMatchObject({ status: "deferred", code, notBeforeMs: waking.nowMs + 5_000 })
        waking.wait(at === 3 ? 44_999 : 5_000)
      }
      const [early] = waking.claim_(["bob"])
      expect(waking.record(early!, "deferred", { code: "OPERATOR_BUSY" }).code).toBe("OPERATOR_BUSY")
      waking.wait(5_000)
      const [claim] = waking.claim_(["bob"])
      const { code, status, notBeforeMs, failed } = waking.record(claim!, "deferred", { code: "OPERATOR_BUSY", beside })
      expect({ code, status, failed }).toEqual({
        code: "DEFER_TIMEOUT",
        status: beside ? "fallback_spawn" : "deferred",
        failed: { live: 0, resume: 0, spawn: 0 },
      })
      if (!beside) expect(notBeforeMs).toBe(waking.nowMs + 60_000)
      waking.must("trigger.retry", OPERATOR, { job: id, reason: "it is urgent", force: true })
      const [forced] = waking.claim_(["bob"])
      expect(forced).toMatchObject({ job: id, forced: { by: "olga", reason: "it is urgent" } })
    }
  })

  it("has nothing started beside a session in which it failed before: that would end the session, and what somebody has in its input", () => {
    const waking = new Waking()
    waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    waking.record(waking.claim_(["bob"])[0]!, "failed", { code: "SEND_KEYS_ERROR" })
    waking.wait(10_000)
    waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "DRAFT_PRESENT", beside: true })
    waking.wait(60_000)
    expect(waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "DRAFT_PRESENT", beside: true })).toMatchObject({
      id,
      code: "DEFER_TIMEOUT",
      status: "deferred",
      hop: "live",
      notBeforeMs: waking.nowMs + 60_000,
    })
  })

  it("takes from a supervisor only reasons that are its to give", () => {
    const waking = new Waking()
    waking.agent("bob")
    waking.ask(waking.ann, "bob")
    const [claim] = waking.claim_(["bob"])
    const input = { job: claim!.job, fence: claim!.fence, channel: null, detail: "", session: null, beside: false, untilMs: null, bits: BITS }
    waking.refuses("invalid", "trigger.record", waking.keeper, { ...input, step: "failed", code: "ACK_TIMEOUT" })
    waking.refuses("invalid", "trigger.record", waking.keeper, { ...input, step: "failed", code: null })
    waking.refuses("invalid", "trigger.record", waking.keeper, { ...input, step: "deferred", code: "PANE_DEAD" })
    expect(waking.record(claim!, "failed", { code: "SEND_KEYS_ERROR" })).toMatchObject({ status: "retrying", code: "SEND_KEYS_ERROR" })
  })
})

describe("delivered", () => {
  it("is a job by what the hub saw: three steps, in whatever order they come", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.post(waking.ann, "agent/bob")
    const id = waking.ask(waking.ann, "bob")
    expect(waking.must("trigger.confirm", bob, { job: id, evidence: "nonce" }).entries).toEqual([])
    const [claim] = waking.claim_(["bob"])
    waking.record(claim!, "delivering")
    expect(waking.record(claim!, "acked").status).toBe("delivering")
    expect(waking.record(claim!, "sent").sentAtMs).toBe(waking.nowMs)
    expect(waking.record(claim!, "turn_started").status).toBe("awaiting_ack")
    waking.refuses("forbidden", "trigger.confirm", waking.ann, { job: id, evidence: "turn" })
    waking.wait(10)
    waking.must("trigger.confirm", bob, { job: id, evidence: "turn" })
    expect(waking.job(id)).toMatchObject({ status: "delivered", evidence: "turn", turnAtMs: waking.nowMs, readAtMs: null })
    waking.wait(10)
    waking.must("message.ack", bob, { thread: "agent/bob", lastReadSeq: 1 })
    expect(waking.job(id)).toMatchObject({ evidence: "turn", readAtMs: waking.nowMs })
    expect(waking.must("trigger.confirm", bob, { job: id, evidence: "turn" }).entries).toEqual([])
  })

  it("is told of as sent also where the agent was quicker: three steps are recorded, and what was delivered stays so", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    const [claim] = waking.claim_(["bob"])
    waking.record(claim!, "delivering")
    waking.must("trigger.confirm", bob, { job: id, evidence: "turn" })
    waking.wait(300)
    expect(waking.record(claim!, "sent", { channel: "acp" })).toMatchObject({ status: "delivered", sentAtMs: waking.nowMs, channel: "acp", fence: null })
    const { entries } = waking.job(id)
    expect(waking.record(claim!, "sent").entries).toEqual(entries)
    expect(waking.claim_(["bob"])).toEqual([])
  })

  it("is one whose nonce came with an acknowledgement that moved nothing", () => {
    const waking = new Waking()
    const bob = waking.agent("bob")
    waking.post(waking.ann, "agent/bob")
    waking.must("message.ack", bob, { thread: "agent/bob", lastReadSeq: 1 })
    const id = waking.ask(waking.ann, "bob")
    waking.send(waking.claim_(["bob"])[0]!)
    expect(waking.must("message.ack", bob, { thread: "agent/bob", lastReadSeq: 1, trigger: id }).entries.map(({ type }) => type)).toEqual(["trigger.confirmed"])
    expect(waking.job(id)).toMatchObject({ status: "delivered", evidence: "nonce" })
    waking.must("message.ack", bob, { thread: "agent/bob", lastReadSeq: 1, trigger: "r000000000000000000000099" })
  })
})

describe("a quota that is exhausted", () => {
  it("pauses every agent of the account until its reset, burns no attempt, and lets the jobs go on then", () => {
    const waking = new Waking()
    for (const name of ["bob", "cat"]) waking.agent(name, { account: "team" })
    waking.agent("dan")
    const jobs = ["bob", "cat", "dan"].map((name) => waking.ask(waking.ann, name))
    const claims = waking.claim_(["bob", "cat", "dan"])
    waking.send(claims[1]!)
    const { job, fence } = claims[0]!
    const far = { ...NOTHING, job, fence, step: "failed", code: "QUOTA_EXHAUSTED", untilMs: waking.nowMs + 31 * 86_400_000 + 1 } as const
    waking.refuses("invalid", "trigger.record", waking.keeper, far)
    waking.record(claims[0]!, "failed", { code: "QUOTA_EXHAUSTED", untilMs: waking.nowMs + 3_600_000, detail: "limit reached" })
    for (const id of jobs.slice(0, 2)) {
      expect(waking.job(id)).toMatchObject({ status: "deferred", code: "QUOTA_EXHAUSTED", failed: { live: 0, resume: 0, spawn: 0 } })
      expect(standOf(waking.state, waking.job(id), waking.nowMs)).toMatchObject({ code: "QUOTA_EXHAUSTED", text: expect.stringContaining("60 min") as string })
    }
    expect(waking.job(jobs[2]!).status).toBe("claimed")
    waking.wait(3_599_999)
    waking.sweep()
    expect(waking.claim_(["bob", "cat"])).toEqual([])
    waking.wait(1)
    expect(waking.claim_(["bob", "cat"]).map(({ job }) => job)).toEqual(jobs.slice(0, 2))
  })

  it("ends before its time when somebody says so", () => {
    const waking = new Waking()
    waking.agent("bob")
    waking.must("account.exhausted", waking.keeper, { account: "agent/bob", untilMs: waking.nowMs + 9_000, reason: "limit" })
    const id = waking.ask(waking.ann, "bob")
    expect(waking.claim_(["bob"])).toEqual([])
    waking.must("account.restored", waking.keeper, { account: "agent/bob", reason: "paid" })
    expect(waking.claim_(["bob"])).toMatchObject([{ job: id }])
    waking.refuses("not_found", "account.exhausted", waking.keeper, { account: "none", untilMs: waking.nowMs + 9_000, reason: "limit" })
  })
})

describe("an open breaker", () => {
  it("of the agent, its account or its model holds its wakes until it lets a probe through, burns no attempt, and keeps from nobody else", () => {
    for (const breaker of ["agent/bob", "account/team", "model/opus"]) {
      const waking = new Waking()
      waking.agent("bob", { account: "team", model: "opus" })
      waking.agent("dan")
      const [id, other] = ["bob", "dan"].map((name) => waking.ask(waking.ann, name)) as [string, string]
      const untilMs = waking.nowMs + 60_000
      const claims = waking.claim_(["bob"])
      waking.must("breaker.trip", OPERATOR, { breaker, untilMs, reason: "five in a row" })
      waking.refuses("stale_fence", "trigger.record", waking.keeper, { ...NOTHING, job: id, fence: claims[0]!.fence, step: "delivering" })
      waking.wait(30_000)
      waking.sweep()
      expect(waking.claim_(["bob", "dan"]).map(({ job }) => job)).toEqual([other])
      const { code, text } = standOf(waking.state, waking.job(id), waking.nowMs)
      expect(code).toBe("BREAKER_OPEN")
      expect(text).toContain(`${breaker}: five in a row; skein breaker reset ${breaker}), in 30 s`)
      waking.wait(29_999)
      expect(waking.claim_(["bob"])).toEqual([])
      waking.wait(1)
      expect(waking.claim_(["bob"])).toMatchObject([{ job: id, failed: { live: 0, resume: 0, spawn: 0 } }])
    }
  })

  it("counts no time against an agent that has its text already, and one without an end holds until it is reset", () => {
    const waking = new Waking()
    waking.agent("bob")
    const id = waking.ask(waking.ann, "bob")
    waking.send(waking.claim_(["bob"])[0]!)
    waking.must("breaker.trip", OPERATOR, { breaker: "agent/bob", untilMs: null, reason: "r" })
    expect(waking.timesOut(id).status).toBe("awaiting_ack")
    waking.wait(86_400_000)
    const second = waking.ask(waking.ann, "bob")
    expect(standOf(waking.state, waking.job(second), waking.nowMs).code).toBe("BREAKER_OPEN")
    waking.must("breaker.reset", OPERATOR, { breaker: "agent/bob", reason: "looked" })
    expect(standOf(waking.state, waking.job(second), waking.nowMs).code).not.toBe("BREAKER_OPEN")
  })
})

describe("a thread that goes round in circles", () => {
  const talk = (): Waking => {
    const waking = new Waking()
    waking.agent("bob")
    waking.must("thread.create", waking.ann, { thread: "plan", title: "P", type: "conversation", participants: ["bob", "boss"] })
    return waking
  }

  it("is blocked after 20 turns without progress, and only an orchestrator or the operator continues it", () => {
    const waking = talk()
    waking.claim_(["bob"])
    for (let turn = 0; turn < 19; turn += 1) waking.post(waking.ann, "plan")
    waking.sweep()
    expect(waking.state.threads.get("plan")).toMatchObject({ status: "active", turns: 19 })
    waking.post(waking.ann, "plan")
    expect(waking.state.threads.get("plan")).toMatchObject({ status: "blocked", changedBy: "hub", head: 21, turns: 0 })
    waking.sweep()
    expect(waking.claim_(["bob"])).toEqual([])
    expect(standOf(waking.state, waking.of("bob"), waking.nowMs).code).toBe("THREAD_AUTO_BLOCKED")
    const message = { thread: "plan", body: "x", kind: "chat", inReplyTo: null, metadata: PLAIN } as const
    waking.refuses("wrong_status", "message.post", waking.ann, message)
    const asked = { job: `r${"9".repeat(24)}`, request: "q", thread: "plan", target: "bob", reason: "now", prompt: "" }
    expect(waking.refuses("wrong_status", "trigger.participant", waking.ann, asked).details).toMatchObject({ code: "THREAD_AUTO_BLOCKED" })
    waking.refuses("forbidden", "thread.unblock", waking.ann, { thread: "plan", reason: "r" })
    waking.must("thread.unblock", waking.boss, { thread: "plan", reason: "go on" })
    expect(waking.claim_(["bob"])).toHaveLength(1)
    waking.post(waking.ann, "plan")
    expect(waking.state.threads.get("plan")?.status).toBe("active")
  })

  it("is blocked when the same finding comes the third time, and the sixth", () => {
    const waking = talk()
    const say = (): string => {
      waking.post(waking.ann, "plan", "Null dereference", { eventType: "finding", file: "a.ts", line: 3 })
      return waking.state.threads.get("plan")?.status as string
    }
    expect([say(), say(), say()]).toEqual(["active", "active", "blocked"])
    waking.must("thread.unblock", OPERATOR, { thread: "plan", reason: "go on" })
    expect([say(), say(), say()]).toEqual(["active", "active", "blocked"])
  })

  it("is not blocked while there is progress, nor is an inbox, nor one in which an orchestrator speaks", () => {
    const waking = talk()
    // What would be the twentieth turn is progress itself.
    for (let turn = 0; turn < 60; turn += 1) {
      waking.post(waking.ann, "plan", `finding ${turn}`, turn % 20 < 19 ? {} : { eventType: turn === 39 ? "commit" : "finding" })
      waking.post(waking.ann, "team")
    }
    for (let turn = 0; turn < 25; turn += 1) waking.post(waking.boss, "plan")
    expect(waking.state.threads.get("plan")?.status).toBe("active")
    expect(waking.state.threads.get("team")?.status).toBe("active")
  })
})

describe("the policy", () => {
  it("is changed by an operator within its bounds, and counts from then on", () => {
    const waking = new Waking()
    waking.agent("bob")
    waking.refuses("invalid", "wake.setPolicy", OPERATOR, { changes: { ratePerMinute: 0 }, reason: "r" })
    waking.must("wake.setPolicy", OPERATOR, { changes: { ratePerMinute: 1, turnsMax: 2 }, reason: "r" })
    expect(waking.must("wake.setPolicy", OPERATOR, { changes: { ratePerMinute: 1 }, reason: "r" }).entries).toEqual([])
    waking.ask(waking.ann, "bob")
    expect(waking.job(waking.ask(waking.ann, "bob")).code).toBe("TRIGGER_RATE_LIMITED")
  })
})
