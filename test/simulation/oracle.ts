import { hash as digest } from "node:crypto"
import type { Actor, Entry } from "../../src/core/entry.ts"
import type { AgentId, Seq, SessionId, TaskId } from "../../src/core/ids.ts"
import type { TaskSpec, TaskStatus } from "../../src/core/task.ts"
import type { ClaimNext } from "../../src/core/claim.ts"
import { AttemptOracle } from "./attempt-oracle.ts"
import { BudgetOracle } from "./budget-oracle.ts"
import { atWork, FillerOracle } from "./filler-oracle.ts"
import { CircleOracle } from "./circle-oracle.ts"
import { fitting } from "./choice.ts"
import { FileOracle } from "./file-oracle.ts"
import { LeadOracle } from "./lead-oracle.ts"
import { NearlyOracle } from "./nearly-oracle.ts"
import { NoticeOracle } from "./notice-oracle.ts"
import { PlanOracle } from "./plan-oracle.ts"
import { meets, Probation } from "./probation.ts"
import type { Stored } from "../../src/ledger/ledger.ts"
import { PermissionOracle } from "./permission-oracle.ts"
import { PolicyOracle } from "./policy-oracle.ts"
import { RoleOracle } from "./role-oracle.ts"
import { StaleOracle } from "./stale-oracle.ts"
import { StaffOracle } from "./staff-oracle.ts"
import { ThreadOracle } from "./thread-oracle.ts"
import { misbooked } from "./usage-oracle.ts"
import { WaitOracle } from "./wait-oracle.ts"
import type { Request } from "./wire.ts"

/** A promise was broken; the message says which, and where in the ledger. */
export class Violation extends Error {
  constructor(message: string) {
    super(message)
    this.name = "Violation"
  }
}

export type Holding = { owner: AgentId; session: SessionId | null; fence: Seq; leaseMs: number; leaseEndsAtMs: number | null }
export type TaskModel = { id: TaskId; spec: TaskSpec; status: TaskStatus; held: Holding | null; attempts: number; readySinceMs: number | null }
type Caused = { first: Seq; last: Seq; types: string[]; fence: Seq | null }
type AgentModel = { role: Actor["role"]; kind: string; capabilities: Readonly<Record<string, number>>; maxActive: number; heartbeatMs: number }
type Why = { rule: string }

const HELD: ReadonlySet<TaskStatus> = new Set(["claimed", "in_progress", "blocked"])
const OWN_WRITES: ReadonlySet<string> = new Set([
  "task.started",
  "task.progressed",
  "task.blocked",
  "task.submitted",
  "task.retried",
  "task.help_wanted",
  "lease.renewed",
])

/**
 * What the ledger's entries may say, written down a second time and without the core: reads each stored entry as it comes and breaks off at the
 * first that the rules of leases, fences, dependencies and roles do not allow.
 */
export class Oracle {
  readonly tasks = new Map<TaskId, TaskModel>()
  readonly agents = new Map<AgentId, AgentModel>()
  /** What each idempotency key did, by `agent key`. */
  readonly caused = new Map<string, Caused>()
  readonly claims = new Map<Seq, { agent: AgentId; task: TaskId }>()
  readonly leaseEnds: { task: TaskId; fence: Seq; session: SessionId | null; leaseMs: number; reason: string; atMs: number }[] = []
  readonly types = new Map<string, number>()
  /** All that were read, in their order. */
  readonly entries: Entry<string, Record<string, never>>[] = []
  readonly attempts = new AttemptOracle()
  readonly leads = new LeadOracle()
  readonly waits = new WaitOracle()
  readonly circles = new CircleOracle(() => this.leads.isLed)
  readonly nearly = new NearlyOracle()
  readonly notices = new NoticeOracle(() => this.leads.isLed)
  readonly threads = new ThreadOracle()
  readonly files = new FileOracle()
  readonly budget = new BudgetOracle()
  readonly fillers = new FillerOracle()
  readonly probation = new Probation()
  readonly roles = new RoleOracle()
  readonly policy = new PolicyOracle()
  readonly permissions = new PermissionOracle()
  readonly staff = new StaffOracle()
  readonly stale = new StaleOracle()
  readonly plans = new PlanOracle()
  seq: Seq = 0
  atMs = 0
  hash = Buffer.alloc(32)
  readonly #asked: ReadonlyMap<string, Request>
  readonly #lost = new Set<SessionId>()
  /** The task that a reviewer asked changes of in the entry before. */
  #sentBack: { id: TaskId; seq: Seq } | null = null

