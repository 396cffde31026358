import type { FileLease } from "./file-lease.ts"
import { type Alternative, folderGlob, type Glob, lenientGlob } from "./glob.ts"
import { CHECK_EFFORT_MAX, type Effort, EFFORT_MAX } from "./glob-automaton.ts"
import { pathInBoth, globOf, matchesAlternative, newEffort, segmentsOf } from "./glob-match.ts"
import { type LeaseEnd, LeaseEnds } from "./lease-ends.ts"
import type { AgentId, LeaseId, SessionId, TaskId } from "./ids.ts"
import type { Task, TaskSpec } from "./task.ts"
import { Unfinished } from "./unfinished.ts"

/** Files that somebody holds: by a lease of its own, or because it holds a task that touches them (then `lease` is null). */
export type Holding = {
  readonly key: string
  readonly agent: AgentId
  readonly mode: "exclusive" | "shared"
  readonly lease: LeaseId | null
  readonly task: TaskId | null
  readonly globs: readonly Glob[]
}

/** One alternative of one of a holding's globs, at the place in the tree that its literal segments name. */
type Leaf = { holding: Holding; glob: Glob; alternative: Alternative }
type Branch = { leaves: Set<Leaf>; below: Map<string, Branch>; size: number }

/** Holders by the keys of what they hold, of all that meets these globs. `asOf`: how many changes that takes in. */
type Meeting = { readonly globs: readonly Glob[]; readonly holders: Map<string, AgentId>; asOf: number }
const CHANGES_KEPT = 64
/** What it costs to read a character of a glob, beside the comparisons, in steps. */
const READ_STEPS = 25

/**
 * Who holds which files, kept true with every change of a lease or a task, and found by the literal segments that a glob begins with: a path meets
 * only what lies on its way down, a glob besides that only what lies below its own literal part. Derived: never recorded, never in the digest.
 */
export class Holdings {
  readonly #root: Branch = newBranch()
  readonly #byKey = new Map<string, { holding: Holding; leaves: { path: readonly string[]; leaf: Leaf }[] }>()
  readonly #leasesOf = new Map<string, Set<LeaseId>>()
  readonly #ends = new LeaseEnds<LeaseId>()
  readonly #endOf = new Map<LeaseId, LeaseEnd<LeaseId>>()
  /** By a task's `touches`, that very list: what others hold of it, as of a change. */
  readonly #meetings = new WeakMap<readonly string[], Meeting>()
  /** The last changes, and how many there were in all: a list that was looked at before is brought up to date by them alone. */
  readonly #changes: { key: string; holding: Holding | null }[] = []
  #changed = 0

  /** How many there are. */
  get size(): number {
    return this.#byKey.size
  }

