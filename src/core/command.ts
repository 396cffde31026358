// prettier-ignore
import { type Asked, askedFor, type Claimed, claimOf, claimsIn, type Done, done, type Outcome, ownerTold, readyBy, type Reserved, reserved, withJob, withLease, withStatus } from "./answer.ts"
// prettier-ignore
import { type AddAgent, type AdoptSession, decideAddAgent, decideAdoptSession, decideEditAgent, decideEndSession, decideIssueCredential, decideRetireAgent, decideRevokeCredential, decideStartSession, type EditAgent, type EndSession, type IssueCredential, type RetireAgent, type RevokeCredential, type StartSession } from "./agent.ts"
import { type AddTask, type CancelTask, decideAddTask, decideCancelTask, decideEditTask, decideResetTask, type EditTask, type ResetTask } from "./backlog.ts"
import { type Block, decideBlock, decideUnblock, type Unblock } from "./blocker.ts"
import { type Claim, type ClaimNext, currentClaims, decideClaim, decideClaimNext } from "./claim.ts"
import { decideHandled, type HandledAgent } from "./handled.ts"
import { type AckNotice, decideAckNotice, type SendNotice } from "./directive.ts"
import type { Actor, Entry, Recorded } from "./entry.ts"
import { decideReleaseFiles, decideRenewFiles, decideReserve, type ReleaseFiles, type RenewFiles, type ReserveFiles } from "./files.ts"
import { type AnswerHelp, decideAnswerHelp, decideWantHelp, type WantHelp } from "./help.ts"
import type { AgentId, LeaseId, PlanId, SessionId, TaskId, ThreadId } from "./ids.ts"
import { decideEndLease, decideRenewLease, decideSweep, type EndLease, type RenewLease, type Sweep } from "./lease.ts"
import { type AckMessage, decideAckMessage, decidePostMessage, type PostMessage } from "./message.ts"
import { decideSendNotice } from "./notice.ts"
import { decideSetPolicy, type SetPolicy } from "./policy-text.ts"
import { type AddPlan, type CancelPlan, decideAddPlan, decideCancelPlan, findPlan } from "./plan.ts"
import {
  type Complete,
  decideComplete,
  decideFail,
  decideRelease,
  decideReview,
  decideUpdate,
  type Fail,
  type Release,
  type Review,
  type Update,
} from "./progress.ts"
import { isRefusal, type Refusal } from "./refusal.ts"
// prettier-ignore
import { type CreateThread, decideCreateThread, decideInviteToThread, decideJoinThread, decideLeaveThread, decideSetThreadStatus, type InviteToThread, type JoinThread, type LeaveThread, type SetThreadStatus } from "./thread-life.ts"
import { decideExhaustAccount, decideRestoreAccount, type ExhaustAccount, type RestoreAccount } from "./account.ts"
// prettier-ignore
import { decideEscalateThread, decideOverrideClose, decideUnblockThread, type EscalateThread, type OverrideCloseThread, type UnblockThread } from "./thread-guard.ts"
// prettier-ignore
import { type AnswerPermission, type AskPermission, decideAnswerPermission, decideAskPermission, decideWithdrawPermission, type WithdrawPermission } from "./permission.ts"
import { type ClaimedTrigger, claimedIn } from "./trigger-view.ts"
import { type ClaimTriggers, decideClaimTriggers, decideRecordTrigger, type RecordTrigger } from "./trigger-claim.ts"
// prettier-ignore
import { type CancelTrigger, decideCancelTrigger, decideRetryTrigger, decideTrigger, envelopeOf, type RetryTrigger, type TriggerEnvelope, type TriggerParticipant } from "./trigger-request.ts"
import { type ConfirmTrigger, decideConfirmTrigger, decideWakes } from "./wake.ts"
import { decideSetWakePolicy, type SetWakePolicy } from "./wake-policy.ts"
import { decideRefundUsage, decideReportUsage, type RefundUsage, type ReportUsage, type Spent } from "./usage.ts"
// prettier-ignore
import { decideResetBreaker, decideSetBreakerPolicy, decideTripBreaker, type ResetBreaker, type SetBreakerPolicy, type TripBreaker } from "./breaker.ts"
import { decideSetBudget, decideTopUpBudget, type SetBudget, type TopUpBudget } from "./budget.ts"
import { withNotices } from "./governor-notice.ts"
import type { Checkpoint, MetaEvent, Workspace } from "./workspace.ts"

