import type { SessionId } from "../core/ids.ts"
import { LOST_AFTER_BEATS } from "../core/lease.ts"

/** `told`: a sweep was told of its silence. */
type Seen = { lastBeatMs: number; connections: number; beatSinceSweep: boolean; heartbeatMs: number; told: boolean }

/**
 * Who is there, in memory and never one entry a beat. Only sessions that were connected to this hub are here: of others it knows nothing, and
 * declares nothing lost.
 */
export class Presence {
  readonly #seen = new Map<SessionId, Seen>()

  /** A live connection owns the session from now on: its silence may declare it lost. */
  attach(session: SessionId, heartbeatMs: number, nowMs: number): void {
    const seen = this.#seen.get(session)
    if (seen === undefined) this.#seen.set(session, { lastBeatMs: nowMs, connections: 1, beatSinceSweep: true, heartbeatMs, told: false })
    else {
      seen.connections += 1
      this.beat(session, nowMs, heartbeatMs)
    }
  }

  /** The connection is gone. The session has three heartbeats to come back. */
  detach(session: SessionId): void {
    const seen = this.#seen.get(session)
    if (seen !== undefined && seen.connections > 0) seen.connections -= 1
  }

  /** A sign of life, with a connection or without one. Returns whether the session was known here before. */
  beat(session: SessionId, nowMs: number, heartbeatMs: number): boolean {
    const seen = this.#seen.get(session)
    if (seen === undefined) {
      this.#seen.set(session, { lastBeatMs: nowMs, connections: 0, beatSinceSweep: true, heartbeatMs, told: false })
      return false
    }
    seen.lastBeatMs = nowMs
    seen.beatSinceSweep = true
    seen.told = false
    return true
  }

  forget(session: SessionId): void {
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

  /** The sweep that took them was not recorded. */
  giveBack(beats: readonly SessionId[]): void {
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
      if (seen.told) continue
      const at = Math.max(nowMs, seen.lastBeatMs + LOST_AFTER_BEATS * seen.heartbeatMs)
      if (next === null || at < next) next = at
    }
    return next
  }
}
