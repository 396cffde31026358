import { SkeinError } from "../contract/errors.ts"
import type { Output } from "../contract/operations.ts"
import type { Session } from "../core/agent.ts"
import { breakerPolicy } from "../core/breaker.ts"
import { breakerViews } from "../core/breaker-view.ts"
import { budgetViews } from "../core/budget-view.ts"
import { openNotices } from "../core/directive.ts"
import { decodeEntry } from "../core/entry.ts"
import { type AgentId, byName, type Seq } from "../core/ids.ts"
import { flightOf } from "../core/flight.ts"
import { totalOf, usageBy } from "../core/usage.ts"
import { taskState, type TaskView, viewAgent, viewPlan, viewTask } from "../core/view.ts"
import { toHex } from "../core/hash.ts"
import type { Task } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Loop } from "../hub/loop.ts"
import type { Doers } from "./context.ts"
import { checkFiles, listFiles } from "./file-reads.ts"
import { inTurns } from "./look-turns.ts"
import { manifestOf } from "../core/manifest.ts"
import { whyAssigned } from "./assignment-reads.ts"
import { reportOf } from "./report.ts"
import { sessionWithPresence, statusOf } from "./status.ts"

type Reads =
  | "agent.list"
  | "agent.manifest"
  | "breaker.list"
  | "budget.show"
  | "agent.show"
  | "event.inbox"
  | "files.check"
  | "files.list"
  | "hub.metrics"
  | "hub.flight"
  | "hub.status"
  | "ledger.head"
  | "ledger.read"
  | "ledger.snapshots"
  | "ledger.why"
  | "plan.list"
  | "plan.report"
  | "plan.show"
  | "session.list"
  | "task.list"
  | "task.show"
  | "task.whyAssigned"
  | "usage.list"
  | "workspace.list"

/** An answer of `ledger.read` ends with the entry that passes this many bytes. */
const READ_MAX_BYTES = 4 * 1024 * 1024
/** Entries that are read at once: each may have 64 KiB. */
const PAGE = 128
const WHY_MAX = 1_000

export const reads: Doers<Reads> = {
  "usage.list": ({ read }, { by, limit }) =>
    read((state) => {
      const rows = usageBy(state, by)
      return { rows: rows.slice(0, limit), total: totalOf(rows), more: rows.length > limit }
    }),
  "budget.show": ({ read }, { scope, limit }) =>
    read((state, nowMs) => {
      const budgets = budgetViews(state, scope, nowMs)
      return { budgets: budgets.slice(0, limit), more: budgets.length > limit }
    }),
  "breaker.list": ({ read }, { limit }) =>
    read((state, nowMs) => {
      const breakers = breakerViews(state, nowMs)
      return { breakers: breakers.slice(0, limit), more: breakers.length > limit, policy: breakerPolicy(state) }
    }),
  "agent.list": ({ read }, { limit, cursor }) =>
    read((state) => {
      const names = [...state.agents.keys()].filter((name) => cursor === null || byName(name, cursor) > 0).sort(byName)
      const page = names.slice(0, limit)
      return { agents: page.map((name) => viewAgent(state, state.agents.get(name)!)), cursor: names.length > limit ? (page.at(-1) ?? null) : null }
    }),
  "agent.show": ({ loop, read }, { name }) =>
    read((state, nowMs) => {
      const agent = state.agents.get(name)
      if (agent === undefined) throw absent("agent", name, "`skein agent list` lists the agents.")
      return { agent: viewAgent(state, agent), sessions: state.board.sessionsOf(name).map((session) => sessionWithPresence(loop, session, nowMs)) }
    }),
  "agent.manifest": ({ read }, { name }) => read((state) => manifestOf(state, name) ?? fail(absent("agent", name, "`skein agent list` lists the agents."))),
  "session.list": ({ loop, read }, { agent, status, limit }) =>
    read((state, nowMs) => {
      const fits = (session: Session): boolean => (agent === null || session.agent === agent) && (status === null || session.status === status)
      const found = [...state.sessions.values()].filter(fits).sort((a, b) => b.startedAtMs - a.startedAtMs || (a.id < b.id ? -1 : 1))
      return { sessions: found.slice(0, limit).map((session) => sessionWithPresence(loop, session, nowMs)) }
    }),
  "task.list": ({ read }, filter) => inTurns(read, (state) => listTasks(state, filter)),
  "task.show": ({ read }, { task: id }) =>
    read((state) => {
      const task = viewTask(state, id)
      if (task === null) throw absent("task", id, "`skein task list` lists the tasks.")
      const open = task.dependsOn.flatMap((dependency) => {
        const status = state.tasks.get(dependency)?.status
        return status === undefined || status === "completed" ? [] : [{ id: dependency, status }]
      })
      return { task, waitsFor: open, dependents: [...state.board.dependents(id)].sort(byName) }
    }),
  "task.whyAssigned": async ({ loop, read, caller }, { task: id }) => {
    const task = await read((state) => viewTask(state, id))
    if (task === null) throw absent("task", id, "`skein task list` lists the tasks.")
    return whyAssigned(task, async (seq) => (await loop.entries(seq, 1, caller.actor.agent))[0]?.bytes)
  },
  "plan.list": ({ read }, { limit, cursor }) =>
    read((state) => {
      const plans = [...state.plans.values()].filter((plan) => plan.addedSeq > (cursor ?? 0)).sort((a, b) => a.addedSeq - b.addedSeq)
      const page = plans.slice(0, limit)
      return { plans: page.map((plan) => viewPlan(state, plan.id)!), cursor: plans.length > limit ? (page.at(-1)?.addedSeq ?? null) : null }
    }),
  "plan.show": ({ read }, { plan: id }) =>
    read((state) => {
      const plan = viewPlan(state, id)
      if (plan === null) throw absent("plan", id, "`skein plan list` lists the plans.")
      return { plan }
    }),
  "plan.report": async ({ read }, { plan }) =>
    (await inTurns(read, (state, nowMs) => reportOf(state, plan, nowMs))) ?? fail(absent("plan", plan, "`skein plan list` lists the plans.")),
  "event.inbox": ({ read, caller }, { limit }) => read((state) => ({ events: openNotices(state, caller.actor).slice(0, limit) })),
  "files.check": ({ read, caller }, input) => read((state, nowMs) => checkFiles(state, caller.actor, input, nowMs)),
  "files.list": ({ read }, input) => read((state, nowMs) => listFiles(state, input, nowMs)),
  "ledger.head": ({ loop, read }) => read(() => ({ seq: loop.head.seq, hash: toHex(loop.head.hash), note: loop.note() })),
  "ledger.read": async ({ loop, read, caller }, { from, limit }) => {
    const head = await read((state) => state.seq)
    const to = Math.min(head, from + limit - 1)
    const entries: Output<"ledger.read">["entries"] = []
    for (let size = 0, next = from; next <= to && size < READ_MAX_BYTES; next += PAGE) {
      for (const { seq, bytes, hash } of await loop.entries(next, Math.min(PAGE, to - next + 1), caller.actor.agent)) {
        if (size >= READ_MAX_BYTES) break
        entries.push({ seq, bytes, hash: toHex(hash) })
        size += bytes.length
      }
    }
    const last = entries.at(-1)?.seq ?? from - 1
    return { entries, next: last < head ? last + 1 : null }
  },
  "ledger.why": async ({ loop, caller }, { seq }) => ({ entries: await chainOfReasons(loop, seq, caller.actor.agent) }),
  "ledger.snapshots": async ({ hub, loop }) => {
    const rungs = (await hub.ladder(loop.name)?.rungs()) ?? []
    return { snapshots: (await loop.snapshots()).map((seq) => ({ seq })), rungs: rungs.map((seq) => ({ seq })) }
  },
  "hub.flight": ({ read }) => read((state, nowMs) => ({ seq: state.seq, nowMs, ...flightOf(state) })),
  "hub.status": ({ loop, read }) => read((state, nowMs) => statusOf(loop, state, nowMs)),
  "hub.metrics": ({ loop, metrics, history }, { sinceMs }) =>
    Promise.resolve({ ...loop.stats(), surface: metrics(), ...(sinceMs === null ? {} : { history: history.since(loop.name, sinceMs) }) }),
  "workspace.list": ({ hub, caller }) => {
    const names = caller.actor.role === "operator" ? hub.names() : [caller.workspace]
    return Promise.resolve({ workspaces: names.map((name) => ({ name, seq: hub.workspace(name)?.head.seq ?? 0 })) })
  },
}

