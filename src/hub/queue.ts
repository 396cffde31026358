import type { AgentId } from "../core/ids.ts"
import type { Waiting } from "./waiting.ts"

/**
 * Commands that wait for their batch, first come first served; where more of them wait than one batch takes, agents take turns, so that whoever has one
 * command waiting is in the next batch, however many others have. One agent's commands never overtake each other.
 *
 * What was put off stands apart, and each batch goes on with one of it, until that one has come to its end: so however many there are, they take no more of a batch
 * than one takes, and what a decision has found out is still known when it goes on.
 *
 * Only a claim of the next task may take long, and how long is known once it was heard. So where a batch had no time for all, the next one hears agents that have
 * no claim waiting first, by turns: however many claims are new, nobody else waits for them. Where it heard none, those with a claim are first once: of any two such
 * batches each kind is heard in one, so nobody starves.
 */
export class Queue {
  #waiting: Waiting[] = []
  /** By agent, what was put off and what its agent asked after it. The first agent's is decided now: then what is here came after it. */
  readonly #putOff = new Map<AgentId, Waiting[]>()
  #apart = 0
  /** How many of them each agent has; null: nobody has asked since the last batch. That is only asked under a load that stays. */
  #held: Map<AgentId, number> | null = null
  /** Who is first in the next batch, where the last one had no time for all; null: whoever came first. */
  #first: "claims" | "others" | null = null
  #claimsWereFirst = false

  get length(): number {
    return this.#waiting.length + this.#apart
  }

  /** What whoever comes now waits for: of what was put off each batch goes on with one, however many there are. */
  get ahead(): number {
    return this.#waiting.length
  }

  /** Agents that have something waiting. */
  get agents(): number {
    return this.#counts.size
  }

  /** How many commands of this agent wait. */
  heldBy(agent: AgentId): number {
    return this.#counts.get(agent) ?? 0
  }

  push(waiting: Waiting): void {
    const after = this.#putOff.size === 0 ? undefined : this.#putOff.get(waiting.actor.agent)
    if (after === undefined) this.#waiting.push(waiting)
    else {
      after.push(waiting)
      this.#apart += 1
    }
    if (this.#held !== null) count(this.#held, waiting)
  }

  /** Those who have waited longer than anybody here. */
  unshift(first: readonly Waiting[]): void {
    this.#waiting = [...first, ...this.#waiting]
    this.#held = null
  }

  /** What a batch had no time for; `heardClaim`: whether it heard a claim for the first time. */
  leave(unheard: readonly Waiting[], heardClaim: boolean): void {
    this.unshift(unheard)
    this.#first = heardClaim || this.#claimsWereFirst ? "others" : "claims"
  }

  /** A command that came to no end, and what its agent asked after it. */
  putOff(own: readonly Waiting[]): void {
    const { actor, putOff = 1 } = own[0] as Waiting
    const { agent } = actor
    const after = this.#putOff.get(agent)
    const mine = this.#waiting.filter((one) => one.actor.agent === agent)
    if (mine.length > 0) this.#waiting = this.#waiting.filter((one) => one.actor.agent !== agent)
    // Whoever goes on keeps its place.
    if (putOff === 1) this.#putOff.delete(agent)
    this.#putOff.set(agent, [...own, ...mine, ...(after ?? [])])
    this.#apart += own.length + mine.length
    this.#held = null
  }

  /** What was put off and does not go on any more. What its agents asked after it is heard. */
  takePutOff(): Waiting[] {
    const ended: Waiting[] = []
    for (const own of this.#putOff.values()) {
      if (own[0]?.putOff === undefined) continue
      ended.push(own.shift() as Waiting)
      this.#apart -= 1
    }
    this.#held = null
    return ended
  }

  takeAll(): Waiting[] {
    const all = [...[...this.#putOff.values()].flat(), ...this.#waiting]
    this.#putOff.clear()
    this.#apart = 0
    this.#waiting = []
    this.#held = null
    return all
  }

  /** So many at the most, by turns: everybody's first command, then everybody's second; before them one that was put off, with what its agent asked after it. */
  take(max: number): Waiting[] {
    const goesOn = this.#nextPutOff()
    const others = this.#takeOthers(max)
    return goesOn.length === 0 ? others : [...goesOn, ...others]
  }

  #nextPutOff(): Waiting[] {
    for (const [agent, own] of this.#putOff) {
      this.#apart -= own.length
      if (own[0]?.putOff !== undefined) {
        this.#putOff.set(agent, [])
        this.#held = null
        return own
      }
      // It has come to its end meanwhile.
      this.#putOff.delete(agent)
      this.#waiting.push(...own)
    }
    return []
  }

  #takeOthers(max: number): Waiting[] {
    const all = this.#waiting
    const first = this.#first
    this.#waiting = []
    this.#held = null
    this.#first = null
    this.#claimsWereFirst = first === "claims"
    if (first === null && all.length <= max) return all
    const [early, late] = first === null ? [all, []] : apart(all, first === "claims")
    const taken = byTurns(early, max)
    taken.push(...byTurns(late, max - taken.length))
    if (taken.length < all.length) {
      const inBatch = new Set(taken)
      this.#waiting = all.filter((waiting) => !inBatch.has(waiting))
    }
    return taken
  }

  get #counts(): ReadonlyMap<AgentId, number> {
    if (this.#held === null) {
      this.#held = new Map<AgentId, number>()
      for (const waiting of this.#waiting) count(this.#held, waiting)
      for (const own of this.#putOff.values()) for (const waiting of own) count(this.#held, waiting)
    }
    return this.#held
  }
}

/** Those of agents that have a claim waiting, and all others, each in their order. One agent's commands stay together: none overtakes another. */
function apart(all: readonly Waiting[], claimsFirst: boolean): [Waiting[], Waiting[]] {
  const claimants = new Set<AgentId>()
  for (const { name, actor } of all) if (name === "task.claimNext") claimants.add(actor.agent)
  const isFirst = ({ actor }: Waiting): boolean => claimants.has(actor.agent) === claimsFirst
  return [all.filter(isFirst), all.filter((waiting) => !isFirst(waiting))]
}

/** So many at the most: everybody's first, then everybody's second, and so on. */
function byTurns(all: readonly Waiting[], max: number): Waiting[] {
  const most = Math.min(max, all.length)
  const lines = new Map<AgentId, Waiting[]>()
  for (const waiting of all) {
    const line = lines.get(waiting.actor.agent)
    if (line === undefined) lines.set(waiting.actor.agent, [waiting])
    else line.push(waiting)
  }
  const taken: Waiting[] = []
  for (let turn = 0; taken.length < most; turn += 1) {
    for (const [agent, line] of lines) {
      const next = line[turn]
      if (next === undefined) lines.delete(agent)
      else if (taken.length < most) taken.push(next)
    }
  }
  return taken
}

function count(held: Map<AgentId, number>, { actor }: Waiting): void {
  held.set(actor.agent, (held.get(actor.agent) ?? 0) + 1)
}