/** Every command with what it takes and what it answers. The contract derives from this; the hub decides by it. */
export type Commands = {
  "agent.add": { input: AddAgent; output: Done & { agent: AgentId } }
  "agent.edit": { input: EditAgent; output: Done }
  "agent.handled": { input: HandledAgent; output: Done }
  "agent.retire": { input: RetireAgent; output: Done }
  "credential.issue": { input: IssueCredential; output: Done & { agent: AgentId; id: string } }
  "credential.revoke": { input: RevokeCredential; output: Done }
  "session.start": { input: StartSession; output: Done & { session: SessionId; agent: AgentId; heartbeatMs: number } }
  "session.end": { input: EndSession; output: Done }
  "session.adopt": { input: AdoptSession; output: Done }
  "task.add": { input: AddTask; output: Done & { task: TaskId } }
  "task.edit": { input: EditTask; output: Done }
  "task.reset": { input: ResetTask; output: Done }
  "task.cancel": { input: CancelTask; output: Done }
  "task.claim": { input: Claim; output: Claimed }
  "task.claimNext": { input: ClaimNext; output: { claims: Claimed[] } }
  "task.update": { input: Update; output: Done & { leaseEndsAtMs: number | null } }
  "task.block": { input: Block; output: Done }
  "task.unblock": { input: Unblock; output: Done }
  "task.complete": { input: Complete; output: Done & { status: string; ready: TaskId[] } }
  "task.fail": { input: Fail; output: Done & { status: string } }
  "task.release": { input: Release; output: Done }
  "task.review": { input: Review; output: Done & { status: string } }
  "lease.renew": { input: RenewLease; output: Done & { leaseEndsAtMs: number | null } }
  "lease.end": { input: EndLease; output: Done & { status: string } }
  "files.reserve": { input: ReserveFiles; output: Reserved }
  "files.release": { input: ReleaseFiles; output: Done & { released: LeaseId[]; globs: string[] } }
  "files.renew": { input: RenewFiles; output: Reserved }
  "help.want": { input: WantHelp; output: Done & { told: number } }
  "help.answer": { input: AnswerHelp; output: Done & { owner: AgentId } }
  "event.send": { input: SendNotice; output: Done }
  "event.ack": { input: AckNotice; output: Done }
  "thread.create": { input: CreateThread; output: Done & { thread: ThreadId } }
  "thread.join": { input: JoinThread; output: Done }
  "thread.leave": { input: LeaveThread; output: Done }
  "thread.invite": { input: InviteToThread; output: Done }
  "thread.setStatus": { input: SetThreadStatus; output: Done }
  "message.post": { input: PostMessage; output: Done & { thread: ThreadId; message: number } }
  "message.ack": { input: AckMessage; output: Done & { thread: ThreadId; lastReadSeq: number } }
  "thread.escalate": { input: EscalateThread; output: Done }
  "thread.unblock": { input: UnblockThread; output: Done }
  "thread.overrideClose": { input: OverrideCloseThread; output: Done }
  "trigger.participant": { input: TriggerParticipant; output: Done & TriggerEnvelope }
  "trigger.claim": { input: ClaimTriggers; output: Done & { jobs: ClaimedTrigger[] } }
  "trigger.record": { input: RecordTrigger; output: Done & Outcome }
  "trigger.retry": { input: RetryTrigger; output: Done & Outcome }
  "trigger.cancel": { input: CancelTrigger; output: Done & Outcome }
  "trigger.confirm": { input: ConfirmTrigger; output: Done & Outcome }
  "account.exhausted": { input: ExhaustAccount; output: Done }
  "account.restored": { input: RestoreAccount; output: Done }
  "permission.ask": { input: AskPermission; output: Asked }
  "permission.answer": { input: AnswerPermission; output: Done }
  "permission.withdraw": { input: WithdrawPermission; output: Done }
  "wake.setPolicy": { input: SetWakePolicy; output: Done }
  "plan.add": { input: AddPlan; output: Done & { plan: PlanId; created: boolean; tasks: number } }
  "plan.cancel": { input: CancelPlan; output: Done }
  "usage.report": { input: ReportUsage; output: Done & { task: TaskId | null; costMicroUsd: number | null } }
  "budget.set": { input: SetBudget; output: Done }
  "budget.topUp": { input: TopUpBudget; output: Done }
  "breaker.trip": { input: TripBreaker; output: Done }
  "breaker.reset": { input: ResetBreaker; output: Done }
  "breaker.setPolicy": { input: SetBreakerPolicy; output: Done }
  "usage.refund": { input: RefundUsage; output: Done }
  "policy.set": { input: SetPolicy; output: Done }
  "workspace.create": { input: { name: string }; output: Done }
  "hub.start": { input: { graceMs: number }; output: Done }
  "hub.sweep": { input: Sweep; output: Done }
  "hub.checkpoint": { input: Checkpoint; output: Done }
}
export type CommandName = keyof Commands

