import { SkeinError } from "../../contract/errors.ts"
import type { Claimed } from "../../core/answer.ts"
import type { Actor } from "../../core/entry.ts"
import type { PlanId, Seq, TaskId } from "../../core/ids.ts"
import type { PlanTask } from "../../core/plan.ts"
import type { Loop } from "../../hub/loop.ts"
import type { VirtualClock } from "../../hub/virtual-clock.ts"
import type { Fortune } from "./fortune.ts"
import type { Member } from "./scenario.ts"

export type Surroundings = {
  clock: VirtualClock
  loop: Loop
  plan: PlanId
  /** How the attempt that begins now goes, and what task of the plan it is on. */
  attempt(member: Member, id: TaskId): { task: PlanTask; fortune: Fortune }
  /** What `ms` on it cost, in micro-USD; null where nobody knows. */
  costOf(task: PlanTask, member: Member, ms: number): number | null
}

type Under = { task: TaskId; fence: Seq }
/** How an attempt ended for the agent: what it claimed meanwhile, and whether it is still the same process. */
type Worked = { next: Claimed | null; died: boolean }

/** One call waits so long for work, in ms. */
const WAIT_MS = 150_000
/** Progress is told at least this often, in ms: before the hub would call the work silent. */
const PROGRESS_MS = 10 * 60_000
/** From a crash until somebody has started the agent again, in ms. */
const RESTART_MS = 60_000
/** Refusals after which the same is asked again; where the answer came at once, not before a pause. */
const PATIENT = new Set(["nothing_ready", "at_limit", "budget_spent", "breaker_open", "timed_out", "overloaded"])
const PAUSE_MS = 1_000
const NO_TOKENS = { inputTokens: 0, outputTokens: 0 }
const NO_EVIDENCE = { text: "", evidence: { testsPass: null, commit: null, links: [] } }

/**
 * An agent as `skein run` starts them, with its work simulated: claims the next task that fits, works on it for as long as it was drawn, delivers; does filler
 * work where there is none, and drops that for real work. Its beats are not sent one by one, since all but the last before a crash change nothing.
 */
export class SimulatedAgent {
  readonly #member: Member
  readonly #world: Surroundings
  readonly #lane: number
  #actor: Actor
  #sessions = 0

  /** `lane`: which of the tasks that it may work on at once; each has a session of its own. */
  constructor(member: Member, world: Surroundings, lane = 0) {
    this.#member = member
    this.#world = world
    this.#lane = lane
    this.#actor = { agent: member.name, session: null, role: "worker" }
  }

