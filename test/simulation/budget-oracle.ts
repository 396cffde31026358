import type { AgentId, Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: { agent: AgentId }; commandId: string | null; data: Record<string, unknown> }>
type Rules = { limit: number | null; perClaim: number | null; warn: readonly number[]; graceMs: number; absorb: boolean }
/** What a claim has set aside, by budget. */
type Held = { agent: AgentId; account: string; left: Map<string, number>; stopAtMs: number | null }
/** What holds of a claim at one moment: in which budgets it sets how much aside, or why it may not be. */
type Wanted = { amounts: Map<string, number> } | { why: string }
export type Book = Rules & {
  scope: string
  windowMs: number | null
  window: number
  added: number
  settled: number
  overrun: number
  warned: number
  isClosed: boolean
}
export type Spent = { agent: AgentId; task: TaskId | null; microUsd: number }

/** Of budgets that plans and tasks say of themselves. */
const DEFAULTS = { perClaim: null, warn: [80, 95], graceMs: 300_000, absorb: false }

/**
 * The rules of money once more and without the core, after docs/how-to/keep-within-budget.md: the workspace's, accounts', agents', plans' and tasks' budgets, with windows and
 * without. What is reserved is added up from the claims that stand; settled and overrun are at each entry all that was spent and not refunded since a budget counts.
 */
export class BudgetOracle {
  readonly books = new Map<string, Book>()
  /** What was spent and not refunded, by who and on what. */
  readonly spent = new Map<string, Spent>()
  readonly held = new Map<TaskId, Held>()
  /** Of each book, what it has counted: the sum that its parts have to come to. */
  readonly #counted = new Map<string, number>()
  readonly #agents = new Map<AgentId, { account: string; costPerHour: number }>()
  readonly #plans = new Map<string, number | null>()
  readonly #tasks = new Map<TaskId, { plan: string | null; limit: number | null; estimateMs: number | null }>()
  /** What the operator has to be told in the same command as the entry that calls for it: once, and nothing else. */
  readonly #owed = new Map<string, { word: "is closed" | "has reached"; by: string; where: string }>()
  /** Whoever went beyond what its claim has set aside, by task: it has to be told in the same command, once. */
  readonly #beyond = new Map<TaskId, { agent: AgentId; by: string; where: string }>()

  readonly #delivered = new Set<TaskId>()

  /** Whether a claim of the task by the agent would have the money that it needs; `ending`: tasks whose claims would end with it. */
  affords(agent: AgentId, task: TaskId, nowMs: number, ending: readonly TaskId[] = []): boolean {
    return "amounts" in this.#wanted(agent, task, nowMs, ending)
  }

