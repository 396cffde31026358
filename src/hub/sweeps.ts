import type { Session } from "../core/agent.ts"
import type { SessionId } from "../core/ids.ts"
import type { Sweep } from "../core/lease.ts"
import type { Clock } from "./clock.ts"
import { PROBE_MS } from "./failures.ts"
import type { Presence } from "./presence.ts"

/** Sweeps are no closer together than the first, and no further apart than the second: work that stalls is flagged by them. */
const SWEEP_MIN_MS = 100
const SWEEP_MAX_MS = 60_000

type SweepsOptions = {
  clock: Clock
  presence: Presence
  nowMs(): number
  /** When the first lease ends, or null. */
  nextLeaseEndMs(): number | null
  session(id: SessionId): Session | undefined
  /** A sweep is due: one goes into the next batch. */
  due(): void
}

/** When the hub looks at leases and silence, and what it then tells the core. */
export class Sweeps {
  readonly #o: SweepsOptions
  #cancel: (() => void) | null = null
  #atMs = Number.POSITIVE_INFINITY
  #due = false
  /** No lease ends before the hub has recorded its start: whoever held one then has its time of grace. */
  #running = false

  constructor(options: SweepsOptions) {
    this.#o = options
  }

  get due(): boolean {
    return this.#due
  }

  /** Whether a lease is over: the next batch then begins with a sweep, so that nothing is decided on that lease before the beats that renew it are. */
  get overdue(): boolean {
    return this.#running && (this.#o.nextLeaseEndMs() ?? Number.POSITIVE_INFINITY) <= this.#o.nowMs()
  }

  /** Plans the next: half-way to the end of the first lease (whoever beats is renewed well before it), at that end, or when a session was silent for too long. */
  plan(): void {
    const nowMs = this.#o.nowMs()
    const leaseEndMs = this.#o.nextLeaseEndMs() ?? Number.POSITIVE_INFINITY
    const silenceMs = this.#o.presence.nextSilenceMs(nowMs) ?? Number.POSITIVE_INFINITY
    const halfWayMs = Math.min(leaseEndMs, nowMs + Math.max(SWEEP_MIN_MS, (leaseEndMs - nowMs) / 2))
    this.#ringAt(Math.min(halfWayMs, silenceMs, nowMs + SWEEP_MAX_MS), nowMs)
  }

  /** Plans again where the first lease now ends before the sweep that is planned. */
  leasesMoved(): void {
    if ((this.#o.nextLeaseEndMs() ?? Number.POSITIVE_INFINITY) < this.#atMs) this.plan()
  }

  /** A lost session was heard of. */
  soon(): void {
    const nowMs = this.#o.nowMs()
    this.#ringAt(nowMs, nowMs)
  }

  /** What the sweep of this batch says. */
  take(): Sweep {
    this.#due = false
    const { presence, nowMs, session } = this.#o
    const silent = presence.silent(nowMs()).filter(({ id }) => {
      const known = session(id)
      // Ended, or lost already: a beat makes it known again.
      if (known?.status !== "live") presence.forget(id)
      return known?.status === "live" && known.owned
    })
    // The last beat of a session that has been silent since for too long renews nothing.
    const lost = new Set(silent.map(({ id }) => id))
    return { beats: presence.takeBeats().filter((id) => !lost.has(id)), silent }
  }

  /** The sweep was not recorded: what it said is said again by the next, once the disk may take it. */
  failed({ beats }: Sweep): void {
    this.#o.presence.giveBack(beats)
    const nowMs = this.#o.nowMs()
    this.#ringAt(nowMs + PROBE_MS, nowMs)
  }

  start(): void {
    this.#running = true
    this.plan()
  }

  stop(): void {
    this.#running = false
    this.#due = false
    this.#cancel?.()
  }

  /** One timer: a later plan never puts an earlier one off. */
  #ringAt(atMs: number, nowMs: number): void {
    if (!this.#running || (this.#cancel !== null && this.#atMs <= atMs)) return
    this.#cancel?.()
    this.#atMs = atMs
    this.#cancel = this.#o.clock.after(Math.max(1, Math.ceil(atMs - nowMs)), () => {
      this.#cancel = null
      this.#atMs = Number.POSITIVE_INFINITY
      this.#due = true
      this.#o.due()
    })
  }
}
