import { type Agent, type AgentEvent, evolveAgent, type Session } from "./agent.ts"
import { Board } from "./board.ts"
import { bookClaim, bookRefund, bookRelease, Books, bookSpending, type Reservation } from "./account-book.ts"
import { type Breaker, type BreakerEvent, type BreakerPolicy, evolveBreaker } from "./breaker.ts"
import { areBreakersOn, foldOutcome, foldProbe } from "./breaker-outcome.ts"
import { type Budget, type BudgetEvent, evolveBudget, reopened } from "./budget.ts"
import { spendingOf } from "./governor-notice.ts"
import { type DirectiveEvent, evolveDirective, type OpenNotice } from "./directive.ts"
import { type Entry, type Recorded, unknownType } from "./entry.ts"
import { Forum } from "./forum.ts"
import { dropFilesOf, evolveFiles, type FileLease, type FilesEvent, renewFiles } from "./file-lease.ts"
import { remember } from "./idempotency.ts"
import type { Seq, TaskId } from "./ids.ts"
import { type Attempt, evolveJudgement, type Learned, SeenSkills } from "./judgement.ts"
import { KeyTable, type Remembered } from "./key-table.ts"
import { evolveMessage, type Finding, type MessageEvent, noteProgress } from "./message.ts"
import type { Page } from "./message-page.ts"
import type { Posterior } from "./posterior.ts"
import { evolvePlan, type Plan, type PlanEvent } from "./plan.ts"
import { evolvePolicyText, type PolicyText, type PolicyTextEvent } from "./policy-text.ts"
import { Journal, Table } from "./table.ts"
import type { Participant, Thread } from "./thread.ts"
import { evolveThread, type ThreadEvent } from "./thread-life.ts"
import { evolveTask, isHeld, type Task, type TaskEvent, type TaskSpec, writeTask } from "./task.ts"
import { type AccountEvent, evolveAccount, type Exhausted } from "./account.ts"
import { evolvePermission, type Permission, type PermissionEvent } from "./permission.ts"
import type { Supervision, Trigger, TriggerEvent, Wake } from "./trigger.ts"
import { evolveTrigger } from "./trigger-fold.ts"
import { Jobs } from "./trigger-index.ts"
import { evolveUsage, type UsageEvent, type UsageSum } from "./usage.ts"
import { evolvePolicy, type PolicyEvent, type WakePolicy } from "./wake-policy.ts"

/** What is known of the workspace itself. */
export type Meta = { name: string; createdAtMs: number; checkpoint: Checkpoint | null; hubStarts: number; breakers?: true }
/** The ledger through entry `size`: its Merkle root and the digest of the state that follows from it, both in hex. */
export type Checkpoint = { size: Seq; root: string; digest: string }

export type MetaEvent =
  | Recorded<"workspace.created", { name: string }>
  | Recorded<"hub.started", { graceMs: number; breakers?: true }>
  | Recorded<"checkpoint.recorded", Checkpoint>

export type SkeinEvent =
  | AgentEvent
  | TaskEvent
  | FilesEvent
  | PlanEvent
  | DirectiveEvent
  | ThreadEvent
  | MessageEvent
  | UsageEvent
  | TriggerEvent
  | AccountEvent
  | PermissionEvent
  | PolicyEvent
  | PolicyTextEvent
  | BudgetEvent
  | BreakerEvent
  | MetaEvent