  /** Budgets that are closed, or have little left: what the director may add to. */
  *tight(nowMs: number): Iterable<Book> {
    for (const id of this.books.keys()) {
      const book = this.#book(id, nowMs) as Book
      if (book.isClosed || this.#free(id, book) < 800) yield book
    }
  }

  /** The sums of a budget at a moment, as `skein budget show` has them: limit, settled, overrun, reserved, closed. Null where there is none. */
  sums(id: string, nowMs: number): string | null {
    const book = this.#book(id, nowMs)
    return book === null ? null : [this.#limit(book), book.settled, book.overrun, this.#reserved(id), book.isClosed].join(" ")
  }

  /** Whether the hub may take a task back: its time to hand over is up. */
  mayTakeBack(task: TaskId, atMs: number): boolean {
    const stopAtMs = this.held.get(task)?.stopAtMs ?? null
    return stopAtMs !== null && atMs >= stopAtMs
  }

  handsOver(task: TaskId): boolean {
    return (this.held.get(task)?.stopAtMs ?? null) !== null
  }

  /** Reads an entry; `holds` says whether its task is held after it. Gives what is wrong, or null. */
  read(said: Said, holds: (task: TaskId) => boolean): string | null {
    return this.#told(said) ?? this.#warned(said) ?? this.#booked(said, holds) ?? this.#sumsUp(said)
  }

  /** Notices of budgets are those that are owed, and each comes once. */
  #told({ seq, type, actor, commandId, data }: Said): string | null {
    const by = `${actor.agent} ${commandId}`
    const [, id = "", word] = (type === "event.sent" ? /^budget (\S+) (is closed|has reached)/.exec(data["text"] as string) : null) ?? []
    if (word !== undefined) {
      const owed = this.#owed.get(id)
      this.#owed.delete(id)
      return owed?.word === word && owed.by === by ? null : `entry ${seq} tells that budget ${id} ${word}, which is not so or was told already`
    }
    for (const [budget, owed] of this.#owed) if (owed.by !== by) return `${owed.where}: budget ${budget} ${owed.word}, and nobody is told`
    return null
  }

  /** Whoever has to hand over hears of it: nobody else does. */
  #warned({ seq, type, actor, commandId, data }: Said): string | null {
    const by = `${actor.agent} ${commandId}`
    const tells = data["directive"] === "pause" || (data["directive"] === "resume" && /hand it over before/.test(data["text"] as string))
    if (type === "event.sent" && tells && commandId?.startsWith("event.send-") !== true) {
      const task = data["task"] as TaskId
      const owed = this.#beyond.get(task)
      this.#beyond.delete(task)
      const isIts = owed?.by === by && (data["to"] as { agent?: AgentId }).agent === owed.agent
      return isIts ? null : `entry ${seq} tells ${JSON.stringify(data["to"])} to hand over ${task}, which has what it needs or was told already`
    }
    for (const [task, owed] of this.#beyond) if (owed.by !== by) return `${owed.where}: ${task} has used more than it had, and ${owed.agent} is not told`
    return null
  }

  #booked(said: Said, holds: (task: TaskId) => boolean): string | null {
    const { seq, type, atMs, actor, data } = said
    const where = `entry ${seq}: ${type} by ${actor.agent}`
    const id = data["id"] as TaskId
    let wrong: string | null = null
    if (type === "agent.added") this.#profile(data["name"] as AgentId, data["profile"] as object)
    else if (type === "agent.edited") this.#profile(data["name"] as AgentId, data["changes"] as object)
    else if (type === "plan.added") this.#plans.set(id, data["budgetMicroUsd"] as number | null)
    else if (type === "task.added") this.#spec(id, data["spec"] as object, (data["plan"] ?? null) as string | null)
    else if (type === "task.edited") this.#edited(id, data["changes"] as object)
    else if (type.startsWith("budget.")) this.#ruled(type, data, atMs)
    else if (type === "usage.refunded")
      wrong = this.#refunded(where, data["agent"] as AgentId, data["task"] as TaskId | null, data["costMicroUsd"] as number, atMs)
    else if (type === "usage.reported") this.#used(said, data["agent"] as AgentId, data["task"] as TaskId | null, data["costMicroUsd"] as number)
    else if (/^task\.(submitted|completed|failed|retried)$/.test(type))
      this.#used(said, actor.agent, id, (data["usage"] as { costMicroUsd: number }).costMicroUsd)
    else if (type === "task.claimed") wrong = this.#claimed(where, id, actor.agent, data["reserves"] as Record<string, number> | undefined, atMs)
    if (type === "task.submitted") this.#delivered.add(id)
    else if (/^(task|lease)\./.test(type) && type !== "task.edited") this.#delivered.delete(id)
    const held = this.held.get(id)
    if (type === "task.changes_requested" && held !== undefined && held.stopAtMs !== null)
      this.#beyond.set(id, { agent: held.agent, by: `${actor.agent} ${said.commandId}`, where })
    if (/^(task|lease)\./.test(type) && type !== "task.claimed" && !holds(id)) {
      this.held.delete(id)
      this.#beyond.delete(id)
    }
    return wrong
  }

  /** Nothing that was spent is missing from a book, and nothing is in it twice. */
  #sumsUp({ seq, type, actor }: Said): string | null {
    for (const [id, { settled, overrun }] of this.books)
      if (settled + overrun !== this.#counted.get(id))
        return `entry ${seq}: ${type} by ${actor.agent}: ${id} holds ${settled + overrun} of ${this.#counted.get(id)}`
    return null
  }

  #profile(name: AgentId, changes: { account?: string | null; costPerHourMicroUsd?: number }): void {
    const known = this.#agents.get(name)
    const account = changes.account === undefined ? (known?.account ?? `agent/${name}`) : (changes.account ?? `agent/${name}`)
    this.#agents.set(name, { account, costPerHour: changes.costPerHourMicroUsd ?? known?.costPerHour ?? 0 })
  }

