import type { SkeinError } from "../contract/errors.ts"
import type { AgentId } from "../core/ids.ts"
import { overloaded } from "./failures.ts"
import type { Pace } from "./pace.ts"
import type { Queue } from "./queue.ts"

/** Who is let into a workspace's queue. For whoever would have to read and check a command first: under overload a refusal must cost less than the work. */
export class Admission {
  readonly #queue: Queue
  readonly #pace: Pace
  #refused = 0

  constructor(queue: Queue, pace: Pace) {
    this.#queue = queue
    this.#pace = pace
  }

  /** How many were refused. */
  get refused(): number {
    return this.#refused
  }

  /** Whether a command of this agent would hear `overloaded` right now. */
  isFull(agent: AgentId): boolean {
    return this.#pace.isFull(this.#queue, agent)
  }

  /** How many commands of one agent may wait: all that come, but under a load that stays. */
  get share(): number {
    return this.#pace.share(this.#queue.agents)
  }

  /** What whoever is refused hears. */
  refuse(): SkeinError {
    this.#refused += 1
    return overloaded(this.#queue.length, this.#pace.retryAfterMs(this.#queue.ahead))
  }
}
