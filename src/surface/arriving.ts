import type { SkeinError } from "../contract/errors.ts"

/** Bodies of requests that are on their way: who sends one slowly hears of the hub's end like everybody else. */
export class Arriving {
  readonly #giveUps = new Set<(error: SkeinError) => void>()
  #over: SkeinError | null = null

  /** `giveUp` is called when the hub goes down, unless `delete` came first. */
  add(giveUp: (error: SkeinError) => void): void {
    if (this.#over === null) this.#giveUps.add(giveUp)
    else giveUp(this.#over)
  }

  delete(giveUp: (error: SkeinError) => void): void {
    this.#giveUps.delete(giveUp)
  }

  /** Gives up all that is on its way, and all that sets out from now on. */
  end(error: SkeinError): void {
    this.#over = error
    for (const giveUp of this.#giveUps) giveUp(error)
  }
}
