import type { AgentId, SessionId, TaskId } from "../src/core/ids.ts"
import type { Priority, TaskStatus } from "../src/core/task.ts"

/** The rules of tasks and leases said once more, as slowly and plainly as they can be: no index, no entries, every question answered by looking at everything. */
export type ModelTask = {
  id: TaskId
  age: number
  status: TaskStatus
  owner: AgentId | null
  session: SessionId | null
  leaseMs: number
  leaseEndsAtMs: number | null
  attempts: number
  waitsOn: TaskId | null
  /** Null: no help is wanted. */
  help: { helper: AgentId | null } | null
  dependsOn: TaskId[]
  skill: number
  filler: boolean
  review: boolean
  prefers: AgentId | null
  labels: string[]
  priority: Priority
  estimateMs: number
  maxAttempts: number
}
export type ModelAgent = { name: AgentId; skill: number; maxActive: number; retired: boolean }
export type ModelSession = { id: SessionId; agent: AgentId; status: "live" | "lost" | "ended"; owned: boolean }
export type Who = { agent: AgentId; session: SessionId | null }

const ORDER: Priority[] = ["critical", "high", "normal", "low"]

export class Model {
  readonly tasks = new Map<TaskId, ModelTask>()
  readonly agents = new Map<AgentId, ModelAgent>()
  readonly sessions = new Map<SessionId, ModelSession>()
  nowMs = 0
  /** Whether an agent has the skill at that level, by its word or by what it learned: what is learned is told by the core, and tested there. */
  has: (agent: ModelAgent, level: number) => boolean = ({ skill }, level) => skill >= level

  all(): ModelTask[] {
    return [...this.tasks.values()]
  }
  task(id: TaskId): ModelTask {
    return this.tasks.get(id) as ModelTask
  }
  held(task: ModelTask): boolean {
    return ["claimed", "in_progress", "blocked"].includes(task.status)
  }
  active(task: ModelTask): boolean {
    return ["claimed", "in_progress"].includes(task.status)
  }
  closed(task: ModelTask): boolean {
    return ["completed", "failed", "cancelled"].includes(task.status)
  }
  over(task: ModelTask): boolean {
    return this.held(task) && task.leaseEndsAtMs !== null && task.leaseEndsAtMs <= this.nowMs
  }
  ready(task: ModelTask): boolean {
    return task.status === "pending" && task.dependsOn.every((id) => this.task(id).status === "completed")
  }
  path(task: ModelTask): number {
    if (this.closed(task)) return 0
    return task.estimateMs + Math.max(0, ...this.all().map((other) => (other.dependsOn.includes(task.id) ? this.path(other) : 0)))
  }

  free(task: ModelTask, status: TaskStatus): void {
    Object.assign(task, { status, owner: null, session: null, leaseEndsAtMs: null, waitsOn: null, help: null })
  }
  endLease(task: ModelTask): void {
    task.attempts += 1
    this.free(task, task.attempts < task.maxAttempts ? "pending" : "failed")
  }
  renew(task: ModelTask): void {
    if (task.leaseEndsAtMs !== null) task.leaseEndsAtMs = this.nowMs + task.leaseMs
  }
  take(task: ModelTask, who: Who): void {
    const session = who.session === null ? undefined : this.sessions.get(who.session)
    // One that was taken for lost is back.
    if (session !== undefined) session.status = "live"
    task.leaseMs = session?.owned === true ? 120_000 : 900_000
    Object.assign(task, { status: "claimed", owner: who.agent, session: who.session, leaseEndsAtMs: this.nowMs + task.leaseMs })
  }

  /** What the agent works on under leases that are not over. */
  working(agent: AgentId, filler: boolean): ModelTask[] {
    return this.all().filter((task) => task.owner === agent && this.active(task) && task.filler === filler && !this.over(task))
  }
  endOwn(agent: AgentId): void {
    for (const task of this.all()) if (task.owner === agent && this.active(task) && this.over(task)) this.endLease(task)
  }
  cannotClaim(who: Who): string | null {
    if (who.session !== null && this.sessions.get(who.session)?.status === "ended") return "not_found"
    return this.agents.get(who.agent)?.retired === true ? "retired" : null
  }
  mine(task: ModelTask, who: Who): boolean {
    return this.held(task) && task.owner === who.agent && task.session === who.session
  }

  claim(who: Who, id: TaskId): string {
    const no = this.cannotClaim(who)
    if (no !== null) return no
    const task = this.task(id)
    const agent = this.agents.get(who.agent) as ModelAgent
    if (this.mine(task, who) && !this.over(task)) return "ok"
    if (this.held(task) && !(this.over(task) && task.attempts + 1 < task.maxAttempts)) return "claim_denied"
    if (!this.held(task) && task.status !== "pending") return "wrong_status"
    if (task.dependsOn.some((dependency) => this.task(dependency).status !== "completed")) return "not_ready"
    if (!this.has(agent, task.skill)) return "not_eligible"
    const busy = this.working(who.agent, false).length + (task.filler ? this.working(who.agent, true).length : 0)
    if (busy >= agent.maxActive) return "at_limit"
    if (!task.filler) for (const filler of this.working(who.agent, true)) this.free(filler, "pending")
    this.endOwn(who.agent)
    if (this.held(task)) this.endLease(task)
    this.take(task, who)
    return "ok"
  }

