import { ERRORS, SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { drawKey } from "./draw-key.ts"
import { type Again, againOf, errorFrom, timedOut } from "./post.ts"
import { fullJitterMs, RetryBudget } from "./retry.ts"

/** What the calls need of the connection that carries them. */
export type Carrier = {
  isOpen(): boolean
  send(text: string): void
  random(): number
  /** Why there is no connection right now. */
  trouble(): SkeinError
}
export type CallTerms = { key?: string | undefined; signal?: AbortSignal | undefined; timeoutMs: number }

type Pending = {
  id: number
  name: OperationName
  input: unknown
  key: string | null
  again: Again
  resolve(output: unknown): void
  reject(error: unknown): void
  /** How often it went out; an action goes out once a connection that breaks. */
  sent: number
  /** How often the hub asked for it to come again. */
  repeats: number
  timeoutMs: number
  /** By `performance.now()`. */
  deadlineMs: number
  /** Hears no more of the caller's signal, where there is one. */
  release: (() => void) | null
}

const REPEATS_MAX = 8
/** A timer for longer would be one for no time at all. */
const TIMER_MAX_MS = 2 ** 31 - 1

/**
 * Calls that wait for their answers, over as many connections as it takes. A connection that breaks leaves calls of unknown outcome: reads, and
 * commands by their idempotency key, are sent again on the next one; an action that went out is answered `timed_out`.
 */
export class Calls {
  readonly #carrier: Carrier
  readonly #budget = new RetryBudget()
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  /** One for all calls, nearly all of which are answered long before their time. It holds no process: the connection does until it is closed. */
  #timer: NodeJS.Timeout | undefined
  /** When it looks for calls that are out of time: no later than the first of them is. */
  #looksMs = Number.POSITIVE_INFINITY

  constructor(carrier: Carrier) {
    this.#carrier = carrier
  }

  make(name: OperationName, input: unknown, { key, signal, timeoutMs }: CallTerms): Promise<unknown> {
    const again = againOf(name, key)
    if (signal?.aborted === true) return Promise.reject(timedOut("the call was given up", again))
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve, reject) => {
      const drawn = key ?? (KINDS[name] === "command" ? drawKey() : null)
      const deadlineMs = performance.now() + timeoutMs
      const release = signal === undefined ? null : this.#heed(signal, id, again)
      const pending: Pending = { id, name, input, key: drawn, again, resolve, reject, sent: 0, repeats: 0, timeoutMs, deadlineMs, release }
      this.#pending.set(id, pending)
      if (deadlineMs < this.#looksMs) this.#lookAt(deadlineMs)
      if (this.#carrier.isOpen()) this.#send(pending)
    })
  }

  /** There is a connection: all that waits goes out, for the first time or again. */
  sendAll(): void {
    for (const pending of this.#pending.values()) this.#send(pending)
  }

  /** The connection broke. What MUST NOT be sent again is answered. */
  broken(): void {
    for (const { id, name, sent, again } of [...this.#pending.values()]) {
      if (sent > 0 && KINDS[name] === "action") this.#giveUp(id, timedOut("the connection broke", again))
    }
  }

  endAll(error: SkeinError): void {
    for (const id of [...this.#pending.keys()]) this.#giveUp(id, error)
    clearTimeout(this.#timer)
    this.#looksMs = Number.POSITIVE_INFINITY
  }

  /** The hub answered: `body` is its error, where it is one. */
  answered(id: number, ok: unknown, body: unknown): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    if (body === undefined) {
      this.#budget.earn()
      this.#done(pending)
      pending.resolve(ok)
      return
    }
    const error = errorFrom(body)
    const waitMs = (error.retryAfterMs ?? 0) + fullJitterMs(pending.repeats, 25, 2_000, this.#carrier.random)
    // These say that nothing was done, so that even an action may come again; `timed_out` does not say it.
    const helps = ERRORS[error.code].retry === "later" && error.code !== "timed_out"
    if (!helps || pending.repeats >= REPEATS_MAX || performance.now() + waitMs >= pending.deadlineMs || !this.#budget.spend()) {
      this.#done(pending)
      pending.reject(error)
      return
    }
    pending.repeats += 1
    const { sent } = pending
    setTimeout(() => {
      // Another connection may have sent it since.
      if (this.#pending.has(id) && pending.sent === sent && this.#carrier.isOpen()) this.#send(pending)
    }, waitMs)
  }

  #send(pending: Pending): void {
    const { id, name, input, key } = pending
    pending.sent += 1
    this.#carrier.send(JSON.stringify(key === null ? { id, op: name, in: input } : { id, op: name, in: input, key }))
  }

  #giveUp(id: number, error: SkeinError): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#done(pending)
    if (pending.sent > 0 && this.#carrier.isOpen()) this.#carrier.send(`{"cancel":${id}}`)
    pending.reject(error)
  }

  #heed(signal: AbortSignal, id: number, again: Again): () => void {
    const abort = (): void => this.#giveUp(id, timedOut("the call was given up", again))
    signal.addEventListener("abort", abort, { once: true })
    return () => signal.removeEventListener("abort", abort)
  }

  #lookAt(deadlineMs: number): void {
    clearTimeout(this.#timer)
    this.#looksMs = deadlineMs
    this.#timer = setTimeout(() => this.#look(), Math.min(TIMER_MAX_MS, deadlineMs - performance.now()))
    this.#timer.unref()
  }

  /** Whose time is over is answered: what never went out was not done; what went out may have been. */
  #look(): void {
    const nowMs = performance.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const { id, sent, again, timeoutMs, deadlineMs } of [...this.#pending.values()]) {
      if (deadlineMs > nowMs) nextMs = Math.min(nextMs, deadlineMs)
      else this.#giveUp(id, sent === 0 ? this.#carrier.trouble() : timedOut(`no answer within ${timeoutMs} ms`, again))
    }
    this.#looksMs = Number.POSITIVE_INFINITY
    if (Number.isFinite(nextMs)) this.#lookAt(nextMs)
  }

  #done(pending: Pending): void {
    pending.release?.()
    this.#pending.delete(pending.id)
  }
}
