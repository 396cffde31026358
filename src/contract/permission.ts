import * as z from "zod"
import { type Permission, PERMISSION_STATUSES } from "../core/permission.ts"
import { operation } from "./operation.ts"
import { line, name, reason, seq, sessionId, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const optionId = line(200)
const option = z.strictObject({ id: optionId, name: line(300), kind: line(64) })
const permission = seq.describe("seq of the entry by which it was asked")

const view = z.object({
  id: permission,
  agent: name,
  session: z.string().nullable(),
  supervisor: z.string().nullable(),
  title: z.string(),
  kind: z.string().nullable(),
  options: z.array(option).readonly(),
  askedAtMs: timeMs,
  untilMs: timeMs,
  status: z.enum(PERMISSION_STATUSES),
  option: z.string().nullable(),
  by: name.nullable(),
  rule: z.string().nullable(),
  reason: z.string(),
  endedAtMs: timeMs.nullable(),
}) satisfies z.ZodType<Permission>

export const permissionOperations = {
  "permission.ask": operation({
    least: "supervisor",
    summary: "Ask leave for an agent that waits for it in its turn.",
    text: "The operator is told, and `permission.answer` chooses one of `options`. Nobody answers within `permissionMs`: it is refused (`permission.ended`, `expired`). `rule`: a rule of the caller's settings has decided (`option` null refuses), and that is recorded at once. `permission` in the answer names it: the seq of its entry.",
    errors: ["not_found", "retired", "invalid", "at_limit"],
    input: z.strictObject({
      agent: name,
      session: sessionId.nullable().default(null),
      title: line(1_000),
      kind: line(64).nullable().default(null),
      options: z.array(option).min(1).max(16),
      rule: z
        .strictObject({ name: line(200), option: optionId.nullable() })
        .nullable()
        .default(null),
    }),
    output: done.extend({ permission, status: z.enum(PERMISSION_STATUSES), option: z.string().nullable(), untilMs: timeMs }),
  }),
  "permission.answer": operation({
    least: "operator",
    summary: "Give an agent leave, or refuse it.",
    text: "`option` is one of those that it offers; null refuses. An answer is given once, and only while the agent waits.",
    errors: ["not_found", "wrong_status", "invalid"],
    input: z.strictObject({ permission, option: optionId.nullable(), reason: reason.default("the operator decided") }),
    output: done,
  }),
  "permission.withdraw": operation({
    least: "supervisor",
    summary: "Say that nobody waits for an answer any more.",
    text: "The agent's turn was ended. One that has its answer keeps it.",
    errors: ["not_found"],
    input: z.strictObject({ permission, reason }),
    output: done,
  }),
  "permission.list": operation({
    least: "observer",
    summary: "List what agents ask leave for, the newest first.",
    text: "`open`: only what waits for an answer. What has ended is kept for a day, the last 100 of each agent; the ledger keeps all of it.",
    errors: [],
    input: z.strictObject({ open: z.boolean().default(true), agent: name.nullable().default(null), limit: z.int().min(1).max(1_000).default(100) }),
    output: z.object({ permissions: z.array(view) }),
  }),
}