/** The whole state: a fold of the ledger. Tables are what counts (and what the digest covers); the rest follows from them. */
export class Workspace {
  readonly journal = new Journal()
  readonly board: Board = new Board(this)
  readonly forum: Forum = new Forum(this)
  readonly jobs: Jobs = new Jobs(this)
  readonly books: Books = new Books(this)
  readonly seen = new SeenSkills()
  readonly meta = new Table<Meta>("meta", this.journal)
  readonly agents = new Table<Agent>("agents", this.journal)
  readonly sessions = new Table<Session>("sessions", this.journal, this.board.onSession)
  readonly plans = new Table<Plan>("plans", this.journal)
  readonly specs = new Table<TaskSpec>("specs", this.journal, this.board.onSpec)
  readonly tasks = new Table<Task>("tasks", this.journal, this.board.onTask, writeTask)
  readonly notices = new Table<OpenNotice>("notices", this.journal, this.board.onNotice)
  readonly threads = new Table<Thread>("threads", this.journal, this.forum.onThread)
  readonly places = new Table<Participant>("places", this.journal, this.forum.onPlace)
  readonly pages = new Table<Page>("pages", this.journal)
  readonly findings = new Table<Finding>("findings", this.journal, this.forum.onFinding)
  readonly files = new Table<FileLease>("files", this.journal, this.board.holdings.onLease)
  readonly usage = new Table<UsageSum>("usage", this.journal)
  readonly triggers = new Table<Trigger>("triggers", this.journal, this.jobs.onTrigger)
  readonly wakes = new Table<Wake>("wakes", this.journal)
  readonly supervisors = new Table<Supervision>("supervisors", this.journal, this.jobs.onSupervision)
  readonly accounts = new Table<Exhausted>("accounts", this.journal)
  readonly permissions = new Table<Permission>("permissions", this.journal, this.jobs.onPermission)
  /** When agents' processes went away lately, by agent. */
  readonly crashes = new Table<readonly number[]>("crashes", this.journal)
  /** What is believed of agents, by agent and skill, and the attempts that did not complete their tasks, by task. */
  readonly beliefs = new Table<Posterior>("beliefs", this.journal, this.seen.onChange)
  readonly attempts = new Table<readonly Attempt[]>("attempts", this.journal)
  readonly policies = new Table<Partial<WakePolicy>>("policies", this.journal)
  readonly budgets = new Table<Budget>("budgets", this.journal, this.books.onBudget)
  readonly reservations = new Table<Reservation>("reservations", this.journal, this.books.onReservation)
  readonly breakers = new Table<Breaker>("breakers", this.journal)
  readonly breakerPolicy = new Table<Partial<BreakerPolicy>>("breakerPolicy", this.journal)
  readonly policyTexts = new Table<PolicyText>("policyTexts", this.journal)
  readonly keys = new KeyTable(this.journal)
  /** The last entry that was folded in, and its time. */
  seq: Seq = 0
  atMs = 0

  /** Every table, in the order in which snapshots keep them: specs before tasks and threads before places, since their indexes read them so. */
  get tables(): Table<unknown>[] {
    const { meta, agents, sessions, plans, specs, tasks, notices, threads, places, pages, findings, files, usage, keys } = this
    const { beliefs, attempts, triggers, wakes, supervisors, accounts, crashes, policies } = this
    const governing = [this.budgets, this.reservations, this.breakers, this.breakerPolicy, this.policyTexts]
    const waking = [triggers, wakes, supervisors, accounts, this.permissions, crashes, policies]
    return [
      meta,
      agents,
      sessions,
      plans,
      specs,
      tasks,
      notices,
      threads,
      places,
      pages,
      findings,
      files,
      usage,
      beliefs,
      attempts,
      ...waking,
      ...governing,
      keys,
    ] as Table<unknown>[]
  }
}

/** Entries after which whoever talks about a task does not go round in circles. */
const PROGRESS: ReadonlySet<string> = new Set(["task.progressed", "task.submitted", "task.completed", "task.changes_requested", "task.edited", "task.reset"])

