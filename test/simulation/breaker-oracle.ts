import type { AgentId, Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: { agent: AgentId }; commandId: string | null; data: Readonly<Record<string, unknown>> }>
type Hand = { owner: AgentId; fence: Seq }
export type Guarded = { id: TaskId; spec: { labels: readonly string[]; model: string | null }; held: Hand | null; status: string }
type Tasks = ReadonlyMap<TaskId, Guarded>
type Row = { atMs: number; ok: boolean; agent: AgentId }
/** `untilMs`: null where it is closed. `byHand`: it was tripped, and no provider's word changes until when. */
type Breaker = { rows: Row[]; untilMs: number | null; opened: number; throttled: number; byHand: boolean; probe: { task: TaskId; fence: Seq } | null }
type Shown = { keys(): Iterable<string>; get(id: string): { recent: readonly { ok: boolean }[]; open: { untilMs: number | null } | null } | undefined }

/** How long a breaker is open at first, or one that was throttled without a word until when, and at the most, in ms: what the director sets. */
export const OPEN = { openMs: 400, throttleMs: 100, openMaxMs: 1_000 }
const CLOSED = { rows: [], untilMs: null, opened: 0, throttled: 0, byHand: false, probe: null }

/**
 * Breakers without the core, after docs/how-to/keep-within-budget.md: what fails so often in a row, or so many of its last outcomes, is open; what many share only by the failures
 * of more than one agent. Then one probe decides. Throttling opens the account's, and is no failure. Whenever an outcome opens one, or opens it again, the operator is told, once.
 */
