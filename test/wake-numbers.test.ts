import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { ReasonCode } from "../src/core/trigger.ts"
import { nextWakeLookMs } from "../src/core/wake.ts"
import { WAKE_NUMBERS, type WakeNumber, wakePolicy } from "../src/core/wake-policy.ts"
import { Turns } from "../src/hub/turns.ts"
import { readCall } from "../src/runtime/hook-call.ts"
import { HookMarkFile } from "../src/runtime/hook-mark.ts"
import { answerTurn, type HookHub } from "../src/runtime/hook-turn.ts"
import { People } from "../src/runtime/tmux/people.ts"
import { OPERATOR } from "./scenario.ts"
import { Waking } from "./waking.ts"

/** What a number decides, one step before its boundary and at it. */
type Sides = { before: unknown; at: unknown }
type Boundary = { set: number; more?: Partial<Record<WakeNumber, number>>; look(waking: Waking, set: number): Sides | Promise<Sides> }

/** An agent with a live session that can be resumed, and a job for it. */
function live(waking: Waking): string {
  waking.asleep("bob")
  waking.kept("bob", "s_b1", { resumeId: "c" })
  return waking.ask(waking.ann, "bob")
}

function fails(waking: Waking, code: ReasonCode): string {
  const { status, notBeforeMs } = waking.record(waking.claim_(["bob"])[0]!, "failed", { code })
  waking.wait(Math.max(0, notBeforeMs - waking.nowMs))
  return status
}

/** When the hub's clock of an agent that is idle, and was sent a text, runs out. */
function clock(waking: Waking, ms: number, channel = "tmux"): Sides {
  const turns = new Turns()
  waking.send(waking.claim_(["bob"])[0]!, { channel })
  turns.look(waking.state, waking.nowMs)
  waking.wait(ms - 1)
  const before = turns.look(waking.state, waking.nowMs).length
  waking.wait(1)
  return { before, at: turns.look(waking.state, waking.nowMs).length }
}

const after = (waking: Waking, ms: number, look: () => unknown): Sides => {
  waking.wait(ms - 1)
  const before = look()
  waking.wait(1)
  return { before, at: look() }
}

