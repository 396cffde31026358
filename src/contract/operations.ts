import type * as z from "zod"
import { type ErrorCode, ERRORS } from "./errors.ts"
import type { CommandName, Commands } from "../core/command.ts"
import { agentOperations, sessionOperations } from "./agent.ts"
import { breakerOperations } from "./breaker.ts"
import { budgetOperations, refundOperations } from "./budget.ts"
import { eventOperations } from "./event.ts"
import { filesOperations } from "./files.ts"
import { hubOperations, workspaceOperations } from "./hub.ts"
import { ledgerOperations } from "./ledger.ts"
import { KINDS, type OperationName } from "./names.ts"
import { EVERY_COMMAND, EVERYWHERE, type Operation } from "./operation.ts"
import { matchOperations } from "./match.ts"
import { policyOperations } from "./policy.ts"
import { permissionOperations } from "./permission.ts"
import { planOperations } from "./plan.ts"
import { messageOperations, threadOperations } from "./thread.ts"
import { accountOperations, triggerOperations, wakeOperations } from "./trigger.ts"
import { terminalOperations } from "./terminal.ts"
import { usageOperations } from "./usage.ts"
import { helpOperations, leaseOperations, taskOperations } from "./task.ts"
import { workOperations } from "./work.ts"

/** Every operation once. A row is its name's whole truth: least role, documentation, input and output. */
export const operations = {
  ...agentOperations,
  ...sessionOperations,
  ...taskOperations,
  ...leaseOperations,
  ...helpOperations,
  ...eventOperations,
  ...threadOperations,
  ...messageOperations,
  ...filesOperations,
  ...planOperations,
  ...ledgerOperations,
  ...hubOperations,
  ...workspaceOperations,
  ...workOperations,
  ...usageOperations,
  ...refundOperations,
  ...budgetOperations,
  ...breakerOperations,
  ...policyOperations,
  ...matchOperations,
  ...triggerOperations,
  ...wakeOperations,
  ...accountOperations,
  ...permissionOperations,
  ...terminalOperations,
} satisfies Record<OperationName, Operation>

export type Operations = typeof operations
/** What a caller gives: what has a default may be left out. */
export type Input<Name extends OperationName> = z.input<Operations[Name]["input"]>
/** What the hub works with: the input after its schema. */
export type Parsed<Name extends OperationName> = z.output<Operations[Name]["input"]>
export type Output<Name extends OperationName> = z.output<Operations[Name]["output"]>

/** Commands whose parsed input is the core's, field by field; the others are completed by the surface. */
export type PlainCommand = Exclude<
  CommandName & OperationName,
  | "session.start"
  | "task.claimNext"
  | "event.send"
  | "thread.create"
  | "usage.report"
  | "workspace.create"
  | "trigger.participant"
  | "trigger.claim"
  | "trigger.record"
  | "policy.set"
>

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? (keyof A extends keyof B ? (keyof B extends keyof A ? true : false) : false) : false) : false
/** Every row is `true`, or the contract and the core disagree about that command. */
type Agreement = {
  [Name in PlainCommand]: Name extends "credential.issue"
    ? Same<Parsed<Name>, Omit<Commands[Name]["input"], "id" | "hash">>
    : [Same<Parsed<Name>, Commands[Name]["input"]>, [Commands[Name]["output"]] extends [Output<Name>] ? true : false] extends [true, true]
      ? true
      : false
}
type Completed = {
  "session.start": Same<Omit<Parsed<"session.start">, "agent">, Omit<Commands["session.start"]["input"], "agent" | "id">>
  "task.claimNext": Same<
    Readonly<Omit<Parsed<"task.claimNext">, "waitMs" | "labels">>,
    Readonly<Omit<Commands["task.claimNext"]["input"], "labels" | "turn" | "forbids" | "steps" | "effort">>
  >
  "thread.create": Same<Omit<Parsed<"thread.create">, "thread">, Omit<Commands["thread.create"]["input"], "thread">>
  "event.send": Same<Parsed<"event.send">, Commands["event.send"]["input"]>
  "trigger.participant": Same<Omit<Parsed<"trigger.participant">, "requestId">, Omit<Commands["trigger.participant"]["input"], "job" | "request">>
  "trigger.claim": Same<Parsed<"trigger.claim">, Omit<Commands["trigger.claim"]["input"], "busy">>
  "trigger.record": Same<Parsed<"trigger.record">, Omit<Commands["trigger.record"]["input"], "bits">>
  "policy.set": Same<Parsed<"policy.set">, Commands["policy.set"]["input"]>
  "usage.report": Same<Parsed<"usage.report">, Commands["usage.report"]["input"]>
}
type Rows = Agreement & Completed
type Disagreeing = { [Name in keyof Rows]: Rows[Name] extends true ? never : Name }[keyof Rows]
/** The compiler names here the rows where contract and core disagree. */
const disagreeing: [Disagreeing] extends [never] ? null : Disagreeing = null
void disagreeing

/** Codes that an operation may answer, by their HTTP status. */
export function errorsOf(name: OperationName): Map<number, ErrorCode[]> {
  const codes = new Set<ErrorCode>([...operations[name].errors, ...EVERYWHERE, ...(KINDS[name] === "command" ? EVERY_COMMAND : [])])
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of [...codes].sort()) byStatus.set(ERRORS[code].http, [...(byStatus.get(ERRORS[code].http) ?? []), code])
  return new Map([...byStatus].sort(([a], [b]) => a - b))
}
