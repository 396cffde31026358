import type { OperationName } from "./names.ts"

/**
 * The tool of every operation, as models see it: snake_case, verb first. Null: no tool, since the answer is a secret, and what a model has read can be
 * talked out of it. Operations that share a name are one tool; which of them is meant, its arguments say.
 */
export const TOOLS = {
  "account.exhausted": "pause_account",
  "account.restored": "restore_account",
  "agent.add": "add_agent",
  "agent.edit": "edit_agent",
  "agent.list": "list_agents",
  "agent.handled": "report_handled",
  "agent.manifest": "get_agent_manifest",
  "agent.retire": "retire_agent",
  "agent.show": "get_agent",
  "breaker.list": "list_breakers",
  "breaker.reset": "reset_breaker",
  "breaker.setPolicy": "set_breaker_policy",
  "breaker.trip": "trip_breaker",
  "budget.set": "set_budget",
  "budget.show": "get_budget",
  "budget.topUp": "top_up_budget",
  "credential.issue": null,
  "credential.revoke": "revoke_credential",
  "event.ack": "ack_event",
  "event.inbox": "read_inbox",
  "event.send": "send_event",
  "files.check": "check_files",
  "files.list": "list_files",
  "files.release": "release_files",
  "files.renew": "renew_files",
  "files.reserve": "reserve_files",
  "help.answer": "answer_help",
  "help.want": "want_help",
  "hub.flight": "get_flight",
  "hub.metrics": "get_metrics",
  "hub.status": "get_status",
  "lease.end": "end_lease",
  "lease.renew": "renew_lease",
  "ledger.checkpoint": "make_checkpoint",
  "ledger.consistency": "prove_consistency",
  "ledger.head": "get_ledger_head",
  "ledger.prove": "prove_entry",
  "ledger.read": "read_ledger",
  "ledger.snapshots": "list_snapshots",
  "ledger.why": "explain_entry",
  "message.ack": "ack_read",
  "message.post": "post_message",
  "message.read": "read_messages",
  "message.search": "search_messages",
  "message.unread": "read_messages",
  "plan.add": "add_plan",
  "plan.cancel": "cancel_plan",
  "plan.list": "list_plans",
  "plan.report": "report_plan",
  "plan.show": "get_plan",
  "session.adopt": "adopt_session",
  "session.beat": "heartbeat_session",
  "session.end": "end_session",
  "session.list": "list_sessions",
  "session.start": "start_session",
  "session.turn": "report_turn",
  "task.add": "add_task",
  "task.block": "block_task",
  "task.cancel": "cancel_task",
  "task.claim": "claim_task",
  "task.claimNext": "claim_task",
  "task.complete": "complete_task",
  "task.edit": "edit_task",
  "task.fail": "fail_task",
  "task.list": "list_tasks",
  "task.release": "release_task",
  "task.reset": "reset_task",
  "task.review": "review_task",
  "task.show": "get_task",
  "task.unblock": "unblock_task",
  "task.update": "update_task",
  "task.whyAssigned": "explain_assignment",
  "thread.create": "create_thread",
  "thread.escalate": "escalate_thread",
  "thread.invite": "invite_to_thread",
  "thread.join": "join_thread",
  "thread.leave": "leave_thread",
  "thread.list": "list_threads",
  "thread.overrideClose": "override_close_thread",
  "thread.setStatus": "update_thread_status",
  "thread.show": "get_thread",
  "thread.summarize": "summarize_thread",
  "thread.unblock": "unblock_thread",
  "token.mint": null,
  "trigger.cancel": "cancel_trigger",
  "trigger.claim": "claim_triggers",
  "trigger.list": "list_triggers",
  "trigger.participant": "trigger_participant",
  "trigger.record": "record_trigger",
  "trigger.retry": "retry_trigger",
  "trigger.show": "get_trigger",
  "trigger.why": "explain_trigger",
  "usage.list": "list_usage",
  "usage.refund": "refund_usage",
  "usage.report": "report_usage",
  "wake.policy": "get_wake_policy",
  "wake.setPolicy": "set_wake_policy",
  "work.wait": "wait_for_work",
  "workspace.create": "create_workspace",
  "workspace.list": "list_workspaces",
} as const satisfies Record<OperationName, string | null>

