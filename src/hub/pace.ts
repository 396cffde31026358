import type { AgentId } from "../core/ids.ts"
import { BatchCost } from "./batch-cost.ts"
import type { LoopOptions } from "./loop-options.ts"
import { lotOf } from "./lot.ts"

/** Nobody who was refused comes again sooner than the first, nor later than the second, in ms; so much is known of what the queue will be by then. */
const RETRY_MIN_MS = 20
const RETRY_MAX_MS = 2_000
/** However few were refused, they come again over so long, in ms: a crowd that comes at once goes at once, and leaves nothing to do between. */
const RETRY_SPREAD_MS = 30
/** A burst may fill the queue; where batches have been full for so long without a lull, in ms, the load is more than the hub holds. */
const BURST_MS = 100
/** And where none was full for so long, in ms, it is over: those who were refused come again within that time, and a lull while they wait is none. */
const CALM_MS = 1_000
/** Under a load that stays a batch takes what is done in so long, in ms: whoever is taken waits for one or two batches, and then for its own. */
const BATCH_MS = 8
/** But this part of the most that it may take, however slow the machine is: what a batch costs by itself is shared by those in it. */
const BATCH_LEAST = 1 / 4
/** After a batch that was cut short the next may take so many at the least: a machine that stood still for a moment is no load that stays. */
const CUT_LEAST = 32
/**
 * Under a load that stays agents are refused by lot, from so many batches waiting on: this part of them for each batch that waits beyond. Whoever is refused stays away
 * for a while; were all refused as soon as the queue is full, all would be away at once, and all be back at once. Source: S. Floyd and V. Jacobson, "Random
 * Early Detection Gateways for Congestion Avoidance" (1993).
 */
const LOTS_FROM = 0.5
const LOTS_PER_BATCH = 0.5
/** Where so many batches wait whatever the lots, whoever has its share waiting is refused. */
const FULL_BATCHES = 3
/** Of those who were refused, so many are still expected to come again one batch later. */
const STILL_COMING = 0.9
/** Multiples of it fall into an interval as evenly as can be (Weyl, 1916): what dice would do, and the same in each run. */
const GOLDEN = 0.618_033_988_749_895

/** Who waits: so many commands, so many of them before whoever comes now, of so many agents, and so many of one of them. */
export type Crowd = { readonly length: number; readonly ahead: number; readonly agents: number; heldBy(agent: AgentId): number }

/**
 * How long what waits will have to wait, told from how long full batches took, the reading of requests between them included. Only while batches
 * are full does it learn anything: before that it knows of no wait.
 *
 * A burst is waited out, a load that stays is not: a queue that never empties costs everybody its length and wins nothing. So once batches have been full for
 * `BURST_MS` they become short, and so does the queue: one or two of them, and three at the most but for those who have less than their share waiting. Source of the
 * idea: B. Maurer, "Fail at Scale" (ACM Queue, 2015), after K. Nichols and V. Jacobson, "Controlling Queue Delay" (2012).
 */
export class Pace {
  readonly #o: Pick<LoopOptions, "queueMax" | "queueWaitMs" | "batchMax">
  readonly #monotonicMs: () => number
  readonly #cost = new BatchCost()
  #startMs = 0
  /** Commands of the last batch, or 0 where it was less than half full, or left nobody waiting and no load stays. */
  #size = 0
  #left = false
  /** When the first of those batches began that have been full since, one soon after the other. */
  #fullSinceMs: number | null = null
  #lastFullMs = Number.NEGATIVE_INFINITY
  #standing = false
  /** Refused of late and expected again. */
  #refused = 0
  #draws = 0
  /** Since a batch was cut short, so many commands the next one takes at the most: what one batch cannot hold is taken by turns. */
  #most = Number.POSITIVE_INFINITY

  constructor(options: Pick<LoopOptions, "queueMax" | "queueWaitMs" | "batchMax">, monotonicMs: () => number) {
    this.#o = options
    this.#monotonicMs = monotonicMs
  }