  /** The tasks in the order in which they would be given to the agent. */
  offered(agent: ModelAgent, filler: boolean, label: string | null): ModelTask[] {
    const favour = (task: ModelTask): number => (task.prefers === agent.name ? 0 : task.prefers === null ? 1 : 2)
    return this.all()
      .filter((task) => this.ready(task) && task.filler === filler && this.has(agent, task.skill) && (label === null || task.labels.includes(label)))
      .sort((a, b) => ORDER.indexOf(a.priority) - ORDER.indexOf(b.priority) || this.path(b) - this.path(a) || favour(a) - favour(b) || a.age - b.age)
  }

  claimNext(who: Who, filler: boolean | null, label: string | null, max: number): { code: string; claims: TaskId[] } {
    const no = this.cannotClaim(who)
    if (no !== null) return { code: no, claims: [] }
    const agent = this.agents.get(who.agent) as ModelAgent
    const room = agent.maxActive - this.working(who.agent, false).length
    const real = filler === true ? [] : this.offered(agent, false, label).slice(0, Math.max(0, Math.min(max, room)))
    const give = (tasks: ModelTask[]): { code: string; claims: TaskId[] } => {
      this.endOwn(who.agent)
      for (const task of tasks) this.take(task, who)
      return { code: "ok", claims: tasks.map((task) => task.id) }
    }
    if (real.length > 0) {
      for (const task of this.working(who.agent, true)) this.free(task, "pending")
      return give(real)
    }
    const left = room - this.working(who.agent, true).length
    if (room <= 0 || (left <= 0 && filler !== false)) {
      const current = this.all().filter((task) => this.active(task) && this.mine(task, who) && !this.over(task))
      if (current.length === 0) return { code: "at_limit", claims: [] }
      this.endOwn(who.agent)
      return { code: "ok", claims: current.map((task) => task.id) }
    }
    const fillers = filler === false ? [] : this.offered(agent, true, label).slice(0, Math.min(max, left))
    return fillers.length > 0 ? give(fillers) : { code: "nothing_ready", claims: [] }
  }

  /** What every write under a lease asks first; `fenced` says whether the fence is the task's own. */
  cannotWrite(who: Who, task: ModelTask, fenced: boolean): string | null {
    if (!this.held(task) && task.status !== "review") return "stale_fence"
    if (!fenced) return "stale_fence"
    if (task.owner !== who.agent) return "not_owner"
    return this.over(task) ? "stale_fence" : null
  }
  write(who: Who, id: TaskId, fenced: boolean, change: (task: ModelTask) => string): string {
    const task = this.task(id)
    return this.cannotWrite(who, task, fenced) ?? (task.status === "review" ? "wrong_status" : change(task))
  }