/** What every agent sees from the start. `text`: all that a model learns of it; `without`: fields that the surface fills in. */
export type CoreTool = { tool: string; text: string; without?: readonly string[] }

/** The core tier, in the order of an agent's day. It costs every agent its tokens at every start: a test holds its size. */
export const CORE: readonly CoreTool[] = [
  {
    tool: "start_session",
    text: "Call this first, once: it registers this run of yours, and what you claim is held by it.",
    without: ["agent", "owned", "runtime"],
  },
  {
    tool: "claim_task",
    text: "Claim a task before you work on it: `task` names one, else you get the best that is ready and fits you. The answer holds what it asks for and a `fence`: pass that on with everything you do under this claim.",
    without: ["max"],
  },
  {
    tool: "update_task",
    text: "Report progress (0 to 1) on a task that you hold, at least every 10 minutes: it renews your lease. To block, fail or give back a task: more_tools block_task, fail_task, release_task.",
  },
  {
    tool: "complete_task",
    text: "Deliver a task that you hold: what you did, in `deliverable.text`, with evidence (testsPass, commit) where there is some.",
    without: ["usage"],
  },
  {
    tool: "reserve_files",
    text: "Reserve files before you edit them, by globs, all or none. What your task touches is reserved by its claim. A refusal names who holds what, and until when: work elsewhere, or ask them.",
    without: ["fence", "ttlMs"],
  },
  {
    tool: "release_files",
    text: "Give back files that you reserved and no longer edit: by `lease`, by `globs`, or all.",
  },
  {
    tool: "post_message",
    text: "Say something to the team. Threads: `task/ID` for a task, `agent/NAME` for one agent, `team` for everyone, or one that you created. `metadata.eventType`: finding, resolution (a reply to a finding), decision.",
  },
  {
    tool: "read_messages",
    text: "Without `thread`: which threads have something unread for you. With `thread`: its messages after the last that you acknowledged.",
  },
  { tool: "ack_read", text: "Say up to which message you have read a thread, else it stays unread and you are called again." },
  {
    tool: "trigger_participant",
    text: "Wake an agent that has to act now, in a thread that it is in (or `agent/NAME`). Messages alone wake whoever sleeps: post first.",
    without: ["requestId"],
  },
  {
    tool: "wait_for_work",
    text: "Nothing to do? Wait here, up to 150 s, until there are messages for you or a task that you could claim. Costs nothing; call it again when it comes back empty.",
  },
]

/** The tool that leads to all others; it stands for no operation. */
export const MORE_TOOLS = {
  tool: "more_tools",
  text: "Everything else: tasks, plans, agents, threads, the ledger. Without arguments it lists the tools; with `tool` it shows what that one takes; with `tool` and `arguments` it calls it.",
} as const

/** What can be read as a resource: the operation that answers it, and the field that the address fills in. */
export type ResourceRow = { name: string; address: string; title: string; operation: OperationName; field: string | null }

export const RESOURCES: readonly ResourceRow[] = [
  { name: "board", address: "skein://board", title: "The board: open tasks by where they stand", operation: "task.list", field: null },
  { name: "status", address: "skein://status", title: "Where everything stands", operation: "hub.status", field: null },
  { name: "task", address: "skein://task/{id}", title: "One task", operation: "task.show", field: "task" },
  {
    name: "thread",
    address: "skein://thread/{id}",
    title: "One thread: its status, findings and last messages",
    operation: "thread.summarize",
    field: "thread",
  },
  { name: "agent", address: "skein://agent/{id}", title: "One agent with its tasks and sessions", operation: "agent.show", field: "name" },
]
