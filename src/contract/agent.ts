import * as z from "zod"
import type { AgentView } from "../core/view.ts"
import { operation } from "./operation.ts"
import { credentialId, line, microUsd, name, reason, role, sessionId, skills, taskId, timeMs } from "./schema.ts"
import { done } from "./task.ts"
import { triggerId } from "./trigger.ts"

export const profile = {
  kind: name,
  role,
  capabilities: skills,
  maxActive: z.int().min(1).max(1_000_000),
  model: line(200).nullable(),
  account: line(200).nullable(),
  costPerHourMicroUsd: microUsd,
  heartbeatMs: z.int().min(200).max(300_000),
  baseWeight: z.number().min(0.05).max(0.95).exactOptional(),
  successBonus: z.number().min(0.1).max(10).exactOptional(),
  successThreshold: z.number().min(0).max(1).exactOptional(),
  tier: z.int().min(1).max(3).exactOptional(),
}
/** A profile of which every field may be left out. */
export const profileGiven = z.strictObject({
  kind: profile.kind.exactOptional(),
  role: role.exactOptional(),
  capabilities: skills.exactOptional(),
  maxActive: profile.maxActive.exactOptional(),
  model: profile.model.exactOptional(),
  account: profile.account.exactOptional(),
  costPerHourMicroUsd: microUsd.exactOptional(),
  heartbeatMs: profile.heartbeatMs.exactOptional(),
  baseWeight: profile.baseWeight,
  successBonus: profile.successBonus,
  successThreshold: profile.successThreshold,
  tier: profile.tier,
})

const sessionShape = {
  id: sessionId,
  agent: name,
  status: z.enum(["live", "lost", "ended"]),
  runtime: z.string(),
  resumeId: z.string().nullable(),
  owned: z.boolean(),
  heartbeatMs: z.int(),
  startedAtMs: timeMs,
  endedAtMs: timeMs.nullable(),
  reason: z.string().nullable(),
  /** The supervisor's session that keeps its process. */
  managedBy: z.string().exactOptional(),
  /** The wake that its process was started for. */
  trigger: z.string().exactOptional(),
}
const sessionView = z.object(sessionShape)
const agentView = z.object({
  name,
  ...profile,
  status: z.enum(["present", "retired"]),
  addedAtMs: timeMs,
  credentials: z.array(z.string()),
  busy: z.boolean(),
  tasks: z.array(taskId),
  sessions: z.array(sessionView),
}) satisfies z.ZodType<AgentView>
/** A session with its presence, which lives in the hub's memory: when it last beat, and whether that is recent enough. */
export const sessionPresence = sessionView.extend({ lastBeatMs: timeMs.nullable(), active: z.boolean() })

const secret = z.object({
  agent: name,
  id: z.string(),
  /** The only time that the hub says it. */
  credential: z.string(),
})

export const agentOperations = {
  "agent.add": operation({
    least: "operator",
    purposes: ["spawn"],
    summary: "Add an agent.",
    text: "`capabilities` maps a skill to its level, 1 (knows it) to 5 (leads in it). It can act once it has a credential: `credential.issue`. For the coordinator: `baseWeight` is the chance of success that is believed of a declared skill before anything was seen (0.8), `successBonus` how many times as much a success of it is worth (1), `successThreshold` from which grade on a delivery counts as success (0.5; 1 is with tests that pass or approved in review, 0.8 without a word on tests), `tier` 1 to 3 how many tasks it takes at once where `maxActive` is not said, and a success worth 1, 1.25 or 1.5 times as much.",
    errors: ["invalid", "already_exists"],
    input: profileGiven.extend({ name }),
    output: done.extend({ agent: name }),
  }),
  "agent.edit": operation({
    least: "orchestrator",
    summary: "Change an agent's profile, its role excepted.",
    text: "What it holds already stays with it. `maxActive` is the tasks it may work on at once, `heartbeatMs` the time between two heartbeats of sessions that start from now on.",
    errors: ["not_found", "retired"],
    input: profileGiven
      .omit({ role: true })
      .extend({ name, reason })
      .refine((input) => Object.keys(input).length > 2, "Name at least one field to change"),
    output: done,
  }),
  "agent.retire": operation({
    least: "operator",
    summary: "Retire an agent for good.",
    text: "Its leases and sessions end, its credentials and tokens are void, its name stays taken.",
    errors: ["not_found", "retired"],
    input: z.strictObject({ name, reason }),
    output: done,
  }),
  "agent.handled": operation({
    least: "supervisor",
    summary: "Say that a person worked in an agent's terminal.",
    text: "Said by its supervisor once the person has been quiet for a while, and before anything is typed there again: orchestrators get a message, the operator where there is none.",
    errors: ["not_found", "retired"],
    input: z.strictObject({ agent: name, untilMs: timeMs }),
    output: done,
  }),
  "agent.list": operation({
    least: "observer",
    summary: "List the agents by name.",
    text: "`busy` follows from the tasks that it works on. Pass the answer's `cursor` on as `cursor` for the next page; null: there is no more.",
    errors: [],
    input: z.strictObject({ limit: z.int().min(1).max(1_000).default(200), cursor: name.nullable().default(null) }),
    output: z.object({ agents: z.array(agentView), cursor: name.nullable() }),
  }),
  "agent.show": operation({
    least: "observer",
    summary: "Show one agent with its tasks and sessions.",
    text: "Credentials are named by id, never by secret.",
    errors: ["not_found"],
    input: z.strictObject({ name }),
    output: z.object({ agent: agentView, sessions: z.array(sessionPresence) }),
  }),
  "credential.issue": operation({
    least: "operator",
    purposes: ["spawn"],
    summary: "Make a credential for an agent.",
    text: "The answer holds the secret, which the hub says once and keeps only as a hash. Takes no idempotency key: where the answer was lost, revoke the credential and issue another.",
    errors: ["not_found", "retired"],
    input: z.strictObject({ agent: name }),
    output: done.extend(secret.shape),
  }),
  "credential.revoke": operation({
    least: "operator",
    summary: "Make a credential void.",
    text: "Tokens that were minted from it are refused from now on.",
    errors: ["not_found"],
    input: z.strictObject({ agent: name, id: credentialId, reason }),
    output: done,
  }),
  "token.mint": operation({
    least: "supervisor",
    purposes: ["spawn"],
    summary: "Mint a token for an agent's session.",
    text: "For supervisors, who start agents and hand each its token. The agent's role must be worker, observer, plugin or orchestrator. The token lasts 15 minutes.",
    errors: ["not_found", "retired", "wrong_status"],
    input: z.strictObject({ agent: name, session: sessionId.nullable().default(null) }),
    output: z.object({ token: z.string(), expiresAtMs: timeMs }),
  }),
}

