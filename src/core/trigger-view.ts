import type { Entry } from "./entry.ts"
import type { Hop, Trigger, TriggerId } from "./trigger.ts"
import type { ClaimTriggers } from "./trigger-claim.ts"
import { standOf } from "./trigger-why.ts"
import type { Workspace } from "./workspace.ts"

/** A job as its supervisor gets it: deliver it under `fence`, before `endsAtMs`, with `nonce` in the text. */
export type ClaimedTrigger = Pick<Trigger, "thread" | "message" | "target" | "origin" | "reason" | "prompt" | "by" | "maybeSent" | "forced"> & {
  job: TriggerId
  nonce: TriggerId
  fence: number
  endsAtMs: number
  hop: Hop
  /** The session to be reached, resumed, or (with a spawn) replaced; null: there is none. */
  session: string | null
  resumeId: string | null
  /** Its agent is in the middle of a turn. */
  busy: boolean
  /** Attempts that failed so far. */
  failed: Trigger["failed"]
}

/** The jobs that a claim's entries gave. */
export function claimedIn(state: Workspace, { busy }: ClaimTriggers, entries: readonly Entry[]): ClaimedTrigger[] {
  return entries.flatMap((entry): ClaimedTrigger[] => {
    if (entry.type !== "trigger.claimed") return []
    const { id, hop, session, endsAtMs } = entry.data as { id: TriggerId; hop: Hop; session: string | null; endsAtMs: number }
    const job = state.triggers.get(id)
    // Asked again with its key after a day: the job is forgotten.
    if (job === undefined) return []
    const { thread, message, target, origin, reason, prompt, by, maybeSent, forced, failed } = job
    const resumeId = session === null ? null : (state.sessions.get(session)?.resumeId ?? null)
    const about = { thread, message, target, origin, reason, prompt, by, maybeSent, forced, failed }
    return [{ ...about, job: id, nonce: id, fence: entry.seq, endsAtMs, hop, session, resumeId, busy: busy.includes(target) }]
  })
}

/** A job as readers see it. */
export type TriggerView = Omit<Trigger, "id" | "lastReadSeq" | "bySession" | "byRole" | "route" | "fence" | "detail" | "deferredSinceMs" | "entries"> & {
  job: TriggerId
  /** Why it is where it is, in a sentence. */
  why: string
}

export function viewTrigger(state: Workspace, job: Trigger, nowMs: number): TriggerView {
  const { origin, thread, message, target, reason, prompt, by, request, status, hop, session, supervisor, channel, notBeforeMs, claimEndsAtMs } = job
  const { failed, maybeSent, forced, sentAtMs, turnAtMs, readAtMs, evidence, createdSeq, createdAtMs, endedAtMs } = job
  const about = { origin, thread, message, target, reason, prompt, by, request, status, hop, session, supervisor, channel, notBeforeMs, claimEndsAtMs }
  const steps = { failed, maybeSent, forced, sentAtMs, turnAtMs, readAtMs, evidence, createdSeq, createdAtMs, endedAtMs }
  const { code, text } = standOf(state, job, nowMs)
  return { job: job.id, ...about, ...steps, code, why: text }
}