const BOUNDARIES: Readonly<Record<WakeNumber, Boundary>> = {
  ackMs: { set: 700, look: (waking, set) => (live(waking), clock(waking, set)) },
  inboxAckMs: { set: 9_500, look: (waking, set) => (live(waking), clock(waking, set, "native")) },
  startAckMs: {
    set: 900,
    look(waking, set) {
      waking.asleep("bob")
      waking.ask(waking.ann, "bob")
      return clock(waking, set)
    },
  },
  retries: {
    set: 1,
    look(waking) {
      live(waking)
      return { before: fails(waking, "SEND_KEYS_ERROR") !== "retrying", at: fails(waking, "SEND_KEYS_ERROR") !== "retrying" }
    },
  },
  retryMs: {
    set: 1_000,
    look(waking, set) {
      const id = live(waking)
      waking.record(waking.claim_(["bob"])[0]!, "failed", { code: "SEND_KEYS_ERROR" })
      // The bits of a test are those in the middle.
      expect(waking.job(id).notBeforeMs - waking.nowMs).toBe(set)
      return after(waking, set, () => waking.claim_(["bob"]).length)
    },
  },
  resumes: {
    set: 1,
    more: { crashes: 10 },
    look(waking) {
      live(waking)
      return { before: fails(waking, "PANE_DEAD") === "fallback_spawn", at: fails(waking, "RESUME_FAILED") === "fallback_spawn" }
    },
  },
  staleMs: {
    set: 5_000,
    look(waking, set) {
      const id = live(waking)
      waking.must("trigger.cancel", waking.boss, { job: id, reason: "r" })
      waking.must("session.end", waking.keeper, { session: "s_b1", reason: "r" })
      return after(waking, set + 1, () => waking.job(waking.ask(waking.ann, "bob")).route === "spawn")
    },
  },
  crashes: {
    set: 2,
    look(waking) {
      const one = (): boolean => {
        const id = waking.ask(waking.ann, "bob")
        const status = fails(waking, "PANE_DEAD")
        waking.must("trigger.cancel", waking.boss, { job: id, reason: "r" })
        return status === "fallback_spawn"
      }
      waking.must("trigger.cancel", waking.boss, { job: live(waking), reason: "r" })
      return { before: one(), at: one() }
    },
  },
  crashWindowMs: {
    set: 2_000,
    more: { crashes: 1 },
    look(waking, set) {
      waking.must("trigger.cancel", waking.boss, { job: live(waking), reason: "r" })
      const id = waking.ask(waking.ann, "bob")
      waking.record(waking.claim_(["bob"])[0]!, "failed", { code: "PANE_DEAD" })
      waking.must("trigger.cancel", waking.boss, { job: id, reason: "r" })
      waking.must("session.end", waking.keeper, { session: "s_b1", reason: "r" })
      return after(waking, set + 1, () => waking.job(waking.ask(waking.ann, "bob")).route === "resume")
    },
  },
  claimMs: {
    set: 1_500,
    look(waking, set) {
      const id = live(waking)
      waking.claim_(["bob"])
      return after(waking, set, () => (waking.sweep(), waking.job(id).fence === null))
    },
  },
  unclaimedMs: {
    set: 300,
    look(waking, set) {
      const id = live(waking)
      return after(waking, set, () => (waking.sweep(), waking.job(id).code === "NO_SUPERVISOR"))
    },
  },
  quietMs: {
    set: 4_000,
    look(waking, set) {
      const people = new People()
      people.look([`0|1000|%1|someone`])
      // tmux tells whole seconds: the last moment of that one counts.
      const quiet = (nowMs: number): boolean => !people.typedWithin("%1", wakePolicy(waking.state).quietMs, nowMs)
      return { before: quiet(1_000_999 + set - 1), at: quiet(1_000_999 + set) }
    },
  },
  recheckMs: {
    set: 400,
    look(waking, set) {
      live(waking)
      waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "MENU_OPEN" })
      return after(waking, set, () => waking.claim_(["bob"]).length)
    },
  },
  deferMs: {
    set: 3_000,
    more: { recheckMs: 100 },
    look(waking, set) {
      const id = live(waking)
      const busy = (): boolean => waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "OPERATOR_BUSY" }).code === "DEFER_TIMEOUT"
      busy()
      waking.wait(set - 101)
      const early = busy()
      waking.wait(101)
      return { before: early && waking.job(id).code === "DEFER_TIMEOUT", at: busy() }
    },
  },
  deferRetryMs: {
    set: 2_500,
    more: { deferMs: 0, recheckMs: 100 },
    look(waking, set) {
      live(waking)
      waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "OPERATOR_BUSY" })
      waking.wait(100)
      waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "OPERATOR_BUSY" })
      return after(waking, set, () => waking.claim_(["bob"]).length)
    },
  },
  ratePerMinute: {
    set: 2,
    look(waking) {
      live(waking)
      const late = (): boolean => waking.job(waking.ask(waking.ann, "bob")).code === "TRIGGER_RATE_LIMITED"
      return { before: late(), at: late() }
    },
  },
  turnsMax: { set: 3, look: (waking, set) => circles(waking, set, () => ({})) },
  findingsMax: { set: 2, look: (waking, set) => circles(waking, set, () => ({ eventType: "finding" as const })) },
  pollMs: {
    set: 250,
    look(waking, set) {
      waking.claim_(["bob"])
      const dueMs = nextWakeLookMs(waking.state, waking.nowMs) ?? Infinity
      return { before: waking.nowMs + set - 1 >= dueMs, at: waking.nowMs + set >= dueMs }
    },
  },
  stopTurns: {
    set: 2,
    async look(waking, set) {
      const folder = mkdtempSync(join(tmpdir(), "skein-stop-"))
      try {
        const call = readCall("claude", "Stop", JSON.stringify({ session_id: "c", cwd: folder }), folder)
        let message = 0
        // There is always something new to read: without an end it would never stop.
        const hub: HookHub = {
          check: () => Promise.reject(new Error("nothing is edited")),
          unread: () => Promise.resolve({ threads: [{ thread: "team", title: "T", unread: 1, headSeq: message + 1, lastReadSeq: message }] }),
          read: () => Promise.resolve([{ thread: "team", message: (message += 1), sender: "ann", role: "worker", kind: "chat", body: "more", atMs: 0 }]),
          acknowledge: () => Promise.resolve(),
          turn: () => Promise.resolve(),
          turnsMax: () => Promise.resolve(wakePolicy(waking.state).stopTurns),
          report: () => Promise.resolve(),
        }
        const stops = async (): Promise<boolean> => {
          const mark = new HookMarkFile(join(folder, "marks"), "bob", "c")
          const answer = await answerTurn({ call: call!, hub, mark, agent: "bob", paths: [], requireClaim: false, nowMs: 0, usageElsewhere: true })
          return answer.again === undefined
        }
        let early = false
        for (let turn = 0; turn < set; turn += 1) early ||= await stops()
        return { before: early, at: await stops() }
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  },
  permissionMs: {
    set: 4_000,
    look(waking, set) {
      waking.agent("bob")
      const options = [{ id: "yes", name: "Yes", kind: "allow_once" }]
      const { permission } = waking.must("permission.ask", waking.keeper, { agent: "bob", session: null, title: "rm", kind: null, options, rule: null }).answer
      return after(waking, set, () => (waking.sweep(), waking.state.permissions.get(String(permission))?.status === "expired"))
    },
  },
  busyMaxMs: {
    set: 1_200,
    look(waking, set) {
      live(waking)
      const turns = new Turns()
      turns.began("bob", "c", waking.nowMs)
      return after(waking, set + 1, () => turns.busy(waking.state, waking.nowMs).length === 0)
    },
  },
}

/** Whether the last of so many messages blocks their thread. */
function circles(waking: Waking, times: number, metadata: () => { eventType?: "finding" }): Sides {
  waking.must("thread.create", waking.ann, { thread: "plan", title: "P", type: "conversation", participants: ["boss"] })
  const said = (): boolean => {
    waking.post(waking.ann, "plan", "the same again", metadata())
    return waking.state.threads.get("plan")?.status === "blocked"
  }
  let before = false
  for (let time = 1; time < times; time += 1) before ||= said()
  return { before, at: said() }
}

describe("a number of waking", () => {
  test.for(Object.entries(BOUNDARIES) as [WakeNumber, Boundary][])(
    "%s, once an operator has set it, decides at its boundary and not before",
    async ([name, { set, more = {}, look }]) => {
      expect(set).not.toBe(WAKE_NUMBERS[name].is)
      const waking = new Waking()
      waking.must("wake.setPolicy", OPERATOR, { changes: { ...more, [name]: set }, reason: "a test" })
      const { before, at } = await look(waking, set)
      expect({ before: Boolean(before), at: Boolean(at) }).toEqual({ before: false, at: true })
    },
  )

  test.for(Object.entries(WAKE_NUMBERS) as [WakeNumber, { min: number; max: number }][])(
    "%s is taken from its least to its greatest, and not beyond",
    ([name, { min, max }]) => {
      const waking = new Waking()
      for (const value of [min, max]) {
        waking.must("wake.setPolicy", OPERATOR, { changes: { [name]: value }, reason: "a test" })
        expect(wakePolicy(waking.state)[name]).toBe(value)
      }
      for (const value of [min - 1, max + 1]) waking.refuses("invalid", "wake.setPolicy", OPERATOR, { changes: { [name]: value }, reason: "a test" })
      expect(wakePolicy(waking.state)[name]).toBe(max)
    },
  )

  test.for(["ackMs", "inboxAckMs", "startAckMs"] as const)("where %s is short the hub looks as often as that asks for, whatever the others are", (name) => {
    const waking = new Waking()
    waking.must("wake.setPolicy", OPERATOR, { changes: { ackMs: 60_000, [name]: 800 }, reason: "a test" })
    live(waking)
    waking.send(waking.claim_(["bob"])[0]!)
    expect(nextWakeLookMs(waking.state, waking.nowMs)).toBe(waking.nowMs + 100)
  })
})