type TaskFilter = { state: string[]; plan: string | null; owner: string | null; label: string | null; text: string | null; limit: number; cursor: Seq | null }

/** Tasks that are looked at in one step. */
const STEP = 1_000

/** Ends where the page is full: tasks only come, and their table and their plan have them in the order in which they came. */
function* listTasks(state: Workspace, filter: TaskFilter): Generator<void, { tasks: TaskView[]; cursor: Seq | null }> {
  const { plan, owner, label, text, limit, cursor } = filter
  const wanted = new Set(filter.state)
  // `pending` means all that nobody holds, whether it is ready or not.
  const inState = (task: Task): boolean => wanted.size === 0 || wanted.has(task.status) || wanted.has(taskState(state, task))
  const needle = text?.toLowerCase() ?? null
  const tasks: TaskView[] = []
  let looked = 0
  for (const id of plan === null ? state.tasks.keys() : state.board.tasksOf(plan)) {
    if (++looked % STEP === 0) yield
    const task = state.tasks.get(id)!
    if (task.addedSeq <= (cursor ?? 0) || (owner !== null && task.owner !== owner)) continue
    const spec = state.specs.get(id)!
    if (label !== null && !spec.labels.includes(label)) continue
    if (needle !== null && !id.toLowerCase().includes(needle) && !spec.title.toLowerCase().includes(needle)) continue
    if (!inState(task)) continue
    if (tasks.length === limit) return { tasks, cursor: tasks.at(-1)?.addedSeq ?? null }
    tasks.push(viewTask(state, id)!)
  }
  return { tasks, cursor: null }
}

/** Newest first; each entry names the one before it in `causedBy`, always an earlier one. */
async function chainOfReasons(loop: Loop, seq: Seq, of: AgentId): Promise<Output<"ledger.why">["entries"]> {
  const head = await loop.read((state) => state.seq)
  if (seq > head) throw absent("entry", String(seq), `The ledger ends at ${head}.`)
  const entries: Output<"ledger.why">["entries"] = []
  for (let at: Seq | null = seq; at !== null && entries.length < WHY_MAX;) {
    const [stored] = await loop.entries(at, 1, of)
    if (stored === undefined) break
    const entry = decodeEntry(stored.bytes)
    entries.push(entry)
    at = entry.causedBy !== null && entry.causedBy < at ? entry.causedBy : null
  }
  return entries
}

function absent(noun: string, name: string, remedy: string): SkeinError {
  return new SkeinError("not_found", `there is no ${noun} ${name}`, remedy, { [noun]: name })
}

function fail(error: SkeinError): never {
  throw error
}
