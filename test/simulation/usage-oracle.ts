import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq, SessionId, TaskId } from "../../src/core/ids.ts"
import type { Request } from "./wire.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: Actor; data: Readonly<Record<string, unknown>> }>
type Work = { id: TaskId; status: string; held: { owner: AgentId; session: SessionId | null } | null }

const AT_WORK: ReadonlySet<string> = new Set(["claimed", "in_progress", "blocked"])

/**
 * What is wrong with what a report of usage is booked on, or null, without the core (the operation usage.report): without a word of which, it is the one task that the agent is at work
 * on; and a worker says what itself used.
 */
export function misbooked({ seq, type, actor, data }: Said, asked: Request | undefined, tasks: Iterable<Work>): string | null {
  if (type !== "usage.reported" || asked?.name !== "usage.report") return null
  const { agent: of, task: on } = asked.input as { agent: AgentId | null; task: TaskId | null }
  const where = `entry ${seq}: usage.reported by ${actor.agent}`
  const [agent, task, session] = [data["agent"] as AgentId, data["task"] as TaskId | null, data["session"] as SessionId | null]
  if (agent !== (of ?? actor.agent)) return `${where} on ${agent}, not ${of ?? actor.agent}`
  if (agent !== actor.agent && actor.role === "worker") return `${where} on ${agent}, who is worker`
  if (on !== null) return task === on ? null : `${where} on ${task}, not ${on}`
  const held = [...tasks].filter((one) => one.held?.owner === agent && AT_WORK.has(one.status))
  const inSession = held.filter((one) => session !== null && one.held?.session === session)
  const [only = null, more] = inSession.length > 0 ? inSession : held
  const its = more === undefined ? (only?.id ?? null) : null
  return task === its ? null : `${where} on ${task}, though ${agent} is at work on ${its ?? "none or several"}`
}
