import type { LoopOptions } from "./loop-options.ts"

/** Nobody who was refused comes again sooner than this, in ms. */
const RETRY_MIN_MS = 20
/** How much the newest cycle says against all before it. */
const NEWEST = 0.3

/**
 * How long what waits will have to wait, told from how long full batches took, the reading of requests between them included. Only while batches
 * are full does it learn anything: before that it knows of no wait.
 */
export class Pace {
  readonly #o: Pick<LoopOptions, "queueMax" | "queueWaitMs" | "batchMax">
  #fullBatchMs = 0
  #startMs = 0
  /** Commands of the last batch, or 0 where it was less than half full or left nobody waiting. */
  #size = 0

  constructor(options: Pick<LoopOptions, "queueMax" | "queueWaitMs" | "batchMax">) {
    this.#o = options
  }

  /** Whether a queue of this length takes nobody any more. */
  isFull(queue: number): boolean {
    const { queueMax, queueWaitMs, batchMax } = this.#o
    return queue >= queueMax || (queue >= 2 * batchMax && this.waitMs(queue) > queueWaitMs)
  }

  /** When whoever is refused may come again, in ms. */
  retryAfterMs(queue: number): number {
    return Math.max(RETRY_MIN_MS, Math.ceil(this.waitMs(queue)))
  }

  /** A batch of `size` commands begins; `left` go on waiting. */
  batch(nowMs: number, size: number, left: number): void {
    if (this.#size > 0) {
      const fullMs = ((nowMs - this.#startMs) * this.#o.batchMax) / this.#size
      this.#fullBatchMs = this.#fullBatchMs === 0 ? fullMs : this.#fullBatchMs + NEWEST * (fullMs - this.#fullBatchMs)
    }
    this.#startMs = nowMs
    this.#size = left > 0 && size * 2 >= this.#o.batchMax ? size : 0
  }

  /** The wait of whoever comes after `queue` others, in ms. */
  waitMs(queue: number): number {
    return (queue / this.#o.batchMax) * this.#fullBatchMs
  }
}
