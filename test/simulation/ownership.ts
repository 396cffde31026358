import type { Entry } from "../../src/core/entry.ts"
import type { Seq, SessionId } from "../../src/core/ids.ts"
import type { Appended, Stored } from "../../src/ledger/ledger.ts"
import { type Host } from "./host.ts"
import { Violation } from "./oracle.ts"
import { ThroughLedger } from "./through-ledger.ts"

/** How long a hub that starts waits at the least for the sessions that a supervisor keeps; its start is read a little later than it is recorded. */
const AWAITED_MS = 15_000 - 1_000

/** A hub's way to its ledger on which is noted what that hub asks to have appended, and what of it was refused: two hubs may ask for the very same bytes. */
class Signed extends ThroughLedger {
  noted: (batch: readonly Stored[], written: boolean) => void = () => undefined

  override async append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    this.noted(batch, true)
    const appended = await super.append(expected, batch)
    if (!appended.ok) this.noted(batch, false)
    return appended
  }
}

/**
 * Only the hub that a session last spoke to may declare it lost. Entries do not say which hub wrote them, so each hub's way to the ledger is watched; when an entry
 * came is when it could first be read.
 */
export class Ownership {
  readonly #hosts: readonly Host[]
  /** By whom an entry of these bytes, which name its place, may have been written. */
  readonly #authors = new Map<string, Set<number>>()
  /** When an entry of which hub last said of a session that it was there, on the simulation's clock. */
  readonly #named = new Map<SessionId, Map<number, number>>()
  /** Sessions that a supervisor keeps; with one hub they are waited for from its start on, whether anybody beats or not. */
  readonly #kept = new Set<SessionId>()
  readonly #awaited = new Map<SessionId, number>()
  #seq: Seq = 0
  /** Sessions that spoke to another hub than before, and those that were declared lost. */
  moved = 0
  lost = 0

  constructor(hosts: readonly Host[]) {
    this.#hosts = hosts
  }

  watched(index: number, inner: ThroughLedger["inner"]): ThroughLedger {
    const signed = new Signed(inner)
    signed.noted = (batch, written) => {
      for (const { bytes } of batch) {
        const authors = this.#authors.get(bytes) ?? new Set<number>()
        if (written) this.#authors.set(bytes, authors.add(index))
        else authors.delete(index)
      }
    }
    return signed
  }

  /** What a power cut left was judged when it came. */
  cut(length: Seq): void {
    this.#seq = Math.min(this.#seq, length)
  }

  /** Reads what is new, as it is stored and as the oracle has read it. Throws `Violation`. */
  read(stored: readonly Stored[], entries: readonly Entry[], nowMs: number): void {
    for (; this.#seq < entries.length; this.#seq += 1) this.#entry((stored[this.#seq] as Stored).bytes, entries[this.#seq] as Entry, nowMs)
  }

  #entry(bytes: string, { seq, type, actor, data: given }: Entry, nowMs: number): void {
    const data = given as { id?: SessionId; sessions?: SessionId[]; managedBy?: SessionId }
    if (type === "session.adopted" || data.managedBy !== undefined) this.#kept.add(data.id as SessionId)
    if (type === "hub.started" && this.#hosts.length === 1) {
      this.#awaited.clear()
      for (const session of this.#kept) this.#awaited.set(session, nowMs)
    }
    const [author, other] = this.#authors.get(bytes) ?? []
    if (author === undefined || other !== undefined) return
    if (type === "session.lost") {
      this.#lost(seq, data.id as SessionId, author, nowMs)
      return
    }
    const named =
      actor.session !== null ? [actor.session] : type === "leases.renewed" ? (data.sessions ?? []) : type === "session.returned" ? [data.id as string] : []
    for (const session of named) {
      const by = this.#named.get(session) ?? new Map<number, number>()
      if (!by.has(author) && by.size > 0) this.moved += 1
      this.#named.set(session, by.set(author, nowMs))
    }
  }

  #lost(seq: Seq, session: SessionId, author: number, nowMs: number): void {
    this.lost += 1
    const heardMs = this.#hosts[author]?.heard.get(session)
    if (heardMs === undefined && nowMs - (this.#awaited.get(session) ?? nowMs) > AWAITED_MS) return
    if (heardMs === undefined) throw new Violation(`entry ${seq}: hub ${author} declares ${session} lost, of which it never heard`)
    for (const [other, namedMs] of this.#named.get(session) ?? [])
      if (other !== author && namedMs > heardMs)
        throw new Violation(
          `entry ${seq}: hub ${author} declares ${session} lost, which spoke to hub ${other} ${namedMs - heardMs} ms after it last spoke to that one`,
        )
  }
}
