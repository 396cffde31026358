import type { OperationName } from "../contract/names.ts"
import { subjectOf } from "../contract/policy-schema.ts"
import { type Actor, type Entry, HUB } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import type { SkeinEvent } from "../core/workspace.ts"

/**
 * The operation that an entry tells of, where an agent or a person asked for it. Entries that are not here follow from others, are the hub's own, or are
 * steps of a delivery.
 */
export const ASKED: { readonly [Type in SkeinEvent["type"]]?: OperationName } = {
  "account.exhausted": "account.exhausted",
  "account.restored": "account.restored",
  "agent.added": "agent.add",
  "agent.credential_issued": "credential.issue",
  "agent.credential_revoked": "credential.revoke",
  "agent.edited": "agent.edit",
  "agent.retired": "agent.retire",
  "breaker.policy_changed": "breaker.setPolicy",
  "breaker.reset": "breaker.reset",
  "breaker.tripped": "breaker.trip",
  "budget.removed": "budget.set",
  "budget.set": "budget.set",
  "budget.topped_up": "budget.topUp",
  "event.acked": "event.ack",
  "files.released": "files.release",
  "files.renewed": "files.renew",
  "files.reserved": "files.reserve",
  "lease.renewed": "lease.renew",
  "message.acked": "message.ack",
  "message.posted": "message.post",
  "plan.added": "plan.add",
  "plan.cancelled": "plan.cancel",
  "policy.changed": "wake.setPolicy",
  "session.adopted": "session.adopt",
  "session.ended": "session.end",
  "session.started": "session.start",
  "task.added": "task.add",
  "task.blocked": "task.block",
  "task.cancelled": "task.cancel",
  "task.changes_requested": "task.review",
  "task.claimed": "task.claim",
  "task.completed": "task.complete",
  "task.edited": "task.edit",
  "task.failed": "task.fail",
  "task.help_joined": "help.answer",
  "task.help_wanted": "help.want",
  "task.progressed": "task.update",
  "task.released": "task.release",
  "task.reset": "task.reset",
  "task.retried": "task.fail",
  "task.submitted": "task.complete",
  "task.unblocked": "task.unblock",
  "thread.created": "thread.create",
  "thread.joined": "thread.join",
  "thread.left": "thread.leave",
  "thread.status_changed": "thread.setStatus",
  "trigger.cancelled": "trigger.cancel",
  "trigger.claimed": "trigger.claim",
  "trigger.requested": "trigger.participant",
  "trigger.retried": "trigger.retry",
  "usage.refunded": "usage.refund",
  "usage.reported": "usage.report",
}

/** One thing that was asked for, so far as the ledger tells. */
export type Asked = { seq: Seq; atMs: number; actor: Actor; action: OperationName; input: Record<string, unknown> }

/**
 * What agents and people asked for, of entries in the order of the ledger. A command may leave several: a plan counts once, a claim for each task, and of
 * all else the first, since what comes after it follows from it. An approval reads like a completion.
 */
export function askedIn(entries: readonly Entry[]): Asked[] {
  return commandsIn(entries).flatMap((command) => {
    const asked = command.flatMap((entry) => askedBy(entry) ?? [])
    const plan = asked.filter(({ action }) => action === "plan.add")
    const claims = asked.filter(({ action }) => action === "task.claim")
    return plan.length > 0 ? plan : claims.length > 0 ? claims : asked.slice(0, 1)
  })
}

/** Entries that one command left: of one actor, time and key. */
function commandsIn(entries: readonly Entry[]): Entry[][] {
  const commands: Entry[][] = []
  for (const entry of entries) {
    const last = commands.at(-1)
    const before = last?.at(-1)
    const isSame = before?.commandId === entry.commandId && before.atMs === entry.atMs && before.actor.agent === entry.actor.agent
    if (isSame) last?.push(entry)
    else commands.push([entry])
  }
  return commands
}

function askedBy({ seq, atMs, type, actor, data }: Entry): Asked | null {
  const action = Object.hasOwn(ASKED, type) ? ASKED[type as SkeinEvent["type"]] : undefined
  if (action === undefined || actor.agent === HUB.agent) return null
  const field = subjectOf(action)?.field
  if (field === undefined) return null
  const given = data as Readonly<Record<string, unknown>>
  if (field === null) return { seq, atMs, actor, action, input: { ...given } }
  // An entry names what it is about by the field of the command, or by `id`.
  const named = given[field] ?? given["id"]
  return typeof named === "string" ? { seq, atMs, actor, action, input: { ...given, ...(given["spec"] as object | undefined), [field]: named } } : null
}
