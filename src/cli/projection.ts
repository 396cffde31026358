import { lostSession } from "../core/agent.ts"
import { isHeld, type Task } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"
import { taskState } from "../core/view.ts"

/** What other tools read of the agents: by name, in the order of names. */
export function agentStates(state: Workspace): object {
  const names = [...state.agents.keys()].sort()
  return Object.fromEntries(
    names.flatMap((name) => {
      const agent = state.agents.get(name)
      if (agent === undefined) return []
      const held = state.board.heldBy(name)
      const sessions = state.board.sessionsOf(name)
      const live = sessions.filter(({ status }) => status === "live")
      const working = held.find(({ status }) => status === "claimed" || status === "in_progress")
      const status =
        agent.status === "retired" ? "retired" : working !== undefined ? "busy" : live.length > 0 ? "idle" : lostSession(sessions) !== null ? "lost" : "offline"
      const lastMs = Math.max(0, ...held.map(({ updatedAtMs }) => updatedAtMs), ...sessions.map(({ startedAtMs }) => startedAtMs))
      return [
        [
          name,
          {
            status,
            task: working?.id ?? null,
            tasks: held.map(({ id }) => id),
            role: agent.role,
            kind: agent.kind,
            capabilities: agent.capabilities,
            sessions: live.map(({ id }) => id),
            lastHeardMs: lastMs === 0 ? null : lastMs,
          },
        ],
      ]
    }),
  )
}

/** What other tools read of the tasks: by id, in the order in which they were added. */
export function taskGraph(state: Workspace): object {
  const tasks = [...state.tasks.values()].sort((a, b) => a.addedSeq - b.addedSeq)
  return Object.fromEntries(tasks.map((task) => [task.id, taskNode(state, task)]))
}

function taskNode(state: Workspace, task: Task): object {
  const spec = state.specs.get(task.id)
  return {
    title: spec?.title ?? "",
    state: taskState(state, task),
    priority: spec?.priority ?? "normal",
    owner: task.owner,
    fence: task.fence,
    leaseEndsAtMs: isHeld(task.status) ? task.leaseEndsAtMs : null,
    dependsOn: spec?.dependsOn ?? [],
    dependents: [...state.board.dependents(task.id)].sort(),
    blockedOn: task.blockedOn,
    progress: task.progress,
    attempts: task.attempts,
    transitions: {
      addedAtMs: task.addedAtMs,
      claimedAtMs: task.claimedAtMs,
      updatedAtMs: task.updatedAtMs,
      closedAtMs: task.closedAtMs,
      lastSeq: task.lastSeq,
    },
    plan: task.plan,
  }
}
