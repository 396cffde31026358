import type { Client, Output } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import type { AgentKeeper } from "./agent-keeper.ts"
import type { Channel, Refused } from "./driver.ts"
import { briefingText, nudgeText } from "./wake-text.ts"

type Job = Output<"trigger.claim">["jobs"][number]
type Step = "delivering" | "sent" | "failed" | "deferred"
type Said = { channel?: Channel | null; code?: Refused["code"]; detail?: string; session?: string | null; untilMs?: number | null; beside?: boolean }

export type WakeRunning = {
  hub: Pick<Client, "call">
  keepers(): readonly AgentKeeper[]
  /** Nothing is typed where a person typed within this time, in ms. */
  quietMs(): number
  /** Until when an account pauses, given when its agent said that its quota comes back. */
  quotaEndMs(namedMs: number | null): number
  told(line: string): void
  /** Done before anything is typed to an agent. False: a person is at work there, of whom nobody was told yet; then nothing may be typed. */
  beforeText(keeper: AgentKeeper): Promise<boolean>
}

/** Jobs that are taken at once; one agent has one at a time. */
const CLAIM_MAX = 16
/** Added to the quiet time where a person was at work when the text set out: it must not run out on the way to the key. */
const ON_THE_WAY_MS = 60_000
const DEFERRED = new Set<Refused["code"]>(["OPERATOR_BUSY", "MENU_OPEN", "DRAFT_PRESENT", "COPY_MODE", "QUOTA_EXHAUSTED"])
const SUMMARY_BYTES = 6_000

/**
 * Takes the jobs of the agents that are kept here, and delivers each under its fence: `delivering` is on the ledger before anything leaves this process, so a
 * supervisor that dies in the middle is known to have perhaps sent it; whether it arrived is for the hub to see.
 */
export class WakeRunner {
  readonly #o: WakeRunning
  /** By agent, the notice for which its account was paused last. */
  readonly #quotaSaid = new Map<string, string>()
  readonly #atWork = new Map<string, Promise<void>>()
  #claiming: Promise<void> | null = null
  #again = false
  #closed = false

  constructor(options: WakeRunning) {
    this.#o = options
  }

  /** Looks for jobs. Calls that come meanwhile make one more look. */
  look(): Promise<void> {
    if (this.#claiming !== null) {
      this.#again = true
      return this.#claiming
    }
    this.#claiming = this.#claimAll().finally(() => (this.#claiming = null))
    return this.#claiming
  }

  /** Takes no more jobs, and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#claiming?.catch(() => undefined)
    await Promise.allSettled(this.#atWork.values())
  }

  async #claimAll(): Promise<void> {
    do {
      this.#again = false
      if (this.#closed) return
      const kept = this.#o.keepers().filter(({ wakeable }) => wakeable)
      const keepers = new Map(kept.map((keeper) => [keeper.agent, { keeper, starts: keeper.running.starts }]))
      const { jobs } = await this.#o.hub.call("trigger.claim", { agents: [...keepers.keys()], max: CLAIM_MAX })
      for (const job of jobs) {
        const found = keepers.get(job.target)
        if (found === undefined) continue
        const work = this.#deliver(found.keeper, job, found.starts)
          .catch((error: unknown) => this.#o.told(`${job.target}: job ${job.job}: ${error instanceof Error ? error.message : String(error)}`))
          .finally(() => this.#atWork.delete(job.job))
        this.#atWork.set(job.job, work)
      }
    } while (this.#again)
  }

  async #deliver(keeper: AgentKeeper, job: Job, starts: number): Promise<void> {
    const free = await this.#o.beforeText(keeper)
    const answer = job.hop === "live" ? await this.#reach(keeper, job, free) : await this.#start(keeper, job, starts)
    if (answer === null) return
    if (answer.ok) {
      await this.#record(job, "sent", answer)
      return this.#o.told(`${job.target} is woken in ${job.thread}: ${answer.detail}`)
    }
    const { code, detail, quota } = answer
    if (quota !== undefined) this.#quotaSaid.set(job.target, quota.said)
    const untilMs = code === "QUOTA_EXHAUSTED" ? this.#o.quotaEndMs(quota?.untilMs ?? null) : null
    await this.#record(job, DEFERRED.has(code) ? "deferred" : "failed", { code, detail, untilMs, beside: keeper.allowsBeside })
    this.#o.told(`${job.target} is not woken in ${job.thread}: ${code}: ${detail}`)
  }

  async #reach(keeper: AgentKeeper, job: Job, free: boolean): Promise<(Said & { ok: true; detail: string }) | Refused | null> {
    // The agent reads by itself what comes while it is at work; where the hub sees that, Enter is not pressed again.
    let over = false
    const delivery = {
      text: nudgeText(job),
      nonce: job.nonce,
      form: "nudge" as const,
      quietMs: job.forced === null ? this.#o.quietMs() + (free ? 0 : ON_THE_WAY_MS) : 0,
      quotaSaid: this.#quotaSaid.get(job.target) ?? null,
      acknowledged: () => over,
    }
    let told: Channel | null = null
    let lost = false
    const answer = await keeper.reach(delivery, {
      session: job.session,
      // An inbox that was tried in vain is not tried again; and a hook brings messages, not what somebody asks besides.
      native: ({ way }) => job.failed.live === 0 && (way !== "hook" || job.origin === "unread"),
      onChannel: async (channel) => {
        // The claim's first channel is recorded; where that one fails at once, the next is named with the outcome.
        if (told === null) lost = !(await this.#record(job, "delivering", { channel }))
        told = channel
        return !lost
      },
    })
    over = true
    if (lost) return null
    if (!answer.ok && told === null) await this.#record(job, "delivering", { channel: null })
    return answer.ok ? { ok: true, channel: answer.channel, detail: answer.handed ? answer.detail : `not typed again: ${answer.detail}` } : answer
  }

  async #start(keeper: AgentKeeper, job: Job, starts: number): Promise<(Said & { ok: true; detail: string }) | Refused | null> {
    const summary = job.hop === "spawn" ? await this.#summary(job.thread) : null
    if (!(await this.#record(job, "delivering", { channel: null }))) return null
    const resume = job.hop === "resume"
    const prompt = resume ? nudgeText(job) : briefingText(job, summary)
    // Nothing was tried in vain in its live session: that was only not free.
    const beside = !resume && job.failed.live === 0
    return keeper.startFor({ trigger: job.job, resume, prompt, nonce: job.nonce, quietMs: job.forced === null ? this.#o.quietMs() : 0, beside, starts })
  }

  async #summary(thread: string): Promise<string | null> {
    try {
      return (await this.#o.hub.call("thread.summarize", { thread, maxBytes: SUMMARY_BYTES })).text
    } catch (error) {
      // An inbox without any message has none.
      if (error instanceof SkeinError && error.code === "not_found") return null
      throw error
    }
  }

  /** False where the job is no longer ours: then nothing may be delivered. */
  async #record(
    { job, fence }: Job,
    step: Step,
    { channel = null, code, detail = "", session = null, untilMs = null, beside = false }: Said,
  ): Promise<boolean> {
    try {
      await this.#o.hub.call("trigger.record", { job, fence, step, channel, code: code ?? null, detail: detail.slice(0, 500), session, untilMs, beside })
      return true
    } catch (error) {
      if (error instanceof SkeinError && (error.code === "stale_fence" || error.code === "not_found")) return false
      throw error
    }
  }
}