  all(): Holding[] {
    return [...this.#byKey.values()].map(({ holding }) => holding)
  }

  /** When the first lease ends, or null. */
  get nextEndMs(): number | null {
    return this.#ends.firstMs
  }

  /** Leases that are over at `nowMs`, in the order of their ids. */
  overdue(nowMs: number): LeaseId[] {
    return this.#ends
      .over(nowMs)
      .map(({ id }) => id)
      .sort(byAge)
  }

  ofAgent(agent: AgentId): LeaseId[] {
    return this.#leases(`agent ${agent}`)
  }

  ofSession(session: SessionId): LeaseId[] {
    return this.#leases(`session ${session}`)
  }

  ofTask(task: TaskId): LeaseId[] {
    return this.#leases(`task ${task}`)
  }

  /** Every holding whose files include this path; with a slash at its end, one that lies in this folder. Paths that are asked about together share an effort. */
  at(path: string, effort = newEffort(CHECK_EFFORT_MAX)): { holding: Holding; glob: Glob }[] {
    if (path.endsWith("/")) return this.meeting(folderGlob(path), () => true, effort)
    const segments = segmentsOf(path)
    const found = new Map<Holding, Glob>()
    const look = ({ leaves }: Branch): void => {
      for (const { holding, glob, alternative } of leaves)
        if (!found.has(holding) && matchesAlternative(alternative, segments, effort)) found.set(holding, glob)
    }
    let branch: Branch | undefined = this.#root
    look(branch)
    for (const segment of segments) {
      branch = branch.below.get(segment)
      if (branch === undefined) break
      look(branch)
    }
    return ordered([...found].map(([holding, glob]) => ({ holding, glob })))
  }

  /** Every holding that can have a path in common with a glob, each once, with the glob of its own that does and such a path. */
  meeting(glob: Glob, wanted: (holding: Holding) => boolean, effort: Effort): { holding: Holding; glob: Glob; path: string }[] {
    const found = new Map<Holding, { glob: Glob; path: string }>()
    const look = ({ leaves }: Branch): void => {
      for (const leaf of leaves) {
        if (found.has(leaf.holding) || !wanted(leaf.holding)) continue
        const path = pathInBoth(glob, leaf.glob, effort)
        if (path !== null) found.set(leaf.holding, { glob: leaf.glob, path })
      }
    }
    for (const { segments, literals } of glob.alternatives) {
      let branch: Branch | undefined = this.#root
      for (let at = 0; branch !== undefined && at < literals; at += 1) {
        look(branch)
        const segment = segments[at]
        branch = segment?.kind === "literal" ? branch.below.get(segment.text) : undefined
      }
      if (branch !== undefined) eachBelow(branch, look)
    }
    return ordered([...found].map(([holding, theirs]) => ({ holding, ...theirs })))
  }

  /**
   * Whether somebody else than the agent holds what a task touches. Asked again for the same list it costs a look at what has changed since. `shared`: what one
   * decision may look at of lists that are not known; throws `Unfinished` where it asks for another and has nothing left.
   */
  obstruct(touches: readonly string[], agent: AgentId, shared: Effort | null = null): boolean {
    if (touches.length === 0 || this.#byKey.size === 0) return false
    for (const holder of this.#meetingOf(touches, shared).holders.values()) if (holder !== agent) return true
    return false
  }

  #meetingOf(touches: readonly string[], shared: Effort | null): Meeting {
    const known = this.#meetings.get(touches)
    if (known?.asOf === this.#changed) return known
    if (shared !== null && shared.left <= 0) throw new Unfinished()
    // Each list has all that one call may compare, whoever asks first: what comes of it is kept for everybody.
    const effort = newEffort()
    const meeting = this.#look(touches, known, effort)
    if (shared !== null) shared.left -= 1 + EFFORT_MAX - effort.left + (known === undefined ? costOf(touches) : 0)
    return meeting
  }

  #look(touches: readonly string[], known: Meeting | undefined, effort: Effort): Meeting {
    if (known !== undefined && this.#changed - known.asOf <= this.#changes.length) {
      const since = known.asOf - this.#changed
      for (const { key, holding } of this.#changes.slice(since)) {
        known.holders.delete(key)
        const { globs } = known
        if (holding !== null && globs.some((glob) => holding.globs.some((theirs) => pathInBoth(glob, theirs, effort) !== null)))
          known.holders.set(key, holding.agent)
      }
      known.asOf = this.#changed
      return known
    }
    const globs = known?.globs ?? touches.map(read)
    const holders = new Map<string, AgentId>()
    for (const glob of globs) for (const { holding } of this.meeting(glob, ({ key }) => !holders.has(key), effort)) holders.set(holding.key, holding.agent)
    const found = { globs, holders, asOf: this.#changed }
    this.#meetings.set(touches, found)
    return found
  }

  // How it is kept true

  onLease = (id: LeaseId, before: FileLease | undefined, after: FileLease | undefined): void => {
    for (const [kind, name] of keysOf(before)) drop(this.#leasesOf, `${kind} ${name}`, id)
    for (const [kind, name] of keysOf(after)) add(this.#leasesOf, `${kind} ${name}`, id)
    if (before?.endsAtMs !== after?.endsAtMs) this.#moveEnd(id, after?.endsAtMs ?? null)
    if (before?.globs === after?.globs && before?.mode === after?.mode && before?.agent === after?.agent) return
    const key = `lease ${id}`
    this.#put(key, after === undefined ? null : { key, agent: after.agent, mode: after.mode, lease: id, task: after.task, globs: after.globs.map(read) })
  }

  /** Whoever holds the task has changed, or what it touches: `task` undefined where nobody holds it. */
  onTouches(id: TaskId, task: Task | undefined, spec: TaskSpec | undefined): void {
    const key = `task ${id}`
    const touches = task === undefined ? [] : (spec?.touches ?? [])
    if (touches.length === 0 && !this.#byKey.has(key)) return
    const holding: Holding = { key, agent: task?.owner ?? "", mode: "exclusive", lease: null, task: id, globs: touches.map(read) }
    this.#put(key, touches.length === 0 ? null : holding)
  }

  #moveEnd(id: LeaseId, endsAtMs: number | null): void {
    const end = this.#endOf.get(id) ?? { id, endsAtMs: Number.POSITIVE_INFINITY, at: -1 }
    this.#ends.move(end, endsAtMs)
    if (endsAtMs === null) this.#endOf.delete(id)
    else this.#endOf.set(id, end)
  }

  #leases(key: string): LeaseId[] {
    return [...(this.#leasesOf.get(key) ?? [])].sort(byAge)
  }

  #put(key: string, holding: Holding | null): void {
    this.#changed += 1
    this.#changes.push({ key, holding })
    if (this.#changes.length > 2 * CHANGES_KEPT) this.#changes.splice(0, CHANGES_KEPT)
    for (const { path, leaf } of this.#byKey.get(key)?.leaves ?? []) this.#cut(path, leaf)
    this.#byKey.delete(key)
    if (holding === null) return
    const leaves = holding.globs.flatMap((glob) =>
      glob.alternatives.map((alternative) => {
        const path = alternative.segments.slice(0, alternative.literals).map((segment) => (segment.kind === "literal" ? segment.text : ""))
        return { path, leaf: { holding, glob, alternative } }
      }),
    )
    this.#byKey.set(key, { holding, leaves })
    for (const { path, leaf } of leaves) this.#graft(path, leaf)
  }

  #graft(path: readonly string[], leaf: Leaf): void {
    let branch = this.#root
    branch.size += 1
    for (const segment of path) {
      const next = branch.below.get(segment) ?? newBranch()
      branch.below.set(segment, next)
      next.size += 1
      branch = next
    }
    branch.leaves.add(leaf)
  }

  #cut(path: readonly string[], leaf: Leaf): void {
    let branch = this.#root
    branch.size -= 1
    for (const segment of path) {
      const next = branch.below.get(segment) as Branch
      next.size -= 1
      if (next.size === 0) branch.below.delete(segment)
      branch = next
    }
    branch.leaves.delete(leaf)
  }
}

function costOf(touches: readonly string[]): number {
  return touches.reduce((steps, { length }) => steps + READ_STEPS * length, 0)
}

function read(text: string): Glob {
  return globOf(text) ?? lenientGlob(text)
}

function newBranch(): Branch {
  return { leaves: new Set(), below: new Map(), size: 0 }
}

function eachBelow(from: Branch, look: (branch: Branch) => void): void {
  const open = [from]
  for (let branch = open.pop(); branch !== undefined; branch = open.pop()) {
    look(branch)
    open.push(...branch.below.values())
  }
}

/** Sets may have been refilled by an undo: no answer may depend on their order. */
function ordered<Found extends { holding: Holding }>(found: Found[]): Found[] {
  return found.sort((a, b) => (a.holding.key < b.holding.key ? -1 : 1))
}

/** Ids are numbered by their entries. */
function byAge(a: LeaseId, b: LeaseId): number {
  return a.length - b.length || (a < b ? -1 : 1)
}

function keysOf(lease: FileLease | undefined): [string, string][] {
  if (lease === undefined) return []
  const keys: [string, string][] = [["agent", lease.agent]]
  if (lease.session !== null) keys.push(["session", lease.session])
  if (lease.task !== null) keys.push(["task", lease.task])
  return keys
}

function add(sets: Map<string, Set<LeaseId>>, key: string, id: LeaseId): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([id]))
  else set.add(id)
}

function drop(sets: Map<string, Set<LeaseId>>, key: string, id: LeaseId): void {
  const set = sets.get(key)
  if (set?.delete(id) === true && set.size === 0) sets.delete(key)
}
