import type { Output } from "../contract/operations.ts"
import type { Agent, Session } from "../core/agent.ts"
import { toHex } from "../core/chain.ts"
import { LOST_AFTER_BEATS } from "../core/lease.ts"
import { isHeld } from "../core/task.ts"
import { viewAgent, viewPlan } from "../core/view.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Loop } from "../hub/loop.ts"

type Status = Output<"hub.status">
type Alert = Status["alerts"][number]

/** Alerts of one kind at the most, so that a broken plan does not drown the rest. */
const ALERTS_PER_KIND = 20

/** A session with what this hub heard of it: active while it beat within three of its intervals. */
export function sessionWithPresence(loop: Loop, session: Session, nowMs: number): Session & { lastBeatMs: number | null; active: boolean } {
  const lastBeatMs = loop.presence(session.id)?.lastBeatMs ?? null
  return { ...session, lastBeatMs, active: session.status === "live" && lastBeatMs !== null && nowMs - lastBeatMs < LOST_AFTER_BEATS * session.heartbeatMs }
}

/** The workspace at a glance. */
export function statusOf(loop: Loop, state: Workspace, nowMs: number): Status {
  const { counts } = state.board
  const agents = [...state.agents.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const plans = [...state.plans.values()].sort((a, b) => a.addedSeq - b.addedSeq).map((plan) => viewPlan(state, plan.id)!)
  return {
    workspace: loop.name,
    nowMs,
    head: { seq: state.seq, hash: toHex(loop.head.hash) },
    checkpoint: state.meta.get("workspace")?.checkpoint ?? null,
    counts: { ...counts, ready: state.board.readyCount },
    agents: agents.map((agent) => agentStatus(loop, state, agent, nowMs)),
    plans: plans.filter((plan) => plan.cancelled === null).map(({ id, title, finished, counts: ofPlan }) => ({ id, title, finished, counts: ofPlan })),
    alerts: alertsOf(state, nowMs),
  }
}

function agentStatus(loop: Loop, state: Workspace, agent: Agent, nowMs: number): Status["agents"][number] {
  const { name, role, busy, tasks, sessions } = viewAgent(state, agent)
  const open = sessions.filter((session) => session.status !== "ended").map((session) => sessionWithPresence(loop, session, nowMs))
  return { name, role, presence: presenceOf(agent, open), busy, tasks, sessions: open }
}

function presenceOf(agent: Agent, open: readonly { status: string; active: boolean }[]): Status["agents"][number]["presence"] {
  if (agent.status === "retired") return "retired"
  if (open.some((session) => session.active)) return "active"
  if (open.some((session) => session.status === "live")) return "idle"
  return open.length > 0 ? "lost" : "offline"
}

function alertsOf(state: Workspace, nowMs: number): Alert[] {
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
      raise({ kind: "stale_task", text, remedy: `Ask ${owner} for an update, or end its lease: skein lease end ${id}`, task: id, agent: owner })
    }
    if (task.status === "pending" && state.board.isUnreachable(id)) {
      raise({
        kind: "unreachable_task",
        text: `${id} can never become ready: something that it depends on failed or was cancelled`,
        remedy: "Reset what failed: skein task reset",
        task: id,
        agent: null,
      })
    }
    if (task.status === "failed")
      raise({
        kind: "failed_task",
        text: `${id} failed: ${task.reason ?? ""}`,
        remedy: `Mend the cause, then open it again: skein task reset ${id}`,
        task: id,
        agent: owner,
      })
    if (isHeld(task.status) && task.session !== null && state.sessions.get(task.session)?.status === "ended") {
      raise({
        kind: "lease_without_session",
        text: `${id} is held by a session that has ended`,
        remedy: `End the lease: skein lease end ${id}`,
        task: id,
        agent: owner,
      })
    }
  }
  for (const session of state.sessions.values()) {
    if (session.status !== "lost") continue
    raise({
      kind: "lost_agent",
      text: `${session.agent} was lost (session ${session.id})`,
      remedy: "It comes back with its next heartbeat; its tasks are open again.",
      task: null,
      agent: session.agent,
    })
  }
  return [...byKind.values()].flat()
}