  /** What was asked, by `agent key`: entries do not say which tasks a claim was for. */
  constructor(asked: ReadonlyMap<string, Request>) {
    this.#asked = asked
  }

  /** Reads what is new. `nowMs` is the simulation's time. */
  read(stored: readonly Stored[], nowMs: number): void {
    for (let at = this.seq; at < stored.length; at += 1) this.#entry(stored[at] as Stored, nowMs)
  }

  /** Tasks that the agent could claim, real work or fillers. What its own fillers have set aside is free for real work: they give way to it. */
  *ready({ agent, session, role }: Actor, nowMs: number, filler: boolean): Iterable<TaskModel> {
    const { capabilities, maxActive } = this.agents.get(agent) as AgentModel
    const fillers = atWork(this.tasks, agent, true).map(({ id }) => id)
    if (this.activeOf(agent) + (filler ? fillers.length : 0) >= maxActive) return
    const by = this.#caller(agent, role)
    if (this.staff.void.has(agent) || this.staff.void.has(session ?? "") || this.policy.forbids("task.claimNext", by)) return
    for (const task of this.tasks.values()) {
      const { id, spec, readySinceMs } = task
      if (
        readySinceMs === null ||
        spec.filler !== filler ||
        !(directs(role) || meets(capabilities, spec.requires)) ||
        this.files.obstructs(agent, spec.touches)
      )
        continue
      if (this.policy.forbids("task.claim", by, task) || this.staff.keeps(agent, task, nowMs, this.tasks) !== null) continue
      if (this.plans.hasRoom(id, agent, this.tasks) && this.budget.affords(agent, id, nowMs, filler ? [] : fillers)) yield task
    }
  }

