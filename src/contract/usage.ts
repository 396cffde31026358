import * as z from "zod"
import { USAGE_BY, type UsageRow } from "../core/usage.ts"
import { operation } from "./operation.ts"
import { line, microUsd, name, sessionId, taskId } from "./schema.ts"
import { done } from "./task.ts"

const count = z.int().min(0).max(1_000_000_000_000)
const tokens = { inputTokens: count, outputTokens: count, cacheReadTokens: count, cacheWriteTokens: count }

const row = z.object({
  /** The agent, task, session, model or day (UTC); null where the report named none. */
  key: z.string().nullable(),
  requests: count,
  ...tokens,
  costMicroUsd: z.int(),
  unpriced: count,
}) satisfies z.ZodType<UsageRow>

export const usageOperations = {
  "usage.report": operation({
    least: "observer",
    summary: "Report what model calls took.",
    text: [
      "For agents whose telemetry does not come to `/otlp`. `inputTokens` counts neither what was read from a cache nor what was written to one. Without `costMicroUsd` (millionths of",
      "a US dollar) the cost is worked out from the instance's price table, and stays unknown where the model has no price there. Without `task` the usage is that of the one task that",
      "the caller is at work on. The cost is added to the task's: what is reported here MUST NOT be given again when the task is completed. A supervisor, orchestrator or the operator may",
      "report for another `agent`; an observer or a plugin reports nothing.",
    ].join(" "),
    errors: ["not_found"],
    input: z.strictObject({
      agent: name.nullable().default(null),
      session: sessionId.nullable().default(null),
      task: taskId.nullable().default(null),
      model: line(200).nullable().default(null),
      requests: z.int().min(1).max(1_000_000).default(1),
      inputTokens: count.default(0),
      outputTokens: count.default(0),
      cacheReadTokens: count.default(0),
      cacheWriteTokens: count.default(0),
      costMicroUsd: microUsd.nullable().default(null),
    }),
    output: done.extend({ task: taskId.nullable(), costMicroUsd: microUsd.nullable() }),
  }),
  "usage.list": operation({
    least: "observer",
    summary: "What was used, added up by one thing.",
    text: "By agent, task, session, model or day (UTC); the dearest first, days in their order. `unpriced` counts model calls whose cost nobody knows: it is missing from `costMicroUsd`.",
    errors: [],
    input: z.strictObject({ by: z.enum(USAGE_BY).default("agent"), limit: z.int().min(1).max(1_000).default(100) }),
    output: z.object({ rows: z.array(row), total: row.omit({ key: true }), more: z.boolean() }),
  }),
}
