import type { Actor, Entry } from "../../src/core/entry.ts"
import type { AgentId, Seq, SessionId, TaskId } from "../../src/core/ids.ts"
import { BreakerOracle, type Guarded } from "./breaker-oracle.ts"
import { SessionOracle } from "./session-oracle.ts"

type Hand = { owner: AgentId; session: SessionId | null; fence: Seq }
type Work = Guarded & { held: Hand | null }
/** Who may act at all, and who is to be left alone, without the core: retired agents, sessions that have ended, void credentials, accounts that are paused, breakers. */
export class StaffOracle {
  /** Since which entry an agent, a session or a credential (`agent id`) is void. */
  readonly void = new Map<string, Seq>()
  readonly breakers = new BreakerOracle()
  readonly sessions = new SessionOracle()
  readonly #pausedUntilMs = new Map<string, number>()

  /** Since which entry whoever asks may not ask any more: its credential was revoked, it was retired, or the session that it speaks for has ended. */
  voidSince({ actor, bearer }: { actor: Pick<Actor, "agent" | "session">; bearer: string | null }): Seq | null {
    if (bearer === null) return null
    const { agent, session } = actor
    return this.void.get(`${agent} ${bearer.split("_")[2]}`) ?? this.void.get(agent) ?? this.void.get(session ?? "") ?? null
  }

  /** Whether the agent is kept from the task now: its account is paused, or a breaker is open or waits for its probe. */
  keeps(agent: AgentId, task: Work, nowMs: number, tasks: ReadonlyMap<TaskId, Work>): string | null {
    const account = this.breakers.account(agent)
    if (nowMs < (this.#pausedUntilMs.get(account) ?? 0)) return `account ${account} is paused`
    return this.breakers.keeps(agent, task, nowMs, tasks)
  }

  /** Reads an entry before it is folded; `tasks` are as they were before it. Gives what is wrong, or null. */
  read(entry: Entry<string, Record<string, never>>, tasks: ReadonlyMap<TaskId, Work>): string | null {
    const { seq, type, atMs, actor } = entry
    const data = entry.data as Record<string, unknown>
    const id = data["id"] as string
    const name = (data["name"] ?? data["agent"]) as AgentId
    const takes = type === "task.claimed" || type === "files.reserved" || type === "files.renewed" || type === "session.started"
    if (takes && this.void.has(actor.agent)) return "who is retired"
    if (takes && actor.session !== null && this.void.has(actor.session)) return `whose session ended at ${this.void.get(actor.session)}`
    const unkept = this.sessions.read(entry)
    if (unkept !== null) return unkept
    switch (type) {
      case "agent.retired":
        this.void.set(name, seq)
        return this.#stillHeld(tasks, ({ owner }) => owner === name)
      case "session.ended":
        this.void.set(id, seq)
        return this.#stillHeld(tasks, ({ session }) => session === id)
      case "agent.credential_revoked":
        this.void.set(`${name} ${id}`, seq)
        break
      case "account.exhausted":
        this.#pausedUntilMs.set(data["account"] as string, data["untilMs"] as number)
        break
      case "account.restored":
        this.#pausedUntilMs.delete(data["account"] as string)
        break
      case "task.claimed": {
        const kept = this.keeps(actor.agent, tasks.get(id) as Work, atMs, tasks)
        if (kept !== null) return `though ${kept}`
      }
    }
    return this.breakers.read(entry, tasks)
  }

  #stillHeld(tasks: ReadonlyMap<TaskId, Work>, is: (held: Hand) => boolean): string | null {
    const kept = [...tasks.values()].find(({ held, status }) => held !== null && status !== "review" && is(held))
    return kept === undefined ? null : `and ${kept.id} is still held by ${kept.held?.owner}`
  }
}
