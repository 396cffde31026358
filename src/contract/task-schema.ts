import * as z from "zod"
import type { Attempt } from "../core/judgement.ts"
import type { Task, TaskSpec } from "../core/task.ts"
import type { TaskView } from "../core/view.ts"
import {
  body,
  command,
  commit,
  fence,
  glob,
  label,
  line,
  microUsd,
  name,
  note,
  planId,
  priority,
  seq,
  sessionId,
  skills,
  taskId,
  timeMs,
  title,
} from "./schema.ts"

/** The schemas that make up a task: what it asks for, where it stands, what it delivered. */

const run = z.union([
  z.strictObject({ command: command(8_192).min(1) }),
  z.strictObject({ argv: z.array(command(8_192)).min(1).max(256) }),
  z.strictObject({
    standIn: z.strictObject({
      ms: z
        .int()
        .min(0)
        .max(30 * 86_400_000),
      costMicroUsd: microUsd,
    }),
  }),
])
const env = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, "Use a variable's name: letters, digits and _"), command(8_192))
  .refine((given) => Object.keys(given).length <= 64, "At most 64 variables")

/** Every field of a task's specification that has a default. Names tasks of a plan by their local names, other tasks by their ids. */
const spec = {
  title,
  body,
  priority,
  dependsOn: z.array(taskId).max(400),
  requires: skills,
  budgetMicroUsd: microUsd.nullable(),
  touches: z.array(glob).max(200),
  run: run.nullable(),
  env,
  estimateMs: z
    .int()
    .min(0)
    .max(365 * 86_400_000)
    .nullable(),
  prefers: name.nullable(),
  model: line(200).nullable(),
  account: line(200).nullable(),
  gates: z.array(command(4_096).min(1)).max(32),
  filler: z.boolean(),
  review: z.boolean(),
  leaseMs: z.int().min(1_000).max(3_600_000).nullable(),
  maxAttempts: z.int().min(1).max(1_000),
  labels: z.array(label).max(32),
}

const evidence = z.strictObject({ testsPass: z.boolean().nullable(), commit: commit.nullable(), links: z.array(line(1_000)).max(50) })
export const usage = z.strictObject({ costMicroUsd: microUsd, inputTokens: z.int().min(0), outputTokens: z.int().min(0) })
const deliverable = z.strictObject({ text: body, evidence })

/** What a caller gives: evidence and usage may be left out. */
export const evidenceGiven = z.strictObject({
  testsPass: evidence.shape.testsPass.default(null),
  commit: evidence.shape.commit.default(null),
  links: evidence.shape.links.default([]),
})
export const usageGiven = z.strictObject({ costMicroUsd: microUsd.default(0), inputTokens: z.int().min(0).default(0), outputTokens: z.int().min(0).default(0) })

/** A specification where only the title is a must: what is left out takes the core's default. */
export const specGiven = z.strictObject({
  title,
  body: body.exactOptional(),
  priority: priority.exactOptional(),
  dependsOn: spec.dependsOn.exactOptional(),
  requires: skills.exactOptional(),
  budgetMicroUsd: spec.budgetMicroUsd.exactOptional(),
  touches: spec.touches.exactOptional(),
  run: spec.run.exactOptional(),
  env: env.exactOptional(),
  estimateMs: spec.estimateMs.exactOptional(),
  prefers: spec.prefers.exactOptional(),
  model: spec.model.exactOptional(),
  account: spec.account.exactOptional(),
  gates: spec.gates.exactOptional(),
  filler: spec.filler.exactOptional(),
  review: spec.review.exactOptional(),
  leaseMs: spec.leaseMs.exactOptional(),
  maxAttempts: spec.maxAttempts.exactOptional(),
  labels: spec.labels.exactOptional(),
})
export const specChanges = specGiven
  .extend({ title: title.exactOptional() })
  .refine((changes) => Object.keys(changes).length > 0, "Name at least one field to change")

export const status = z.enum(["pending", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled"])
export const taskState = z.enum([
  "pending",
  "claimed",
  "in_progress",
  "blocked",
  "review",
  "completed",
  "failed",
  "cancelled",
  "ready",
  "waiting",
  "unreachable",
])
export const blocker = z.strictObject({ kind: z.enum(["task", "agent", "external"]), ref: line(300) })

const standing = {
  id: taskId,
  plan: planId.nullable(),
  addedSeq: seq,
  addedAtMs: timeMs,
  lastSeq: seq,
  status,
  owner: name.nullable(),
  session: sessionId.nullable(),
  fence: fence.nullable(),
  leaseEndsAtMs: timeMs.nullable(),
  attempts: z.int(),
  progress: z.number().min(0).max(1),
  note: note.nullable(),
  blockedOn: z.object({ kind: blocker.shape.kind, ref: z.string(), reason: z.string(), sinceSeq: seq }).nullable(),
  helpWanted: z.object({ reason: z.string(), helper: name.nullable() }).nullable(),
  deliverable: deliverable.nullable(),
  usage,
  reason: z.string().nullable(),
  stale: z.enum(["owner", "operator"]).nullable(),
  claimedAtMs: timeMs.nullable(),
  updatedAtMs: timeMs,
  closedAtMs: timeMs.nullable(),
}
const specShape = z.object(spec) satisfies z.ZodType<TaskSpec>
const standingShape = z.object({ ...standing, leaseMs: z.int().nullable() }) satisfies z.ZodType<Task>

/** An attempt that did not complete its task: what the next worker on it should know. `end` is the entry's type, `reason` and `note` what was said. `throttles`: it was throttled without a time of
 * reset, so many times in a row. */
const attempt = z.object({
  agent: name,
  fence,
  progress: z.number().min(0).max(1),
  note: note.nullable(),
  end: z.string(),
  reason: z.string(),
  throttles: z.int().exactOptional(),
  atMs: timeMs,
}) satisfies z.ZodType<Attempt>

/**
 * A task as it is answered: `state` says what follows from others too, `pathMs` how long the longest chain of work from it on is, `history` what its last
 * attempts came to.
 */
export const taskView = z.object({
  ...specShape.shape,
  ...standingShape.shape,
  state: taskState,
  pathMs: z.number(),
  history: z.array(attempt).readonly(),
}) satisfies z.ZodType<TaskView>