  /** How many tasks it works on, fillers left out. */
  activeOf(agent: AgentId): number {
    return atWork(this.tasks, agent, false).length
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { status } of this.tasks.values()) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }

  #entry({ seq, bytes, hash }: Stored, nowMs: number): void {
    const entry = JSON.parse(bytes) as Entry<string, Record<string, never>>
    this.hash = digest("sha256", Buffer.concat([this.hash, Buffer.from(bytes)]), "buffer")
    if (!this.hash.equals(hash)) throw new Violation(`entry ${seq} does not chain`)
    if (entry.seq !== seq || seq !== this.seq + 1) throw new Violation(`entry ${entry.seq} is stored as ${seq}, after ${this.seq}`)
    if (entry.atMs < this.atMs) throw new Violation(`entry ${seq} is ${this.atMs - entry.atMs} ms older than the one before it`)
    this.entries.push(entry)
    this.seq = seq
    this.atMs = entry.atMs
    this.types.set(entry.type, (this.types.get(entry.type) ?? 0) + 1)
    this.#cause(entry)
    const mayHelp = (task: { spec: Pick<TaskSpec, "requires"> }): AgentId[] =>
      [...this.agents].flatMap(([name, { role, capabilities }]) =>
        role === "worker" && !this.staff.void.has(name) && this.activeOf(name) === 0 && meets(capabilities, task.spec.requires) ? [name] : [],
      )
    const idle = this.staff.read(entry, this.tasks) ?? this.plans.read(entry, this.tasks) ?? this.fillers.read(entry, this.tasks, mayHelp)
    if (idle !== null) throw new Violation(`entry ${seq}: ${entry.type} of ${String(entry.data["id"] ?? entry.data["name"])} by ${entry.actor.agent}, ${idle}`)
    const foreign = this.permissions.read(entry, (agent) => this.staff.void.has(agent)) ?? this.notices.read(entry)
    if (foreign !== null) throw new Violation(`entry ${seq}: ${entry.type} by ${entry.actor.agent} ${foreign}`)
    const asked = this.#asked.get(`${entry.actor.agent} ${entry.commandId}`)
    const isFinal = (asked?.input as { retry?: boolean } | undefined)?.retry === false
    const miscounted = this.attempts.read(entry, isFinal)
    if (miscounted !== null) throw new Violation(`entry ${seq}: ${entry.type} of ${String(entry.data["id"])} by ${entry.actor.agent}, ${miscounted}`)
    const wrong = this.leads.read(entry) ?? this.waits.read(entry, this.tasks) ?? this.stale.read(entry, this.tasks) ?? this.threads.read(entry)
    const untrue = wrong ?? this.circles.read(entry) ?? misbooked(entry, asked, this.tasks.values())
    if (untrue !== null) throw new Violation(untrue)
    this.#fold(entry, nowMs)
    const unpaid = this.budget.read(entry, (task) => (this.tasks.get(task)?.held ?? null) !== null)
    const handsOver = (task: TaskId): boolean => this.budget.handsOver(task)
    const nearly = this.nearly.read(entry, (task) => this.tasks.get(task)?.status, handsOver)
    if (unpaid !== null || nearly !== null) throw new Violation(String(unpaid ?? nearly))
    this.#files(entry)
  }

  #files(entry: Entry<string, Record<string, never>>): void {
    const data = entry.data as { id?: TaskId; task?: TaskId | null }
    const task = /^(task|lease)\./.test(entry.type) ? this.tasks.get(data.id ?? "") : undefined
    if (entry.type === "files.reserved" && typeof data.task === "string") {
      const where = `entry ${entry.seq}: files for ${data.task} by ${entry.actor.agent}`
      this.#underLease(this.tasks.get(data.task) as TaskModel, where, entry.atMs, entry.actor, entry.causedBy)
    }
    const wrong = task === undefined ? null : this.files.task(task.id, task.held?.owner ?? null, task.spec.touches)
    const found = this.files.read(entry) ?? wrong
    if (found !== null) throw new Violation(`entry ${entry.seq}: ${entry.type} by ${entry.actor.agent} ${found}`)
  }

  #caller(name: AgentId, role: string): Parameters<PolicyOracle["forbids"]>[1] {
    const { kind, capabilities } = this.agents.get(name) ?? { kind: "", capabilities: {} }
    return { name, role, kind, capabilities, active: this.activeOf(name) }
  }

  #cause({ seq, type, actor, commandId, data }: Entry<string, { id?: TaskId }>): void {
    if (commandId === null) return
    const key = `${actor.agent} ${commandId}`
    const known = this.caused.get(key)
    if (known === undefined) {
      const fence = data.id === undefined ? null : (this.tasks.get(data.id)?.held?.fence ?? null)
      this.caused.set(key, { first: seq, last: seq, types: [type], fence })
      const command = commandId.slice(0, commandId.lastIndexOf("-"))
      if (this.policy.isSet && this.policy.begins(command, this.#caller(actor.agent, actor.role), data, this.tasks))
        throw new Violation(`entry ${seq}: ${type} by ${actor.agent}, whose ${command} the policy forbids`)
    } else if (known.last !== seq - 1) throw new Violation(`key ${key} was carried out twice: at ${known.first} and at ${seq}`)
    else {
      known.last = seq
      known.types.push(type)
    }
  }

  #fold(entry: Entry<string, Record<string, never>>, nowMs: number): void {
    const { type, atMs, seq } = entry
    const data = entry.data as Record<string, unknown>
    switch (type) {
      case "agent.added":
        this.agents.set(data["name"] as string, data["profile"] as AgentModel)
        return
      case "agent.edited":
        this.agents.set(data["name"] as string, { ...(this.agents.get(data["name"] as string) as AgentModel), ...(data["changes"] as Partial<AgentModel>) })
        return
      case "policy.set":
        this.policy.set(data["text"] as string | null)
        return
      case "session.lost":
        this.#lost.add(data["id"] as string)
        return
      case "session.returned":
        this.#lost.delete(data["id"] as string)
        return
      case "task.added":
        if (this.tasks.has(data["id"] as string)) throw new Violation(`task ${String(data["id"])} was added twice`)
        if (entry.actor.role === "worker" && (data["spec"] as TaskSpec).gates.length > 0)
          throw new Violation(`entry ${seq}: ${entry.actor.agent}, who is worker, sets the gates of ${String(data["id"])}`)
        this.#put({ id: data["id"] as string, spec: data["spec"] as TaskSpec, status: "pending", held: null, attempts: 0, readySinceMs: null }, nowMs)
        return
      case "leases.renewed":
        for (const { held } of this.tasks.values()) {
          if (held !== null && held.leaseEndsAtMs !== null && (data["sessions"] as string[]).includes(held.session ?? ""))
            held.leaseEndsAtMs = atMs + held.leaseMs
        }
        return
      case "hub.started":
        for (const { held } of this.tasks.values())
          if (held !== null && held.leaseEndsAtMs !== null) held.leaseEndsAtMs = Math.max(held.leaseEndsAtMs, atMs + (data["graceMs"] as number))
        return
    }
    if (!type.startsWith("task.") && !type.startsWith("lease.")) return
    const task = this.tasks.get(data["id"] as string)
    if (task === undefined) throw new Violation(`entry ${seq}: ${type} of ${String(data["id"])}, which was never added`)
    const unfit = this.roles.read({ ...entry, data }, task.held?.owner ?? null, (id) => this.tasks.get(id)?.status)
    if (unfit !== null) throw new Violation(`entry ${seq}: ${type} of ${task.id} by ${entry.actor.agent}, ${unfit}`)
    if (type === "task.claimed") this.#claimed(task, entry, data as { leaseMs: number; leaseEndsAtMs: number; why?: Why })
    else if (type === "lease.ended") this.#leaseEnded(task, entry, data as { reason: string; fence: Seq })
    else this.#written(task, entry, data)
    this.probation.read(data)
    this.#put(task, nowMs)
  }

  #claimed(
    task: TaskModel,
    { seq, atMs, actor, commandId }: Entry,
    { leaseMs, leaseEndsAtMs, why }: { leaseMs: number; leaseEndsAtMs: number; why?: Why },
  ): void {
    const where = `entry ${seq}: ${actor.agent} claims ${task.id}`
    if (task.held !== null) throw new Violation(`${where}, which ${task.held.owner} holds under fence ${task.held.fence}`)
    if (task.status !== "pending") throw new Violation(`${where}, which is ${task.status}`)
    const open = task.spec.dependsOn.find((id) => this.tasks.get(id)?.status !== "completed")
    if (open !== undefined) throw new Violation(`${where}, which waits for ${open}`)
    if (task.attempts >= task.spec.maxAttempts) throw new Violation(`${where}, whose ${task.spec.maxAttempts} attempts are used up`)
    const agent = this.agents.get(actor.agent)
    if (agent === undefined) throw new Violation(`${where}: nobody knows this agent`)
    if (why?.rule === "probe") {
      if (directs(actor.role)) throw new Violation(`${where} as a probe, who takes what it likes`)
      const wrong = this.probation.wrongProbe(agent, task)
      if (wrong !== null) throw new Violation(`${where} as a probe, ${wrong}`)
    } else if (!directs(actor.role) && !this.probation.meets(actor.agent, agent.capabilities, task.spec.requires))
      throw new Violation(`${where}, which it is not able to do`)
    const beside = task.spec.filler ? atWork(this.tasks, actor.agent, true).length : 0
    if (this.activeOf(actor.agent) + beside >= agent.maxActive) throw new Violation(`${where}, though it works on ${agent.maxActive} already`)
    this.#isIdle(task, where, actor, atMs, commandId)
    if (this.policy.keepsFrom(task.id)) throw new Violation(`${where}, which the policy keeps from it`)
    if (leaseEndsAtMs !== atMs + leaseMs) throw new Violation(`${where} until ${leaseEndsAtMs}, not ${atMs} + ${leaseMs}`)
    task.status = "claimed"
    task.held = { owner: actor.agent, session: actor.session, fence: seq, leaseMs, leaseEndsAtMs }
    this.claims.set(seq, { agent: actor.agent, task: task.id })
  }

  /** Whoever asks for the next task gets a filler only where nothing else is there for it. What its command has ended was not ready yet when it chose. */
  #isIdle({ spec }: TaskModel, where: string, actor: Actor, atMs: number, commandId: string | null): void {
    if (!spec.filler || commandId?.startsWith("task.claimNext") !== true) return
    if (this.caused.get(`${actor.agent} ${commandId}`)?.types.includes("lease.ended") === true) return
    const asked = this.#asked.get(`${actor.agent} ${commandId}`)?.input as ClaimNext
    if (asked.filler === true) return
    const [real] = fitting(this, actor, { ...asked, filler: false }, atMs)
    if (real !== undefined) throw new Violation(`${where}, a filler, though ${real.id} is ready`)
  }

  #leaseEnded(task: TaskModel, { seq, atMs }: Entry, { reason, fence }: { reason: string; fence: Seq }): void {
    const { held } = task
    const where = `entry ${seq}: the lease on ${task.id} ends (${reason})`
    if (held === null || !HELD.has(task.status)) throw new Violation(`${where}, though nobody has one`)
    if (held.fence !== fence) throw new Violation(`${where} under fence ${fence}, not ${held.fence}`)
    if (reason === "expired" && atMs < (held.leaseEndsAtMs as number)) throw new Violation(`${where} ${(held.leaseEndsAtMs as number) - atMs} ms early`)
    if (reason === "lost" && !this.#lost.has(held.session ?? "")) throw new Violation(`${where}, but session ${held.session} is not lost`)
    this.leaseEnds.push({ task: task.id, fence, session: held.session, leaseMs: held.leaseMs, reason, atMs })
    task.held = null
    task.status = "pending"
    task.attempts += 1
  }

  #written(task: TaskModel, { seq, type, atMs, actor, causedBy, commandId }: Entry, data: Record<string, unknown>): void {
    const where = `entry ${seq}: ${type} of ${task.id} by ${actor.agent}`
    const { held } = task
    const completes = type === "task.completed" || (type === "task.failed" && held !== null)
    // Changes were asked of somebody who is gone: the reviewer opens the task for others.
    const sentBack = type === "task.released" && this.#sentBack?.id === task.id && this.#sentBack.seq === seq - 1
    const isTakenBack = type === "task.released" && actor.agent === "hub"
    const givesWay = type === "task.released" && this.fillers.givesWay(task.id, { seq, type, atMs, actor, commandId, data })
    if (isTakenBack && !givesWay && !this.budget.mayTakeBack(task.id, atMs)) throw new Violation(`${where}, which has time to hand over`)
    const byOwner = OWN_WRITES.has(type) || (completes && task.status !== "review") || (type === "task.released" && !sentBack && !isTakenBack && !givesWay)
    if (byOwner) this.#underLease(task, where, atMs, actor, causedBy)
    this.#reviewed(task, where, type, actor, byOwner && type !== "task.help_wanted")
    const renew = (): void => {
      if (held !== null && held.leaseEndsAtMs !== null) held.leaseEndsAtMs = atMs + held.leaseMs
    }
    switch (type) {
      case "task.started":
      case "task.progressed":
      case "task.help_wanted":
        if (type === "task.started") task.status = "in_progress"
        return renew()
      case "task.blocked":
        task.status = "blocked"
        return renew()
      case "task.unblocked":
        if (task.status !== "blocked") throw new Violation(`${where}, which is ${task.status}`)
        if (atMs >= ((held as Holding).leaseEndsAtMs as number)) throw new Violation(`${where}, whose lease is over`)
        task.status = "in_progress"
        return renew()
      case "lease.renewed":
        if (held !== null) held.leaseEndsAtMs = data["leaseEndsAtMs"] as number
        return
      case "task.edited":
        task.spec = { ...task.spec, ...(data["changes"] as Partial<TaskSpec>) }
        return
      case "task.submitted":
        task.status = "review"
        if (held !== null) held.leaseEndsAtMs = null
        return
      case "task.changes_requested":
        if (task.status !== "review" || held === null) throw new Violation(`${where}, which is ${task.status}`)
        task.status = "in_progress"
        held.leaseEndsAtMs = data["leaseEndsAtMs"] as number
        this.#sentBack = { id: task.id, seq }
        return
      case "task.completed":
        return close(task, "completed")
      case "task.failed":
        // Under no lease it ends what the end of its last lease counted already.
        if (held !== null) task.attempts += 1
        return close(task, "failed")
      case "task.cancelled":
        return close(task, "cancelled")
      case "task.retried":
      case "task.released":
      case "task.reset":
        task.status = "pending"
        task.held = null
        task.attempts = type === "task.reset" ? 0 : task.attempts + (type === "task.retried" && data["uncounted"] !== true ? 1 : 0)
        return
    }
  }

  /** What waits for its review is out of its owner's hands: nobody writes on it as its owner, and its owner does not approve it. */
  #reviewed({ status, held }: TaskModel, where: string, type: string, actor: Actor, byOwner: boolean): void {
    const judges = type === "task.completed" || type === "task.changes_requested"
    if (status !== "review") return
    if (byOwner) throw new Violation(`${where}, which waits for its review`)
    if (judges && held?.owner === actor.agent && actor.role !== "operator") throw new Violation(`${where}, who reviews what is its own`)
  }

  #underLease({ status, held }: TaskModel, where: string, atMs: number, actor: Actor, causedBy: Seq | null): void {
    if (held === null || !(HELD.has(status) || status === "review")) throw new Violation(`${where}, though nobody holds it (${status})`)
    if (held.owner !== actor.agent) throw new Violation(`${where}, though ${held.owner} holds it`)
    if (causedBy !== held.fence) throw new Violation(`${where} under fence ${causedBy}, not ${held.fence}`)
    if (held.leaseEndsAtMs !== null && atMs >= held.leaseEndsAtMs) throw new Violation(`${where} at ${atMs}, ${atMs - held.leaseEndsAtMs} ms after its lease`)
  }

  /** Keeps a task, and notes since when anybody could have claimed it and those that wait for it. */
  #put(task: TaskModel, nowMs: number): void {
    this.tasks.set(task.id, task)
    const place = (model: TaskModel): void => {
      const ready = model.status === "pending" && model.spec.dependsOn.every((id) => this.tasks.get(id)?.status === "completed")
      model.readySinceMs = ready ? (model.readySinceMs ?? nowMs) : null
    }
    place(task)
    for (const other of this.tasks.values()) if (other.spec.dependsOn.includes(task.id)) place(other)
  }
}

/** Directors take what they like, able or not. */
function directs(role: Actor["role"]): boolean {
  return role === "operator" || role === "orchestrator"
}

function close(task: TaskModel, status: TaskStatus): void {
  task.status = status
  task.held = null
}