  #spec(id: TaskId, spec: { budgetMicroUsd?: number | null; estimateMs?: number | null }, plan: string | null): void {
    this.#tasks.set(id, { plan, limit: spec.budgetMicroUsd ?? null, estimateMs: spec.estimateMs ?? null })
  }

  /** A task that is given more money than it has used is open again. */
  #edited(id: TaskId, { budgetMicroUsd }: { budgetMicroUsd?: number | null }): void {
    const task = this.#tasks.get(id)
    if (budgetMicroUsd === undefined || task === undefined) return
    task.limit = budgetMicroUsd
    const book = this.books.get(`task/${id}`)
    if (book?.isClosed === true && book.limit === null && budgetMicroUsd !== null) this.#reopen(`task/${id}`, book)
  }

  #ruled(type: string, data: Record<string, unknown>, atMs: number): void {
    const { scope, windowMs } = data as { scope: string; windowMs: number | null }
    const id = windowMs === null ? scope : `${windowMs}@${scope}`
    if (type === "budget.removed") {
      this.books.delete(id)
      for (const { left } of this.held.values()) left.delete(id)
      return
    }
    if (type === "budget.topped_up") {
      const book = this.#kept(id, atMs) as Book
      book.added += data["amountMicroUsd"] as number
      return this.#reopen(id, book)
    }
    const rules = {
      limit: data["limitMicroUsd"] as number | null,
      perClaim: data["perClaimMicroUsd"] as number | null,
      warn: data["warnPercent"] as number[],
      graceMs: data["graceMs"] as number,
      absorb: data["absorb"] as boolean,
    }
    const book = this.#kept(id, atMs) ?? this.#fresh(id, scope, windowMs, rules, atMs)
    Object.assign(book, rules, { added: 0 })
    this.books.set(id, book)
    this.#reopen(id, book)
  }

  #claimed(where: string, id: TaskId, agent: AgentId, reserves: Record<string, number> = {}, atMs: number): string | null {
    const wanted = this.#wanted(agent, id, atMs)
    if ("why" in wanted) return `${where} reserves ${wanted.why}`
    const { amounts } = wanted
    const said = (of: Iterable<[string, number]>): string =>
      [...of]
        .map(([budget, amount]) => `${amount} in ${budget}`)
        .sort()
        .join(", ") || "nothing"
    if (said(Object.entries(reserves)) !== said(amounts)) return `${where} reserves ${said(Object.entries(reserves))}, not ${said(amounts)}`
    if (amounts.size === 0) return null
    for (const budget of amounts.keys()) this.books.set(budget, this.#kept(budget, atMs) as Book)
    this.held.set(id, { agent, account: this.#accountOf(agent), left: new Map(amounts), stopAtMs: null })
    return null
  }

  /** The task's own budget, where it has one; else its estimate; else what is set for each claim; else a tenth of the limit: in all that it falls under. */
  #wanted(agent: AgentId, id: TaskId, atMs: number, ending: readonly TaskId[] = []): Wanted {
    const task = this.#tasks.get(id)
    const { costPerHour = 0 } = this.#agents.get(agent) ?? {}
    const estimateMs = task?.estimateMs ?? null
    const estimate = estimateMs === null || costPerHour === 0 ? null : Math.ceil((estimateMs * costPerHour) / 3_600_000)
    const own = [...this.#over(this.#scopesOf(agent, this.#accountOf(agent), id))].flatMap((budget) => {
      const book = this.#book(budget, atMs)
      const limit = book === null ? null : this.#limit(book)
      return book === null || limit === null ? [] : [{ budget, book, limit, free: this.#free(budget, book, ending) }]
    })
    const caps = own.flatMap(({ book, free }) => (book.scope === `task/${id}` ? [free] : []))
    const amounts = new Map<string, number>()
    for (const { budget, book, limit, free } of own) {
      const amount = caps.length > 0 ? Math.min(...caps) : (estimate ?? book.perClaim ?? Math.ceil(limit / 10))
      if (book.isClosed) return { why: `${amount} in a budget that is closed: ${budget}` }
      if (amount > free) return { why: `${amount}, though only ${free} of ${limit} is free in ${budget}` }
      if (amount <= 0 && estimate !== 0) return { why: `${amount} in ${budget}, though it costs something` }
      amounts.set(budget, Math.max(0, amount))
    }
    return { amounts }
  }

  /** Within what its claim has set aside it is settled; beyond that it is overrun, unless the budget absorbs; where nothing was set aside, settled from what is free. */
  #used({ seq, type, actor, commandId, atMs }: Said, agent: AgentId, task: TaskId | null, cost: number): void {
    if (cost <= 0) return
    this.#spend(agent, task, cost)
    const held = task === null ? undefined : this.held.get(task)
    const own = held?.agent === agent ? held : undefined
    const hadTime = own?.stopAtMs === null
    for (const id of this.#over(this.#scopesOf(agent, own?.account ?? this.#accountOf(agent), task))) {
      const book = this.#kept(id, atMs)
      if (book === null || !this.books.has(id)) continue
      const was = { isClosed: book.isClosed, warned: book.warned }
      const set = own?.left.get(id)
      const within = Math.min(set ?? 0, cost)
      const free = Math.max(0, this.#free(id, book))
      // What has no limit is never spent.
      const absorbed = set === undefined || book.absorb || this.#limit(book) === null ? Math.min(free, cost - within) : 0
      const beyond = cost - within - absorbed
      if (set !== undefined) own?.left.set(id, set - within)
      book.settled += within + absorbed
      book.overrun += beyond
      book.warned = Math.max(book.warned, this.#reached(book))
      this.#counted.set(id, (this.#counted.get(id) ?? 0) + cost)
      if (beyond > 0) book.isClosed = true
      if (beyond > 0 && own !== undefined) own.stopAtMs = Math.min(own.stopAtMs ?? Number.POSITIVE_INFINITY, atMs + book.graceMs)
      if (this.#limit(book) === null) continue
      const word = book.isClosed && !was.isClosed ? "is closed" : book.warned > was.warned ? "has reached" : null
      if (word !== null) this.#owed.set(id, { word, by: `${actor.agent} ${commandId}`, where: `entry ${seq}: ${type} by ${actor.agent}` })
    }
    // What is delivered leaves nothing to hand over, until somebody asks for changes.
    if (task !== null && hadTime && own?.stopAtMs !== null && type !== "task.submitted" && !this.#delivered.has(task))
      this.#beyond.set(task, { agent, by: `${actor.agent} ${commandId}`, where: `entry ${seq}: ${type} by ${actor.agent}` })
  }

  /** At the most what was spent there; makes overruns good first, and is taken from what a budget has counted. */
  #refunded(where: string, agent: AgentId, task: TaskId | null, cost: number, atMs: number): string | null {
    const of = [...this.spent.values()].filter((one) => one.task === task && (task !== null || one.agent === agent))
    const all = of.reduce((sum, { microUsd }) => sum + microUsd, 0)
    if (cost > all) return `${where} takes ${cost} back of ${all} that was spent on ${task}`
    this.#spend(agent, task, -cost)
    for (const id of this.#over(this.#scopesOf(agent, this.#accountOf(agent), task))) {
      const book = this.#kept(id, atMs)
      if (book === null || !this.books.has(id)) continue
      const overrun = Math.min(book.overrun, cost)
      const settled = Math.min(book.settled, cost - overrun)
      book.overrun -= overrun
      book.settled -= settled
      this.#counted.set(id, (this.#counted.get(id) ?? 0) - Math.min(this.#counted.get(id) ?? 0, cost))
      if (book.overrun === 0) this.#reopen(id, book)
    }
    return null
  }

  #spend(agent: AgentId, task: TaskId | null, microUsd: number): void {
    const key = `${agent} ${task}`
    this.spent.set(key, { agent, task, microUsd: (this.spent.get(key)?.microUsd ?? 0) + microUsd })
  }

  #reopen(id: string, book: Book): void {
    if (this.#limit(book) === null || this.#free(id, book) <= 0) return
    book.settled += book.overrun
    book.overrun = 0
    book.isClosed = false
    book.warned = this.#reached(book)
  }

  #reached({ settled, overrun, warn, ...book }: Book): number {
    const limit = this.#limit({ settled, overrun, warn, ...book })
    return limit === null ? 0 : Math.max(0, ...warn.filter((percent) => (settled + overrun) * 100 >= percent * limit))
  }

  #accountOf(agent: AgentId): string {
    return this.#agents.get(agent)?.account ?? `agent/${agent}`
  }

  #scopesOf(agent: AgentId, account: string, task: TaskId | null): Set<string> {
    const plan = task === null ? null : (this.#tasks.get(task)?.plan ?? null)
    return new Set([
      "workspace",
      `account/${account}`,
      `agent/${agent}`,
      ...(plan === null ? [] : [`plan/${plan}`]),
      ...(task === null ? [] : [`task/${task}`]),
    ])
  }

  /** The budgets of scopes, also such as a plan or a task says of itself and nobody has reserved in. */
  #over(scopes: ReadonlySet<string>): Set<string> {
    const ids = new Set([...scopes].filter((scope) => this.#ownLimit(scope) !== null))
    for (const [id, { scope }] of this.books) if (scopes.has(scope)) ids.add(id)
    return ids
  }

  #ownLimit(scope: string): number | null {
    if (scope.startsWith("plan/")) return this.#plans.get(scope.slice(5)) ?? null
    return scope.startsWith("task/") ? (this.#tasks.get(scope.slice(5))?.limit ?? null) : null
  }

  #limit({ limit, scope, added }: Book): number | null {
    const own = limit ?? this.#ownLimit(scope)
    return own === null ? null : own + added
  }

  #reserved(id: string, ending: readonly TaskId[] = []): number {
    let sum = 0
    for (const [task, { left }] of this.held) if (!ending.includes(task)) sum += left.get(id) ?? 0
    return sum
  }

  #free(id: string, book: Book, ending: readonly TaskId[] = []): number {
    return (this.#limit(book) ?? Number.POSITIVE_INFINITY) - book.settled - book.overrun - this.#reserved(id, ending)
  }

  /** The book itself, in the window of `atMs`: in a new one nothing is spent. */
  #kept(id: string, atMs: number): Book | null {
    const book = this.books.get(id)
    if (book === undefined) return this.#ownLimit(id) === null ? null : this.#fresh(id, id, null, { limit: null, ...DEFAULTS }, atMs)
    const window = book.windowMs === null ? 0 : Math.floor(atMs / book.windowMs)
    if (window > book.window) {
      Object.assign(book, { window, added: 0, settled: 0, overrun: 0, warned: 0, isClosed: false })
      this.#counted.set(id, 0)
    }
    return book
  }

  /** The same without changing anything: for looks between entries. */
  #book(id: string, nowMs: number): Book | null {
    const book = this.books.get(id)
    if (book === undefined) return this.#kept(id, nowMs)
    const window = book.windowMs === null ? 0 : Math.floor(nowMs / book.windowMs)
    return window > book.window ? { ...book, window, added: 0, settled: 0, overrun: 0, warned: 0, isClosed: false } : book
  }

  /** The workspace's, a plan's and a task's count what was spent before them. */
  #fresh(id: string, scope: string, windowMs: number | null, rules: Rules, atMs: number): Book {
    const counts = ({ task }: Spent): boolean =>
      scope === "workspace" || (task !== null && (scope === `task/${task}` || scope === `plan/${this.#tasks.get(task)?.plan}`))
    let settled = 0
    if (windowMs === null) for (const one of this.spent.values()) if (counts(one)) settled += one.microUsd
    this.#counted.set(id, settled)
    return { ...rules, scope, windowMs, window: windowMs === null ? 0 : Math.floor(atMs / windowMs), added: 0, settled, overrun: 0, warned: 0, isClosed: false }
  }
}