  update(who: Who, id: TaskId, fenced: boolean): string {
    return this.write(who, id, fenced, (task) => {
      if (task.status === "claimed") task.status = "in_progress"
      this.renew(task)
      return "ok"
    })
  }
  renewLease(who: Who, id: TaskId, fenced: boolean): string {
    const task = this.task(id)
    const no = this.cannotWrite(who, task, fenced)
    if (no === null) this.renew(task)
    return no ?? "ok"
  }
  complete(who: Who, id: TaskId, fenced: boolean): string {
    return this.write(who, id, fenced, (task) => {
      if (task.status === "blocked") return "wrong_status"
      if (task.review) Object.assign(task, { status: "review", leaseEndsAtMs: null, help: null })
      else this.finish(task)
      return "ok"
    })
  }
  finish(task: ModelTask): void {
    Object.assign(task, { status: "completed", leaseEndsAtMs: null, help: null })
    for (const other of this.all()) if (other.status === "blocked" && other.waitsOn === task.id && !this.over(other)) this.goOn(other)
  }
  goOn(task: ModelTask): void {
    Object.assign(task, { status: "in_progress", waitsOn: null })
    this.renew(task)
    for (const other of this.all())
      if (other.owner === task.owner && other.filler && this.active(other) && other !== task && !this.over(other)) this.free(other, "pending")
  }
  fail(who: Who, id: TaskId, fenced: boolean, retry: boolean): string {
    return this.write(who, id, fenced, (task) => {
      task.attempts += 1
      const owner = task.owner
      this.free(task, retry && task.attempts < task.maxAttempts ? "pending" : "failed")
      if (task.status === "failed") task.owner = owner
      return "ok"
    })
  }
  release(who: Who, id: TaskId, fenced: boolean): string {
    return this.write(who, id, fenced, (task) => {
      this.free(task, "pending")
      return "ok"
    })
  }
  waitsFor(from: ModelTask, to: TaskId): boolean {
    if (from.id === to) return true
    if (this.closed(from)) return false
    return [...from.dependsOn, ...(from.waitsOn === null ? [] : [from.waitsOn])].some((id) => this.waitsFor(this.task(id), to))
  }
  block(who: Who, id: TaskId, fenced: boolean, on: TaskId | null): string {
    return this.write(who, id, fenced, (task) => {
      if (on !== null && this.closed(this.task(on))) return "wrong_status"
      if (on !== null && this.waitsFor(this.task(on), id)) return "cycle"
      Object.assign(task, { status: "blocked", waitsOn: on })
      this.renew(task)
      return "ok"
    })
  }
  wantHelp(who: Who, id: TaskId, fenced: boolean): string {
    return this.write(who, id, fenced, (task) => {
      if (task.help !== null && !this.isHelperGone(task)) return "ok"
      this.renew(task)
      task.help = { helper: null }
      return "ok"
    })
  }
  answerHelp(who: Who, id: TaskId): string {
    const task = this.task(id)
    if (this.agents.get(who.agent)?.retired === true) return "retired"
    if (task.help === null) return "wrong_status"
    if (task.help.helper !== null && task.help.helper !== who.agent && !this.isHelperGone(task)) return "help_taken"
    if (task.owner === who.agent) return "forbidden"
    task.help.helper = who.agent
    return "ok"
  }
  isHelperGone({ help }: ModelTask): boolean {
    return this.agents.get(help?.helper ?? "")?.retired === true
  }
  unblock(id: TaskId): string {
    const task = this.task(id)
    if (task.status !== "blocked" || this.over(task)) return "wrong_status"
    this.goOn(task)
    return "ok"
  }
  review(who: Who, id: TaskId, approve: boolean): string {
    const task = this.task(id)
    if (task.status !== "review") return "wrong_status"
    if (task.owner === who.agent) return "forbidden"
    const session = task.session === null ? null : this.sessions.get(task.session)
    if (approve) this.finish(task)
    else if (this.agents.get(task.owner as AgentId)?.retired === true || (session && session.status !== "live")) this.free(task, "pending")
    else Object.assign(task, { status: "in_progress", leaseEndsAtMs: this.nowMs + task.leaseMs })
    return "ok"
  }
  endByHand(id: TaskId): string {
    const task = this.task(id)
    if (!this.held(task)) return "wrong_status"
    this.endLease(task)
    return "ok"
  }
  reset(id: TaskId): string {
    const task = this.task(id)
    if (task.status === "pending" && task.attempts === 0) return "wrong_status"
    if (this.closed(task) && task.dependsOn.some((dependency) => this.waitsFor(this.task(dependency), id))) return "cycle"
    this.free(task, "pending")
    task.attempts = 0
    return "ok"
  }
  cancel(id: TaskId): string {
    const task = this.task(id)
    if (this.closed(task)) return "wrong_status"
    const owner = task.owner
    this.free(task, "cancelled")
    task.owner = owner
    return "ok"
  }
  /** A task that is not there yet, or is pending: whether these dependencies make a circle. */
  circular(id: TaskId, dependsOn: TaskId[]): boolean {
    return dependsOn.some((dependency) => dependency === id || this.reaches(this.task(dependency), id))
  }
  reaches(from: ModelTask, to: TaskId): boolean {
    const next = [...from.dependsOn, ...(from.waitsOn === null ? [] : [from.waitsOn])]
    return next.includes(to) || next.some((id) => this.reaches(this.task(id), to))
  }

  endSession(id: SessionId, status: "ended" | "lost"): void {
    const session = this.sessions.get(id) as ModelSession
    if (session.status === "ended") return
    for (const task of this.all()) if (this.held(task) && task.session === id) this.endLease(task)
    session.status = status
  }
  retire(name: AgentId): string {
    const agent = this.agents.get(name) as ModelAgent
    if (agent.retired) return "retired"
    for (const task of this.all()) if (this.held(task) && task.owner === name) this.endLease(task)
    for (const session of this.sessions.values()) if (session.agent === name) session.status = "ended"
    agent.retired = true
    return "ok"
  }
  /** `beats` and `silent` never name the same session here. */
  sweep(beats: SessionId[], silent: SessionId[]): void {
    for (const id of beats) {
      const session = this.sessions.get(id) as ModelSession
      if (session.status === "ended") continue
      session.status = "live"
      const held = this.all().filter((task) => task.session === id && this.held(task) && task.leaseEndsAtMs !== null)
      // All of a session's leases are renewed together, once the first of them is due: a third of it gone by.
      if (held.some((task) => 3 * ((task.leaseEndsAtMs as number) - this.nowMs) <= 2 * task.leaseMs)) for (const task of held) this.renew(task)
    }
    for (const id of silent) {
      const session = this.sessions.get(id) as ModelSession
      if (session.status === "live" && session.owned) this.endSession(id, "lost")
    }
    for (const task of this.all()) if (this.over(task)) this.endLease(task)
  }
}