/** Folds one entry into the state. The entry MUST be the next one: it was decided, so nothing is checked again. */
export function evolve(state: Workspace, entry: Entry): void {
  if (entry.seq !== state.seq + 1) throw new Error(`entry ${entry.seq} does not follow ${state.seq}`)
  state.seq = entry.seq
  state.atMs = entry.atMs
  const event = entry as unknown as SkeinEvent
  const { type } = event
  const noun = type.slice(0, type.indexOf("."))
  if (noun === "task" || noun === "lease" || noun === "leases") {
    evolveWork(state, event as TaskEvent, entry)
    if (PROGRESS.has(type)) noteProgress(state, (event.data as { id: TaskId }).id)
  } else if (noun === "files") evolveFiles(state, event as FilesEvent, entry)
  else if (noun === "agent" || noun === "session") evolveAgent(state, event as AgentEvent, entry.atMs)
  else if (noun === "plan") evolvePlan(state, event as PlanEvent, entry)
  else if (noun === "event") evolveDirective(state, event as DirectiveEvent, entry)
  else if (noun === "thread") evolveThread(state, event as ThreadEvent, entry)
  else if (noun === "message") evolveMessage(state, event as MessageEvent, entry)
  else if (noun === "usage") evolveSpending(state, event as UsageEvent, entry)
  else if (noun === "trigger" || noun === "supervisor") evolveTrigger(state, event as TriggerEvent, entry)
  else if (noun === "account") evolveAccount(state, event as AccountEvent, entry)
  else if (noun === "policy") evolveRules(state, event as PolicyEvent | PolicyTextEvent, entry)
  else if (noun === "permission") evolvePermission(state, event as PermissionEvent, entry)
  else if (noun === "budget") evolveBudget(state, event as BudgetEvent, entry)
  else if (noun === "breaker") evolveBreaker(state, event as BreakerEvent, entry)
  else evolveMeta(state, event as MetaEvent, entry.atMs)
  // Whatever a session has recorded is a sign of its life. Few hold files: for all others this is one look-up.
  if (state.files.size > 0 && noun !== "files") renewFiles(state, entry.actor, entry.atMs)
  remember(state, entry)
}

function evolveWork(state: Workspace, event: TaskEvent, entry: Entry): void {
  const before = event.type === "leases.renewed" ? undefined : state.tasks.get(event.data.id)
  evolveTask(state, event, before, entry)
  if (before !== undefined) evolveGoverned(state, event, before, entry)
  const learned = event.data as Learned & { id: TaskId; reason?: string }
  if (learned.judged !== undefined || learned.tried !== undefined) evolveJudgement(state, learned.id, event.type, learned, entry)
  if (state.files.size === 0) return
  if (event.type === "leases.renewed") for (const session of event.data.sessions) renewFiles(state, { agent: "", session }, entry.atMs)
  else if (!isWorkedOn(state.tasks.get(event.data.id))) dropFilesOf(state, event.data.id)
}

/** What an entry about a task means for money and breakers: spent first, then let go of. */
function evolveGoverned(state: Workspace, event: TaskEvent, before: Task, { seq, atMs, actor }: Entry): void {
  if (event.type === "task.claimed") {
    const { id, reserves } = event.data
    if (reserves !== undefined) bookClaim(state, id, reserves, seq, actor.agent, atMs)
    if (state.breakers.size > 0) foldProbe(state, before, seq, actor.agent, atMs)
    return
  }
  if (state.budgets.size > 0) {
    const spending = spendingOf(event, actor)
    if (spending !== null) bookSpending(state, spending, atMs)
    if (event.type === "task.edited" && event.data.reopens === true) {
      const budget = state.budgets.get(`task/${before.id}`) as Budget
      state.budgets.put(budget.id, reopened(state, budget))
    }
  }
  if (state.reservations.size > 0 && !isWorkedOn(state.tasks.get(before.id))) bookRelease(state, before.id, atMs)
  if (areBreakersOn(state)) foldOutcome(state, event, before, atMs)
}

function evolveSpending(state: Workspace, event: UsageEvent, entry: Entry): void {
  evolveUsage(state, event, entry)
  if (state.budgets.size === 0) return
  if (event.type === "usage.refunded") return bookRefund(state, event.data, entry.atMs)
  const spending = spendingOf(event, entry.actor)
  if (spending !== null) bookSpending(state, spending, entry.atMs)
}

function evolveRules(state: Workspace, event: PolicyEvent | PolicyTextEvent, entry: Entry): void {
  switch (event.type) {
    case "policy.changed":
      return evolvePolicy(state, event)
    case "policy.set":
      return evolvePolicyText(state, event, entry)
    default:
      throw unknownType(event)
  }
}

function isWorkedOn(task: Task | undefined): boolean {
  return task !== undefined && (isHeld(task.status) || task.status === "review")
}

