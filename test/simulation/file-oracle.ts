import type { Actor, Entry } from "../../src/core/entry.ts"
import type { AgentId, SessionId, TaskId } from "../../src/core/ids.ts"

/** Globs that are asked for, each with all that it covers of a small tree, written down by hand: the oracle knows no globs. */
const COVERS: Readonly<Record<string, readonly string[]>> = {
  "**": ["a", "src/a", "src/b", "src/x/a", "docs/a"],
  "src/**": ["src/a", "src/b", "src/x/a"],
  "src/?": ["src/a", "src/b"],
  "src/{a,x/*}": ["src/a", "src/x/a"],
  "**/a": ["a", "src/a", "src/x/a", "docs/a"],
  "docs/": ["docs/a"],
  "src/b": ["src/b"],
}
export const GLOBS = Object.keys(COVERS)

/** Every file of the small tree. */
export const TREE = COVERS["**"] as readonly string[]

type Lease = Holder & { session: SessionId | null; globs: readonly string[]; task: TaskId | null; ttlMs: number; endsAtMs: number }
type Holder = { agent: AgentId; shared: boolean; paths: Set<string> }

/** The rules of files, once more and without the core: what two agents hold never meets unless both share it, and no lease ends before its time. */
export class FileOracle {
  readonly leases = new Map<string, Lease>()
  readonly #touches = new Map<TaskId, Holder>()
  /** Sessions that were declared lost and have not come back: nothing is held in their name. */
  readonly #lost = new Set<SessionId>()

  /** Whether somebody else holds what a task touches. */
  obstructs(agent: AgentId, touches: readonly string[]): boolean {
    return this.denies(agent, touches, false)
  }