  /** Whether more is asked than the hub can do, and has been for a while. */
  get standing(): boolean {
    return this.#standing && this.#monotonicMs() - this.#lastFullMs <= CALM_MS
  }

  /** How many commands the next batch takes at the most. */
  get batchMax(): number {
    const batchMax = Math.min(this.#o.batchMax, this.#most)
    if (!this.standing) return batchMax
    return Math.min(batchMax, Math.max(1, Math.floor(batchMax * BATCH_LEAST), this.#cost.doneIn(BATCH_MS)))
  }

  /**
   * Whether the next command of this agent is refused. Whoever has nothing waiting is not the one who makes others wait, and is taken; of the
   * others those with a low lot are refused early, and then whoever has its share. Asked twice in one moment it answers the same.
   */
  isFull(crowd: Crowd, agent: AgentId): boolean {
    const { queueMax, queueWaitMs, batchMax } = this.#o
    const { length, ahead } = crowd
    if (length >= queueMax || (ahead >= 2 * batchMax && this.waitMs(ahead) > queueWaitMs)) return true
    if (!this.standing) return false
    const own = crowd.heldBy(agent)
    if (own === 0) return false
    const { agents } = crowd
    // Alone it makes nobody else wait, and may know what it does: its connection is read no faster than it is served.
    if (agents === 1) return length >= batchMax
    const batches = ahead / this.batchMax
    if (batches >= FULL_BATCHES && own >= this.share(agents)) return true
    return batches > LOTS_FROM && lotOf(agent, this.#monotonicMs()) < LOTS_PER_BATCH * (batches - LOTS_FROM)
  }

  /** How much of the next batch is one agent's while more is asked than the hub can do, of so many that ask; without that load, all that it wants. */
  share(agents: number): number {
    return this.standing ? Math.max(1, Math.floor(this.batchMax / Math.max(1, agents))) : Number.POSITIVE_INFINITY
  }

  /**
   * When whoever is refused may come again, in ms: after those who wait, and spread over the time that those who were refused before it will take. So the more is
   * refused the later they come, and not all at once.
   */
  retryAfterMs(length: number): number {
    this.#refused += 1
    this.#draws += 1
    const spreadMs = RETRY_SPREAD_MS + this.waitMs(this.#refused)
    const waitMs = Math.max(RETRY_MIN_MS, this.waitMs(length)) + ((this.#draws * GOLDEN) % 1) * spreadMs
    return Math.min(RETRY_MAX_MS, Math.ceil(waitMs))
  }

  /** A batch of `size` commands begins; `left` go on waiting. */
  batch(nowMs: number, size: number, left: number): void {
    const { batchMax } = this
    const paused = nowMs - this.#startMs > BURST_MS
    if (this.#size > 0 && (this.#left || !paused)) this.#cost.learn(this.#size, nowMs - this.#startMs, !this.#left)
    const full = size * 2 >= batchMax
    if (!full || paused) this.#fullSinceMs = null
    if (this.#fullSinceMs !== null && nowMs - this.#fullSinceMs > BURST_MS) this.#standing = true
    else if (nowMs - this.#lastFullMs > CALM_MS) this.#standing = false
    if (full) {
      this.#fullSinceMs ??= nowMs
      this.#lastFullMs = nowMs
    }
    this.#refused *= STILL_COMING
    this.#startMs = nowMs
    this.#size = full && (left > 0 || this.#standing) ? size : 0
    this.#left = left > 0
    this.#most *= 2
  }

  /**
   * The batch that has begun ended after so many commands: to decide them took its time. Where they were few and claims among them, claims took it; they stand behind
   * all others in the next one, which are no slower for it. `putOff`: a new one came to no end, which says nothing of how long a command takes.
   */
  cut(decided: number, heardClaim: boolean, putOff = false): void {
    if (!heardClaim || decided >= CUT_LEAST) this.#most = Math.max(decided, CUT_LEAST)
    this.#left = true
    if (this.#size > 0) this.#size = putOff ? 0 : decided
  }

  /** The wait of whoever comes after `length` others, in ms. */
  waitMs(length: number): number {
    return length * this.#cost.commandMs
  }
}