function evolveMeta(state: Workspace, event: MetaEvent, atMs: number): void {
  switch (event.type) {
    case "workspace.created":
      state.meta.put("workspace", { name: event.data.name, createdAtMs: atMs, checkpoint: null, hubStarts: 0 })
      break
    case "hub.started": {
      // Whoever held a lease when the hub went down gets time to come back, before anybody takes its task.
      const until = atMs + event.data.graceMs
      for (const task of state.board.overdue(until - 1)) state.tasks.put(task.id, { ...task, leaseEndsAtMs: until })
      for (const id of state.board.holdings.overdue(until - 1)) state.files.put(id, { ...(state.files.get(id) as FileLease), endsAtMs: until })
      const meta = state.meta.get("workspace") as Meta
      state.meta.put("workspace", { ...meta, hubStarts: meta.hubStarts + 1, ...(event.data.breakers === true ? { breakers: true } : {}) })
      break
    }
    case "checkpoint.recorded":
      state.meta.put("workspace", { ...(state.meta.get("workspace") as Meta), checkpoint: event.data })
      break
    default:
      throw unknownType(event)
  }
}

/** A point that the state can be taken back to, until the journal is drained. */
export type Mark = { length: number; seq: Seq; atMs: number }

export function mark(state: Workspace): Mark {
  return { length: state.journal.length, seq: state.seq, atMs: state.atMs }
}

/** Takes back all that was folded in since the mark: somebody else's entries came first. */
export function undoTo(state: Workspace, { length, seq, atMs }: Mark): void {
  state.journal.undoTo(length)
  state.seq = seq
  state.atMs = atMs
}

/** All records as they stand, for a snapshot. */
export type Snapshot = { seq: Seq; atMs: number; tables: Record<string, [string, unknown][]> }
/** The records of one table, in columns: a million pairs would take 0.1 s to make. */
export type Rows = { table: string; keys: string[]; records: unknown[] }

export function takeSnapshot(state: Workspace): Snapshot {
  const tables = allRows(state).map(({ table, keys, records }) => [table, keys.map((key, at) => [key, records[at]])] as [string, [string, unknown][]])
  return { seq: state.seq, atMs: state.atMs, tables: Object.fromEntries(tables) }
}

/** Every table's records as they stand, in the order of `tables`. */
export function allRows(state: Workspace): Rows[] {
  return state.tables.map(rowsOf)
}

/** Tables of which records go away again; keys have an order of their own. */
const FORGETTING: ReadonlySet<string> = new Set([
  "sessions",
  "notices",
  "files",
  "triggers",
  "supervisors",
  "accounts",
  "permissions",
  "crashes",
  "budgets",
  "reservations",
  "breakers",
])

/**
 * Rows in an order that follows from the ledger alone. Where records are forgotten, an undo may have given some back: they come last in their table
 * and are put in order; keys by age, as their queue needs them. The other tables only grow.
 */
function rowsOf(table: Table<unknown>): Rows {
  const rows = { table: table.name, keys: [...table.keys()], records: [...table.values()] }
  if (table.name === "keys") return inOrder(rows, (a, b) => (rows.records[a] as Remembered).first - (rows.records[b] as Remembered).first)
  return FORGETTING.has(table.name) ? inOrder(rows, (a, b) => ((rows.keys[a] as string) < (rows.keys[b] as string) ? -1 : 1)) : rows
}

/** Most often they are in order: a million are looked at in the time in which a thousand are put in order. */
function inOrder(rows: Rows, compare: (a: number, b: number) => number): Rows {
  const { table, keys, records } = rows
  if (keys.every((_, at) => at === 0 || compare(at - 1, at) <= 0)) return rows
  const order = keys.map((_, at) => at).sort(compare)
  return { table, keys: order.map((at) => keys[at] as string), records: order.map((at) => records[at]) }
}

/** The state that a snapshot was taken of, its derived indexes built anew. */
export function fromSnapshot({ seq, atMs, tables }: Snapshot): Workspace {
  const state = new Workspace()
  for (const { name } of state.tables) putRows(state, name, tables[name] ?? [])
  state.seq = seq
  state.atMs = atMs
  return state
}

/** Puts records back as a snapshot has them. MUST come in the order in which it has them: specs before tasks. */
export function putRows(state: Workspace, name: string, rows: readonly [string, unknown][]): void {
  const table = state.tables.find((one) => one.name === name)
  if (table === undefined) throw new SyntaxError(`a snapshot with a table ${name.slice(0, 64)}, which this version does not know`)
  for (const [key, record] of rows) table.restore(key, record)
}
