import { presentAgent } from "./agent.ts"
import type { Actor } from "./entry.ts"
import { directive, type DirectiveEvent, sent } from "./directive.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import { underLease } from "./lease.ts"
import { meets } from "./ready.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Task, TaskEvent, TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

export type WantHelp = { task: TaskId; fence: Seq; reason: string }
export type AnswerHelp = { task: TaskId }

/** Broadcast to the agents that match and work on nothing; at most this many are told. */
const TOLD_MAX = 50

export function decideWantHelp(state: Workspace, actor: Actor, { task: id, fence, reason }: WantHelp, nowMs: number): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.status === "review") return refuse("wrong_status", `task ${id} is in review`, "Wait for the review.", { task: id })
  if (task.helpWanted !== null && !hasLostHelper(state, task)) return []
  const { requires } = state.specs.get(id) as TaskSpec
  const told: AgentId[] = []
  const away: AgentId[] = []
  for (const agent of state.agents.values()) {
    if (agent.name === actor.agent || agent.status !== "present" || agent.role !== "worker") continue
    if (state.board.activeOf(agent.name) > 0 || !meets(agent, requires)) continue
    const here = state.board.sessionsOf(agent.name).some((session) => session.status === "live")
    ;(here ? told : away).push(agent.name)
  }
  // Those with a live session hear of it first.
  const chosen = [...told.sort(), ...away.sort()].slice(0, TOLD_MAX)
  const wanted: TaskEvent = { type: "task.help_wanted", data: { id, reason }, causedBy: fence }
  return [
    wanted,
    ...chosen.map((agent) =>
      sent({ kind: "help_wanted", directive: null, to: { agent }, task: id, priority: "high", text: reason, payload: {}, requiresAck: true }, fence),
    ),
  ]
}

/** Whether the helper is retired: then another may join, and the owner may ask again. */
function hasLostHelper(state: Workspace, { helpWanted }: Task): boolean {
  return typeof helpWanted?.helper === "string" && state.agents.get(helpWanted.helper)?.status === "retired"
}

/** The first to answer joins as helper; the owner keeps the lease. */
export function decideAnswerHelp(state: Workspace, actor: Actor, { task: id }: AnswerHelp): (TaskEvent | DirectiveEvent)[] | Refusal {
  const agent = presentAgent(state, actor.agent)
  if ("refused" in agent) return agent
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (task.helpWanted === null) return refuse("wrong_status", `task ${id} asks for no help`, "Claim other work.", { task: id })
  if (task.helpWanted.helper === actor.agent) return []
  if (task.helpWanted.helper !== null && !hasLostHelper(state, task))
    return refuse("help_taken", `${task.helpWanted.helper} helps with ${id} already`, "Claim other work.", { task: id, helper: task.helpWanted.helper })
  if (task.owner === actor.agent) return refuse("forbidden", `${actor.agent} owns task ${id}`, "Somebody else can help.", { task: id })
  return [
    { type: "task.help_joined", data: { id, helper: actor.agent } },
    directive("nudge", { agent: task.owner as AgentId }, id, `${actor.agent} joins ${id} as helper`, null),
  ]
}
