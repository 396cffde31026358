import type { AgentId } from "../core/ids.ts"
import type { Waiting } from "./waiting.ts"

/**
 * Commands that wait for their batch, first come first served; where more of them wait than one batch takes, agents take turns, so that whoever has one
 * command waiting is in the next batch, however many others have. One agent's commands never overtake each other.
 */
export class Queue {
  #waiting: Waiting[] = []
  /** How many of them each agent has; null: nobody has asked since the last batch. That is only asked under a load that stays. */
  #held: Map<AgentId, number> | null = null

  get length(): number {
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
    this.#waiting.push(waiting)
    if (this.#held !== null) count(this.#held, waiting)
  }

  /** Those who have waited longer than anybody here. */
  unshift(first: readonly Waiting[]): void {
    this.#waiting = [...first, ...this.#waiting]
    this.#held = null
  }

  takeAll(): Waiting[] {
    const all = this.#waiting
    this.#waiting = []
    this.#held = null
    return all
  }

  /** So many at the most, by turns: everybody's first command, then everybody's second. */
  take(max: number): Waiting[] {
    if (this.#waiting.length <= max) return this.takeAll()
    const all = this.takeAll()
    const lines = new Map<AgentId, Waiting[]>()
    for (const waiting of all) {
      const line = lines.get(waiting.actor.agent)
      if (line === undefined) lines.set(waiting.actor.agent, [waiting])
      else line.push(waiting)
    }
    const taken = new Set<Waiting>()
    for (let turn = 0; taken.size < max; turn += 1) {
      for (const [agent, line] of lines) {
        const next = line[turn]
        if (next === undefined) lines.delete(agent)
        else if (taken.size < max) taken.add(next)
      }
    }
    for (const waiting of all) if (!taken.has(waiting)) this.push(waiting)
    return [...taken]
  }

  get #counts(): ReadonlyMap<AgentId, number> {
    if (this.#held === null) {
      this.#held = new Map<AgentId, number>()
      for (const waiting of this.#waiting) count(this.#held, waiting)
    }
    return this.#held
  }
}

function count(held: Map<AgentId, number>, { actor }: Waiting): void {
  held.set(actor.agent, (held.get(actor.agent) ?? 0) + 1)
}
