import * as z from "zod"
import { DIRECTIVES, EVENT_KINDS, type OpenNotice, VOICES } from "../core/directive.ts"
import { operation } from "./operation.ts"
import { body, name, payload, priority, role, seq, taskId, threadId, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const kind = z.enum(EVENT_KINDS)
const directive = z.enum(DIRECTIVES)
const target = z.union([z.strictObject({ agent: name }), z.strictObject({ role }), z.strictObject({ everyone: z.literal(true) })])

export const openNotice = z.object({
  seq,
  from: name,
  atMs: timeMs,
  kind,
  directive: directive.nullable(),
  to: target,
  task: taskId.nullable(),
  priority,
  text: z.string(),
  payload: z.record(z.string(), z.unknown()),
  requiresAck: z.boolean(),
  ackedBy: z.array(name),
  thread: threadId.optional(),
  turn: z.literal(true).exactOptional(),
  voice: z.enum(VOICES).exactOptional(),
}) satisfies z.ZodType<OpenNotice>

export const eventOperations = {
  "event.send": operation({
    least: "worker",
    summary: "Send an event of any kind.",
    text: [
      "Kinds that mean an operation are carried out as that operation, with what it needs in `task` and `payload`:",
      "`task_claim` is `task.claim`; `task_update` is `task.update`, `task.block`, `task.complete` or `task.fail` by `payload.status` (`in_progress`, `blocked`, `completed`, `failed`);",
      "`blocker` is `task.block`; `help_wanted` is `help.want`; `ack` is `event.ack` of `payload.seq`; `heartbeat` is `session.beat` of the caller's session.",
      "The answer's `as` names the operation and `answer` is its answer. Every other kind is recorded and reaches its target; with `requiresAck` it waits in an inbox until it is acknowledged.",
      "An inbox holds 200: then what somebody has acknowledged gives way, then the oldest of what agents sent, and what the hub's rules told last of all. Of one agent 20 wait there at a time, directives left aside.",
      "It is also a message: of its task's thread (`task/ID`), else of its target's (`agent/NAME`, `role/ROLE`, `team`).",
      "One about a task is a turn of an agent in its thread: while that is blocked, only an orchestrator or the operator sends it.",
      "Only an orchestrator or the operator sends `directive` and `task_assign`.",
    ].join(" "),
    errors: [
      "not_found",
      "invalid",
      "claim_denied",
      "not_ready",
      "not_eligible",
      "at_limit",
      "stale_fence",
      "not_owner",
      "wrong_status",
      "cycle",
      "retired",
      "files_conflict",
      "budget_spent",
      "breaker_open",
    ],
    input: z.strictObject({
      kind,
      directive: directive.nullable().default(null),
      to: target.default({ everyone: true }),
      task: taskId.nullable().default(null),
      priority: priority.default("normal"),
      text: body.default(""),
      payload: payload.default({}),
      requiresAck: z.boolean().default(false),
    }),
    output: done.extend({ as: z.string(), answer: z.record(z.string(), z.unknown()) }),
  }),
  "event.ack": operation({
    least: "observer",
    summary: "Acknowledge an event that waits for the caller.",
    text: "`seq` is the event's, as `event.inbox` lists it.",
    errors: ["not_found"],
    input: z.strictObject({ seq }),
    output: done,
  }),
  "event.inbox": operation({
    least: "observer",
    summary: "What waits for the caller, oldest first.",
    text: "Events to the caller, to its role and to everyone that asked for an acknowledgement and have none of the caller's yet.",
    errors: [],
    input: z.strictObject({ limit: z.int().min(1).max(600).default(100) }),
    output: z.object({ events: z.array(openNotice) }),
  }),
}