  /** Whether somebody else holds what an agent asks for. */
  denies(agent: AgentId, globs: readonly string[], shared: boolean): boolean {
    const wanted = { agent, shared, paths: covered(globs) }
    return [...this.#touches.values(), ...this.leases.values()].some((other) => meet(wanted, other))
  }

  /** Whether an agent may edit a file now, and whether it holds it: `endOf` says when a task's lease ends. */
  mayEdit(agent: AgentId, path: string, nowMs: number, endOf: (task: TaskId) => number | null): { allowed: boolean; mine: boolean } {
    const standing: Holder[] = [...this.leases.values()].filter(({ endsAtMs }) => nowMs < endsAtMs)
    for (const [task, holder] of this.#touches) if (nowMs < (endOf(task) ?? Number.POSITIVE_INFINITY)) standing.push(holder)
    const holders = standing.filter(({ paths }) => paths.has(path))
    const mine = holders.some((holder) => holder.agent === agent)
    return { allowed: holders.every((holder) => holder.agent === agent || (mine && holder.shared)), mine }
  }

  /** The lease that should have been ended first of all, with how long ago: null where none should. */
  overdue(nowMs: number): { lease: string; agent: AgentId; sinceMs: number } | null {
    for (const [lease, { agent, endsAtMs }] of this.leases) if (nowMs > endsAtMs) return { lease, agent, sinceMs: nowMs - endsAtMs }
    return null
  }

  /** A lease that is held in the name of a session which was declared lost. */
  orphan(): string | null {
    for (const [lease, { session }] of this.leases)
      if (session !== null && this.#lost.has(session)) return `lease ${lease} is still held by ${session}, which is lost`
    return null
  }

  /** A task has changed: whoever holds it holds what it touches, and takes its leases along when it lets go. Says what it now meets. */
  task(id: TaskId, owner: AgentId | null, touches: readonly string[]): string | null {
    this.#touches.delete(id)
    if (owner === null) {
      for (const [lease, { task }] of this.leases) if (task === id) this.leases.delete(lease)
      return null
    }
    const holder = { agent: owner, shared: false, paths: covered(touches) }
    if (touches.length > 0) this.#touches.set(id, holder)
    return this.#met(holder)
  }

  /** Reads an entry; says what is wrong with it. */
  read({ type, seq, atMs, actor, data }: Entry<string, Record<string, never>>): string | null {
    const given = data as Record<string, unknown>
    if (type === "leases.renewed") for (const session of given["sessions"] as string[]) this.#alive(session, null, atMs)
    if (!type.startsWith("files.") && actor.agent !== "hub") this.#alive(actor.session, actor.agent, atMs)
    switch (type) {
      case "hub.started":
        for (const lease of this.leases.values()) lease.endsAtMs = Math.max(lease.endsAtMs, atMs + (given["graceMs"] as number))
        return null
      case "session.lost":
        this.#lost.add(given["id"] as string)
        return null
      case "session.returned":
        this.#lost.delete(given["id"] as string)
        return null
      case "session.ended":
        return this.#left(({ session }) => session === given["id"])
      case "agent.retired":
        return this.#left(({ agent }) => agent === given["name"])
      case "files.reserved": {
        const { ttlMs, endsAtMs } = given as { ttlMs: number; endsAtMs: number }
        const globs = given["globs"] as string[]
        const holder = { agent: actor.agent, shared: given["mode"] === "shared", paths: covered(globs) }
        const lease = { ...holder, session: actor.session, globs, task: given["task"] as string | null, ttlMs, endsAtMs }
        this.leases.set(`f${seq}`, lease)
        return endsAtMs === atMs + ttlMs ? this.#met(lease) : `until ${endsAtMs}, not ${atMs} + ${ttlMs}`
      }
      case "files.renewed": {
        const lease = this.leases.get(given["id"] as string)
        if (lease === undefined) return `renews ${String(given["id"])}, which nobody has`
        if (lease.agent !== actor.agent) return `renews ${String(given["id"])}, which is ${lease.agent}'s`
        if (atMs >= lease.endsAtMs) return `renews ${String(given["id"])}, which is over since ${atMs - lease.endsAtMs} ms`
        Object.assign(lease, { session: actor.session, ttlMs: given["ttlMs"], endsAtMs: given["endsAtMs"] })
        return null
      }
      case "files.released":
        return this.#released(given as { id: string; globs: string[]; whole: boolean }, actor)
      case "files.ended":
        return this.#ended(given as { leases: string[]; reason: string }, atMs)
      default:
        return null
    }
  }

  /** Who releases holds it, or directs; what is kept of a lease is what was not released. */
  #released({ id, globs, whole }: { id: string; globs: string[]; whole: boolean }, { agent, role }: Actor): string | null {
    const lease = this.leases.get(id)
    if (lease === undefined) return `releases ${id}, which nobody has`
    if (lease.agent !== agent && role !== "operator") return `releases ${id}, which is ${lease.agent}'s`
    const kept = lease.globs.filter((glob) => !globs.includes(glob))
    if ((kept.length === 0) !== whole) return `releases ${whole ? "all" : "a part"} of ${id}, of which ${kept.length} globs are left`
    if (whole) this.leases.delete(id)
    else this.leases.set(id, { ...lease, globs: kept, paths: covered(kept) })
    return null
  }

  #left(of: (lease: Lease) => boolean): string | null {
    for (const [id, lease] of this.leases) if (of(lease)) return `leaves lease ${id} with ${lease.agent}`
    return null
  }

  #ended({ leases, reason }: { leases: string[]; reason: string }, atMs: number): string | null {
    for (const id of leases) {
      const lease = this.leases.get(id)
      if (reason === "expired" && lease !== undefined && atMs < lease.endsAtMs) return `ends ${id} (expired) ${lease.endsAtMs - atMs} ms early`
      if (reason === "lost" && lease !== undefined && !this.#lost.has(lease.session ?? "")) return `ends ${id} (lost), though session ${lease.session} is not`
      this.leases.delete(id)
    }
    return null
  }

  #alive(session: SessionId | null, agent: AgentId | null, atMs: number): void {
    for (const lease of this.leases.values()) {
      const its = session === null ? lease.session === null && lease.agent === agent : lease.session === session
      if (its && 3 * (lease.endsAtMs - atMs) <= 2 * lease.ttlMs) lease.endsAtMs = atMs + lease.ttlMs
    }
  }

  #met(one: Holder): string | null {
    for (const other of [...this.#touches.values(), ...this.leases.values()])
      if (meet(one, other)) return `gives ${one.agent} ${[...one.paths].join(" ")}, though ${other.agent} holds ${[...other.paths].join(" ")}`
    return null
  }
}

function covered(globs: readonly string[]): Set<string> {
  return new Set(globs.flatMap((glob) => COVERS[glob] ?? []))
}

function meet(one: Holder, other: Holder): boolean {
  return one.agent !== other.agent && !(one.shared && other.shared) && [...one.paths].some((path) => other.paths.has(path))
}