type Decider<Name extends CommandName> = {
  decide(state: Workspace, actor: Actor, input: Commands[Name]["input"], nowMs: number): Recorded[] | Refusal
  /** Builds the answer from the entries that the command made (none where there was nothing to record) and the state after them; again for a key that comes twice. */
  answer(state: Workspace, actor: Actor, input: Commands[Name]["input"], entries: readonly Entry[]): Commands[Name]["output"]
}

type Decide<Input> = (state: Workspace, actor: Actor, input: Input, nowMs: number) => Recorded[] | Refusal

/** A decider of which budgets or breakers may have something to tell. */
function noticed<Input>(decide: Decide<Input>): Decide<Input> {
  return (state, actor, input, nowMs) => withNotices(state, actor, decide(state, actor, input, nowMs), nowMs)
}

/** A decider of claims: leases that end with one may open a breaker. */
function noticedAtEnd<Input>(decide: Decide<Input>): Decide<Input> {
  return (state, actor, input, nowMs) => {
    const decision = decide(state, actor, input, nowMs)
    const isMore = !isRefusal(decision) && decision.length > 1 && decision.some(({ type }) => type === "lease.ended")
    return isMore ? withNotices(state, actor, decision, nowMs) : decision
  }
}

/** One table of all deciders: adding a command is a row here and in the contract. */
export const commands: { [Name in CommandName]: Decider<Name> } = {
  "agent.add": {
    decide: (state, _, input) => decideAddAgent(state, input),
    answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), agent: input.name }),
  },
  "agent.edit": { decide: (state, _, input) => decideEditAgent(state, input), answer: done },
  "agent.handled": { decide: (state, _, input, nowMs) => decideHandled(state, input, nowMs), answer: done },
  "agent.retire": { decide: (state, _, input) => decideRetireAgent(state, input), answer: done },
  "credential.issue": {
    decide: (state, _, input) => decideIssueCredential(state, input),
    answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), agent: input.agent, id: input.id }),
  },
  "credential.revoke": { decide: (state, _, input) => decideRevokeCredential(state, input), answer: done },
  "session.start": {
    decide: decideStartSession,
    answer: (state, actor, input, entries) => {
      // A key that comes again finds the session that its first coming made, whatever id the hub drew for this one.
      const made = entries[0]?.data as { id: SessionId; heartbeatMs: number } | undefined
      return { ...done(state, actor, input, entries), session: made?.id ?? input.id, agent: input.agent, heartbeatMs: made?.heartbeatMs ?? 15_000 }
    },
  },
  "session.end": { decide: decideEndSession, answer: done },
  "session.adopt": { decide: decideAdoptSession, answer: done },
  "task.add": { decide: decideAddTask, answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), task: input.id }) },
  "task.edit": { decide: decideEditTask, answer: done },
  "task.reset": { decide: decideResetTask, answer: done },
  "task.cancel": { decide: decideCancelTask, answer: done },
  "task.claim": { decide: noticedAtEnd(decideClaim), answer: (state, _, input, entries) => claimsIn(state, entries)[0] ?? claimOf(state, input.task, null) },
  "task.claimNext": {
    decide: noticedAtEnd(decideClaimNext),
    answer: (state, actor, _, entries) => ({
      claims: entries.some((entry) => entry.type === "task.claimed")
        ? claimsIn(state, entries)
        : currentClaims(state, actor).map((task) => claimOf(state, task.id, null)),
    }),
  },
  "task.update": { decide: decideUpdate, answer: withLease },
  "task.block": { decide: decideBlock, answer: done },
  "task.unblock": { decide: decideUnblock, answer: done },
  "task.complete": {
    decide: noticed(decideComplete),
    answer: (state, actor, input, entries) => ({ ...withStatus(state, actor, input, entries), ready: readyBy(state, input.task, entries) }),
  },
  "task.fail": { decide: noticed(decideFail), answer: withStatus },
  "task.release": { decide: noticed(decideRelease), answer: done },
  "task.review": { decide: decideReview, answer: withStatus },
  "lease.renew": { decide: decideRenewLease, answer: withLease },
  "lease.end": { decide: decideEndLease, answer: withStatus },
  "files.reserve": { decide: decideReserve, answer: reserved },
  "files.release": {
    decide: decideReleaseFiles,
    answer: (state, actor, input, entries) => {
      const released = entries.map(({ data }) => data as { id: LeaseId; globs: string[]; whole: boolean })
      const whole = released.filter((lease) => lease.whole).map(({ id }) => id)
      return { ...done(state, actor, input, entries), released: whole, globs: [...new Set(released.flatMap(({ globs }) => globs))] }
    },
  },
  "files.renew": { decide: decideRenewFiles, answer: reserved },
  "help.want": {
    decide: decideWantHelp,
    answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), told: entries.filter((entry) => entry.type === "event.sent").length }),
  },
  "help.answer": {
    decide: decideAnswerHelp,
    answer: (state, actor, input, entries) => ({
      ...done(state, actor, input, entries),
      owner: ownerTold(entries) ?? state.tasks.get(input.task)?.owner ?? "",
    }),
  },
  "event.send": { decide: decideSendNotice, answer: done },
  "event.ack": { decide: decideAckNotice, answer: done },
  "thread.create": {
    decide: decideCreateThread,
    answer: (state, actor, input, entries) => {
      // A key that comes again finds the thread that its first coming made, whatever id the hub drew for this one.
      const made = entries[0]?.data as { id: ThreadId } | undefined
      return { ...done(state, actor, input, entries), thread: made?.id ?? input.thread }
    },
  },
  "thread.join": { decide: decideJoinThread, answer: done },
  "thread.leave": { decide: decideLeaveThread, answer: done },
  "thread.invite": { decide: decideInviteToThread, answer: done },
  "thread.setStatus": { decide: decideSetThreadStatus, answer: done },
  "message.post": {
    decide: decidePostMessage,
    answer: (state, actor, input, entries) => ({
      ...done(state, actor, input, entries),
      thread: input.thread,
      message: (entries[0] as Entry<"message.posted", { message: number }>).data.message,
    }),
  },
  "message.ack": {
    decide: decideAckMessage,
    answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), thread: input.thread, lastReadSeq: input.lastReadSeq }),
  },
  "thread.escalate": { decide: decideEscalateThread, answer: done },
  "thread.unblock": { decide: decideUnblockThread, answer: done },
  "thread.overrideClose": { decide: decideOverrideClose, answer: done },
  "trigger.participant": {
    decide: decideTrigger,
    answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), ...envelopeOf(state, input.job) }),
  },
  "trigger.claim": {
    decide: decideClaimTriggers,
    answer: (state, actor, input, entries) => ({ ...done(state, actor, input, entries), jobs: claimedIn(state, input, entries) }),
  },
  "trigger.record": { decide: decideRecordTrigger, answer: withJob },
  "trigger.retry": { decide: (state, _, input, nowMs) => decideRetryTrigger(state, input, nowMs), answer: withJob },
  "trigger.cancel": { decide: (state, _, input) => decideCancelTrigger(state, input), answer: withJob },
  "trigger.confirm": { decide: decideConfirmTrigger, answer: withJob },
  "account.exhausted": { decide: (state, _, input, nowMs) => decideExhaustAccount(state, input, nowMs), answer: done },
  "account.restored": { decide: (state, _, input) => decideRestoreAccount(state, input), answer: done },
  "permission.ask": { decide: decideAskPermission, answer: askedFor },
  "permission.answer": { decide: (state, _, input, nowMs) => decideAnswerPermission(state, input, nowMs), answer: done },
  "permission.withdraw": { decide: (state, _, input) => decideWithdrawPermission(state, input), answer: done },
  "wake.setPolicy": { decide: (state, _, input) => decideSetWakePolicy(state, input), answer: done },
  "plan.add": {
    decide: (state, _, input) => decideAddPlan(state, input),
    answer: (state, actor, input, entries) => {
      const added = entries.find((entry) => entry.type === "plan.added")?.data as { id: PlanId } | undefined
      return {
        ...done(state, actor, input, entries),
        plan: added?.id ?? findPlan(state, input)?.id ?? "",
        created: added !== undefined,
        tasks: input.tasks.length,
      }
    },
  },
  "plan.cancel": { decide: (state, _, input) => decideCancelPlan(state, input), answer: done },
  "budget.set": { decide: (state, _, input) => decideSetBudget(state, input), answer: done },
  "budget.topUp": { decide: (state, _, input, nowMs) => decideTopUpBudget(state, input, nowMs), answer: done },
  "breaker.trip": { decide: (state, _, input, nowMs) => decideTripBreaker(state, input, nowMs), answer: done },
  "breaker.reset": { decide: (state, _, input, nowMs) => decideResetBreaker(state, input, nowMs), answer: done },
  "breaker.setPolicy": { decide: (state, _, input) => decideSetBreakerPolicy(state, input), answer: done },
  "policy.set": { decide: (state, _, input) => decideSetPolicy(state, input), answer: done },
  "usage.refund": { decide: (state, _, input) => decideRefundUsage(state, input), answer: done },
  "usage.report": {
    decide: noticed(decideReportUsage),
    answer: (state, actor, input, entries) => {
      const { task, costMicroUsd } = (entries[0] as Entry).data as Spent & { task: TaskId | null }
      return { ...done(state, actor, input, entries), task, costMicroUsd }
    },
  },
  "workspace.create": {
    decide: (state, _, { name }): MetaEvent[] => (state.meta.has("workspace") ? [] : [{ type: "workspace.created", data: { name } }]),
    answer: done,
  },
  "hub.start": { decide: (_state, _actor, { graceMs }): MetaEvent[] => [{ type: "hub.started", data: { graceMs, breakers: true } }], answer: done },
  "hub.sweep": {
    decide: noticed((state, _, input, nowMs) => [
      ...decideSweep(state, input, nowMs),
      ...(input.wakes === undefined ? [] : decideWakes(state, input.wakes, nowMs)),
    ]),
    answer: done,
  },
  "hub.checkpoint": {
    // Decided against the very state that the digest was taken of: if anything came between, the next checkpoint covers it.
    decide: (state, _, input): MetaEvent[] => (input.size === state.seq ? [{ type: "checkpoint.recorded", data: input }] : []),
    answer: done,
  },
}
