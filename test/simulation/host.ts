import { generateKeyPairSync } from "node:crypto"
import type { Stored, Appended, Ledger } from "../../src/ledger/ledger.ts"
import { LedgerFailure } from "../../src/ledger/ledger.ts"
import { type Hub, type HubOptions, openHub } from "../../src/hub/hub.ts"
import type { Loop } from "../../src/hub/loop.ts"
import type { Seq, SessionId } from "../../src/core/ids.ts"
import { Auth } from "../../src/surface/auth.ts"
import { revokedBy } from "../../src/surface/perform.ts"
import type { ProcessClock } from "./process-clock.ts"
import { ThroughLedger } from "./through-ledger.ts"
import { Violation } from "./oracle.ts"

/** Signs nothing here: agents show their credentials. */
const KEY = generateKeyPairSync("ed25519").privateKey

/** A hub's way to its ledger, which ends with the hub's process: what was sent may still be carried out, but nobody hears of it. */
class Severable extends ThroughLedger {
  severed = false

  override async append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    this.#check()
    const appended = await super.append(expected, batch)
    this.#check()
    return appended
  }

  override async read(from: Seq, limit: number): Promise<Stored[]> {
    this.#check()
    return super.read(from, limit)
  }

  #check(): void {
    if (this.severed) throw new LedgerFailure("unknown_outcome", "the process is gone", "start it again")
  }
}

type Life = { hub: Hub; auth: Auth; loop: Loop; ledger: Severable; clock: ProcessClock; up: boolean }

/** One hub's machine: the process that dies and is started again, and one subscriber that never stops listening. */
export class Host {
  readonly index: number
  starts = 0
  /** The clock of the process that runs or starts now. */
  clock: ProcessClock
  /** The last beats of each session that the hub of this life has taken, on the simulation's clock. */
  readonly beats = new Map<SessionId, number[]>()
  /** When the hub of this life last heard of each session, by a connection or a beat, on the simulation's clock. */
  readonly heard = new Map<SessionId, number>()
  #life: Life | null = null
  readonly #options: (clock: ProcessClock, openLedger: HubOptions["openLedger"], fatal: () => void) => HubOptions
  readonly #makeClock: () => ProcessClock
  readonly #open: () => Ledger
  readonly #stored: () => readonly Stored[]
  readonly #onDeath: () => void
  readonly #broken: (violation: Violation) => void
  /** The next entry that the subscriber wants. */
  #heardTo: Seq = 0

  constructor(
    index: number,
    makeClock: () => ProcessClock,
    open: () => Ledger,
    stored: () => readonly Stored[],
    options: (clock: ProcessClock, openLedger: HubOptions["openLedger"], fatal: () => void) => HubOptions,
    onDeath: () => void,
    broken: (violation: Violation) => void,
  ) {
    this.#broken = broken
    this.#makeClock = makeClock
    this.clock = makeClock()
    this.index = index
    this.#open = open
    this.#stored = stored
    this.#options = options
    this.#onDeath = onDeath
  }

  /** The loop of the hub that runs now; what belongs to an earlier one MUST NOT be heard any more. */
  get loop(): Loop | null {
    return this.#life?.up === true ? this.#life.loop : null
  }

  /** Who may call the hub of this life. */
  get auth(): Auth {
    return (this.#life as Life).auth
  }

  /** A message reaches the machine, whether a hub runs there or not. */
  arrive(message: () => void): void {
    if (this.loop === null) message()
    else this.clock.arrive(message)
  }

  /** A connection comes up or goes, or its owner beats, as the hub gets to know of it. */
  attach(session: SessionId): void {
    this.arrive(() => {
      this.loop?.attach(session)
      this.heard.set(session, this.clock.monotonicMs())
    })
  }

  beat(session: SessionId): void {
    this.arrive(() => {
      this.heard.set(session, this.clock.monotonicMs())
      if (this.loop?.beat(session) === true) this.beats.set(session, [...(this.beats.get(session) ?? []).slice(-20), this.clock.monotonicMs()])
    })
  }

  /** Starts the hub. Answers whether it came up. */
  async start(): Promise<boolean> {
    let ledger: Severable | null = null
    const openLedger = (): Promise<Ledger> => Promise.resolve((ledger = new Severable(this.#open())))
    this.clock.die()
    const clock = this.#makeClock()
    this.clock = clock
    const life: Partial<Life> = { up: true, clock }
    const fatal = (): void => {
      if (life.up === true) this.kill(life)
    }
    try {
      const hub = await openHub(this.#options(clock, openLedger, fatal))
      if (life.up !== true) return false
      const auth = new Auth({ hub, key: KEY, operatorHash: "", wallMs: () => clock.wallMs() })
      // As the surface does: what another hub recorded voids what is remembered here.
      hub.hearOthers((workspace, { type, data }) => {
        const matches = revokedBy(type, data, workspace)
        if (matches !== null) auth.forget(matches)
      })
      Object.assign(life, { hub, auth, ledger, loop: hub.workspace("main") as Loop })
      this.#life = life as Life
      this.starts += 1
      this.beats.clear()
      this.heard.clear()
      this.#listen(life as Life)
      return true
    } catch {
      // The disk refuses, or the machine went down again meanwhile.
      life.up = false
      return false
    }
  }

  /** The process is gone between two instructions. */
  kill(life: Partial<Life> | null = this.#life): void {
    if (life === null || life.up !== true) return
    life.up = false
    if (life.ledger) {
      life.ledger.severed = true
      void life.ledger.inner.close()
    }
    if (this.#life === life) this.#life = null
    life.clock?.die()
    this.#onDeath()
  }

  /** Shuts the hub down in order. */
  async stop(): Promise<void> {
    const life = this.#life
    if (life === null) return
    await life.hub.close()
    life.up = false
    this.#life = null
  }

  #listen(life: Life): void {
    life.loop.subscribe(this.#heardTo + 1, {
      deliver: ({ from, to, text }) => {
        if (!life.up) return
        if (from !== this.#heardTo + 1) this.#broken(new Violation(`a subscriber of hub ${this.index} heard ${from} to ${to} after ${this.#heardTo}`))
        // That the ledger holds them under their numbers is the oracle's to find.
        const held = this.#stored().slice(from - 1, to)
        if (held.length !== to - from + 1 || text !== `[${held.map(({ bytes }) => bytes).join(",")}]`)
          this.#broken(new Violation(`a subscriber of hub ${this.index} heard ${from} to ${to}, which is not what the ledger holds there`))
        this.#heardTo = to
      },
      writable: () => true,
      resync: () => undefined,
      end: () => undefined,
    })
  }

  get heardTo(): Seq {
    return this.#heardTo
  }
}
