import type { Output } from "../contract/operations.ts"
import { type Agent, lostSession, type Session } from "../core/agent.ts"
import { type Alert, alertsOf } from "../core/alerts.ts"
import { toHex } from "../core/hash.ts"
import { byName } from "../core/ids.ts"
import { LOST_AFTER_BEATS } from "../core/lease.ts"
import { viewAgent, viewPlan } from "../core/view.ts"
import type { Workspace } from "../core/workspace.ts"
import { storageRefused } from "../hub/failures.ts"
import type { Loop } from "../hub/loop.ts"
import { policyAlerts } from "./policy-alerts.ts"

type Status = Output<"hub.status">

/** A session with what this hub heard of it: active while it beat within three of its intervals. */
export function sessionWithPresence(loop: Loop, session: Session, nowMs: number): Session & { lastBeatMs: number | null; active: boolean } {
  const lastBeatMs = loop.presence(session.id)?.lastBeatMs ?? null
  return { ...session, lastBeatMs, active: session.status === "live" && lastBeatMs !== null && nowMs - lastBeatMs < LOST_AFTER_BEATS * session.heartbeatMs }
}

/** The workspace at a glance. */
export function statusOf(loop: Loop, state: Workspace, nowMs: number): Status {
  const { counts } = state.board
  const agents = [...state.agents.values()].sort((a, b) => byName(a.name, b.name))
  const plans = [...state.plans.values()].sort((a, b) => a.addedSeq - b.addedSeq).map((plan) => viewPlan(state, plan.id)!)
  return {
    workspace: loop.name,
    nowMs,
    head: { seq: state.seq, hash: toHex(loop.head.hash) },
    checkpoint: state.meta.get("workspace")?.checkpoint ?? null,
    counts: { ...counts, ready: state.board.readyCount },
    agents: agents.map((agent) => agentStatus(loop, state, agent, nowMs)),
    plans: plans.filter((plan) => plan.cancelled === null).map(({ id, title, finished, counts: ofPlan }) => ({ id, title, finished, counts: ofPlan })),
    alerts: [...storageAlert(loop), ...alertsOf(state, nowMs), ...policyAlerts(loop, nowMs)],
  }
}

/** That the disk refuses writes: what this hub knows, since no entry can tell of it. */
function storageAlert({ refusing }: Pick<Loop, "refusing">): Alert[] {
  if (refusing === null) return []
  const { message: text, remedy } = storageRefused(refusing)
  return [{ kind: "storage_refused", text, remedy, task: null, agent: null, about: null }]
}

function agentStatus(loop: Loop, state: Workspace, agent: Agent, nowMs: number): Status["agents"][number] {
  const { name, role, busy, tasks, sessions } = viewAgent(state, agent)
  const open = sessions.filter((session) => session.status !== "ended").map((session) => sessionWithPresence(loop, session, nowMs))
  return { name, role, presence: presenceOf(agent, sessions, open), busy, tasks, sessions: open }
}

function presenceOf(agent: Agent, sessions: readonly Session[], open: readonly { status: string; active: boolean }[]): Status["agents"][number]["presence"] {
  if (agent.status === "retired") return "retired"
  if (open.some((session) => session.active)) return "active"
  if (open.some((session) => session.status === "live")) return "idle"
  return lostSession(sessions) === null ? "offline" : "lost"
}
