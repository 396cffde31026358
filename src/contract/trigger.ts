import * as z from "zod"
import { EVIDENCE, HOPS, REASON_CODES, TRIGGER_STATUSES } from "../core/trigger.ts"
import { COVERED_MAX, RECORD_STEPS } from "../core/trigger-claim.ts"
import type { ClaimedTrigger, TriggerView } from "../core/trigger-view.ts"
import { WAKE_NUMBERS, type WakeNumber } from "../core/wake-policy.ts"
import { operation } from "./operation.ts"
import { fence, line, name, note, pattern, reason, seq, sessionId, threadId, timeMs } from "./schema.ts"
import { done } from "./task.ts"

export const triggerId = pattern(
  /^(r[0-9a-f]{24}|u[0-9]{1,16}\.[0-9]{1,16}\.[A-Za-z0-9][A-Za-z0-9._-]{0,63})$/,
  "id of a trigger",
  "Use a trigger's id, such as trigger.list lists it",
)
const status = z.enum(TRIGGER_STATUSES)
const hop = z.enum(HOPS)
const code = z.enum(REASON_CODES)
const number = z.int().min(0)
const failed = z.object({ live: z.int(), resume: z.int(), spawn: z.int() })
const forced = z.object({ by: name, reason: z.string() }).nullable()
const prompt = note.describe("what the agent is to be told, besides where to read; at most 4,096 bytes of UTF-8")

const claimed = z.object({
  job: triggerId,
  nonce: triggerId,
  fence,
  endsAtMs: timeMs,
  hop,
  session: z.string().nullable(),
  resumeId: z.string().nullable(),
  busy: z.boolean(),
  failed,
  thread: threadId,
  message: number,
  target: name,
  origin: z.enum(["request", "unread"]),
  reason: z.string(),
  prompt: z.string(),
  by: name,
  maybeSent: z.boolean(),
  forced,
}) satisfies z.ZodType<ClaimedTrigger>

const view = z.object({
  job: triggerId,
  origin: z.enum(["request", "unread"]),
  thread: threadId,
  message: number,
  target: name,
  reason: z.string(),
  prompt: z.string(),
  by: name,
  request: z.string().nullable(),
  status,
  hop,
  code: code.nullable(),
  /** Why it is where it is, in a sentence. */
  why: z.string(),
  session: z.string().nullable(),
  supervisor: z.string().nullable(),
  channel: z.string().nullable(),
  notBeforeMs: timeMs,
  claimEndsAtMs: timeMs.nullable(),
  failed,
  maybeSent: z.boolean(),
  forced,
  sentAtMs: timeMs.nullable(),
  turnAtMs: timeMs.nullable(),
  readAtMs: timeMs.nullable(),
  evidence: z.enum(EVIDENCE).nullable(),
  createdSeq: seq,
  createdAtMs: timeMs,
  endedAtMs: timeMs.nullable(),
}) satisfies z.ZodType<TriggerView>

const outcome = done.extend({ job: triggerId, status, hop, notBeforeMs: timeMs })
const numbers = Object.keys(WAKE_NUMBERS) as WakeNumber[]
const policy = z.object(Object.fromEntries(numbers.map((each) => [each, z.int()])) as Record<WakeNumber, z.ZodInt>)
const changes = z.partialRecord(z.enum(numbers as [WakeNumber, ...WakeNumber[]]), z.int())
const account = line(200)

