/** How much the newest cycle says against all before it. */
const NEWEST = 0.3

/**
 * How long what waits will have to wait, told from how long full batches took, the reading of requests between them included. Only while batches
 * are full does it learn anything: before that it knows of no wait.
 */
export class Pace {
  readonly #batchMax: number
  #fullBatchMs = 0
  #startMs = 0
  /** Commands of the last batch, or 0 where it was less than half full or left nobody waiting. */
  #size = 0

  constructor(batchMax: number) {
    this.#batchMax = batchMax
  }

  /** A batch of `size` commands begins; `left` go on waiting. */
  batch(nowMs: number, size: number, left: number): void {
    if (this.#size > 0) {
      const fullMs = ((nowMs - this.#startMs) * this.#batchMax) / this.#size
      this.#fullBatchMs = this.#fullBatchMs === 0 ? fullMs : this.#fullBatchMs + NEWEST * (fullMs - this.#fullBatchMs)
    }
    this.#startMs = nowMs
    this.#size = left > 0 && size * 2 >= this.#batchMax ? size : 0
  }

  /** The wait of whoever comes after `queue` others, in ms. */
  waitMs(queue: number): number {
    return (queue / this.#batchMax) * this.#fullBatchMs
  }
}
