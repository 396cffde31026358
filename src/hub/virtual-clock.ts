import type { Clock } from "./clock.ts"

type Timer = { atMs: number; order: number; call: (() => void) | null }

/** A turn of the event loop is taken once in so many, for whoever else lives in this process; for the run it makes no difference. */
const TURN_EVERY = 512
let settled = 0

/**
 * Lets every promise that can go on do so: a tick that is asked for among promises comes when none of them is left. Nothing here waits for a real
 * disk or a real network.
 */
export function settle(): Promise<void> {
  settled += 1
  return new Promise(settled % TURN_EVERY === 0 ? (resolve) => setImmediate(resolve) : (resolve) => process.nextTick(resolve))
}

/**
 * Time that moves only when it is told to. What is due at one moment runs in the order in which it was asked for, `soon` after the timers of that
 * moment, and between any two callbacks all promises go on as far as they can: the same calls give the same run.
 */
export class VirtualClock implements Clock {
  #nowMs = 0
  #wallOffsetMs: number
  #order = 0
  /** A binary heap by time, then by order. Cancelled ones stay until their time. */
  readonly #timers: Timer[] = []
  #soon: (() => void)[] = []

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallMs
  }

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  /** Somebody sets the wall clock. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  after(ms: number, call: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, ms), order: (this.#order += 1), call }
    this.#push(timer)
    return () => {
      timer.call = null
    }
  }

  soon(call: () => void): void {
    this.#soon.push(call)
  }

  /** When the next timer rings, or null. */
  get nextMs(): number | null {
    this.#dropCancelled()
    return this.#timers[0]?.atMs ?? null
  }

  /** Runs one callback, at `untilMs` the latest. Answers whether there was one; the time then is `untilMs`. */
  async step(untilMs: number): Promise<boolean> {
    this.#dropCancelled()
    const timer = this.#timers[0]
    if (timer !== undefined && timer.atMs <= this.#nowMs) this.#ring()
    else if (this.#soon.length > 0) this.#soon.shift()?.()
    else if (timer !== undefined && timer.atMs <= untilMs) {
      this.#nowMs = timer.atMs
      this.#ring()
    } else {
      this.#nowMs = Math.max(this.#nowMs, untilMs)
      return false
    }
    await settle()
    return true
  }

  /** Lets so much time go by. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settle()
    while (await this.step(untilMs));
  }

  /** Lets time go by until the promise has an answer. Throws where that takes longer than `withinMs`. */
  async until<T>(promise: Promise<T>, withinMs = 600_000): Promise<T> {
    let done = false
    const finished = (): void => {
      done = true
    }
    promise.then(finished, finished)
    const untilMs = this.#nowMs + withinMs
    await settle()
    while (!done) if (!(await this.step(untilMs)) && !done) throw new Error(`no answer within ${withinMs} ms`)
    return promise
  }

  #ring(): void {
    this.#pop()?.call?.()
  }

  #dropCancelled(): void {
    while (this.#timers[0]?.call === null) this.#pop()
  }

  #push(timer: Timer): void {
    const heap = this.#timers
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(timer, heap[parent] as Timer)) break
      heap[at] = heap[parent] as Timer
      at = parent
    }
    heap[at] = timer
  }

  #pop(): Timer | undefined {
    const heap = this.#timers
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || top === last) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Timer, heap[child] as Timer)) child += 1
      if (!before(heap[child] as Timer, last)) break
      heap[at] = heap[child] as Timer
      at = child
    }
    heap[at] = last
    return top
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
