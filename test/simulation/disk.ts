import type { VirtualClock } from "../../src/hub/virtual-clock.ts"
import type { Disk, Synced } from "../../src/ledger/memory.ts"
import type { Chance } from "../../src/cli/simulation/chance.ts"

type DiskOptions = {
  clock: VirtualClock
  chance: Chance
  /** Hubs reach it over a network. */
  isRemote: boolean
  onRefused(): void
}

/** The disk below the ledger: slow, full, or silent about what it did, until a moment on the simulation's clock. */
export class SimulatedDisk implements Disk {
  refusesUntilMs = 0
  slowUntilMs = 0
  /** What becomes of the next sync. */
  loseNext: Synced | null = null
  #quiet = false
  readonly #o: DiskOptions

  constructor(options: DiskOptions) {
    this.#o = options
  }

  /** From now on it does as it should. */
  calm(): void {
    this.refusesUntilMs = 0
    this.slowUntilMs = 0
    this.loseNext = null
    this.#quiet = true
  }

  reach(): Promise<void> {
    return this.#wait(this.#o.isRemote ? this.#o.chance.below(4) : 0)
  }

  read(): Promise<void> {
    const { chance } = this.#o
    return this.#wait(this.#quiet || chance.happens(0.8) ? 0 : chance.below(6))
  }

  async sync(): Promise<Synced> {
    const { clock, chance, onRefused } = this.#o
    const slow = clock.monotonicMs() < this.slowUntilMs
    await this.#wait(slow ? chance.between(50, 400) : chance.below(4))
    if (clock.monotonicMs() < this.refusesUntilMs) {
      onRefused()
      return "refused"
    }
    const synced = this.loseNext ?? "done"
    this.loseNext = null
    return synced
  }

  #wait(ms: number): Promise<void> {
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => this.#o.clock.after(ms, resolve))
  }
}
