import type { Actor } from "../../src/core/entry.ts"
import type { Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: Actor; commandId: string | null; data: Readonly<Record<string, unknown>> }>
/** `found`: how often each finding came. `task`: what it is about. */
type Talk = { status: string; turns: number; found: Map<string, number>; task: TaskId | null }
/** What has to come next, in the same command: the hub blocks a thread, or whoever directs is told of one: `to` are their roles. */
type Owed = { thread: string; by: string; what: "block" | "word"; where: string; to: readonly string[] }

const UPDATES: ReadonlySet<string> = new Set(["task.progressed", "task.submitted", "task.completed", "task.changes_requested", "task.edited", "task.reset"])

/**
 * Threads that go round in circles, without the core, after docs/explanation/waking.md: one that has a subject is blocked by the turn of an agent that is one too many
 * without progress, and each time the same finding has come so often again; never otherwise. Only whoever directs continues it, and whoever has to is told, also where an
 * agent escalates: the operator, and orchestrators where there are some. What an orchestrator says is a turn as any other, but blocks nothing. Gives what is wrong, or null.
 */
export class CircleOracle {
  readonly #isLed: () => boolean
  readonly #talks = new Map<string, Talk>()
  #turnsMax = 20
  #findingsMax = 3
  #owed: Owed | null = null

  /** `isLed`: whether there is an orchestrator. */
  constructor(isLed: () => boolean) {
    this.#isLed = isLed
  }

  /** Threads that wait for somebody to continue them. */
  blocked(): string[] {
    return [...this.#talks].flatMap(([thread, { status }]) => (status === "blocked" ? [thread] : []))
  }

  statusOf(thread: string): string {
    return this.#talks.get(thread)?.status ?? "active"
  }

  /** Where a hub has it otherwise. */
  differs(shown: (thread: string) => { status: string; turns: number } | undefined): string | null {
    for (const [thread, { status, turns }] of this.#talks) {
      const state = shown(thread)
      if (state?.status !== status || state.turns !== turns)
        return `thread ${thread} is ${state?.status} after ${state?.turns} turns without progress, not ${status} after ${turns}`
    }
    return null
  }

  read(said: Said): string | null {
    const { seq, type, actor, commandId, data } = said
    const by = `${actor.agent} ${commandId}`
    const owed = this.#owed
    this.#owed = null
    const thread = (data["thread"] ?? data["id"]) as string | undefined
    const where = `entry ${seq}: ${type} by ${actor.agent}`
    const blocks = type === "thread.status_changed" && data["auto"] === true
    if (owed?.what === "block" && !(blocks && thread === owed.thread && by === owed.by)) return `${owed.where}, which is not blocked for it`
    if (blocks && owed?.what !== "block") return `${where} blocks ${thread}, which does not go round in circles`
    if (owed?.what === "word") return this.#word(owed, said)
    if (type === "policy.changed" && commandId?.startsWith("wake.") === true) {
      const { turnsMax, findingsMax } = data["changes"] as { turnsMax?: number; findingsMax?: number }
      this.#turnsMax = turnsMax ?? this.#turnsMax
      this.#findingsMax = findingsMax ?? this.#findingsMax
    } else if (UPDATES.has(type)) {
      for (const [id, talk] of this.#talks) if (id === `task/${String(data["id"])}` || talk.task === data["id"]) talk.turns = 0
    } else if (type === "thread.status_changed") return this.#changed(thread as string, said, where)
    else if (type === "event.sent" && commandId?.startsWith("thread.escalate-") === true && owed === null) {
      const of = (data["payload"] as { thread: string }).thread
      if (this.statusOf(of) !== "blocked") return `${where} escalates ${of}, which is not blocked`
      return this.#word({ thread: of, by, what: "word", to: this.#directors(), where: `${where} escalates ${of}` }, said)
    } else if (type === "event.sent" || type === "message.posted") return this.#turn(thread as string, said, where)
    return null
  }

  #directors(): string[] {
    return this.#isLed() ? ["orchestrator", "operator"] : ["operator"]
  }

  /** The next of those who have to be told is. */
  #word(owed: Owed, said: Said): string | null {
    const role = tells(said, owed.thread)
    const isNext = owed.by === `${said.actor.agent} ${said.commandId}` && role !== null && owed.to.includes(role)
    if (!isNext) return `${owed.where}, and the ${owed.to.join(" and the ")} is not told`
    const to = owed.to.filter((other) => other !== role)
    if (to.length > 0) this.#owed = { ...owed, to }
    return null
  }

