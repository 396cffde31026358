import * as z from "zod"
import { POLICY_MAX_BYTES } from "../core/policy-text.ts"
import { operation } from "./operation.ts"
import { line, name, reason, role, seq, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const encoder = new TextEncoder()
const text = z
  .string()
  .refine((given) => encoder.encode(given).length <= POLICY_MAX_BYTES, `Too big: at most ${POLICY_MAX_BYTES} bytes of UTF-8`)
  .describe(`Cedar policies, ${POLICY_MAX_BYTES} bytes of UTF-8 at most`)

const change = z.object({ seq, atMs: timeMs, by: name, reason: z.string(), shipped: z.boolean() })
const rule = z.object({ rule: z.string(), effect: z.enum(["permit", "forbid"]), line: z.int(), remedy: z.string().nullable() })
const fault = z.object({ line: z.int().nullable(), column: z.int().nullable(), rule: z.string().nullable(), message: z.string(), remedy: z.string() })
const decision = z.enum(["allow", "deny"])
/** What decided: a rule, that no rule permits it, the caller's role, or a fault of the policy. */
const by = z.enum(["rule", "no_rule", "role", "fault"])

/** A value of an attribute, as a case gives it. */
const value = z.union([z.string().max(400), z.boolean(), z.int(), z.array(z.string().max(400)).max(100), z.record(z.string().max(64), z.int())])
const attributes = z.record(z.string().max(64), value)
const testCase = z.strictObject({
  principal: z.union([name, z.strictObject({ role }).catchall(value)]).describe("name of an agent as it is now, or attributes of one: at the least its role"),
  action: line(64).describe("name of an operation"),
  resource: z
    .union([line(200), z.strictObject({ type: line(32) }).catchall(value)])
    .default("workspace")
    .describe("what is there now (task/ID, plan/ID, thread/ID, agent/NAME, budget/SCOPE, workspace), or attributes of one with its type"),
  context: attributes.default({}),
  expect: decision.nullable().default(null),
})

const judged = z.object({
  atMs: timeMs,
  seq,
  decision,
  by,
  rule: z.string().nullable(),
  principal: z.string(),
  role,
  action: z.string(),
  resource: z.string(),
  fault: z.string().nullable(),
})

export const policyOperations = {
  "policy.show": operation({
    least: "operator",
    summary: "The policy in force, and what it was before.",
    text: "With `seq` the text that this change set; `shipped` the shipped one, whatever is in force. `schema` is Cedar's schema, made from the operations: editors that know Cedar check a policy against it.",
    errors: ["not_found"],
    input: z.strictObject({ seq: seq.min(1).nullable().default(null), shipped: z.boolean().default(false), schema: z.boolean().default(false) }),
    output: z.object({
      text: z.string(),
      shipped: z.boolean(),
      history: z.array(change),
      schema: z.string().nullable(),
    }),
  }),
  "policy.set": operation({
    least: "operator",
    summary: "Set the policy of the workspace.",
    text: [
      "Cedar policies over the operations, validated against the schema: one that has a fault is refused with `invalid`, every fault with its place, and nothing changes. What no rule permits is denied, a",
      "rule that forbids wins, and a rule that fails denies. A policy only takes away: what a caller's role does not allow stays forbidden. Neither `policy.*` nor signs of life are ever decided by it, so that nobody",
      "is locked out. `text` null: the shipped policy again. It holds from its entry on; what is claimed already goes on.",
    ].join(" "),
    errors: ["invalid"],
    input: z.strictObject({ text: text.nullable(), reason }),
    output: done,
  }),
  "policy.check": operation({
    least: "operator",
    summary: "Check a policy without setting it.",
    text: "Parses it and validates it against the schema. `faults` keep it from being set; `warnings` do not, such as a rule that can never apply.",
    errors: [],
    input: z.strictObject({ text }),
    output: z.object({ ok: z.boolean(), faults: z.array(fault), warnings: z.array(fault), rules: z.array(rule) }),
  }),
  "policy.test": operation({
    least: "operator",
    summary: "Try a policy: nothing is decided by it.",
    text: [
      "`cases`: each is decided as `text` would (null: the policy in force), against the state as it is now, after the caller's role. `last`: of the last so many entries of the ledger, those that agents and people caused are",
      "judged as if they were asked for now: with today's attributes of agents and tasks, and the hour of the entry. What would be denied is listed. The hub's own entries, and those that follow from others, are passed over.",
    ].join(" "),
    errors: ["invalid", "not_found"],
    input: z.strictObject({ text: text.nullable().default(null), cases: z.array(testCase).max(500).default([]), last: z.int().min(0).max(10_000).default(0) }),
    output: z.object({
      cases: z.array(z.object({ decision, by, rule: z.string().nullable(), fault: z.string().nullable(), expect: decision.nullable(), ok: z.boolean() })),
      replayed: z.object({ entries: z.int(), judged: z.int(), denied: z.array(judged), more: z.boolean() }),
    }),
  }),
  "policy.log": operation({
    least: "operator",
    summary: "What the policy decided lately.",
    text: "The last thousand decisions of this hub since its start, newest first, with the rule and the seq of the state that each was decided against. Empty where the shipped policy holds: it is what the roles are, and nothing is decided beside them.",
    errors: [],
    input: z.strictObject({
      limit: z.int().min(1).max(1_000).default(100),
      decision: decision.nullable().default(null),
      agent: name.nullable().default(null),
    }),
    output: z.object({
      decisions: z.array(judged),
      allowed: z.int(),
      denied: z.int(),
    }),
  }),
}
