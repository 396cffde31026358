import type { Session } from "../core/agent.ts"
import type { SessionId } from "../core/ids.ts"
import type { Sweep } from "../core/lease.ts"
import type { Clock } from "./clock.ts"
import { PROBE_MS } from "./failures.ts"
import { Presence } from "./presence.ts"
import type { Replica } from "./replica.ts"

/** Sweeps are no closer together than the first, and no further apart than the second: work that stalls is flagged by them. */
const SWEEP_MIN_MS = 100
const SWEEP_MAX_MS = 60_000

type SweepsOptions = {
  clock: Clock
  replica: Replica
  /** A sweep is due: one goes into the next batch. */
  due(): void
}

/** Who was heard of, when the hub looks at leases and silence, and what it then tells the core. */
export class Sweeps {
  readonly #o: SweepsOptions
  readonly #presence = new Presence()
  #cancel: (() => void) | null = null
  #atMs = Number.POSITIVE_INFINITY
  #due = false
  /** No lease ends before the hub has recorded its start: whoever held one then has its time of grace. */
  #running = false

  constructor(options: SweepsOptions) {
    this.#o = options
  }

  /** A live connection owns the session from now on. */
  attach(session: SessionId): void {
    const record = this.#record(session)
    if (record === undefined) return
    this.#presence.attach(session, record.heartbeatMs, this.#nowMs())
    this.#heard(record)
    this.plan()
  }

  detach(session: SessionId): void {
    this.#presence.detach(session)
    this.plan()
  }

  /** A sign of life by the session's owner. Returns whether the session exists and has one. */
  beat(session: SessionId): boolean {
    const record = this.#record(session)
    if (record === undefined || !record.owned || record.status === "ended") return false
    if (!this.#presence.beat(session, this.#nowMs(), record.heartbeatMs)) this.plan()
    this.#heard(record)
    return true
  }

  presence(session: SessionId): { lastBeatMs: number; connections: number } | null {
    return this.#presence.of(session)
  }

  /** Whether the timer has rung: the next batch begins with a sweep. */
  get due(): boolean {
    return this.#due
  }

  /** Whether a lease is over: the next batch then begins with a sweep, so that nothing is decided on that lease before the beats that renew it are. */
  get overdue(): boolean {
    return this.#running && this.#nextLeaseEndMs() <= this.#nowMs()
  }

  /** Plans the next: half-way to the end of the first lease (whoever beats is renewed well before it), at that end, or when a session was silent for too long. */
  plan(): void {
    const nowMs = this.#nowMs()
    const leaseEndMs = this.#nextLeaseEndMs()
    const silenceMs = this.#presence.nextSilenceMs(nowMs) ?? Number.POSITIVE_INFINITY
    const halfWayMs = Math.min(leaseEndMs, nowMs + Math.max(SWEEP_MIN_MS, (leaseEndMs - nowMs) / 2))
    this.#ringAt(Math.min(halfWayMs, silenceMs, nowMs + SWEEP_MAX_MS), nowMs)
  }

  /** Plans again where the first lease now ends before the sweep that is planned. */
  leasesMoved(): void {
    if (this.#nextLeaseEndMs() < this.#atMs) this.plan()
  }

  /** What the sweep of this batch says. */
  take(): Sweep {
    this.#due = false
    const silent = this.#presence.silent(this.#nowMs()).filter(({ id }) => {
      const known = this.#record(id)
      // Ended, or lost already: a beat makes it known again.
      if (known?.status !== "live") this.#presence.forget(id)
      return known?.status === "live" && known.owned
    })
    // The last beat of a session that has been silent since for too long renews nothing.
    const lost = new Set(silent.map(({ id }) => id))
    return { beats: this.#presence.takeBeats().filter((id) => !lost.has(id)), silent }
  }

  /** The sweep was not recorded: what it said is said again by the next, once the disk may take it. */
  failed({ beats }: Sweep): void {
    this.#presence.giveBack(beats)
    const nowMs = this.#nowMs()
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

  #record(id: SessionId): Session | undefined {
    return this.#o.replica.state.sessions.get(id)
  }

  #nowMs(): number {
    return this.#o.replica.nowMs()
  }

  #nextLeaseEndMs(): number {
    return this.#o.replica.state.board.nextLeaseEndMs ?? Number.POSITIVE_INFINITY
  }

  /** A lost session came back: that is recorded at once. */
  #heard({ status }: Session): void {
    const nowMs = this.#nowMs()
    if (status === "lost") this.#ringAt(nowMs, nowMs)
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