  #turn(thread: string, { type, actor, commandId, data }: Said, where: string): string | null {
    if (/^(team$|agent\/|role\/)/.test(thread)) return null
    const talk = this.#of(thread)
    const metadata = (data["metadata"] ?? {}) as Record<string, unknown>
    talk.task = (metadata["task"] as TaskId | null | undefined) ?? talk.task
    // What the hub tells of a task is nobody's turn, nor is what the operator says.
    if (type === "event.sent" && commandId?.startsWith("event.send-") !== true) return null
    const isTurn = actor.role !== "operator"
    const directs = actor.role === "operator" || actor.role === "orchestrator"
    if (!directs && talk.status === "blocked") return `${where} in ${thread}, which is blocked`
    const mark = metadata["eventType"] === "finding" ? findingOf(data["body"] as string, metadata) : null
    const times = mark === null ? 0 : (talk.found.get(mark) ?? 0) + 1
    if (mark !== null) talk.found.set(mark, times)
    if (metadata["eventType"] === "commit" || times === 1) talk.turns = 0
    else if (isTurn) talk.turns += 1
    const comesAgain = times > 1 && times % this.#findingsMax === 0
    if (!directs && (comesAgain || talk.turns >= this.#turnsMax))
      this.#owed = {
        thread,
        by: `${actor.agent} ${commandId}`,
        what: "block",
        to: [],
        where: `${where} in ${thread}, ${comesAgain ? `a finding that came ${times} times` : `turn ${talk.turns} without progress`}`,
      }
    return null
  }

  #changed(thread: string, { actor, commandId, data }: Said, where: string): string | null {
    const talk = this.#of(thread)
    const [from, to, isAuto] = [data["from"] as string, data["to"] as string, data["auto"] === true]
    const command = commandId?.slice(0, commandId.lastIndexOf("-"))
    const change = `${where} takes ${thread} from ${from} to ${to}`
    if (from !== talk.status) return `${change}, which is ${talk.status}`
    if (isAuto && to !== "blocked") return `${change} by the hub's rule`
    if (command === "thread.escalate" && (from !== "active" || to !== "blocked")) return `${change} to escalate it`
    if (command === "thread.unblock" && (from !== "blocked" || to !== "active")) return `${change} to continue it`
    if (from === "blocked" && actor.role === "worker") return `${change}, who is worker`
    if (from === "blocked" && to === "closed" && actor.role !== "operator") return `${change}, who is ${actor.role}`
    talk.status = to
    talk.turns = 0
    if (isAuto || command === "thread.escalate") this.#owed = { thread, by: `${actor.agent} ${commandId}`, what: "word", to: this.#directors(), where: change }
    return null
  }

  #of(thread: string): Talk {
    const known = this.#talks.get(thread)
    if (known !== undefined) return known
    const talk: Talk = { status: "active", turns: 0, found: new Map(), task: thread.startsWith("task/") ? thread.slice(5) : null }
    this.#talks.set(thread, talk)
    return talk
  }
}

/** The role that an entry tells of a blocked thread, or null. */
function tells({ type, data }: Said, thread: string): string | null {
  const { to, kind, payload } = data as { to?: { role?: string }; kind?: string; payload?: { thread?: string } }
  return type === "event.sent" && kind === "blocker" && payload?.thread === thread ? (to?.role ?? null) : null
}

/** Where it is and its words, whatever their case and spaces. */
function findingOf(body: string, { file, line, endLine }: Record<string, unknown>): string {
  return JSON.stringify([file, line, endLine ?? line, body.toLowerCase().split(/\s+/)])
}
