import type { CommandName } from "../core/command.ts"

/**
 * What a call may cause, and so when it may be sent again:
 * `command`: decided by the core and recorded; sent again safely with its idempotency key. `action`: has an effect and takes no key, so a client never
 * repeats it by itself. `read`: no effect. `presence`: a sign of life, kept in memory only.
 */
export type OperationKind = "command" | "action" | "read" | "presence"

/** Commands that the hub gives itself; nobody can send them. */
type Internal = "hub.start" | "hub.sweep" | "hub.checkpoint" | "workspace.create"
/** Commands whose answer cannot be built a second time: a secret leaves the hub once. */
type OnceOnly = "credential.issue"

/** Every operation by name with its kind: all that a client has to know at run time. The rows themselves are in `operations.ts`. */
export const KINDS = {
  "agent.add": "command",
  "agent.edit": "command",
  "agent.list": "read",
  "agent.retire": "command",
  "agent.show": "read",
  "credential.issue": "action",
  "credential.revoke": "command",
  "event.ack": "command",
  "event.inbox": "read",
  "event.send": "command",
  "files.check": "read",
  "files.list": "read",
  "files.release": "command",
  "files.renew": "command",
  "files.reserve": "command",
  "help.answer": "command",
  "help.want": "command",
  "hub.metrics": "read",
  "hub.status": "read",
  "lease.end": "command",
  "lease.renew": "command",
  "ledger.checkpoint": "action",
  "ledger.consistency": "read",
  "ledger.head": "read",
  "ledger.prove": "read",
  "ledger.read": "read",
  "ledger.snapshots": "read",
  "ledger.why": "read",
  "message.ack": "command",
  "message.post": "command",
  "message.read": "read",
  "message.search": "read",
  "message.unread": "read",
  "plan.add": "command",
  "plan.cancel": "command",
  "plan.list": "read",
  "plan.report": "read",
  "plan.show": "read",
  "session.beat": "presence",
  "session.end": "command",
  "session.list": "read",
  "session.start": "command",
  "task.add": "command",
  "task.block": "command",
  "task.cancel": "command",
  "task.claim": "command",
  "task.claimNext": "command",
  "task.complete": "command",
  "task.edit": "command",
  "task.fail": "command",
  "task.list": "read",
  "task.release": "command",
  "task.reset": "command",
  "task.review": "command",
  "task.show": "read",
  "task.unblock": "command",
  "task.update": "command",
  "thread.create": "command",
  "thread.invite": "command",
  "thread.join": "command",
  "thread.leave": "command",
  "thread.list": "read",
  "thread.setStatus": "command",
  "thread.show": "read",
  "thread.summarize": "read",
  "token.mint": "action",
  "usage.list": "read",
  "usage.report": "command",
  "work.wait": "read",
  "workspace.create": "action",
  "workspace.list": "read",
} as const satisfies Record<Exclude<CommandName, Internal | OnceOnly>, "command"> & Record<string, OperationKind>

export type OperationName = keyof typeof KINDS
