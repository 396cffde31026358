import { presentAgent } from "./agent.ts"
import { type DirectiveEvent, sent } from "./directive.ts"
import { type Actor, type Recorded, unknownType } from "./entry.ts"
import type { AgentId, Seq, SessionId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

/** One of the answers that an agent offers; `kind` is the agent's word for it, such as `allow_once` or `reject_once`. */
export type PermissionOption = { id: string; name: string; kind: string }
/** A rule of the instance's settings that decides at once. `option` null: it is refused. */
export type PermissionRule = { name: string; option: string | null }

export const PERMISSION_STATUSES = ["open", "answered", "expired", "withdrawn"] as const
export type PermissionStatus = (typeof PERMISSION_STATUSES)[number]

/** What an agent in the middle of a turn asks leave for, and what became of it. */
export type Permission = {
  /** The seq of the entry by which it was asked. */
  id: Seq
  agent: AgentId
  /** The agent's session; null where its supervisor did not say. */
  session: SessionId | null
  /** The supervisor's session that waits for the answer. */
  supervisor: SessionId | null
  title: string
  kind: string | null
  options: readonly PermissionOption[]
  askedAtMs: number
  /** From then on it counts as refused. */
  untilMs: number
  status: PermissionStatus
  /** The option that was chosen; null where it was refused, or has no answer. */
  option: string | null
  by: AgentId | null
  /** The rule that decided; null where a person did. */
  rule: string | null
  reason: string
  endedAtMs: number | null
}

export type AskPermission = Pick<Permission, "agent" | "session" | "title" | "kind"> & { options: PermissionOption[]; rule: PermissionRule | null }
export type AnswerPermission = { permission: Seq; option: string | null; reason: string }
export type WithdrawPermission = { permission: Seq; reason: string }

export type PermissionEvent =
  | Recorded<"permission.asked", Omit<AskPermission, "rule"> & { untilMs: number }>
  | Recorded<"permission.answered", { id: Seq; option: string | null; rule: string | null; reason: string }>
  | Recorded<"permission.ended", { id: Seq; how: "expired" | "withdrawn"; reason: string }>

/** What one agent may have open at once: a turn asks for one thing after the other. */
export const OPEN_MAX = 16
/** What has ended is forgotten when its agent asks for something else so long after, or when so many of it have ended since: a rule may answer many in a minute. */
const FORGET_MS = 24 * 3_600_000
export const ENDED_MAX = 100

/** Asks for an agent that waits in its turn: the operator is told, or the rule's answer recorded at once. */
export function decideAskPermission(
  state: Workspace,
  _actor: Actor,
  { rule, ...asked }: AskPermission,
  nowMs: number,
): (PermissionEvent | DirectiveEvent)[] | Refusal {
  const agent = presentAgent(state, asked.agent)
  if ("refused" in agent) return agent
  const ids = asked.options.map(({ id }) => id)
  if (new Set(ids).size !== ids.length) return refuse("invalid", "two options have one id", "Give each option an id of its own.", { options: ids })
  if (rule !== null && rule.option !== null && !ids.includes(rule.option)) return notOffered(rule.option, ids)
  const open = state.jobs.permissionsOf(asked.agent).filter(({ status }) => status === "open")
  if (open.length >= OPEN_MAX)
    return refuse("at_limit", `${asked.agent} waits for ${open.length} answers already`, "Answer or withdraw those first: skein permission list.", {
      limit: OPEN_MAX,
    })
  // The entry that asks is the next one: by its seq the answer names it.
  const id = state.seq + 1
  const event: PermissionEvent = { type: "permission.asked", data: { ...asked, untilMs: nowMs + wakePolicy(state).permissionMs } }
  if (rule !== null)
    return [event, { type: "permission.answered", data: { id, option: rule.option, rule: rule.name, reason: `by rule: ${rule.name}` }, causedBy: id }]
  const choices = asked.options.map((option) => `${option.id} (${option.name})`).join(", ")
  const text = `${asked.agent} asks leave: ${asked.title}. Answer: skein permission answer ${id} OPTION, with one of ${choices}; or refuse it: skein permission answer ${id} --refuse`
  const to = { role: "operator" } as const
  return [
    event,
    sent({ kind: "blocker", directive: null, to, task: null, priority: "high", text, payload: { permission: id, options: ids }, requiresAck: false }, id),
  ]
}

/** The answer of a person, once. */
export function decideAnswerPermission(state: Workspace, { permission: id, option, reason }: AnswerPermission, nowMs: number): PermissionEvent[] | Refusal {
  const found = state.permissions.get(String(id))
  if (found === undefined) return noPermission(id)
  const { status, options, untilMs } = found
  if (status !== "open" || nowMs >= untilMs)
    return refuse(
      "wrong_status",
      `request ${id} is ${status === "open" ? "expired" : status}`,
      status === "answered"
        ? "The first answer stands: `skein permission list --all` shows whose. Tell the agent what it should do instead: skein send-event."
        : "The agent went on without it; it asks again if it still needs to.",
      {
        permission: id,
        status,
      },
    )
  const ids = options.map((one) => one.id)
  if (option !== null && !ids.includes(option)) return notOffered(option, ids)
  return [{ type: "permission.answered", data: { id, option, rule: null, reason }, causedBy: id }]
}

/** Nobody waits for the answer any more: the turn was ended. */
export function decideWithdrawPermission(state: Workspace, { permission: id, reason }: WithdrawPermission): PermissionEvent[] | Refusal {
  const found = state.permissions.get(String(id))
  if (found === undefined) return noPermission(id)
  return found.status === "open" ? [{ type: "permission.ended", data: { id, how: "withdrawn", reason }, causedBy: id }] : []
}

/** Requests whose time is up, and those that nobody waits for any more since their supervisor has gone or their agent is retired. */
export function permissionsOver(state: Workspace, nowMs: number): PermissionEvent[] {
  return state.jobs.openPermissions().flatMap(({ id, agent, untilMs, supervisor }): PermissionEvent[] => {
    if (supervisor !== null && state.sessions.get(supervisor)?.status !== "live")
      return [{ type: "permission.ended", data: { id, how: "withdrawn", reason: "the supervisor that waited for it has gone" }, causedBy: id }]
    if (state.agents.get(agent)?.status !== "present")
      return [{ type: "permission.ended", data: { id, how: "withdrawn", reason: `${agent} is retired` }, causedBy: id }]
    return nowMs < untilMs ? [] : [{ type: "permission.ended", data: { id, how: "expired", reason: "nobody answered in time: it is refused" }, causedBy: id }]
  })
}

export function evolvePermission(state: Workspace, event: PermissionEvent, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  const { permissions } = state
  switch (event.type) {
    case "permission.asked": {
      const ended = state.jobs.permissionsOf(event.data.agent).filter(({ endedAtMs }) => endedAtMs !== null)
      for (const [at, old] of ended.entries())
        if (at < ended.length - ENDED_MAX || (old.endedAtMs as number) + FORGET_MS < atMs) permissions.delete(String(old.id))
      const nothing = { status: "open", option: null, by: null, rule: null, reason: "", endedAtMs: null } as const
      permissions.put(String(seq), { id: seq, ...event.data, supervisor: actor.session, askedAtMs: atMs, ...nothing })
      break
    }
    case "permission.answered": {
      const { id, option, rule, reason } = event.data
      permissions.put(String(id), {
        ...(permissions.get(String(id)) as Permission),
        status: "answered",
        option,
        by: actor.agent,
        rule,
        reason,
        endedAtMs: atMs,
      })
      break
    }
    case "permission.ended": {
      const { id, how, reason } = event.data
      permissions.put(String(id), { ...(permissions.get(String(id)) as Permission), status: how, reason, endedAtMs: atMs })
      break
    }
    default:
      throw unknownType(event)
  }
}

function noPermission(id: Seq): Refusal {
  return refuse("not_found", `there is no request ${id}`, "`skein permission list` lists those that wait.", { permission: id })
}

function notOffered(option: string, offered: readonly string[]): Refusal {
  return refuse("invalid", `${JSON.stringify(option)} is not offered`, `Choose one of ${offered.join(", ")}, or refuse it.`, { option, offered })
}