export class BreakerOracle {
  readonly #accounts = new Map<AgentId, string>()
  readonly #models = new Map<AgentId, string | null>()
  readonly #breakers = new Map<string, Breaker>()
  readonly #policy: Record<string, number> = {
    consecutive: 5,
    outcomes: 10,
    ratePercent: 60,
    windowMs: 600_000,
    openMs: 60_000,
    openMaxMs: 900_000,
    throttleMs: 30_000,
  }
  /** What an outcome of the command that is read has opened, of which the operator has to be told in it. */
  readonly #untold = new Map<string, string>()
  #by = ""
  /** How often one opened by failures. */
  broken = 0

  account(agent: AgentId): string {
    return this.#accounts.get(agent) ?? `agent/${agent}`
  }

  /** Why a breaker keeps the agent from the task now, or null: it is open, or waits for its probe. */
  keeps(agent: AgentId, task: Guarded, nowMs: number, tasks: Tasks): string | null {
    for (const id of this.#ids(agent, task)) {
      const { untilMs = null, probe = null } = this.#breakers.get(id) ?? {}
      if (untilMs === null) continue
      if (nowMs < untilMs) return `breaker ${id} is open for ${untilMs - nowMs} ms more`
      const probing = probe === null ? undefined : tasks.get(probe.task)
      if (probing?.held?.fence === probe?.fence && probing !== undefined && probing.status !== "review") return `${probing.id} is the probe of breaker ${id}`
    }
    return null
  }

  /** Where a hub has it otherwise. */
  differs(shown: Shown): string | null {
    for (const id of new Set([...shown.keys(), ...this.#breakers.keys()])) {
      const [is, said] = [shown.get(id), this.#breakers.get(id)]
      const untilMs = is?.open === null || is === undefined ? null : (is.open.untilMs ?? Number.POSITIVE_INFINITY)
      const failures = (rows: readonly { ok: boolean }[] = []): string => rows.map(({ ok }) => (ok ? "+" : "-")).join("")
      if (untilMs !== (said?.untilMs ?? null)) return `breaker ${id} is open until ${untilMs}, not ${said?.untilMs ?? null}`
      if (failures(is?.recent) !== failures(said?.rows)) return `breaker ${id} counts ${failures(is?.recent)}, not ${failures(said?.rows)}`
    }
    return null
  }

  /** Reads an entry before it is folded. Gives what is wrong, or null. */
  read(said: Said, tasks: Tasks): string | null {
    const { seq, type, atMs, actor, commandId, data } = said
    const id = data["id"] as string
    const name = (data["name"] ?? data["agent"]) as AgentId
    const of = data["breaker"] as string
    const by = `${actor.agent} ${commandId}`
    if (by !== this.#by) {
      const [missed] = this.#untold.values()
      if (missed !== undefined) return `after ${missed}, of which the operator is not told`
      this.#by = by
    }
    switch (type) {
      case "agent.added": {
        const { account, model } = data["profile"] as { account: string | null; model: string | null }
        this.#accounts.set(name, account ?? `agent/${name}`)
        this.#models.set(name, model)
        break
      }
      case "agent.edited": {
        const { account, model } = data["changes"] as { account?: string | null; model?: string | null }
        if (account !== undefined) this.#accounts.set(name, account ?? `agent/${name}`)
        if (model !== undefined) this.#models.set(name, model)
        break
      }
      case "breaker.policy_changed":
        Object.assign(this.#policy, data["changes"])
        break
      case "breaker.tripped":
        this.#breakers.set(of, { ...this.#known(of), untilMs: (data["untilMs"] as number | null) ?? Number.POSITIVE_INFINITY, byHand: true, probe: null })
        break
      case "breaker.reset":
        this.#breakers.delete(of)
        break
      case "event.sent":
        return this.#told(data as { text: string; to: { role?: string } })
      case "task.claimed": {
        const task = tasks.get(id) as Guarded
        const kept = this.keeps(actor.agent, task, atMs, tasks)
        if (kept !== null) return `though ${kept}`
        for (const breaker of this.#ids(actor.agent, task)) {
          const known = this.#breakers.get(breaker)
          if (known !== undefined && known.untilMs !== null) known.probe = { task: id, fence: seq }
        }
        break
      }
      default:
        if (/^(task|lease)\./.test(type)) this.#outcome(said, tasks.get(id))
    }
    return null
  }

  #told({ text, to }: { text: string; to: { role?: string } }): string | null {
    const of = /^breaker (\S+) is open/.exec(text)?.[1]
    if (of === undefined) return null
    if (!this.#untold.delete(of)) return `which says that breaker ${of} is open, which nothing opened`
    return to.role === "operator" ? null : `which is for the operator`
  }

  /** What the end of a claim tells the breakers that it concerns. */
  #outcome({ seq, type, atMs, data }: Said, task: Guarded | undefined): void {
    if (task === undefined || task.held === null || task.status === "review") return
    const { owner, fence } = task.held
    const where = `entry ${seq}: ${type} of ${task.id}`
    const throttled = data["throttled"] as { untilMs: number | null } | undefined
    // That is the account's: neither the agent nor the kind of work is to blame.
    if (throttled !== undefined) return this.#throttled(`account/${this.account(owner)}`, throttled.untilMs, atMs, fence, where)
    const ok = type === "task.submitted" || type === "task.completed"
    const fails = type === "task.failed" || type === "task.retried" || (type === "lease.ended" && (data["reason"] === "expired" || data["reason"] === "lost"))
    if (ok || fails) for (const id of this.#ids(owner, task)) this.#count(id, { atMs, ok, agent: owner }, fence, where)
  }

  #count(id: string, row: Row, fence: Seq, where: string): void {
    const breaker = this.#known(id)
    const isProbe = breaker.untilMs !== null && breaker.probe?.fence === fence
    // What began before it opened says nothing new.
    if (breaker.untilMs !== null && !isProbe) return
    const { consecutive = 0, outcomes = 0, ratePercent = 0, windowMs = 0, openMs = 0, openMaxMs = 0 } = this.#policy
    const rows = [...breaker.rows, row].filter(({ atMs }) => atMs > row.atMs - windowMs).slice(-Math.max(consecutive, outcomes))
    // Counted from a failure on: of whom nothing is known, nothing is kept.
    if (row.ok && (isProbe || rows.every(({ ok }) => ok))) return void this.#breakers.delete(id)
    this.#breakers.set(id, { ...breaker, rows, throttled: row.ok ? 0 : breaker.throttled })
    if (row.ok) return
    const fails = (of: readonly Row[]): Row[] => of.filter(({ ok }) => !ok)
    const bySeveral = (of: readonly Row[]): boolean => id.startsWith("agent/") || new Set(fails(of).map(({ agent }) => agent)).size > 1
    const [last, rated] = [rows.slice(-consecutive), rows.slice(-outcomes)]
    const inARow = consecutive > 0 && last.length === consecutive && fails(last).length === consecutive && bySeveral(last)
    const tooMany = ratePercent > 0 && rated.length === outcomes && (fails(rated).length / outcomes) * 100 >= ratePercent && bySeveral(rated)
    if (!isProbe && !inARow && !tooMany) return
    this.broken += 1
    const untilMs = row.atMs + Math.min(openMaxMs, openMs * 2 ** breaker.opened)
    this.#breakers.set(id, { ...breaker, rows, untilMs, opened: breaker.opened + 1, byHand: false, probe: null })
    this.#untold.set(id, `${where}, which opens breaker ${id}`)
  }

  /** Open until the reset that the provider named; where it named none, for a while, twice as long each time. What is open already stays so at least as long. */
  #throttled(id: string, resetMs: number | null, atMs: number, fence: Seq, where: string): void {
    const breaker = this.#known(id)
    const { throttleMs = 0, openMaxMs = 0 } = this.#policy
    const isNamed = resetMs !== null && resetMs > atMs
    const untilMs = isNamed ? resetMs : atMs + Math.min(openMaxMs, throttleMs * 2 ** breaker.throttled)
    if (breaker.untilMs === null || breaker.probe?.fence === fence) {
      this.#breakers.set(id, { ...breaker, untilMs, throttled: breaker.throttled + 1, byHand: false, probe: null })
      this.#untold.set(id, `${where}, which opens breaker ${id}`)
    } else if (!breaker.byHand && resetMs !== null && untilMs > breaker.untilMs) {
      this.#breakers.set(id, { ...breaker, untilMs, probe: null })
      // It waited for its probe, and is open once more.
      if (atMs >= breaker.untilMs) this.#untold.set(id, `${where}, which opens breaker ${id}`)
    }
  }

  #known(id: string): Breaker {
    return this.#breakers.get(id) ?? CLOSED
  }

  /** Of the agent, its account, what it runs on (which a task may say itself), and the kind of task. */
  #ids(agent: AgentId, { spec }: Guarded): Set<string> {
    const model = spec.model ?? this.#models.get(agent) ?? null
    return new Set([
      `agent/${agent}`,
      `account/${this.account(agent)}`,
      ...(model === null ? [] : [`model/${model}`]),
      ...spec.labels.map((label) => `kind/${label}`),
    ])
  }
}
