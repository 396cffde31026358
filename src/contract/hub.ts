import * as z from "zod"
import type { Flight } from "../core/flight.ts"
import { isName, isWorkspaceName } from "../core/ids.ts"
import { sessionPresence } from "./agent.ts"
import { operation } from "./operation.ts"
import { hex, name, planId, role, seq, taskId, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const agentStatus = z.object({
  name,
  role,
  /** `lost`: silent for three intervals; `active`: heard of lately; `idle`: there, but silent; `offline`: no session. */
  presence: z.enum(["active", "idle", "offline", "lost", "retired"]),
  busy: z.boolean(),
  tasks: z.array(taskId),
  sessions: z.array(sessionPresence),
})
const alert = z.object({
  kind: z.string(),
  text: z.string(),
  remedy: z.string(),
  task: taskId.nullable(),
  agent: name.nullable(),
  about: z
    .string()
    .nullable()
    .describe("What tells it from others of its kind, task and agent while its text goes on counting: a wake, a session, what was denied."),
})
const state = z.enum(["pending", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled", "ready", "waiting", "unreachable"])
const microUsd = z.int()
const flight = z.object({
  seq,
  nowMs: timeMs,
  agents: z.array(
    z.object({
      name,
      kind: z.string(),
      tasks: z.array(z.object({ id: taskId, title: z.string(), state, progress: z.number(), leaseEndsAtMs: timeMs.nullable() })),
      words: z.object({ text: z.string(), atMs: timeMs, task: taskId }).nullable(),
      costMicroUsd: microUsd,
    }),
  ),
  blocked: z.array(
    z.object({
      id: taskId,
      title: z.string(),
      owner: name.nullable(),
      on: z.object({ kind: z.enum(["task", "agent", "external"]), ref: z.string(), reason: z.string() }),
      by: name.nullable(),
      sinceSeq: seq,
      updatedAtMs: timeMs,
    }),
  ),
  obstacles: z.array(z.object({ id: taskId, title: z.string(), state, owner: name.nullable(), waiting: z.int() })),
  costMicroUsd: microUsd,
}) satisfies z.ZodType<Flight & { seq: number; nowMs: number }>

export const hubOperations = {
  "hub.status": operation({
    least: "observer",
    summary: "Where the workspace stands.",
    text: "Counts of tasks by status, agents with their presence, open plans, the ledger's head, and alerts with what to do about each (stale or unreachable tasks, lost agents, wakes that were given up or that nobody delivers, agents that wait for leave, a disk that refuses writes).",
    errors: [],
    input: z.strictObject({}),
    output: z.object({
      workspace: name,
      nowMs: timeMs,
      head: z.object({ seq, hash: hex }),
      checkpoint: z.object({ size: seq, root: z.string(), digest: z.string() }).nullable(),
      counts: z.record(z.string(), z.int()),
      agents: z.array(agentStatus),
      plans: z.array(z.object({ id: planId, title: z.string(), finished: z.boolean(), counts: z.record(z.string(), z.int()) })),
      alerts: z.array(alert),
    }),
  }),
  "hub.flight": operation({
    least: "observer",
    summary: "What everybody does, and what is held up by whom.",
    text: "Of each agent the tasks that it holds, what it said last of its work, and what it cost; the tasks that are blocked, the longest first; and the tasks that most others wait for. Follows from the ledger alone: presence and alerts are in `hub.status`.",
    errors: [],
    input: z.strictObject({}),
    output: flight,
  }),
  "hub.metrics": operation({
    least: "observer",
    summary: "The hub's counters.",
    text: "Of the workspace's loop and of the surface since the hub's start: batches, commits, decided, refused, overloaded, queue length, subscribers, connections. With `sinceMs` also `history`: a sample of them each 5 s after that time, of the last two hours at the most and not from before the hub's start.",
    errors: [],
    input: z.strictObject({ /** A time of the hub's clock; 0: all that it has. */ sinceMs: timeMs.nullable().default(null) }),
    output: z.record(z.string(), z.unknown()),
  }),
}

export const workspaceOperations = {
  "workspace.list": operation({
    least: "observer",
    summary: "List the workspaces that the caller may enter.",
    text: "The operator sees all, everybody else its own.",
    errors: [],
    input: z.strictObject({}),
    output: z.object({ workspaces: z.array(z.object({ name, seq })) }),
  }),
  "workspace.create": operation({
    least: "operator",
    summary: "Create a workspace: a ledger of its own.",
    text: "Workspaces share nothing: not agents, tasks or credentials. A name is not `wanted`, `running` or `supervisor.json`, and does not end in `.cosigned`, `.unreadable` or `.credential`: files of other workspaces are called so. `invalid` says what is wrong with a ledger that lies there already.",
    errors: ["already_exists", "invalid", "storage_refused"],
    input: z.strictObject({
      name: name.refine(
        (text) => !isName(text) || isWorkspaceName(text),
        "Choose a name other than wanted, running and supervisor.json that does not end in .cosigned, .unreadable or .credential: files of other workspaces are called so",
      ),
    }),
    output: done.extend({ workspace: name }),
  }),
}
