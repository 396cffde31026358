import * as z from "zod"
import type { Manifest, ManifestSkill } from "../core/manifest.ts"
import type { Reasons } from "../core/reasons.ts"
import { profile } from "./agent.ts"
import { operation } from "./operation.ts"
import { fence, name, skills, taskId, timeMs } from "./schema.ts"

const skill = z.object({
  skill: z.string(),
  declared: z.int().nullable(),
  learned: z.int().nullable(),
  mean: z.number(),
  deviation: z.number(),
  seen: z.int(),
}) satisfies z.ZodType<ManifestSkill>

const { capabilities: _, heartbeatMs: __, ...shown } = profile
const manifest = z.object({
  name,
  ...shown,
  status: z.enum(["present", "retired"]),
  addedAtMs: timeMs,
  skills: z.array(skill),
}) satisfies z.ZodType<Manifest>

const reasons = z.object({
  rule: z.enum(["named", "order", "assigned", "probe"]),
  ready: z.int(),
  waiting: z.int(),
  match: z.number().exactOptional(),
  chance: z.number().exactOptional(),
  score: z.number().exactOptional(),
}) satisfies z.ZodType<Reasons>

export const matchOperations = {
  "agent.manifest": operation({
    least: "observer",
    summary: "Show what an agent can do: what it declares, and what its work has shown.",
    text: "`mean` is the expected chance of success in a skill, `deviation` how much is still unknown, `seen` the outcomes so far. `learned` is the level up to which it counts as having the skill without declaring it: from a mean of 0.70 on.",
    errors: ["not_found"],
    input: z.strictObject({ name }),
    output: manifest,
  }),
  "task.whyAssigned": operation({
    least: "observer",
    summary: "Say who got a task, and why.",
    text: "Newest first, from the entries of the claims. `rule`: `named` (asked for by id), `order` (first of what fitted), `assigned` (several waited, and it was the best use of this agent), `probe` (not eligible, but tried). `match` is the share of the required skills, `chance` the expected chance of success then, `score` what that was worth in mean costs. `why` is null for claims of before reasons were kept; `end` says how an attempt ended that did not complete the task.",
    errors: ["not_found"],
    input: z.strictObject({ task: taskId }),
    output: z.object({
      task: taskId,
      requires: skills,
      assignments: z.array(z.object({ agent: name, fence, atMs: timeMs, why: reasons.nullable(), end: z.string().nullable(), reason: z.string().nullable() })),
    }),
  }),
}
