import * as z from "zod"
import { operation } from "./operation.ts"
import { body, fence, label, line, name, note, planId, reason, seq, taskId, timeMs } from "./schema.ts"
import { blocker, evidenceGiven, specChanges, specGiven, status, taskState, taskView, usageGiven } from "./task-schema.ts"

export const done = z.object({ seq })
const throttled = z.strictObject({ untilMs: timeMs.nullable() }).exactOptional()
const NO_USAGE = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
const claimed = z.object({ fence, leaseEndsAtMs: timeMs, leaseMs: z.int(), task: taskView })
const underLease = ["not_found", "stale_fence", "not_owner", "wrong_status"] as const
const ofTask = z.strictObject({ task: taskId })

export const taskOperations = {
  "task.add": operation({
    least: "worker",
    summary: "Add a task.",
    text: "The task is `ready` at once when everything in `dependsOn` is completed, else `waiting`. Tasks of a plan come with `plan.add`; an id with a slash is theirs. A worker cannot set `gates`.",
    errors: ["invalid", "already_exists", "unknown_dependency", "cycle", "forbidden"],
    input: specGiven.extend({ id: taskId }),
    output: done.extend({ task: taskId }),
  }),
  "task.edit": operation({
    least: "orchestrator",
    summary: "Change what an open task asks for.",
    text: "Whoever holds the task gets a `replan` directive. `dependsOn` and `filler` can change only while nobody holds it, `maxAttempts` never to as few as it has had. Money beyond what was spent opens a task's budget that an overrun closed.",
    errors: ["not_found", "wrong_status", "unknown_dependency", "cycle", "invalid", "files_conflict"],
    input: z.strictObject({ task: taskId, reason, changes: specChanges }),
    output: done,
  }),
  "task.reset": operation({
    least: "orchestrator",
    purposes: ["override"],
    summary: "Open a task again, whatever became of it.",
    text: "Attempts, progress and deliverable start anew; whoever holds it gets a `stop` directive and its fence is stale from here on. Whoever works on what depends on a task that was completed gets a `replan` directive.",
    errors: ["not_found", "wrong_status", "cycle"],
    input: z.strictObject({ task: taskId, reason }),
    output: done,
  }),
  "task.cancel": operation({
    least: "orchestrator",
    purposes: ["override"],
    summary: "Close a task for good.",
    text: "What depends on it becomes `unreachable`; whoever holds it gets a `stop` directive.",
    errors: ["not_found", "wrong_status"],
    input: z.strictObject({ task: taskId, reason }),
    output: done,
  }),
  "task.claim": operation({
    least: "worker",
    purposes: ["claim", "spend"],
    summary: "Claim one task under a lease.",
    text: "Of any number of concurrent callers exactly one wins. Write the answer's `fence` on everything done under the claim, and stop a little before `leaseEndsAtMs`. Claiming what the caller's own session holds already answers the same claim again. A lost race is `claim_denied`: its details name the holder and `retryAtMs`. The claim reserves the files that the task `touches`, for as long as the task is held: where another agent holds some of them it is `files_conflict`.",
    errors: ["not_found", "claim_denied", "not_ready", "not_eligible", "at_limit", "wrong_status", "retired", "files_conflict", "budget_spent", "breaker_open"],
    input: ofTask,
    output: claimed,
  }),
  "task.claimNext": operation({
    least: "worker",
    purposes: ["claim"],
    summary: "Claim the best tasks that are ready and fit.",
    text: "Chosen by priority, then the longest remaining chain of dependents, then preference, then age. Filler work is offered where nothing else is ready, unless `filler` says only (true) or never (false). With `waitMs` the call waits until something fits; it ends with the caller's connection. `max` up to 100 claims in one call, never more than the agent's `maxActive`. A session at its limit gets its current claims again. Tasks whose `touches` another agent holds are passed over.",
    errors: ["nothing_ready", "at_limit", "retired", "not_found", "budget_spent", "breaker_open"],
    input: z.strictObject({
      plan: planId.nullable().default(null),
      labels: z.array(label).max(32).default([]),
      filler: z.boolean().nullable().default(null),
      max: z.int().min(1).max(100).default(1),
      waitMs: z.int().min(0).max(150_000).default(0),
    }),
    output: z.object({ claims: z.array(claimed) }),
  }),
  "task.update": operation({
    least: "worker",
    summary: "Report progress: a sign of life that renews the lease.",
    text: "Starts a claimed task. `progress` is 0 to 1.",
    errors: underLease,
    input: z.strictObject({ task: taskId, fence, progress: z.number().min(0).max(1).nullable().default(null), note: note.nullable().default(null) }),
    output: done.extend({ leaseEndsAtMs: timeMs.nullable() }),
  }),
  "task.block": operation({
    least: "worker",
    summary: "Say what a held task waits for.",
    text: "The task keeps owner and lease, does not count against `maxActive`, and everyone it concerns gets a `replan` directive. A task that waits for this one, or an agent that waits for its owner, cannot be waited for: `cycle`. It goes on by itself when the task it waits for completes; its owner is told when that fails or is cancelled, or the agent it waits for is retired.",
    errors: [...underLease, "cycle", "retired"],
    input: z.strictObject({ task: taskId, fence, on: blocker, reason }),
    output: done,
  }),
  "task.unblock": operation({
    least: "worker",
    summary: "Say that a blocker is gone.",
    text: "The owner is called back with a `resume` directive; its filler work is released in the same breath.",
    errors: ["not_found", "wrong_status", "not_owner"],
    input: z.strictObject({ task: taskId, reason }),
    output: done,
  }),
  "task.complete": operation({
    least: "worker",
    purposes: ["merge"],
    summary: "Deliver a task.",
    text: "What waited for it is ready from this entry on: the answer's `ready` names it. Where the task asks for a review its status becomes `review`, and orchestrators are told, the operator where there is none. Evidence that says tests fail is refused.",
    errors: [...underLease, "invalid"],
    input: z.strictObject({
      task: taskId,
      fence,
      deliverable: z.strictObject({ text: body, evidence: evidenceGiven.default({ testsPass: null, commit: null, links: [] }) }),
      usage: usageGiven.default(NO_USAGE),
    }),
    output: done.extend({ status: z.string(), ready: z.array(taskId) }),
  }),
  "task.fail": operation({
    least: "worker",
    summary: "Give up an attempt.",
    text: "With `retry`, and attempts left, the task is open again; else it has failed and its dependents are unreachable. `throttled`: it was no failure, the provider asked to be left alone (until `untilMs`, where it said so); told from the words of `reason` where it is left out. With `retry` no attempt is counted for it, but for each tenth in a row without an `untilMs` to come.",
    errors: underLease,
    input: z.strictObject({ task: taskId, fence, reason, retry: z.boolean().default(true), usage: usageGiven.default(NO_USAGE), throttled }),
    output: done.extend({ status: z.string() }),
  }),
  "task.release": operation({
    least: "worker",
    summary: "Give a task back unharmed.",
    text: "It is pending again and no attempt is counted. `throttled` as with `task.fail`: what has to be counted ends as there.",
    errors: underLease,
    input: z.strictObject({ task: taskId, fence, reason: reason.default("released"), throttled }),
    output: done,
  }),
  "task.review": operation({
    least: "worker",
    purposes: ["merge"],
    summary: "Approve a delivered task, or ask for changes.",
    text: "Nobody reviews its own task, the operator excepted. Changes requested: the owner goes on under a fresh lease.",
    errors: ["not_found", "wrong_status", "forbidden"],
    input: z.strictObject({ task: taskId, approve: z.boolean(), reason }),
    output: done.extend({ status: z.string() }),
  }),
  "task.list": operation({
    least: "observer",
    summary: "List tasks, oldest first.",
    text: "Filters join with *and*. `state` knows what is derived too (`ready`, `waiting`, `unreachable`). `text` is looked for in id and title, whatever its case. Pass the answer's `cursor` on as `cursor` for the next page; null: there is no more.",
    errors: [],
    input: z.strictObject({
      state: z.array(taskState).max(11).default([]),
      plan: planId.nullable().default(null),
      owner: name.nullable().default(null),
      label: label.nullable().default(null),
      text: line(200).nullable().default(null),
      limit: z.int().min(1).max(1_000).default(100),
      cursor: seq.nullable().default(null),
    }),
    output: z.object({ tasks: z.array(taskView), cursor: seq.nullable() }),
  }),
  "task.show": operation({
    least: "observer",
    summary: "Show one task with its dependents.",
    text: "`waitsFor` names the dependencies that are not completed, `dependents` what waits for it.",
    errors: ["not_found"],
    input: ofTask,
    output: z.object({ task: taskView, waitsFor: z.array(z.object({ id: taskId, status })), dependents: z.array(taskId) }),
  }),
}

