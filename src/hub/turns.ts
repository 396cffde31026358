import type { AgentId, Seq } from "../core/ids.ts"
import type { Trigger, TriggerId, WakeSweep } from "../core/trigger.ts"
import { ackTimeMs } from "../core/wake.ts"
import { wakePolicy } from "../core/wake-policy.ts"
import type { Workspace } from "../core/workspace.ts"

/** How long the agent of one job has been idle since its text was sent; `sinceMs` null: it is in a turn, and the clock stands. */
type AckClock = { target: AgentId; fence: Seq | null; idleMs: number; sinceMs: number | null }

/** Conversations of one agent that may be in a turn at once: of more than these the one of which nothing was heard for longest is over, its process died without a word. */
const CONVERSATIONS_MAX = 100

/** Who is in the middle of a turn, as agents' own hooks say, in memory; and the clocks of those that were sent a text and are to answer. */
export class Turns {
  /** Conversations in a turn, by agent, with when that was last heard of. */
  readonly #turns = new Map<AgentId, Map<string, number>>()
  readonly #clocks = new Map<TriggerId, AckClock>()

  began(agent: AgentId, conversation: string, nowMs: number): void {
    const turns = this.#turns.get(agent) ?? new Map<string, number>()
    turns.delete(conversation)
    turns.set(conversation, nowMs)
    if (turns.size > CONVERSATIONS_MAX) turns.delete(turns.keys().next().value as string)
    this.#turns.set(agent, turns)
    for (const clock of this.#clocks.values()) if (clock.target === agent) stop(clock, nowMs)
  }

  ended(agent: AgentId, conversation: string, nowMs: number): void {
    const turns = this.#turns.get(agent)
    turns?.delete(conversation)
    if (turns?.size !== 0) return
    this.#turns.delete(agent)
    for (const clock of this.#clocks.values()) if (clock.target === agent) clock.sinceMs ??= nowMs
  }

  /** Agents in the middle of a turn. One whose sessions are all over has no turn left, whatever its hook last said. */
  busy(state: Workspace, nowMs: number): AgentId[] {
    const { busyMaxMs } = wakePolicy(state)
    const busy: AgentId[] = []
    for (const [agent, turns] of this.#turns) {
      const sessions = state.board.sessionsOf(agent)
      // A supervisor ends a session with its process: what that was in the middle of is over, though the next one lives by now.
      const diedAtMs = Math.max(...sessions.map(({ status, managedBy, endedAtMs }) => (status === "ended" && managedBy !== undefined ? (endedAtMs ?? 0) : 0)))
      for (const [conversation, atMs] of turns) if (nowMs - atMs > busyMaxMs || atMs <= diedAtMs) turns.delete(conversation)
      if (sessions.length > 0 && sessions.every(({ status }) => status !== "live")) turns.clear()
      if (turns.size === 0) this.#turns.delete(agent)
      else busy.push(agent)
    }
    return busy.sort()
  }

  /** Starts the clocks of jobs that were sent since the last look; answers whose time is over. */
  look(state: Workspace, nowMs: number): WakeSweep["unacked"] {
    if (state.jobs.awaitingCount === 0 && this.#clocks.size === 0) return []
    const busy = new Set(this.busy(state, nowMs))
    const awaiting = new Map(state.jobs.awaiting().map((job) => [job.id, job]))
    for (const [id, { fence }] of this.#clocks) if (awaiting.get(id)?.fence !== fence) this.#clocks.delete(id)
    const over: { id: TriggerId; fence: Seq; idleMs: number }[] = []
    for (const job of awaiting.values()) {
      const clock = this.#clockOf(job)
      if (busy.has(job.target)) stop(clock, nowMs)
      else clock.sinceMs ??= nowMs
      const idleMs = clock.idleMs + (clock.sinceMs === null ? 0 : nowMs - clock.sinceMs)
      if (idleMs >= ackTimeMs(state, job)) over.push({ id: job.id, fence: job.fence as Seq, idleMs })
    }
    return over
  }

  #clockOf({ id, target, fence }: Trigger): AckClock {
    const known = this.#clocks.get(id) ?? { target, fence, idleMs: 0, sinceMs: null }
    this.#clocks.set(id, known)
    return known
  }
}

function stop(clock: AckClock, nowMs: number): void {
  if (clock.sinceMs !== null) clock.idleMs += nowMs - clock.sinceMs
  clock.sinceMs = null
}
