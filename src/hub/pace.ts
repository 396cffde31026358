import type { LoopOptions } from "./loop-options.ts"

/** Nobody who was refused comes again sooner than the first, nor later than the second, in ms; so much is known of what the queue will be by then. */
const RETRY_MIN_MS = 20
const RETRY_MAX_MS = 2_000
/** How much the newest cycle says against all before it. */
const NEWEST = 0.3
/** A burst may fill the queue; where batches have been full for so long without a lull, in ms, the load is more than the hub holds. */
const BURST_MS = 100
/** And where none was full for so long, in ms, it is over: those who were refused come again within that time, and a lull while they wait is none. */
const CALM_MS = 1_000
/** Of those who were refused, so many are still expected to come again one batch later. */
const STILL_COMING = 0.9
/** Multiples of it fall into an interval as evenly as can be (Weyl, 1916): what dice would do, and the same in each run. */
const GOLDEN = 0.618_033_988_749_895

/** Who waits: so many commands, of so many agents. */
export type Crowd = { length: number; agents: number }

/**
 * How long what waits will have to wait, told from how long full batches took, the reading of requests between them included. Only while batches
 * are full does it learn anything: before that it knows of no wait.
 *
 * A burst is waited out, a load that stays is not: a queue that never empties costs everybody its length and wins nothing. So once batches have been full for
 * `BURST_MS` no more may wait than the next batch takes, each agent with its share of it. Source of the idea: B. Maurer, "Fail at Scale" (ACM Queue, 2015),
 * after K. Nichols and V. Jacobson, "Controlling Queue Delay" (2012).
 */
export class Pace {
  readonly #o: Pick<LoopOptions, "queueMax" | "queueWaitMs" | "batchMax">
  readonly #monotonicMs: () => number
  #fullBatchMs = 0
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

  constructor(options: Pick<LoopOptions, "queueMax" | "queueWaitMs" | "batchMax">, monotonicMs: () => number) {
    this.#o = options
    this.#monotonicMs = monotonicMs
  }

  /** Whether more is asked than the hub can do, and has been for a while. */
  get standing(): boolean {
    return this.#standing && this.#monotonicMs() - this.#lastFullMs <= CALM_MS
  }

  /** Whether the next command of an agent with `own` waiting is refused. Whoever has less than its share waiting is not the one who makes others wait, and is taken. */
  isFull({ length, agents }: Crowd, own: number): boolean {
    const { queueMax, queueWaitMs, batchMax } = this.#o
    if (length >= queueMax || (length >= 2 * batchMax && this.waitMs(length) > queueWaitMs)) return true
    return length >= batchMax && own >= this.share(agents)
  }

  /** How much of the next batch is one agent's while more is asked than the hub can do, of so many that ask; without that load, all that it wants. */
  share(agents: number): number {
    return this.standing ? Math.max(1, Math.floor(this.#o.batchMax / Math.max(1, agents))) : Number.POSITIVE_INFINITY
  }

  /**
   * When whoever is refused may come again, in ms: after those who wait, and spread over the time that those who were refused before it will take. So the more is
   * refused the later they come, and not all at once.
   */
  retryAfterMs(length: number): number {
    this.#refused += 1
    this.#draws += 1
    const waitMs = this.waitMs(length) + ((this.#draws * GOLDEN) % 1) * this.waitMs(this.#refused)
    return Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, Math.ceil(waitMs)))
  }

  /** A batch of `size` commands begins; `left` go on waiting. */
  batch(nowMs: number, size: number, left: number): void {
    const { batchMax } = this.#o
    const paused = nowMs - this.#startMs > BURST_MS
    if (this.#size > 0 && (this.#left || !paused)) {
      const fullMs = ((nowMs - this.#startMs) * batchMax) / this.#size
      this.#fullBatchMs = this.#fullBatchMs === 0 ? fullMs : this.#fullBatchMs + NEWEST * (fullMs - this.#fullBatchMs)
    }
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
  }

  /** The wait of whoever comes after `length` others, in ms. */
  waitMs(length: number): number {
    return (length / this.#o.batchMax) * this.#fullBatchMs
  }
}
