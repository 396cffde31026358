import type { Actor, Entry } from "../../src/core/entry.ts"
import type { AgentId, Seq, SessionId, TaskId } from "../../src/core/ids.ts"

type Hand = { owner: AgentId; session: SessionId | null; fence: Seq }
type Work = { id: TaskId; spec: { labels: readonly string[] }; held: Hand | null; status: string }
/** `byHand`: it was tripped, and no provider's word changes until when. */
type Breaker = { untilMs: number; opened: number; throttled: number; byHand: boolean; probe: { task: TaskId; fence: Seq } | null }

/** How long a breaker whose probe failed is open at first, or one that was throttled without a word until when, and at the most, in ms: what the director sets. */
export const OPEN = { openMs: 400, throttleMs: 100, openMaxMs: 1_000 }

const CLOSED = { untilMs: 0, opened: 0, throttled: 0, byHand: false }

/** Who may act at all, and who is to be left alone, without the core: retired agents, sessions that have ended, void credentials, accounts that are paused, breakers. */
export class StaffOracle {
  /** Since which entry an agent, a session or a credential (`agent id`) is void. */
  readonly void = new Map<string, Seq>()
  readonly #accounts = new Map<AgentId, string>()
  readonly #pausedUntilMs = new Map<string, number>()
  readonly #breakers = new Map<string, Breaker>()

  /** Since which entry whoever asks may not ask any more: its credential was revoked, it was retired, or the session that it speaks for has ended. */
  voidSince({ actor, bearer }: { actor: Pick<Actor, "agent" | "session">; bearer: string | null }): Seq | null {
    if (bearer === null) return null
    const { agent, session } = actor
    return this.void.get(`${agent} ${bearer.split("_")[2]}`) ?? this.void.get(agent) ?? this.void.get(session ?? "") ?? null
  }

  /** Whether the agent is kept from the task now: its account is paused, or a breaker is open or waits for its probe. */
  keeps(agent: AgentId, task: Work, nowMs: number, tasks: ReadonlyMap<TaskId, Work>): string | null {
    const account = this.#accounts.get(agent) ?? `agent/${agent}`
    if (nowMs < (this.#pausedUntilMs.get(account) ?? 0)) return `account ${account} is paused`
    for (const id of breakersOf(agent, account, task)) {
      const breaker = this.#breakers.get(id)
      if (breaker === undefined) continue
      if (nowMs < breaker.untilMs) return `breaker ${id} is open for ${breaker.untilMs - nowMs} ms more`
      const { probe } = breaker
      const probing = probe === null ? undefined : tasks.get(probe.task)
      if (probing?.held?.fence === probe?.fence && probing !== undefined && probing.status !== "review") return `${probing.id} is the probe of breaker ${id}`
    }
    return null
  }

  /** Reads an entry before it is folded; `tasks` are as they were before it. Gives what is wrong, or null. */
  read({ seq, type, atMs, actor, data: given }: Entry<string, Record<string, never>>, tasks: ReadonlyMap<TaskId, Work>): string | null {
    const data = given as Record<string, unknown>
    const id = data["id"] as string
    const name = (data["name"] ?? data["agent"]) as AgentId
    const takes = type === "task.claimed" || type === "files.reserved" || type === "files.renewed" || type === "session.started"
    if (takes && this.void.has(actor.agent)) return "who is retired"
    if (takes && actor.session !== null && this.void.has(actor.session)) return `whose session ended at ${this.void.get(actor.session)}`
    switch (type) {
      case "agent.added":
        this.#accounts.set(name, (data["profile"] as { account: string | null }).account ?? `agent/${name}`)
        break
      case "agent.edited": {
        const { account } = data["changes"] as { account?: string | null }
        if (account !== undefined) this.#accounts.set(name, account ?? `agent/${name}`)
        break
      }
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
      case "breaker.tripped": {
        const { opened, throttled } = this.#breakers.get(data["breaker"] as string) ?? CLOSED
        const untilMs = (data["untilMs"] as number | null) ?? Number.POSITIVE_INFINITY
        this.#breakers.set(data["breaker"] as string, { untilMs, opened, throttled, byHand: true, probe: null })
        break
      }
      case "breaker.reset":
        this.#breakers.delete(data["breaker"] as string)
        break
      case "task.claimed": {
        const task = tasks.get(id) as Work
        const kept = this.keeps(actor.agent, task, atMs, tasks)
        if (kept !== null) return `though ${kept}`
        for (const breaker of this.#of(actor.agent, task)) breaker.probe = { task: id, fence: seq }
        break
      }
      default:
        if (/^(task|lease)\./.test(type)) this.#outcome(type, atMs, data, tasks.get(id))
    }
    return null
  }

  /** What the end of a claim tells the breakers that it is the probe of. */
  #outcome(type: string, atMs: number, data: Record<string, unknown>, task: Work | undefined): void {
    if (task?.held === null || task === undefined) return
    const { owner, fence } = task.held
    const throttled = data["throttled"] as { untilMs: number | null } | undefined
    // That is the account's: neither the agent nor the kind of work is to blame.
    if (throttled !== undefined) return this.#throttled(`account/${this.#accounts.get(owner)}`, throttled.untilMs, atMs, fence)
    const succeeds = type === "task.submitted" || type === "task.completed"
    const fails = type === "task.failed" || type === "task.retried" || (type === "lease.ended" && (data["reason"] === "expired" || data["reason"] === "lost"))
    for (const id of breakersOf(owner, this.#accounts.get(owner) ?? "", task)) {
      const breaker = this.#breakers.get(id)
      if (breaker?.probe?.fence !== fence) continue
      if (succeeds) this.#breakers.delete(id)
      else if (fails) {
        breaker.untilMs = atMs + Math.min(OPEN.openMaxMs, OPEN.openMs * 2 ** breaker.opened)
        breaker.opened += 1
        breaker.byHand = false
        breaker.probe = null
      }
    }
  }

  /** Open until the reset that the provider named; where it named none, for a while, twice as long each time. What is open already stays so at least as long. */
  #throttled(id: string, resetMs: number | null, atMs: number, fence: Seq): void {
    const breaker = this.#breakers.get(id) ?? { ...CLOSED, probe: null }
    const isOpen = this.#breakers.has(id) && breaker.probe?.fence !== fence
    const isNamed = resetMs !== null && resetMs > atMs
    const untilMs = isNamed ? resetMs : atMs + Math.min(OPEN.openMaxMs, OPEN.throttleMs * 2 ** breaker.throttled)
    if (!isOpen) this.#breakers.set(id, { ...breaker, untilMs, throttled: breaker.throttled + 1, byHand: false, probe: null })
    else if (!breaker.byHand && resetMs !== null && untilMs > breaker.untilMs) this.#breakers.set(id, { ...breaker, untilMs, probe: null })
  }

  #of(agent: AgentId, task: Work): Breaker[] {
    return breakersOf(agent, this.#accounts.get(agent) ?? "", task).flatMap((id) => this.#breakers.get(id) ?? [])
  }

  #stillHeld(tasks: ReadonlyMap<TaskId, Work>, is: (held: Hand) => boolean): string | null {
    const kept = [...tasks.values()].find(({ held, status }) => held !== null && status !== "review" && is(held))
    return kept === undefined ? null : `and ${kept.id} is still held by ${kept.held?.owner}`
  }
}

function breakersOf(agent: AgentId, account: string, { spec }: Work): string[] {
  return [`agent/${agent}`, `account/${account}`, ...spec.labels.map((label) => `kind/${label}`)]
}
