import type { Session } from "../core/agent.ts"
import type { Entry } from "../core/entry.ts"
import type { SessionId } from "../core/ids.ts"
import type { Sweep } from "../core/lease.ts"
import type { Clock } from "./clock.ts"
import { PROBE_MS } from "./failures.ts"
import type { Workspace } from "../core/workspace.ts"
import { Presence } from "./presence.ts"
import type { Replica } from "./replica.ts"
import type { Turns } from "./turns.ts"
import type { WakeSweep } from "../core/trigger.ts"
import { nextWakeLookMs } from "../core/wake.ts"

/** Sweeps are no closer together than the first, and no further apart than the second: work that stalls is flagged by them. */
const SWEEP_MIN_MS = 100
const SWEEP_MAX_MS = 60_000
/** After a start of the hub agents in a supervisor's keeping have at least three of these to be heard of: as long as leases have. */
const KEPT_HEARTBEAT_MS = 5_000

type SweepsOptions = {
  clock: Clock
  replica: Replica
  turns: Turns
  bits(): number
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
  /** Whom the sweep that is being decided is about to declare lost. */
  #silent: { id: SessionId; silentMs: number }[] = []
  /** No lease ends before the hub has recorded its start: whoever held one then has its time of grace. */
  #running = false
  /** How the threads and the supervisors stood when wakes were last looked for. */
  #movesSeen = 0
  #supervisorsSeen = 0
  /** Signs of life that were taken, since the start. */
  beats = 0

  constructor(options: SweepsOptions) {
    this.#o = options
  }

  /** A live connection owns the session from now on. */
  attach(session: SessionId): void {
    const record = this.#record(session)
    if (record === undefined) return
    const known = this.#presence.attach(session, record.heartbeatMs, this.#nowMs())
    this.#heard(record, !known)
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
    this.beats += 1
    const known = this.#presence.beat(session, this.#nowMs(), record.heartbeatMs)
    if (!known) this.plan()
    this.#heard(record, !known)
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
    const wakeMs = nextWakeLookMs(this.#state, nowMs) ?? Number.POSITIVE_INFINITY
    this.#ringAt(Math.min(halfWayMs, silenceMs, wakeMs, nowMs + SWEEP_MAX_MS), nowMs)
  }

  /** Plans again where the first lease now ends before the sweep that is planned; sweeps at once where there may be something new to read for somebody who sleeps. */
  stateMoved(): void {
    if (this.#nextLeaseEndMs() < this.#atMs) this.plan()
    const { supervisors, jobs, forum } = this.#state
    if (jobs.isQuiet) return
    const nowMs = this.#nowMs()
    this.#o.turns.look(this.#state, nowMs)
    const isNews = forum.moves !== this.#movesSeen || supervisors.size !== this.#supervisorsSeen
    this.#movesSeen = forum.moves
    this.#supervisorsSeen = supervisors.size
    if (isNews) this.#ringAt(nowMs, nowMs)
    else if ((nextWakeLookMs(this.#state, nowMs) as number) < this.#atMs) this.plan()
  }

  /**
   * Another hub has appended this: whoever it says was there spoke to that hub, and is no longer this one's to declare lost. Where that hub won a race, a sweep that
   * lost it is decided again, and MUST NOT say any more what it was about to.
   */
  heardElsewhere({ type, actor, data }: Entry): void {
    const named = type === "leases.renewed" ? (data as { sessions: readonly SessionId[] }).sessions : type === "session.returned" ? [(data as Session).id] : []
    for (const session of actor.session === null ? named : [actor.session]) {
      if (!this.#presence.leave(session)) continue
      const at = this.#silent.findIndex(({ id }) => id === session)
      if (at >= 0) this.#silent.splice(at, 1)
    }
  }

  /** What the sweep of this batch says. */
  take(): Sweep {
    this.#due = false
    this.#silent = this.#presence.silent(this.#nowMs()).filter(({ id }) => {
      const known = this.#record(id)
      // Ended, or lost already: a beat makes it known again.
      if (known?.status !== "live") this.#presence.forget(id)
      return known?.status === "live" && known.owned
    })
    // The last beat of a session that has been silent since for too long renews nothing.
    const lost = new Set(this.#silent.map(({ id }) => id))
    const arrived = this.#presence.takeArrived()
    const wakes = this.#wakes()
    return {
      ...(wakes === null ? {} : { wakes }),
      beats: this.#presence.takeBeats().filter((id) => !lost.has(id)),
      silent: this.#silent,
      ...(this.#o.replica.alone ? {} : { arrived }),
    }
  }

  /** The sweep was not recorded: what it said is said again by the next, once the disk may take it. */
  failed({ beats, arrived }: Sweep): void {
    this.#presence.giveBack(beats, arrived)
    const nowMs = this.#nowMs()
    this.#ringAt(nowMs + PROBE_MS, nowMs)
  }

  start(): void {
    this.#running = true
    // A supervisor that died while the hub was down would be taken for alive for ever, and what it keeps left to it. One hub alone may judge its silence.
    if (this.#o.replica.alone) {
      for (const session of [...this.#state.supervisors.keys()]) this.beat(session)
      // So would an agent in a supervisor's keeping, and what it was woken for and did not read would be nobody's.
      for (const { id, status, managedBy, heartbeatMs } of this.#state.sessions.values())
        if (status === "live" && managedBy !== undefined) this.#presence.expect(id, this.#nowMs(), Math.max(heartbeatMs, KEPT_HEARTBEAT_MS))
    }
    this.plan()
  }

  stop(): void {
    this.#running = false
    this.#due = false
    this.#cancel?.()
  }

  #wakes(): WakeSweep | null {
    const state = this.#state
    if (state.jobs.isQuiet) return null
    const nowMs = this.#nowMs()
    const unacked = this.#o.turns.look(state, nowMs)
    return { busy: this.#o.turns.busy(state, nowMs), unacked, bits: this.#o.bits() }
  }

  get #state(): Workspace {
    return this.#o.replica.state
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

  /** A lost session came back, or one came from another hub: that is recorded at once. */
  #heard({ status }: Session, arrived: boolean): void {
    const nowMs = this.#nowMs()
    if (status === "lost" || (arrived && !this.#o.replica.alone)) this.#ringAt(nowMs, nowMs)
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
