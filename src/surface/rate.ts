import { SkeinError } from "../contract/errors.ts"

/** `perSecond` calls on average; up to `burst` at once after a pause. */
export type Rate = { perSecond: number; burst: number }

type Who = { workspace: string; actor: { agent: string } }

type Bucket = { tokens: number; filledMs: number }

/** A workspace's buckets are swept when there are more of them than this: full ones say nothing. */
const SWEEP_AT = 10_000

/** A token bucket for each agent of a workspace, on a clock that never goes backwards. */
export class Buckets {
  readonly #rate: Rate
  readonly #monotonicMs: () => number
  /** By workspace, then agent: names put together would be a new text to hash each time. */
  readonly #buckets = new Map<string, Map<string, Bucket>>()
  #refused = 0

  constructor(rate: Rate, monotonicMs: () => number = () => performance.now()) {
    this.#rate = rate
    this.#monotonicMs = monotonicMs
  }

  get refused(): number {
    return this.#refused
  }

  /** Takes one token. Throws `rate_limited`, with the time after which there is one again. */
  take({ workspace, actor: { agent } }: Who): void {
    const { perSecond, burst } = this.#rate
    const nowMs = this.#monotonicMs()
    const buckets = this.#of(workspace)
    let bucket = buckets.get(agent)
    if (bucket === undefined) {
      if (buckets.size >= SWEEP_AT) this.#sweep(buckets, nowMs)
      bucket = { tokens: burst, filledMs: nowMs }
      buckets.set(agent, bucket)
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.filledMs) / 1_000) * perSecond)
    bucket.filledMs = nowMs
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1
      return
    }
    this.#refused += 1
    const retryAfterMs = Math.max(1, Math.ceil(((1 - bucket.tokens) / perSecond) * 1_000))
    throw new SkeinError("rate_limited", `${agent} asks more than ${perSecond} times a second`, "Come again after `retryAfterMs`.", { perSecond }, retryAfterMs)
  }

  #of(workspace: string): Map<string, Bucket> {
    let buckets = this.#buckets.get(workspace)
    if (buckets === undefined) this.#buckets.set(workspace, (buckets = new Map<string, Bucket>()))
    return buckets
  }

  #sweep(buckets: Map<string, Bucket>, nowMs: number): void {
    const { perSecond, burst } = this.#rate
    for (const [agent, { tokens, filledMs }] of buckets) {
      if (tokens + ((nowMs - filledMs) / 1_000) * perSecond >= burst) buckets.delete(agent)
    }
  }
}

/**
 * What may be spent on saying no, and on what counts against no agent's rate: to be told so is a client's due, and to tell everybody each time would take the hub's time from those whom it can serve. A
 * refusal beyond the rate is paid for by rest. Each connection rests for its own: one that was refused once does not wait for those that were refused by the thousand.
 */
export class Refusals {
  readonly #rate: Rate
  readonly #monotonicMs: () => number
  /** When, in ms, the bucket would be full. */
  #fullAtMs = 0
  #resting = 0

  constructor(rate: Rate, monotonicMs: () => number = () => performance.now()) {
    this.#rate = rate
    this.#monotonicMs = monotonicMs
  }

  /** One more is refused, or something that costs as much as so many. Answers whether that is within the rate; what is not MUST be paid for by rest. */
  take(units = 1): boolean {
    const { perSecond, burst } = this.#rate
    const nowMs = this.#monotonicMs()
    const fullAtMs = Math.max(this.#fullAtMs, nowMs) + (units * 1_000) / perSecond
    if (fullAtMs - nowMs > (burst / perSecond) * 1_000) return false
    this.#fullAtMs = fullAtMs
    return true
  }

  /** A connection begins to rest; MUST be followed by `rested`. */
  rest(): void {
    this.#resting += 1
  }

  rested(): void {
    this.#resting -= 1
  }

  /** How long one that rests pays for so many refusals, in ms: all that rest together are refused at the rate. */
  priceMs(refused: number): number {
    return (refused * this.#resting * 1_000) / this.#rate.perSecond
  }
}
