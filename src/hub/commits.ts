import { SkeinError } from "../contract/errors.ts"
import type { ClaimNext } from "../core/claim.ts"
import { HUB } from "../core/entry.ts"
import { EFFORT_MAX } from "../core/glob-automaton.ts"
import type { Refusal } from "../core/refusal.ts"
import type { Unfinished } from "../core/unfinished.ts"
import type { Ledger, LedgerFailure } from "../ledger/ledger.ts"
import type { Batch } from "./batch.ts"
import type { Checkpoints } from "./checkpoints.ts"
import type { Clock } from "./clock.ts"
import { aborted, stopping, storageRefused } from "./failures.ts"
import type { LoopLog } from "./loop-options.ts"
import type { Outage } from "./outage.ts"
import type { Pace } from "./pace.ts"
import type { Parked } from "./parked.ts"
import type { Queue } from "./queue.ts"
import type { Replica } from "./replica.ts"
import { parksUntilMs, type Waiting } from "./waiting.ts"

/**
 * After so many times that a decision is put off in vain it takes twice as long each time: what it asks about may change as fast as it finds it out. No bound on that: once
 * one piece holds a whole look it has come to its end, and until then a piece takes no more than a fiftieth of what all before it took. With a bound it might never end.
 */
const PUT_OFF_MANY = 100

type CommitsOptions = {
  workspace: string
  clock: Clock
  log: LoopLog
  ledger: Ledger
  replica: Replica
  queue: Queue
  pace: Pace
  parked: Parked
  checkpoints: Checkpoints
  outage: Outage
  /** Claims that may be parked at once. */
  queueMax: number
  decideMs: number
  claimSteps: number
  /** Whether a claim may still be parked, or put off. */
  isOpen(): boolean
}

/** Batches decided, appended and answered. One at a time: the loop sees to that. */
export class Commits {
  readonly #o: CommitsOptions
  /** Whether an entry came that may let a parked claim succeed. */
  #stirred = false
  #stats = { commands: 0, refused: 0, putOff: 0, lostRaces: 0 }

  constructor(options: CommitsOptions) {
    this.#o = options
  }

  get stats(): Readonly<Record<"commands" | "refused" | "putOff" | "lostRaces", number>> {
    return this.#stats
  }

