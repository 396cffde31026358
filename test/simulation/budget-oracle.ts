import type { AgentId, Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: { agent: AgentId }; commandId: string | null; data: Record<string, unknown> }>
type Held = { agent: AgentId; left: number; stopAtMs: number | null }

/** The rules of the one budget that simulated teams have, the workspace's, once more and without the core. */
export class BudgetOracle {
  limit: number | null = null
  perClaim = 0
  settled = 0
  overrun = 0
  isClosed = false
  #absorb = false
  #graceMs = 0
  #warnPercent = 0
  #isWarned = false
  /** What the operator has to be told in the same command as the entry that calls for it: once, and nothing else. */
  #owed: { word: "is closed" | "has reached"; by: string; where: string } | null = null
  readonly #held = new Map<TaskId, Held>()
  /** All that was ever reported; a budget counts what was spent before it, too. */
  #spent = 0

  get reserved(): number {
    let sum = 0
    for (const { left } of this.#held.values()) sum += left
    return sum
  }

  /** Claims that have money set aside. */
  get holders(): number {
    return this.#held.size
  }

  get free(): number {
    return (this.limit ?? Number.POSITIVE_INFINITY) - this.settled - this.overrun - this.reserved
  }

  /** Whether another claim has the money that it needs. */
  get affords(): boolean {
    return this.limit === null || (!this.isClosed && this.free >= this.perClaim)
  }

  /** Whether the hub may take a task back: its time to hand over is up. */
  mayTakeBack(task: TaskId, atMs: number): boolean {
    const stopAtMs = this.#held.get(task)?.stopAtMs ?? null
    return stopAtMs !== null && atMs >= stopAtMs
  }

  /** Reads an entry; `holds` says whether its task is held after it. Gives what is wrong, or null. */
  read(said: Said, holds: (task: TaskId) => boolean): string | null {
    return this.#told(said) ?? this.#booked(said, holds)
  }

  /** Notices of the budget are those that are owed, and each comes once. */
  #told({ seq, type, actor, commandId, data }: Said): string | null {
    const by = `${actor.agent} ${commandId}`
    const word = type === "event.sent" ? /^budget workspace (is closed|has reached)/.exec(data["text"] as string)?.[1] : undefined
    const owed = this.#owed
    if (word !== undefined) {
      this.#owed = null
      return owed?.word === word && owed.by === by ? null : `entry ${seq} tells that the budget ${word}, which is not so or was told already`
    }
    return owed === null || owed.by === by ? null : `${owed.where}: the budget ${owed.word}, and nobody is told`
  }

  #booked({ seq, type, atMs, actor, commandId, data }: Said, holds: (task: TaskId) => boolean): string | null {
    const where = `entry ${seq}: ${type} by ${actor.agent}`
    const was = { isClosed: this.isClosed, isWarned: this.#isWarned }
    const id = data["id"] as TaskId
    if (type === "budget.set") {
      this.limit = data["limitMicroUsd"] as number
      this.perClaim = data["perClaimMicroUsd"] as number
      this.#absorb = data["absorb"] as boolean
      this.#graceMs = data["graceMs"] as number
      this.settled = this.#spent
      this.#warnPercent = (data["warnPercent"] as number[])[0] ?? Number.POSITIVE_INFINITY
      was.isWarned = this.#isWarned = this.free > 0 && this.#hasReached
    } else if (type === "budget.topped_up") {
      this.limit = (this.limit as number) + (data["amountMicroUsd"] as number)
      if (this.free > 0) {
        this.settled += this.overrun
        this.overrun = 0
        this.isClosed = false
        was.isWarned = this.#isWarned = this.#hasReached
      }
    } else if (type === "task.claimed") return this.#claimed(where, id, actor.agent, data["reserves"] as Record<string, number> | undefined)
    else if (type === "usage.reported") this.#used(data["agent"] as AgentId, data["task"] as TaskId | null, data["costMicroUsd"] as number, atMs)
    else if (/^task\.(submitted|completed|failed|retried)$/.test(type))
      this.#used(actor.agent, id, (data["usage"] as { costMicroUsd: number }).costMicroUsd, atMs)
    if (/^(task|lease)\./.test(type) && !holds(id)) this.#held.delete(id)
    if (this.isClosed && !was.isClosed) this.#owed = { word: "is closed", by: `${actor.agent} ${commandId}`, where }
    else if (this.#isWarned && !was.isWarned) this.#owed = { word: "has reached", by: `${actor.agent} ${commandId}`, where }
    return this.settled + this.overrun === this.#spent || this.limit === null
      ? null
      : `${where}: the books hold ${this.settled + this.overrun} of ${this.#spent}`
  }

  get #hasReached(): boolean {
    return this.limit !== null && (this.settled + this.overrun) * 100 >= this.#warnPercent * this.limit
  }

  #claimed(where: string, id: TaskId, agent: AgentId, reserves: Record<string, number> | undefined): string | null {
    if (this.limit === null) return reserves === undefined ? null : `${where} reserves where there is no budget`
    const amount = reserves?.["workspace"]
    if (amount !== this.perClaim) return `${where} reserves ${amount}, not ${this.perClaim}`
    if (this.isClosed) return `${where} reserves in a budget that is closed`
    if (amount > this.free) return `${where} reserves ${amount}, though only ${this.free} of ${this.limit} is free`
    this.#held.set(id, { agent, left: amount, stopAtMs: null })
    return null
  }

  #used(agent: AgentId, task: TaskId | null, cost: number, atMs: number): void {
    this.#spent += cost
    if (this.limit === null) return
    const held = task === null ? undefined : this.#held.get(task)
    const own = held?.agent === agent ? held : undefined
    const free = Math.max(0, this.free)
    const within = Math.min(own?.left ?? 0, cost)
    const absorbed = own === undefined || this.#absorb ? Math.min(free, cost - within) : 0
    const beyond = cost - within - absorbed
    if (own !== undefined) own.left -= within
    this.settled += within + absorbed
    this.overrun += beyond
    if (cost > 0) this.#isWarned ||= this.#hasReached
    if (beyond === 0) return
    this.isClosed = true
    if (own !== undefined) own.stopAtMs = Math.min(own.stopAtMs ?? Number.POSITIVE_INFINITY, atMs + this.#graceMs)
  }
}
