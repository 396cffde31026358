import { pausedUntilMs } from "./account.ts"
import type { Entry } from "./entry.ts"
import { isLive, type NextStep, type ReasonCode, REASONS, type Trigger, type TriggerEvent } from "./trigger.ts"
import { heldBy, openBreaker } from "./trigger-route.ts"
import type { Workspace } from "./workspace.ts"

/** Where a job stands: never without a text, and for one that is live with what it waits for. */
export type Stand = { code: ReasonCode | null; text: string }

const HOP_WORDS = { live: "its live session", resume: "its resumed conversation", spawn: "a new session" } as const
const EVIDENCE_WORDS = {
  turn: "its hook reported a turn with the nonce",
  cursor: "its read cursor moved",
  nonce: "the nonce came back in a tool call",
} as const

export function standOf(state: Workspace, job: Trigger, nowMs: number): Stand {
  if (!isLive(job)) return ended(job)
  const { status, target, hop, detail, code } = job
  if (status === "claimed") return { code, text: `supervisor ${job.supervisor} has it, for ${HOP_WORDS[hop]}` }
  if (status === "delivering") return { code, text: `supervisor ${job.supervisor} is handing it over to ${HOP_WORDS[hop]}` }
  const held = heldBy(state, job, nowMs)
  if (status === "awaiting_ack") {
    const paused = held === null ? "" : `; ${REASONS[held].means}`
    return { code: held ?? code, text: `sent to ${HOP_WORDS[hop]} of ${target}; the hub waits for a sign of it${detail === "" ? "" : ` (${detail})`}${paused}` }
  }
  if (held !== null) {
    const breaker = held === "BREAKER_OPEN" ? openBreaker(state, target, nowMs) : null
    const untilMs = held === "QUOTA_EXHAUSTED" ? pausedUntilMs(state, target, nowMs) : (breaker?.open?.untilMs ?? null)
    const which = breaker === null ? "" : ` (${breaker.id}: ${breaker.open?.reason}; skein breaker reset ${breaker.id})`
    return { code: held, text: `held: ${REASONS[held].means}${which}${untilMs === null ? "" : `, in ${seconds(untilMs - nowMs)}`}` }
  }
  if (state.jobs.isBeingWoken(target)) return { code, text: `another wake of ${target} is under way; this one follows` }
  const why = code === null ? (detail === "" ? "" : `: ${detail}`) : `: ${REASONS[code].means}${detail === "" ? "" : ` (${detail})`}`
  if (!state.jobs.isCovered(target)) return { code: "NO_SUPERVISOR", text: `waits: ${REASONS.NO_SUPERVISOR.means}${code === "NO_SUPERVISOR" ? "" : why}` }
  const when = job.notBeforeMs > nowMs ? `in ${seconds(job.notBeforeMs - nowMs)}` : "now"
  return { code, text: `to be delivered to ${HOP_WORDS[hop]} ${when}${why}` }
}

function ended({ status, code, detail, evidence, target }: Trigger): Stand {
  if (status === "delivered") return { code: null, text: `delivered: ${evidence === null ? "" : EVIDENCE_WORDS[evidence]}` }
  if (status === "dead")
    return { code, text: `given up: ${code === null ? "" : REASONS[code].means}${detail === "" ? "" : ` (${detail})`}; ${target} was not woken` }
  return { code, text: `${code === "RETRACTED" ? "retracted" : "cancelled"}: ${detail}` }
}

function seconds(ms: number): string {
  return ms < 120_000 ? `${Math.ceil(ms / 1_000)} s` : `${Math.ceil(ms / 60_000)} min`
}

function nextWords({ status, hop, notBeforeMs }: NextStep, atMs: number): string {
  if (status === "dead") return "given up"
  const when = notBeforeMs > atMs ? ` in ${seconds(notBeforeMs - atMs)}` : ""
  return `next: ${HOP_WORDS[hop]}${when}`
}

/** One entry of a job's life in words; null for an entry that is none of it. */
export function hopInWords(entry: Entry): { code: ReasonCode | null; text: string } | null {
  const event = entry as unknown as TriggerEvent
  switch (event.type) {
    case "trigger.requested": {
      const { origin, target, thread, message, reason, route, code } = event.data
      const who = origin === "request" ? `${entry.actor.agent} asks to wake ${target}` : `${target} is to be woken`
      return { code, text: `${who} in ${thread} (message ${message}): ${reason}; by ${HOP_WORDS[route]}${code === null ? "" : `; ${REASONS[code].means}`}` }
    }
    case "trigger.claimed": {
      const { hop, session } = event.data
      return { code: null, text: `${entry.actor.agent} (${entry.actor.session}) takes it, for ${HOP_WORDS[hop]}${session === null ? "" : ` ${session}`}` }
    }
    case "trigger.delivering":
      return { code: null, text: `the text is handed over${event.data.channel === null ? "" : ` by ${event.data.channel}`}` }
    case "trigger.sent":
      return {
        code: null,
        text: `sent${event.data.session === null ? "" : ` to ${event.data.session}`}${event.data.detail === "" ? "" : `: ${event.data.detail}`}`,
      }
    case "trigger.observed":
      return { code: null, text: `the supervisor saw a sign of life: ${event.data.what}${event.data.detail === "" ? "" : `: ${event.data.detail}`}` }
    case "trigger.failed":
    case "trigger.deferred": {
      const { code, detail, next } = event.data
      const what = event.type === "trigger.failed" ? "failed" : "put off"
      return { code, text: `${what}: ${REASONS[code].means}${detail === "" ? "" : ` (${detail})`}; ${nextWords(next, entry.atMs)}` }
    }
    case "trigger.released":
      return { code: null, text: `free again: ${event.data.reason}` }
    case "trigger.confirmed":
      return { code: null, text: `confirmed: ${EVIDENCE_WORDS[event.data.evidence]}` }
    case "trigger.flagged":
      return { code: event.data.code, text: REASONS[event.data.code].means }
    case "trigger.cancelled":
      return { code: event.data.code, text: `taken back: ${event.data.reason}` }
    case "trigger.retried":
      return { code: null, text: `${entry.actor.agent} has it tried again${event.data.force ? ", whoever types in the pane" : ""}: ${event.data.reason}` }
    case "supervisor.covering":
    default:
      return null
  }
}
