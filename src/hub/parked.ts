import type { ClaimNext } from "../core/claim.ts"
import { orderOfTurns } from "../core/dispatch.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Clock } from "./clock.ts"
import { aborted } from "./failures.ts"
import type { Waiting } from "./waiting.ts"

/** What a claim is decided against, and the workspace's clock. */
type Present = { readonly state: Workspace; nowMs(): number }

/**
 * Claims for which nothing was ready: first come first served, unless skills are asked for; then whoever does it best is served first. Each has one timer for its own time, another while its refusal
 * names a sooner one, and dies with its caller's connection, wherever it is when that happens: parked, in the queue again, or in a batch (then the ledger decides, and nobody hears of it).
 */
export class Parked {
  readonly #clock: Clock
  /** Each with what cancels its sooner timer; null: that one rang, and it is decided again without losing its place. */
  readonly #parked = new Map<Waiting, (() => void) | null>()
  #away = 0
  /** Decides one again whose time has come. */
  readonly #again: (waiting: Waiting) => void
  readonly #replica: Present

  constructor(clock: Clock, again: (waiting: Waiting) => void, replica: Present) {
    this.#clock = clock
    this.#again = again
    this.#replica = replica
  }

  get size(): number {
    return this.#parked.size - this.#away
  }

  /** `untilMs`: when it is decided again, whatever happens. */
  add(waiting: Waiting, untilMs: number): void {
    // Its connection may have gone while it was decided: no event will tell.
    if (waiting.signal?.aborted === true) return waiting.reject(aborted())
    const nowMs = this.#replica.nowMs()
    const endMs = waiting.parkUntilMs ?? untilMs
    if (!waiting.timed) this.#time(waiting, endMs - nowMs)
    if (this.#parked.get(waiting) === null) this.#away -= 1
    this.#parked.set(waiting, untilMs < endMs ? this.#clock.after(Math.max(1, untilMs - nowMs), () => this.#sooner(waiting)) : nothing)
  }

  /** All of them, oldest first: something may be ready now. */
  takeAll(): Waiting[] {
    const all: Waiting[] = []
    for (const [waiting, cancel] of this.#parked) {
      if (cancel === null) continue
      cancel()
      this.#parked.delete(waiting)
      all.push(waiting)
    }
    return all
  }

  /** All of them, in the order in which they are to be served now, each told what is meant for it. */
  takeInTurn(): Waiting[] {
    const all = this.takeAll()
    const turns = orderOfTurns(
      this.#replica.state,
      all.map(({ actor, input }) => ({ actor, filter: input as ClaimNext })),
    )
    return turns.map(({ place, meant }) => {
      const waiting = all[place] as Waiting
      // Its caller's own words are what its key was made of: the rest of the input is the hub's.
      waiting.input = { ...(waiting.input as ClaimNext), turn: { waiting: all.length, meant } }
      return waiting
    })
  }

  #sooner(waiting: Waiting): void {
    this.#parked.set(waiting, null)
    this.#away += 1
    this.#again(waiting)
  }

  /** Whether it was parked, and not on its way to be decided again. */
  #leave(waiting: Waiting): boolean {
    const cancel = this.#parked.get(waiting)
    this.#parked.delete(waiting)
    if (cancel === null) this.#away -= 1
    cancel?.()
    return typeof cancel === "function"
  }

  #time(waiting: Waiting, forMs: number): void {
    waiting.timed = true
    const { resolve, reject, signal } = waiting
    const cancel = this.#clock.after(Math.max(1, forMs), () => {
      // Not by comparing clocks: a timer may ring a moment early, and would then be its last.
      waiting.parkUntilMs = null
      if (this.#leave(waiting)) this.#again(waiting)
    })
    const leave = (): void => waiting.reject(aborted())
    const settled = (): void => {
      cancel()
      this.#leave(waiting)
      signal?.removeEventListener("abort", leave)
    }
    signal?.addEventListener("abort", leave, { once: true })
    waiting.resolve = (output) => {
      settled()
      resolve(output)
    }
    waiting.reject = (error) => {
      settled()
      reject(error)
    }
  }
}

function nothing(): void {
  // It has no sooner timer.
}
