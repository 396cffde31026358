import type { SessionId } from "../core/ids.ts"
import { LOST_AFTER_BEATS } from "../core/lease.ts"

/** `told`: a sweep was told of its silence. `elsewhere`: another hub has heard of it since this one has, and only that one may declare it lost. */
type Seen = { lastBeatMs: number; connections: number; beatSinceSweep: boolean; heartbeatMs: number; told: boolean; elsewhere: boolean }

/**
 * Who is there, in memory and never one entry a beat. Only sessions that were connected to this hub are here: of others it knows nothing, and
 * declares nothing lost. Nor does it of one that has spoken to another hub since: silence here means nothing then.
 */
export class Presence {
  readonly #seen = new Map<SessionId, Seen>()
  /** Sessions that came to this hub, from nowhere or from another: that is still to be told. */
  readonly #arrived = new Set<SessionId>()

  /** A live connection owns the session from now on: its silence may declare it lost. Returns whether this hub was the last that it spoke to before. */
  attach(session: SessionId, heartbeatMs: number, nowMs: number): boolean {
    const seen = this.#seen.get(session)
    const known = this.beat(session, nowMs, heartbeatMs)
    if (seen === undefined) (this.#seen.get(session) as Seen).connections = 1
    else seen.connections += 1
    return known
  }

  /** The connection is gone. The session has three heartbeats to come back. */
  detach(session: SessionId): void {
    const seen = this.#seen.get(session)
    if (seen !== undefined && seen.connections > 0) seen.connections -= 1
  }

  /** A sign of life, with a connection or without one. Returns whether this hub was the last that it spoke to before. */
  beat(session: SessionId, nowMs: number, heartbeatMs: number): boolean {
    const seen = this.#seen.get(session)
    if (seen === undefined) {
      this.#seen.set(session, { lastBeatMs: nowMs, connections: 0, beatSinceSweep: true, heartbeatMs, told: false, elsewhere: false })
      this.#arrived.add(session)
      return false
    }
    seen.lastBeatMs = nowMs
    seen.heartbeatMs = heartbeatMs
    seen.beatSinceSweep = true
    seen.told = false
    if (!seen.elsewhere) return true
    seen.elsewhere = false
    this.#arrived.add(session)
    return false
  }

  /** Not heard of yet, though somebody is to beat for it: from now on its silence counts. No sign of life, so it renews nothing. */
  expect(session: SessionId, nowMs: number, heartbeatMs: number): void {
    if (this.#seen.has(session)) return
    this.#seen.set(session, { lastBeatMs: nowMs, connections: 0, beatSinceSweep: false, heartbeatMs, told: false, elsewhere: false })
  }

  /** Another hub has heard of it: the next sign of life here makes it this hub's again. Returns whether it was. */
  leave(session: SessionId): boolean {
    const seen = this.#seen.get(session)
    if (seen === undefined || seen.elsewhere) return false
    this.#arrived.delete(session)
    seen.elsewhere = true
    if (seen.connections === 0 && !seen.beatSinceSweep) this.#seen.delete(session)
    return true
  }

  forget(session: SessionId): void {
    this.#arrived.delete(session)
    this.#seen.delete(session)
  }

  of(session: SessionId): { lastBeatMs: number; connections: number } | null {
    return this.#seen.get(session) ?? null
  }

  /** The sessions that beat since the last sweep. */
  takeBeats(): SessionId[] {
    const beats: SessionId[] = []
    for (const [session, seen] of this.#seen) {
      if (!seen.beatSinceSweep) continue
      seen.beatSinceSweep = false
      beats.push(session)
    }
    return beats
  }

  /** The sessions that came to this hub since the last sweep. */
  takeArrived(): SessionId[] {
    const arrived = [...this.#arrived]
    this.#arrived.clear()
    return arrived
  }

  /** The sweep that took them was not recorded. */
  giveBack(beats: readonly SessionId[], arrived: readonly SessionId[] = []): void {
    for (const session of arrived) if (this.#seen.get(session)?.elsewhere === false) this.#arrived.add(session)
    for (const session of beats) {
      const seen = this.#seen.get(session)
      if (seen !== undefined) seen.beatSinceSweep = true
    }
  }

  /** Sessions that have been silent for three of their intervals. */
  silent(nowMs: number): { id: SessionId; silentMs: number }[] {
    const silent: { id: SessionId; silentMs: number }[] = []
    for (const [id, seen] of this.#seen) {
      const silentMs = nowMs - seen.lastBeatMs
      if (seen.elsewhere) {
        if (seen.connections === 0 && !seen.beatSinceSweep) this.#seen.delete(id)
        continue
      }
      if (silentMs < LOST_AFTER_BEATS * seen.heartbeatMs) continue
      silent.push({ id, silentMs })
      seen.told = true
    }
    return silent
  }

  /**
   * When the next session will have been silent for too long, or null where none is known. One whose time came after the last look at `silent` is due now,
   * and not passed over.
   */
  nextSilenceMs(nowMs: number): number | null {
    let next: number | null = null
    for (const seen of this.#seen.values()) {
      if (seen.told || seen.elsewhere) continue
      const at = Math.max(nowMs, seen.lastBeatMs + LOST_AFTER_BEATS * seen.heartbeatMs)
      if (next === null || at < next) next = at
    }
    return next
  }
}