  /** Decides the batch, appends it, and answers; whoever lost the race decides again. Throws where the outcome is unknown, or the fold itself failed. */
  async commit(waiting: Waiting[]): Promise<void> {
    const { replica, ledger, outage } = this.#o
    for (;;) {
      const { batch, before } = replica.begin()
      this.#decide(waiting, batch)
      if (batch.stored.length > 0) {
        const appended = await replica.append(batch, before)
        if (appended === "lost") {
          this.#stats.lostRaces += 1
          continue
        }
        if (appended !== "kept") return this.#storageRefused(appended, waiting)
        outage.over()
      }
      this.#stats.commands += batch.decided.length
      await batch.answer(ledger, this.#refused)
      // Only now: what is parked by an answer may be woken by the very batch that it was refused in.
      this.wake()
      return
    }
  }

  /** An entry is durable that may let a parked claim succeed. */
  stir(): void {
    this.#stirred = true
  }

  /** Where something may be ready now, whoever is parked decides again, first come first served. */
  wake(): void {
    const { parked, queue, replica } = this.#o
    if (this.#stirred && parked.size > 0 && replica.state.board.readyCount > 0) queue.unshift(parked.takeInTurn())
    this.#stirred = false
  }

  #decide(waiting: Waiting[], batch: Batch): void {
    const { clock, decideMs, queue, pace, parked, checkpoints, outage, replica } = this.#o
    let startMs = clock.monotonicMs()
    let hasBegun = false
    let putOffFirst = false
    for (let at = 0; at < waiting.length; at += 1) {
      // What the hub does of itself comes first, and MUST; then what goes on, which has a time of its own.
      const { actor, putOff } = waiting[at] as Waiting
      if (hasBegun && actor !== HUB && putOff === undefined && clock.monotonicMs() - startMs > decideMs) {
        const unheard = waiting.splice(at)
        const heardClaim = putOffFirst || waiting.some(isNewClaim)
        queue.leave(unheard, heardClaim)
        pace.cut(at, heardClaim, putOffFirst)
        return
      }
      // Whoever is parked came first: what the batch itself has made ready is theirs.
      if (batch.stirred && (waiting[at] as Waiting).name === "task.claimNext" && parked.size > 0) waiting.splice(at, 0, ...parked.takeInTurn())
      const next = waiting[at] as Waiting
      hasBegun = next.putOff === undefined
      // The abort has been or will be its answer. A claim that goes on takes up to a minute: nobody is to hold a task who went meanwhile.
      if (next.signal?.aborted === true || (next.putOff !== undefined && next.from?.readable === false)) next.reject(aborted())
      else if (next.name === "hub.checkpoint") {
        // Another hub's may have come first; a disk that refused is tried again with one all the same.
        if (checkpoints.uncovered(replica.head.seq) > 0 || outage.failure !== null) batch.decide(next, replica.checkpoint())
        else next.resolve(undefined)
      } else {
        const unfinished = batch.decide(next, this.#inputOf(next))
        if (unfinished !== null) {
          putOffFirst ||= hasBegun
          this.#putOff(next, unfinished, waiting, at)
          at -= 1
        }
      }
      if (!hasBegun) startMs = clock.monotonicMs()
    }
  }

  /** It goes on in another batch, and so does whatever its agent asked after it; others go before. A hub that stops does not wait for it. */
  #putOff(next: Waiting, { walk }: Unfinished, waiting: Waiting[], at: number): void {
    const { queue, isOpen } = this.#o
    if (!isOpen()) {
      waiting.splice(at, 1)
      next.reject(stopping())
      return
    }
    const { agent } = next.actor
    const own = waiting.slice(at).filter(({ actor }) => actor.agent === agent)
    waiting.splice(at, waiting.length, ...waiting.slice(at).filter(({ actor }) => actor.agent !== agent))
    const { putOff = 0, search = { walk: null, since: 0, inVain: 0 } } = next
    next.putOff = putOff + 1
    if (walk === null || walk !== search.walk) {
      const inVain = search.inVain + Math.min(PUT_OFF_MANY, next.putOff - search.since)
      // A walk may be as large as the heaps: only the one that goes on in each batch keeps its own.
      next.search = { walk: putOff === 0 ? null : walk, since: next.putOff, inVain }
    }
    this.#stats.putOff += 1
    queue.putOff(own)
  }

  /** What a command is decided on. */
  #inputOf({ name, input, search }: Waiting): unknown {
    const steps = this.#o.claimSteps * 2 ** Math.floor((search?.inVain ?? 0) / PUT_OFF_MANY)
    return name !== "task.claimNext" || steps === EFFORT_MAX ? input : { ...(input as ClaimNext), steps }
  }

  /** A claim that may wait is parked, all else hears its refusal. */
  readonly #refused = (waiting: Waiting, refusal: Refusal): void => {
    const { parked, queueMax, isOpen } = this.#o
    const untilMs = parksUntilMs(waiting, refusal)
    if (untilMs !== null && isOpen() && parked.size < queueMax) {
      // What it asks next time is another question.
      waiting.putOff = undefined
      waiting.search = undefined
      parked.add(waiting, untilMs)
    } else {
      this.#stats.refused += 1
      waiting.reject(SkeinError.fromRefusal(refusal))
    }
  }

  /** Nothing was written: callers are told so, reads go on, and the store is tried again until it takes a write. */
  #storageRefused(error: LedgerFailure, batch: readonly Waiting[]): void {
    const { log, outage, queue, workspace } = this.#o
    if (outage.refused(error)) log.error({ err: error, workspace }, "the ledger refuses writes")
    for (const { reject } of [...batch, ...queue.takeAll()]) reject(storageRefused(error))
  }
}

/** A claim that was not put off before. */
function isNewClaim({ name, putOff }: Waiting): boolean {
  return name === "task.claimNext" && putOff === undefined
}
