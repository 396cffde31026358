import type { Entry } from "../../src/core/entry.ts"
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

type Lease = { agent: AgentId; session: SessionId | null; shared: boolean; paths: Set<string>; task: TaskId | null; ttlMs: number; endsAtMs: number }
type Holder = { agent: AgentId; shared: boolean; paths: Set<string> }

/** The rules of files, once more and without the core: what two agents hold never meets unless both share it, and no lease ends before its time. */
export class FileOracle {
  readonly leases = new Map<string, Lease>()
  readonly #touches = new Map<TaskId, Holder>()

  /** Whether somebody else holds what a task touches. */
  obstructs(agent: AgentId, touches: readonly string[]): boolean {
    const wanted = { agent, shared: false, paths: covered(touches) }
    return [...this.#touches.values(), ...this.leases.values()].some((other) => meet(wanted, other))
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
      case "files.reserved": {
        const { ttlMs, endsAtMs } = given as { ttlMs: number; endsAtMs: number }
        const paths = covered(given["globs"] as string[])
        const lease = {
          agent: actor.agent,
          session: actor.session,
          shared: given["mode"] === "shared",
          paths,
          task: given["task"] as string | null,
          ttlMs,
          endsAtMs,
        }
        this.leases.set(`f${seq}`, lease)
        return this.#met(lease)
      }
      case "files.renewed": {
        const lease = this.leases.get(given["id"] as string)
        if (lease === undefined) return `renews ${String(given["id"])}, which nobody has`
        Object.assign(lease, { session: actor.session, ttlMs: given["ttlMs"], endsAtMs: given["endsAtMs"] })
        return null
      }
      case "files.released":
        return this.leases.delete(given["id"] as string) ? null : `releases ${String(given["id"])}, which nobody has`
      case "files.ended":
        return this.#ended(given as { leases: string[]; reason: string }, atMs)
      default:
        return null
    }
  }

  #ended({ leases, reason }: { leases: string[]; reason: string }, atMs: number): string | null {
    for (const id of leases) {
      const lease = this.leases.get(id)
      if (reason === "expired" && lease !== undefined && atMs < lease.endsAtMs) return `ends ${id} (expired) ${lease.endsAtMs - atMs} ms early`
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