export const triggerOperations = {
  "trigger.participant": operation({
    least: "worker",
    purposes: ["wake"],
    summary: "Wake an agent that takes part in a thread.",
    text: [
      "`mode` is `trigger_runtime` (`action` `queued`) where the agent has a live session, else `fallback_required` with `resume_session` (it can be resumed and was heard of within 12 h) or `spawn_session`.",
      "The job's id follows from the caller and `requestId`: the same again is the same job, another payload under it `idempotency_conflict`; without one the idempotency key, or a new one, stands for it.",
      "More than 10 in a minute for one agent and thread are put off (`TRIGGER_RATE_LIMITED`). `NO_SUPERVISOR`: it waits until one takes it. A wake for each unread message comes by itself: call this when somebody has to act now.",
    ].join(" "),
    errors: ["not_found", "retired", "forbidden", "wrong_status"],
    input: z.strictObject({
      thread: threadId,
      target: name,
      reason: line(300),
      prompt: prompt.default(""),
      requestId: line(128).nullable().default(null),
    }),
    output: done.extend({
      job: triggerId,
      mode: z.enum(["trigger_runtime", "fallback_required"]),
      action: z.enum(["queued", "resume_session", "spawn_session"]),
      status,
      code: code.nullable(),
      notBeforeMs: timeMs,
      trace: z.object({
        request: z.string().nullable(),
        thread: threadId,
        message: number,
        target: name,
        caller: name,
        callerSession: z.string().nullable(),
        session: z.string().nullable(),
      }),
    }),
  }),
  "trigger.claim": operation({
    least: "supervisor",
    summary: "Take jobs of the agents that this supervisor wakes.",
    text: [
      "`agents` are all that it can reach, resume or spawn: whoever is named has its unread messages made jobs, until the caller's session ends or another list is given; an empty list gives them back. Call it at least every 5 s.",
      "At most one job for each agent is under way. A job is held until `endsAtMs`, under `fence`: say `delivering` before the text goes out, and do not deliver where that is refused. `maybeSent`: look for `nonce` with the agent first. `session` is to be reached, resumed, or (spawn) replaced; a live session in another supervisor's keeping is left to that one.",
    ].join(" "),
    errors: ["wrong_status"],
    input: z.strictObject({ agents: z.array(name).max(COVERED_MAX), max: z.int().min(0).max(64).default(8) }),
    output: done.extend({ jobs: z.array(claimed) }),
  }),
  "trigger.record": operation({
    least: "supervisor",
    summary: "Say how far the delivery of a job is.",
    text: [
      "`delivering` (before anything is typed), then `sent`, which starts the agent's time to answer; `failed` with a code, or `deferred` (OPERATOR_BUSY, MENU_OPEN, DRAFT_PRESENT, COPY_MODE, QUOTA_EXHAUSTED), which burns no attempt.",
      "`turn_started` and `acked` are kept as signs of life: delivered is a job only by what the hub saw itself. `session` is the agent's session that was reached or started. `beside`: this kind of agent may run a second process beside its live one. `untilMs`: the reset, with QUOTA_EXHAUSTED, which pauses the whole account.",
    ].join(" "),
    errors: ["not_found", "stale_fence", "invalid"],
    input: z.strictObject({
      job: triggerId,
      fence,
      step: z.enum(RECORD_STEPS),
      channel: line(64).nullable().default(null),
      code: code.nullable().default(null),
      detail: note.default(""),
      session: sessionId.nullable().default(null),
      beside: z.boolean().default(false),
      untilMs: timeMs.nullable().default(null),
    }),
    output: outcome,
  }),
  "trigger.retry": operation({
    least: "operator",
    purposes: ["wake", "override"],
    summary: "Try a trigger again, a dead one too.",
    text: "Its attempts are counted anew where it was over. `force`: it is typed in though a person is at the pane; who wanted that, and the reason, are recorded.",
    errors: ["not_found", "wrong_status"],
    input: z.strictObject({ job: triggerId, reason, force: z.boolean().default(false) }),
    output: outcome,
  }),
  "trigger.cancel": operation({
    least: "orchestrator",
    purposes: ["override"],
    summary: "Take a trigger back.",
    text: "A text that is with the agent already stays there. One that is over stays as it is.",
    errors: ["not_found"],
    input: z.strictObject({ job: triggerId, reason }),
    output: outcome,
  }),
  "trigger.list": operation({
    least: "observer",
    summary: "List triggers, the newest first.",
    text: "`live`: only those that are not over. `cursor` goes on where the page before ended.",
    errors: [],
    input: z.strictObject({
      status: z.array(status).max(TRIGGER_STATUSES.length).default([]),
      live: z.boolean().default(false),
      target: name.nullable().default(null),
      thread: threadId.nullable().default(null),
      limit: z.int().min(1).max(1_000).default(100),
      cursor: seq.nullable().default(null),
    }),
    output: z.object({ triggers: z.array(view), cursor: seq.nullable() }),
  }),
  "trigger.show": operation({
    least: "observer",
    summary: "Show one trigger.",
    text: "`why` says in a sentence where it stands. `sentAtMs`, `turnAtMs` and `readAtMs` are the three steps of a delivery that is confirmed.",
    errors: ["not_found"],
    input: z.strictObject({ job: triggerId }),
    output: z.object({ trigger: view }),
  }),
  "trigger.why": operation({
    least: "observer",
    summary: "Everything that happened to a trigger, in words.",
    text: "Each hop with its entry, oldest first; the newest 100.",
    errors: ["not_found"],
    input: z.strictObject({ job: triggerId }),
    output: z.object({
      trigger: view,
      hops: z.array(z.object({ seq, atMs: timeMs, type: z.string(), by: name, code: code.nullable(), text: z.string() })),
    }),
  }),
}

export const wakeOperations = {
  "wake.policy": operation({
    least: "observer",
    summary: "The numbers by which agents are woken.",
    text: "Times in ms. See `wake.setPolicy`.",
    errors: [],
    input: z.strictObject({}),
    output: z.object({ policy, changed: z.array(z.string()), seq }),
  }),
  "wake.setPolicy": operation({
    least: "operator",
    summary: "Change numbers by which agents are woken.",
    text: numbers
      .map((each) => `\`${each}\` (${WAKE_NUMBERS[each].is}): ${WAKE_NUMBERS[each].means}, ${WAKE_NUMBERS[each].min} to ${WAKE_NUMBERS[each].max}.`)
      .join(" "),
    errors: ["invalid"],
    input: z.strictObject({ changes, reason }),
    output: done,
  }),
}

export const accountOperations = {
  "account.exhausted": operation({
    least: "supervisor",
    summary: "Pause every agent of an account that is out of quota.",
    text: "No agent of it is woken before `untilMs`; its jobs wait, and no attempt is burnt. `account` is what agents' profiles name, or `agent/NAME` for one that names none.",
    errors: ["not_found", "invalid"],
    input: z.strictObject({ account, untilMs: timeMs, reason }),
    output: done,
  }),
  "account.restored": operation({
    least: "supervisor",
    summary: "End the pause of an account before its time.",
    text: "Its jobs go on at once.",
    errors: [],
    input: z.strictObject({ account, reason }),
    output: done,
  }),
}
