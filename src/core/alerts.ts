import { lostSession } from "./agent.ts"
import { isLive, type Trigger } from "./trigger.ts"
import { standOf } from "./trigger-why.ts"
import type { Workspace } from "./workspace.ts"

/** Something that needs somebody, with what to do about it. `about`: what tells it from others of its kind, task and agent, such as a wake or a session. */
export type Alert = { kind: string; text: string; remedy: string; task: string | null; agent: string | null; about: string | null }

/** Alerts of one kind at the most, so that a broken plan does not drown the rest. */
export const ALERTS_PER_KIND = 20

/** What needs attention at a moment, each with what to do about it: all that follows from the ledger, and so of any moment of the past too. */
export function alertsOf(state: Workspace, nowMs: number): Alert[] {
  const byKind = new Map<string, Alert[]>()
  const raise = (alert: Alert): void => {
    const alerts = byKind.get(alert.kind) ?? []
    if (alerts.length < ALERTS_PER_KIND) alerts.push(alert)
    byKind.set(alert.kind, alerts)
  }
  for (const task of state.tasks.values()) {
    const { id, owner } = task
    if (task.stale !== null) {
      const text = `${id} had no update for ${Math.floor((nowMs - task.updatedAtMs) / 60_000)} min`
      raise({
        kind: "stale_task",
        text,
        remedy: `Ask ${owner} for an update, or end its lease: skein lease end ${id} --reason …`,
        task: id,
        agent: owner,
        about: null,
      })
    }
    if (task.status === "pending" && state.board.isUnreachable(id)) {
      const before = (state.specs.get(id)?.dependsOn ?? []).flatMap((on) => state.tasks.get(on) ?? [])
      const dead = before.find(({ status }) => status === "failed" || status === "cancelled")
      const barred = before.find((on) => on.status === "pending" && state.board.isUnreachable(on.id))
      raise({
        kind: "unreachable_task",
        text: `${id} can never become ready: ${dead === undefined ? `${barred?.id} cannot either` : `${dead.id} ${dead.status === "failed" ? "failed" : "was cancelled"}`}`,
        remedy: dead === undefined ? `See what is in its way: skein task show ${barred?.id}` : `Open that again: skein task reset ${dead.id} --reason …`,
        task: id,
        agent: null,
        about: null,
      })
    }
    if (task.status === "failed")
      raise({
        kind: "failed_task",
        text: `${id} failed: ${task.reason ?? ""}`,
        remedy: `Mend the cause, then open it again: skein task reset ${id} --reason …`,
        task: id,
        agent: owner,
        about: null,
      })
  }
  for (const session of state.sessions.values()) {
    if (session.status !== "lost" || lostSession(state.board.sessionsOf(session.agent)) !== session) continue
    raise({
      kind: "lost_agent",
      text: `${session.agent} was lost (session ${session.id})`,
      remedy: "It comes back with its next heartbeat; its tasks are open again.",
      task: null,
      agent: session.agent,
      about: session.id,
    })
  }
  for (const { id, agent, title, untilMs } of state.jobs.openPermissions())
    raise({
      kind: "permission_waits",
      text: `${agent} asks leave: ${title}; refused in ${Math.max(0, Math.ceil((untilMs - nowMs) / 1_000))} s`,
      remedy: `See what it offers (skein permission list), then: skein permission answer ${id} OPTION`,
      task: null,
      agent,
      about: String(id),
    })
  for (const job of wakesInTrouble(state, nowMs)) raise(alertOfWake(state, job, nowMs))
  return [...byKind.values()].flat()
}

/** How long a wake that was given up is told of: then it is history, which `skein trigger list` keeps. */
const DEAD_WAKE_TOLD_MS = 24 * 3_600_000

/** Wakes that do not come to anything unless somebody does something, the newest first: given up, waiting for a supervisor, or for a person's pane. */
function wakesInTrouble(state: Workspace, nowMs: number): Trigger[] {
  const isInTrouble = (job: Trigger): boolean => {
    if (job.status === "dead") return nowMs - (job.endedAtMs ?? 0) < DEAD_WAKE_TOLD_MS && state.agents.get(job.target)?.status === "present"
    return isLive(job) && (job.code === "NO_SUPERVISOR" || job.code === "DEFER_TIMEOUT")
  }
  return [...state.triggers.values()].filter(isInTrouble).sort((a, b) => b.createdSeq - a.createdSeq)
}

function alertOfWake(state: Workspace, job: Trigger, nowMs: number): Alert {
  const { id, target, thread, status, code } = job
  const about = { text: `${target} in ${thread}: ${standOf(state, job, nowMs).text}`, task: null, agent: target, about: id }
  if (status === "dead")
    return { kind: "dead_wake", ...about, remedy: `See why (skein trigger why ${id}), mend it, then send it again: skein trigger retry ${id} --reason …` }
  if (code === "DEFER_TIMEOUT")
    return {
      kind: "deferred_wake",
      ...about,
      remedy: `Clear the agent's pane (skein agent attach ${target}), or force it: skein trigger retry ${id} --force --reason …`,
    }
  return {
    kind: "no_supervisor",
    ...about,
    remedy: `Start one (skein up --supervise) that runs ${target} (skein swarm spawn), or take it back: skein trigger cancel ${id} --reason …`,
  }
}

/** What an alert is told apart by while it lasts: its text goes on counting, and is no name. Of several that are alike the next has the next number. */
export function alertKeys(alerts: readonly Pick<Alert, "kind" | "task" | "agent" | "about">[]): string[] {
  const seen = new Map<string, number>()
  return alerts.map(({ kind, task, agent, about }) => {
    const key = JSON.stringify([kind, task, agent, about])
    const nth = (seen.get(key) ?? 0) + 1
    seen.set(key, nth)
    return `${key} ${nth}`
  })
}
