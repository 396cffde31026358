import type { ClaimNext } from "../core/claim.ts"
import { orderOfTurns } from "../core/dispatch.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Clock } from "./clock.ts"
import { aborted } from "./failures.ts"
import type { Waiting } from "./waiting.ts"

/**
 * Claims for which nothing was ready: first come first served, unless skills are asked for; then whoever does it best is served first. Each has one timer and dies with its caller's connection, wherever it is when that
 * happens: parked, in the queue again, or in a batch (then the ledger decides, and nobody hears of it).
 */
export class Parked {
  readonly #clock: Clock
  readonly #parked = new Set<Waiting>()
  /** Decides one again whose time is over: what it is refused with then is its answer. */
  readonly #again: (waiting: Waiting) => void
  readonly #replica: { readonly state: Workspace }

  constructor(clock: Clock, again: (waiting: Waiting) => void, replica: { readonly state: Workspace }) {
    this.#clock = clock
    this.#again = again
    this.#replica = replica
  }

  get size(): number {
    return this.#parked.size
  }

  add(waiting: Waiting, forMs: number): void {
    // Its connection may have gone while it was decided: no event will tell.
    if (waiting.signal?.aborted === true) return waiting.reject(aborted())
    this.#parked.add(waiting)
    if (!waiting.timed) this.#time(waiting, forMs)
  }

  /** All of them, oldest first: something may be ready now. */
  takeAll(): Waiting[] {
    const all = [...this.#parked]
    this.#parked.clear()
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

  #time(waiting: Waiting, forMs: number): void {
    waiting.timed = true
    const { resolve, reject, signal } = waiting
    const cancel = this.#clock.after(Math.max(1, forMs), () => {
      // Not by comparing clocks: a timer may ring a moment early, and would then be its last.
      waiting.parkUntilMs = null
      if (this.#parked.delete(waiting)) this.#again(waiting)
    })
    const leave = (): void => {
      this.#parked.delete(waiting)
      waiting.reject(aborted())
    }
    const settled = (): void => {
      cancel()
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