export const leaseOperations = {
  "lease.renew": operation({
    least: "worker",
    summary: "Renew the lease of a held task.",
    text: "A session that something beats for need not call this: its heartbeats renew its leases.",
    errors: underLease,
    input: z.strictObject({ task: taskId, fence }),
    output: done.extend({ leaseEndsAtMs: timeMs.nullable() }),
  }),
  "lease.end": operation({
    least: "operator",
    purposes: ["override"],
    summary: "End a lease by hand.",
    text: "The task is pending again, an attempt is counted, and the former holder's writes are stale.",
    errors: ["not_found", "wrong_status"],
    input: z.strictObject({ task: taskId, reason }),
    output: done.extend({ status: z.string() }),
  }),
}

export const helpOperations = {
  "help.want": operation({
    least: "worker",
    summary: "Ask for help with a held task.",
    text: "Told to idle agents that match; the first to answer joins as helper. The owner keeps the lease, and may ask again once its helper is retired.",
    errors: underLease,
    input: z.strictObject({ task: taskId, fence, reason }),
    output: done.extend({ told: z.int() }),
  }),
  "help.answer": operation({
    least: "worker",
    summary: "Join a task as helper.",
    text: "The first to answer is joined; the others get `help_taken`.",
    errors: ["not_found", "wrong_status", "help_taken", "forbidden", "retired"],
    input: ofTask,
    output: done.extend({ owner: name }),
  }),
}
