/** How much the newest batch says against all before it: what a command takes is to be known soon, what a batch takes by itself needs batches of many sizes. */
const NEWEST = 0.3
const NEWEST_OF_LINE = 0.05
/** Of what a batch takes at least this part is taken for its commands', however the line of few batches may lie. */
const COMMANDS_LEAST = 0.25

/** What batches take: so much each, whatever it holds (the disk's sync, a turn of the loop), and so much for each command. A line through those of late, by least squares. */
export class BatchCost {
  #commandMs = 0
  #size = 0
  #ms = 0
  #sizeSquared = 0
  #sizeMs = 0

  /** What one command takes with its share of what its batch takes by itself, in ms; 0 before the first batch. */
  get commandMs(): number {
    return this.#commandMs
  }

  /** A batch of `size` commands took `ms`. `atMost`: for some of that time the hub may have been idle. */
  learn(size: number, ms: number, atMost: boolean): void {
    const commandMs = ms / size
    if (this.#commandMs === 0) this.#commandMs = commandMs
    else if (!atMost || commandMs < this.#commandMs) this.#commandMs += NEWEST * (commandMs - this.#commandMs)
    if (atMost) return
    const weight = this.#size === 0 ? 1 : NEWEST_OF_LINE
    this.#size += weight * (size - this.#size)
    this.#ms += weight * (ms - this.#ms)
    this.#sizeSquared += weight * (size * size - this.#sizeSquared)
    this.#sizeMs += weight * (size * ms - this.#sizeMs)
  }

  /**
   * How many commands are done in `ms`. Where a batch by itself takes most of that, as on a slow disk, as many as take as long again: fewer would make nobody's wait much
   * shorter, and the hub hold much less.
   */
  doneIn(ms: number): number {
    if (this.#commandMs === 0) return Number.POSITIVE_INFINITY
    const ownMs = this.#perCommandMs
    const batchMs = Math.max(0, this.#size * (this.#commandMs - ownMs))
    return Math.floor(Math.max(ms - batchMs, batchMs) / ownMs)
  }

  /** What a command more adds to its batch, in ms. */
  get #perCommandMs(): number {
    const spread = this.#sizeSquared - this.#size * this.#size
    // Batches of one size say nothing of it.
    if (spread < 1) return this.#commandMs
    const slope = (this.#sizeMs - this.#size * this.#ms) / spread
    return Math.min(this.#commandMs, Math.max(COMMANDS_LEAST * this.#commandMs, slope))
  }
}
