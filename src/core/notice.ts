import { type DirectiveEvent, DIRECTIVES, INBOX_SENDER_MAX, inboxOf, type SendNotice, sent, type SentEvent } from "./directive.ts"
import type { Actor } from "./entry.ts"
import type { ThreadId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { aRole, permits } from "./role.ts"
import { newThread } from "./thread.ts"
import { autoBlock, circleOf } from "./thread-guard.ts"
import type { ThreadEvent } from "./thread-life.ts"
import type { Workspace } from "./workspace.ts"

/** What somebody sends: to an agent that is there, about a task that is there, a directive only by whoever directs. */
export function decideSendNotice(state: Workspace, actor: Actor, notice: SendNotice): (DirectiveEvent | ThreadEvent)[] | Refusal {
  if ("agent" in notice.to) {
    const { agent } = notice.to
    const known = state.agents.get(agent)
    if (known === undefined) return refuse("not_found", `there is no agent ${agent}`, "`skein agent list` lists the agents.", { agent })
    if (known.status === "retired")
      return refuse("retired", `agent ${agent} is retired: nobody would read it`, "Send it to another agent, to a role or to everyone.", { agent })
  }
  if (notice.task !== null && !state.tasks.has(notice.task))
    return refuse("not_found", `there is no task ${notice.task}`, "`skein task list` lists the tasks.", { task: notice.task })
  const directs = notice.kind === "directive" || notice.kind === "task_assign"
  if (directs && actor.role !== "operator" && actor.role !== "orchestrator") {
    return refuse("forbidden", `${aRole(actor.role)} cannot send a ${notice.kind}`, "Send `info` instead, or ask an orchestrator or the operator.", {
      kind: notice.kind,
    })
  }
  if (notice.kind === "directive" && notice.directive === null)
    return refuse("invalid", "a directive needs to say which", `Give \`directive\`: one of ${DIRECTIVES.join(", ")}.`, {})
  const voice = actor.role === "operator" || directs ? "work" : "agent"
  const full = voice === "agent" ? fullBy(state, actor, notice) : null
  if (full !== null) return full
  const said = sent(notice, null, voice)
  return actor.role !== "operator" && said.data.thread?.startsWith("task/") === true ? inTurn(state, actor, notice, said) : [said]
}

/** No agent pushes out of an inbox what others left there, such as a `stop` or the word that a budget is closed. */
function fullBy(state: Workspace, actor: Actor, { to, requiresAck }: SendNotice): Refusal | null {
  const target = inboxOf(to)
  if (!requiresAck || state.board.noticeCount(target) < INBOX_SENDER_MAX) return null
  const waiting = state.board.noticesTo(target).filter(({ voice, from, ackedBy }) => voice === "agent" && from === actor.agent && ackedBy.length === 0).length
  if (waiting < INBOX_SENDER_MAX) return null
  return refuse(
    "at_limit",
    `${waiting} of ${actor.agent}'s events to ${target} wait for their acknowledgement`,
    "Wait until they are acknowledged, or send what needs no acknowledgement without `requiresAck`.",
    { to: target, limit: INBOX_SENDER_MAX },
  )
}

/** What an agent sends about a task is a message of its thread as any other: not while that is blocked, and not for ever in a circle. */
function inTurn(state: Workspace, actor: Actor, { to, task, text }: SendNotice, { type, data }: SentEvent): (DirectiveEvent | ThreadEvent)[] | Refusal {
  const id = data.thread as ThreadId
  const thread = state.threads.get(id) ?? newThread(id, actor.agent, 0, 0)
  if (thread.status === "blocked" && !permits("orchestrator", actor.role)) {
    const remedy = "An orchestrator or the operator has to say how it goes on: thread.unblock. What cannot wait is sent without `task`."
    return refuse("wrong_status", `thread ${id} is blocked and takes no event of ${aRole(actor.role)}`, remedy, { thread: id, status: "blocked", task })
  }
  const circle = circleOf(state, actor, thread, { body: text, metadata: NOTHING_BESIDES })
  const turn: SentEvent = { type, data: { ...data, turn: true } }
  return circle === null ? [turn] : [turn, ...autoBlock(state, thread, circle, [inboxOf(to), `agent:${actor.agent}`])]
}

const NOTHING_BESIDES = { eventType: null, severity: null, file: null, line: null, endLine: null, task: null }