  /** Lives until nobody lets time pass any more. */
  async live(): Promise<never> {
    await this.#begin()
    let next: Claimed | null = null
    for (;;) {
      const claim = next ?? (await this.#claim(null))
      next = null
      if (claim === null) continue
      const worked: Worked = claim.task.filler ? await this.#fill(claim) : await this.#work(claim)
      next = worked.next
      if (worked.died) await this.#begin()
    }
  }

  async #begin(): Promise<void> {
    const { name } = this.#member
    const id = `s_${name}_${this.#lane}_${(this.#sessions += 1)}`
    const actor = { ...this.#actor, session: null }
    const { session } = await this.#world.loop.execute("session.start", actor, { id, agent: name, runtime: "simulated", resumeId: null, owned: true })
    this.#actor = { ...actor, session }
  }

  /** The next claim; null where there is none for it now. */
  async #claim(filler: false | null, signal?: AbortSignal): Promise<Claimed | null> {
    const { loop, plan, clock } = this.#world
    const askedMs = clock.monotonicMs()
    try {
      const waiting = signal === undefined ? { waitMs: WAIT_MS } : { waitMs: WAIT_MS, signal }
      const { claims } = await loop.execute("task.claimNext", this.#actor, { plan, labels: [], filler, max: 1 }, waiting)
      return claims[0] ?? null
    } catch (error) {
      if (!(error instanceof SkeinError) || !PATIENT.has(error.code)) throw error
      // Whoever has waited asks again at once: what is ready must not wait for somebody who pauses.
      if (signal?.aborted !== true && clock.monotonicMs() === askedMs) await this.#sleep(PAUSE_MS)
      return null
    }
  }

  async #work({ task: { id }, fence }: Claimed): Promise<Worked> {
    const { loop, clock } = this.#world
    const under = { task: id, fence }
    const { task, fortune } = this.#world.attempt(this.#member, id)
    const cost = this.#world.costOf(task, this.#member, fortune.ms)
    const usage = { costMicroUsd: cost ?? 0, ...NO_TOKENS }
    try {
      await this.#spend(under, fortune.ms)
      switch (fortune.end) {
        case "done":
          await loop.execute("task.complete", this.#actor, { ...under, deliverable: NO_EVIDENCE, usage })
          break
        case "failed":
          await loop.execute("task.fail", this.#actor, { ...under, reason: fortune.reason, retry: true, usage })
          break
        case "throttled": {
          await this.#report(id, cost)
          const untilMs = loop.nowMs() + fortune.resetMs
          await loop.execute("task.release", this.#actor, { ...under, reason: fortune.reason, throttled: { untilMs } })
          break
        }
        case "crashed":
          // Its last sign of life: the hub counts from here, and declares the session lost by itself.
          loop.beat(this.#actor.session as string)
          await new Promise<void>((resolve) => void clock.after(RESTART_MS, resolve))
          await this.#report(id, cost)
          return { next: null, died: true }
      }
    } catch (error) {
      if (!leaseIsOver(error)) throw error
    }
    return { next: null, died: false }
  }

  /** Filler work, and an ear for real work meanwhile: taking that lets go of the filler in the same decision. */
  async #fill({ task: { id }, fence }: Claimed): Promise<Worked> {
    const under = { task: id, fence }
    const { task, fortune } = this.#world.attempt(this.#member, id)
    const stop = new AbortController()
    const better = this.#better(stop.signal)
    const spent = this.#spend(under, fortune.ms, stop.signal).catch((error: unknown) => {
      if (!leaseIsOver(error)) throw error
    })
    await Promise.race([better, spent])
    stop.abort()
    const next = await better
    if (next !== null) return { next, died: false }
    const usage = { costMicroUsd: this.#world.costOf(task, this.#member, fortune.ms) ?? 0, ...NO_TOKENS }
    try {
      await this.#world.loop.execute("task.complete", this.#actor, { ...under, deliverable: NO_EVIDENCE, usage })
    } catch (error) {
      if (!leaseIsOver(error)) throw error
    }
    return { next: null, died: false }
  }

  async #better(signal: AbortSignal): Promise<Claimed | null> {
    while (!signal.aborted) {
      const claim = await this.#claim(false, signal)
      if (claim !== null) return claim
    }
    return null
  }

  /** Is at work for so long, and says so now and then. Throws where the lease is over. */
  async #spend(under: Under, ms: number, left?: AbortSignal): Promise<void> {
    for (let leftMs = ms; leftMs > 0 && left?.aborted !== true; leftMs -= PROGRESS_MS) {
      const progress = leftMs === ms ? null : 1 - leftMs / ms
      await this.#world.loop.execute("task.update", this.#actor, { ...under, progress, note: null })
      await this.#sleep(Math.min(leftMs, PROGRESS_MS))
    }
  }

  async #report(task: TaskId, costMicroUsd: number | null): Promise<void> {
    const tokens = { ...NO_TOKENS, cacheReadTokens: 0, cacheWriteTokens: 0 }
    await this.#world.loop.execute("usage.report", this.#actor, { agent: null, session: null, task, model: null, requests: 1, costMicroUsd, ...tokens })
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.after(ms, resolve))
  }
}

function leaseIsOver(error: unknown): boolean {
  return error instanceof SkeinError && (error.code === "stale_fence" || error.code === "not_owner" || error.code === "wrong_status")
}
