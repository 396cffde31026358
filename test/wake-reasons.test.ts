import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { REASON_CODES, type ReasonCode, REASONS } from "../src/core/trigger.ts"
import { standOf } from "../src/core/trigger-why.ts"
import { OPERATOR } from "./scenario.ts"
import { Waking } from "./waking.ts"

/** Who finds out: the hub by its own rules, as this scenario makes it; or the part that runs the agent, as that test has it answer. */
type Source = { hub(waking: Waking): ReasonCode | null } | { runtime: string; in: string }

/** A job for an agent with a live session that can be resumed. */
function asked(waking: Waking): string {
  waking.asleep("bob")
  waking.kept("bob", "s_b1", { resumeId: "c" })
  return waking.ask(waking.ann, "bob")
}

const standing = (waking: Waking, id: string): ReasonCode | null => standOf(waking.state, waking.job(id), waking.nowMs).code
const drivers = (name: string): Source => ({ runtime: `src/runtime/${name}`, in: `src/runtime/${name}.test.ts` })

const SOURCES: Readonly<Record<ReasonCode, Source>> = {
  TARGET_NOT_FOUND: drivers("native-inbox"),
  PANE_DEAD: { runtime: "src/runtime/tmux/typing", in: "src/runtime/tmux/tmux-driver.test.ts" },
  SEND_KEYS_ERROR: drivers("acp"),
  OPERATOR_BUSY: { runtime: "src/runtime/tmux/typing", in: "src/runtime/tmux/tmux-driver.test.ts" },
  MENU_OPEN: { runtime: "src/runtime/tmux/typing", in: "src/runtime/tmux/tmux-driver.test.ts" },
  DRAFT_PRESENT: { runtime: "src/runtime/tmux/typing", in: "src/runtime/tmux/tmux-driver.test.ts" },
  COPY_MODE: { runtime: "src/runtime/tmux/typing", in: "src/runtime/tmux/tmux-driver.test.ts" },
  QUOTA_EXHAUSTED: { runtime: "src/runtime/driver", in: "src/runtime/tmux/tmux-driver.test.ts" },
  RESUME_FAILED: drivers("headless"),
  SPAWN_FAILED: drivers("headless"),
  REGISTRY_DRIFT: { runtime: "src/runtime/agent-keeper", in: "test/supervised-kinds.test.ts" },
  ACK_TIMEOUT: {
    hub(waking) {
      const id = asked(waking)
      waking.send(waking.claim_(["bob"])[0]!)
      return waking.timesOut(id).code
    },
  },
  DEFER_TIMEOUT: {
    hub(waking) {
      const id = asked(waking)
      for (let at = 0; at < 2; at += 1) {
        waking.record(waking.claim_(["bob"])[0]!, "deferred", { code: "OPERATOR_BUSY" })
        waking.wait(60_000)
      }
      return waking.job(id).code
    },
  },
  TRIGGER_RATE_LIMITED: {
    hub(waking) {
      asked(waking)
      for (let at = 1; at < 10; at += 1) waking.ask(waking.ann, "bob")
      return waking.job(waking.ask(waking.ann, "bob")).code
    },
  },
  THREAD_AUTO_BLOCKED: {
    hub(waking) {
      waking.asleep("bob")
      waking.must("thread.create", waking.ann, { thread: "plan", title: "P", type: "conversation", participants: ["bob"] })
      const id = waking.ask(waking.ann, "bob", "plan")
      for (let turn = 0; turn < 20; turn += 1) waking.post(waking.ann, "plan")
      return standing(waking, id)
    },
  },
  BREAKER_OPEN: {
    hub(waking) {
      const id = asked(waking)
      waking.must("breaker.trip", OPERATOR, { breaker: "agent/bob", untilMs: null, reason: "a look at it" })
      return standing(waking, id)
    },
  },
  RETRACTED: {
    hub(waking) {
      waking.asleep("bob")
      waking.claim_(["bob"])
      waking.post(waking.ann, "agent/bob")
      waking.sweep()
      waking.must("message.ack", { agent: "bob", session: null, role: "worker" }, { thread: "agent/bob", lastReadSeq: 1 })
      return waking.of("bob").code
    },
  },
  NO_SUPERVISOR: {
    hub(waking) {
      const id = asked(waking)
      waking.wait(15_000)
      waking.sweep()
      return waking.job(id).code
    },
  },
}

describe("a reason code", () => {
  test.for(REASON_CODES)("%s is given by running code, in a test", (code) => {
    const source = SOURCES[code]
    if ("hub" in source) return expect(source.hub(new Waking())).toBe(code)
    expect(readFileSync(`${source.runtime}.ts`, "utf8"), "the code that gives it").toContain(`"${code}"`)
    expect(readFileSync(source.in, "utf8"), "the test in which it does").toContain(`"${code}"`)
  })

  test.for(REASON_CODES.filter((code) => "runtime" in SOURCES[code]))("%s, said by a supervisor, leads where its table says", (code) => {
    const waking = new Waking()
    const id = asked(waking)
    const { follows } = REASONS[code]
    const step = follows === "deferred" || follows === "waits" ? "deferred" : "failed"
    const { status, hop, failed } = waking.record(waking.claim_(["bob"])[0]!, step, { code, untilMs: waking.nowMs + 60_000 })
    // The last hop's own failure ends a job only there.
    const led = { retried: "retrying", fallback: "fallback_resume", deferred: "deferred", waits: "deferred", over: "fallback_resume" }[follows]
    expect({ status, hop, burnt: failed.live }).toEqual({
      status: led,
      hop: step === "failed" && follows !== "retried" ? "resume" : "live",
      burnt: step === "failed" ? 1 : 0,
    })
    expect(standing(waking, id)).not.toBeNull()
  })

  test("is in no text of the runtime that the table does not know", () => {
    const files = readdirSync("src/runtime", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    const given = files.flatMap((file) => [...readFileSync(join("src/runtime", file), "utf8").matchAll(/refused\(\s*"([A-Z_]+)"/g)].map(([, code]) => code))
    expect(given.filter((code) => !(REASON_CODES as readonly string[]).includes(code ?? ""))).toEqual([])
  })
})
