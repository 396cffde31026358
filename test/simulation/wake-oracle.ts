import type { Seq } from "../../src/core/ids.ts"
import { Violation } from "./oracle.ts"

type Line = Readonly<{ seq: Seq; atMs: number; type: string; actor: { agent: string; session: string | null }; data: Record<string, unknown> }>
type Job = { target: string; holder: string | null; fence: Seq; endsAtMs: number; texts: number; failures: number; over: boolean; session: string | null }

const FREES: ReadonlySet<string> = new Set([
  "trigger.failed",
  "trigger.deferred",
  "trigger.released",
  "trigger.cancelled",
  "trigger.confirmed",
  "trigger.retried",
])
/** Two retries after the first attempt, two resumes, one spawn. */
const FAILURES_MAX = 6

/** What entries may say of wakes, without the core: one holder, one text for each claim, bounded attempts, nothing after the end. */
export class WakeOracle {
  readonly jobs = new Map<string, Job>()
  readonly types = new Map<string, number>()
  /** The unread states that were made jobs and not retracted, by agent, thread, message and cursor. */
  readonly #made = new Map<string, string>()

  readonly #live = new Set<string>()

  read({ seq, atMs, type, actor, data }: Line): void {
    this.types.set(type, (this.types.get(type) ?? 0) + 1)
    if (type === "session.started" || type === "session.returned") this.#live.add(data["id"] as string)
    if (type === "session.lost" || type === "session.ended") this.#live.delete(data["id"] as string)
    if (!type.startsWith("trigger.")) return
    const id = data["id"] as string
    const where = `entry ${seq}: ${type} of ${id} by ${actor.agent}`
    if (type === "trigger.requested") return this.#requested(id, data, where)
    const job = this.jobs.get(id)
    if (job === undefined) throw new Violation(`${where}, which nobody asked for`)
    if (type === "trigger.claimed" || type === "trigger.sent") job.session = (data["session"] as string | null) ?? job.session
    if (type === "trigger.claimed") {
      if (job.over) throw new Violation(`${where}, which is over`)
      if (job.holder !== null) throw new Violation(`${where}, which ${job.holder} holds under fence ${job.fence}`)
      for (const [other, { target, holder }] of this.jobs)
        if (target === job.target && holder !== null) throw new Violation(`${where}, while ${other} wakes ${target}`)
      Object.assign(job, { holder: actor.session, fence: seq, endsAtMs: data["endsAtMs"] as number, texts: 0 })
      return
    }
    const fence = data["fence"] as Seq | null | undefined
    if (typeof fence === "number" && fence !== job.fence) throw new Violation(`${where} under fence ${fence}, not ${job.fence}`)
    if (type === "trigger.delivering") {
      if (job.holder !== actor.session) throw new Violation(`${where} (${actor.session}), which ${job.holder} holds`)
      if (atMs >= job.endsAtMs) throw new Violation(`${where}, ${atMs - job.endsAtMs} ms after its claim`)
      if ((job.texts += 1) > 1) throw new Violation(`${where}, a second time under one claim`)
    }
    if (type === "trigger.failed" && (job.failures += 1) > FAILURES_MAX) throw new Violation(`${where}: attempt ${job.failures}`)
    if (FREES.has(type)) job.holder = null
    if (type === "trigger.retried") Object.assign(job, { over: false, failures: 0 })
    if (type === "trigger.confirmed" || type === "trigger.cancelled") job.over = true
    if (type === "trigger.failed" && (data["next"] as { status: string }).status === "dead") job.over = true
    if (type === "trigger.cancelled") for (const [state, of] of this.#made) if (of === id) this.#made.delete(state)
  }

  #requested(id: string, data: Record<string, unknown>, where: string): void {
    const target = data["target"] as string
    if (data["origin"] === "unread") {
      const state = `${target} ${String(data["thread"])} ${String(data["message"])} ${String(data["lastReadSeq"])}`
      const former = this.jobs.get(this.#made.get(state) ?? "")
      // What a session that is gone left unread may be made a job again.
      const isLeft = former?.over === true && former.session !== null && !this.#live.has(former.session)
      if (former !== undefined && !isLeft) throw new Violation(`${where}: the unread state ${state} was made job ${this.#made.get(state)} already`)
      this.#made.set(state, id)
    }
    if (this.jobs.get(id)?.over === false) throw new Violation(`${where}, which is there and not over`)
    this.jobs.set(id, { target, holder: null, fence: 0, endsAtMs: 0, texts: 0, failures: 0, over: false, session: null })
  }
}
