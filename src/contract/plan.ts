import * as z from "zod"
import { PLAN_TASKS_MAX } from "../core/plan.ts"
import type { PlanView } from "../core/view.ts"
import { profileGiven } from "./agent.ts"
import { operation } from "./operation.ts"
import { commit, hex, microUsd, name, planId, reason, seq, taskId, timeMs, title } from "./schema.ts"
import { specGiven, taskState, usage } from "./task-schema.ts"
import { done } from "./task.ts"

const head = {
  name,
  title,
  digest: hex,
  commit: commit.nullable(),
  worktrees: z.boolean(),
  maxActiveAgents: z.int().min(1).max(1_000_000).nullable(),
  budgetMicroUsd: microUsd.nullable(),
}
const counts = z.object({
  pending: z.int(),
  claimed: z.int(),
  in_progress: z.int(),
  blocked: z.int(),
  review: z.int(),
  completed: z.int(),
  failed: z.int(),
  cancelled: z.int(),
  ready: z.int(),
  waiting: z.int(),
  unreachable: z.int(),
})
const planView = z.object({
  ...head,
  id: planId,
  run: z.int(),
  agents: z.array(z.object({ name, start: z.boolean() })),
  taskCount: z.int(),
  addedSeq: seq,
  addedAtMs: timeMs,
  cancelled: z.string().nullable(),
  counts,
  finished: z.boolean(),
}) satisfies z.ZodType<PlanView>

const row = z.object({
  id: taskId,
  title,
  state: taskState,
  owner: name.nullable(),
  filler: z.boolean(),
  attempts: z.int(),
  estimateMs: z.int().nullable(),
  claimedAtMs: timeMs.nullable(),
  closedAtMs: timeMs.nullable(),
  usage,
  reason: z.string().nullable(),
})

export const planOperations = {
  "plan.add": operation({
    least: "orchestrator",
    summary: "Add a plan: its tasks, their dependencies, its agents.",
    text: "Checked whole before anything is written. The same name, digest and commit is the same run: it is answered with `created` false and goes on where it stopped. Dependencies name tasks of the same plan; in the workspace a task is called `plan.run/id`. Bodies up to 8 MiB.",
    errors: ["invalid", "already_exists", "unknown_dependency", "cycle", "plan_conflict", "retired"],
    input: z.strictObject({
      name,
      title,
      digest: hex,
      commit: commit.nullable().default(null),
      worktrees: z.boolean().default(false),
      maxActiveAgents: head.maxActiveAgents.default(null),
      budgetMicroUsd: head.budgetMicroUsd.default(null),
      agents: z
        .array(profileGiven.extend({ name, start: z.boolean().default(true) }))
        .max(1_000)
        .default([]),
      tasks: z
        .array(specGiven.extend({ id: name }))
        .min(1)
        .max(PLAN_TASKS_MAX),
    }),
    output: done.extend({ plan: planId, created: z.boolean(), tasks: z.int() }),
  }),
  "plan.cancel": operation({
    least: "orchestrator",
    purposes: ["override"],
    summary: "Cancel a plan: every open task of it is cancelled.",
    text: "The same file started again makes a new run.",
    errors: ["not_found", "wrong_status"],
    input: z.strictObject({ plan: planId, reason }),
    output: done,
  }),
  "plan.list": operation({
    least: "observer",
    summary: "List the plans, oldest first.",
    text: "`counts` has each task once by status, and those that are pending once more as ready, waiting or unreachable. `finished`: nothing is left that could still be done, filler work aside.",
    errors: [],
    input: z.strictObject({ limit: z.int().min(1).max(1_000).default(100), cursor: seq.nullable().default(null) }),
    output: z.object({ plans: z.array(planView), cursor: seq.nullable() }),
  }),
  "plan.show": operation({
    least: "observer",
    summary: "Show one plan.",
    text: "Its tasks: `task.list` with `plan`.",
    errors: ["not_found"],
    input: z.strictObject({ plan: planId }),
    output: z.object({ plan: planView }),
  }),
  "plan.report": operation({
    least: "observer",
    summary: "What a plan's report is made of, as far as the state has it.",
    text: "`makespanMs` runs from the plan's entry to the last task that closed, or to now. `criticalPathMs` is the longest chain of estimates, `estimateMs` their sum; tasks without an estimate count as 0. Waiting and claim latency follow from the ledger's entries: `ledger.read` from `plan.addedSeq` on.",
    errors: ["not_found"],
    input: z.strictObject({ plan: planId }),
    output: z.object({
      plan: planView,
      makespanMs: z.int(),
      criticalPathMs: z.int(),
      estimateMs: z.int(),
      usage,
      attempts: z.int(),
      agents: z.array(z.object({ agent: name, completed: z.int(), fillers: z.int(), busyMs: z.int() })),
      tasks: z.array(row),
    }),
  }),
}