export const sessionOperations = {
  "session.start": operation({
    least: "observer",
    summary: "Register one run of an agent.",
    text: "`agent` is the caller unless a supervisor or the operator says otherwise. `owned`: whether something beats for it every `heartbeatMs`; it is lost after three intervals of silence, its leases then end at once. A session that nobody owns has no lost rule, only its leases (15 min). `resumeId` is the agent's own id of its conversation. `trigger`: the wake that its process was started for; without it a supervisor started it, or started it again, by itself.",
    errors: ["not_found", "retired", "already_exists", "wrong_status"],
    input: z.strictObject({
      agent: name.nullable().default(null),
      runtime: line(64).default("script"),
      resumeId: line(200).nullable().default(null),
      owned: z.boolean().default(false),
      trigger: triggerId.optional(),
    }),
    output: done.extend({ session: sessionId, agent: name, heartbeatMs: z.int() }),
  }),
  "session.end": operation({
    least: "observer",
    summary: "End a session.",
    text: "Its leases end with it. Ending one that has ended already changes nothing.",
    errors: ["not_found"],
    input: z.strictObject({ session: sessionId, reason: reason.default("ended") }),
    output: done,
  }),
  "session.adopt": operation({
    least: "supervisor",
    summary: "Take a session into a supervisor's keeping.",
    text: "One that nobody keeps, or whose supervisor is gone or was an earlier run of the caller. Only its keeper delivers to it live. `resumeId`: the agent's own id of its conversation, where it became known later; null leaves what is known.",
    errors: ["not_found", "wrong_status", "not_owner"],
    input: z.strictObject({ session: sessionId, resumeId: line(200).nullable().default(null) }),
    output: done,
  }),
  "session.turn": operation({
    least: "observer",
    summary: "Say that the caller's agent began or ended a turn.",
    text: "Called by the agent's own hook, or by the supervisor that speaks to its process (`agent`). Kept in memory: in the middle of a turn nothing is started beside it, and its time to answer a wake does not run. `nonce`: the one that stood in the prompt; the wake it belongs to is delivered, which is recorded. `conversation` tells several of one agent apart.",
    errors: [],
    input: z.strictObject({
      agent: name.nullable().default(null),
      state: z.enum(["started", "ended"]),
      nonce: triggerId.nullable().default(null),
      conversation: line(200).nullable().default(null),
    }),
    output: z.object({ delivered: z.boolean() }),
  }),
  "session.list": operation({
    least: "observer",
    summary: "List sessions with their presence.",
    text: "`lastBeatMs` and `active` are what this hub heard; they are never recorded.",
    errors: [],
    input: z.strictObject({
      agent: name.nullable().default(null),
      status: z.enum(["live", "lost", "ended"]).nullable().default(null),
      limit: z.int().min(1).max(1_000).default(200),
    }),
    output: z.object({ sessions: z.array(sessionPresence) }),
  }),
  "session.beat": operation({
    least: "observer",
    summary: "A sign of life of one's own sessions.",
    text: "Kept in memory; renews the leases of these sessions at the next sweep. Sent by whatever owns the session (client, shim, supervisor), never by the model. Unknown sessions are left out of `heard`.",
    errors: [],
    input: z.strictObject({ sessions: z.array(sessionId).min(1).max(1_000) }),
    output: z.object({ heard: z.array(sessionId) }),
  }),
}
