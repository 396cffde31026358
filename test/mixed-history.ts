import fc from "fast-check"
import { expect } from "vitest"
import { expectEqual, expectSame } from "./quick-expect.ts"
import { OPERATOR, Scenario, delivery } from "./scenario.ts"
import { accountOf } from "../src/core/account.ts"
import { findCycle } from "../src/core/backlog.ts"
import { waitsOn } from "../src/core/blocker.ts"
import { phaseOf } from "../src/core/breaker.ts"
import { breakersOf } from "../src/core/breaker-outcome.ts"
import { budgetAt, freeOf, limitOf } from "../src/core/budget.ts"
import type { CommandName, Commands } from "../src/core/command.ts"
import { openNotices } from "../src/core/directive.ts"
import { type Actor, decodeEntry, type Entry, HUB } from "../src/core/entry.ts"
import { isRefusal, type Refusal } from "../src/core/refusal.ts"
import { isActive, isClosed, isHeld, type Task, type TaskSpec } from "../src/core/task.ts"
import { evolve, fromSnapshot, takeSnapshot, Workspace } from "../src/core/workspace.ts"

/** One step of a history in which all features meet: numbers are taken modulo what there is to choose from. */
type Step = { do: number; who: number; task: number; other: number; n: number; yes: boolean }
export const mixedHistory: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ do: fc.nat(1_000), who: fc.nat(20), task: fc.nat(20), other: fc.nat(20), n: fc.nat(1_000), yes: fc.boolean() }),
  { minLength: 1, maxLength: 150, size: "max" },
)

const NAMES = ["ann", "bob", "cat"] as const
const INFO = { kind: "info", directive: null, task: null, priority: "normal", text: "t", payload: {}, requiresAck: true } as const
const OPTIONS = [{ id: "yes", name: "Yes", kind: "allow_once" }]
const GLOBS = ["src/a", "src/*", "docs/b"]
const WAITS_MS = [1, 500, 1_000, 1_000, 5_000, 60_000, 130_000, 90_000_000]
const COSTS = [0, 0, 7, 60, 300]
const TOKENS = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
const reason = "r"

/** Leads the core through a mixed history, and holds each entry and each state against rules that are said here once more. */
export class Mixed {
  readonly scenario = new Scenario()
  /** What was done, for a test that wants to know what its histories reached. */
  readonly reached = new Set<string>()
  readonly #actors: Actor[] = []
  readonly #bosses: Actor[]
  readonly #keeper: Actor
  #tasks = 0
  /** The state before the entry that is looked at. */
  #past = new Workspace()

  constructor() {
    this.scenario.must("hub.start", HUB, { graceMs: 0 })
    for (const name of NAMES) this.#actors.push(this.scenario.agent(name, { account: "shared", model: "m", maxActive: name === "bob" ? 2 : 1 }))
    this.#bosses = ["dan", "eve"].map((name) => this.scenario.agent(name, { role: "orchestrator" }))
    this.#keeper = this.scenario.agent("sup", { role: "supervisor" })
    this.scenario.must("breaker.setPolicy", OPERATOR, { changes: { consecutive: 2, ratePercent: 0, openMs: 1_000 }, reason })
    for (let at = 0; at < 4; at += 1) this.#add(at * 7, [])
    this.check()
  }

  get #state(): Workspace {
    return this.scenario.state
  }

  #add(n: number, dependsOn: string[]): void {
    this.#do("task.add", OPERATOR, { id: `t${this.#tasks}`, title: "t", dependsOn, ...specOf(n) })
    this.#tasks += 1
  }

  #do<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"]): Entry[] | Refusal {
    const outcome = this.scenario.attempt(name, actor, input)
    this.reached.add(`${name} ${isRefusal(outcome) ? outcome.refused : "ok"}`)
    if (!isRefusal(outcome)) return outcome.entries
    // A probe that keeps others away is one that somebody works on.
    const probe = /: (\S+) is its probe$/.exec(outcome.message)?.[1]
    if (probe !== undefined && this.#state.tasks.has(probe)) expect(isHeld(this.scenario.at(probe).status), outcome.message).toBe(true)
    return outcome
  }

  take(step: Step): void {
    const steps = this.#steps(step)
    ;(steps[step.do % steps.length] as () => unknown)()
    this.check()
  }

  #steps({ who, task: t, other: o, n, yes }: Step): (() => unknown)[] {
    const { scenario } = this
    const all = [...this.#state.tasks.values()]
    const chosen = all[t % all.length] as Task
    const other = all[o % all.length] as Task
    const held = all.filter(({ status }) => isHeld(status))
    const mine = held[t % Math.max(1, held.length)] ?? chosen
    const actor = this.#actors[who % this.#actors.length] as Actor
    const owner = this.#actors.find(({ agent, session }) => agent === mine.owner && (session === mine.session || yes)) ?? actor
    const [name, costMicroUsd] = [NAMES[o % NAMES.length] as string, COSTS[n % COSTS.length] as number]
    const under = { task: mine.id, fence: n % 9 === 0 ? 1 : (mine.fence ?? 1) }
    const usage = { costMicroUsd, inputTokens: 0, outputTokens: 0 }
    const boss = this.#bosses[who % 2] as Actor
    const scope = ["workspace", `task/${chosen.id}`, `agent/${name}`, "account/shared"][n % 4] as string
    const claim = (): unknown => this.#do("task.claim", actor, { task: chosen.id })
    const complete = (): unknown => this.#do("task.complete", owner, { ...under, ...delivery(), usage })
    const wait = (): unknown => scenario.wait(WAITS_MS[n % WAITS_MS.length] as number)
    const next = (): unknown => this.#do("task.claimNext", actor, { plan: null, labels: [], filler: yes ? null : n % 2 === 0, max: 1 + (n % 2) })
    return [
      ...[claim, claim, next, next, complete, complete, wait, wait],
      () => this.#sweep(n),
      () => this.#sweep(n),
      () => this.#tasks < 9 && this.#add(n, [...new Set(yes ? [chosen.id] : [chosen.id, other.id])]),
      () => this.#do("task.fail", owner, { ...under, reason: n % 5 === 0 ? "HTTP 429" : "broke", retry: n % 4 > 0, usage }),
      () => this.#do("task.release", owner, { ...under, reason }),
      () => this.#do("task.update", owner, { ...under, progress: 0.5, note: null }),
      () => this.#do("task.block", owner, { ...under, on: yes ? { kind: "task", ref: other.id } : { kind: "agent", ref: name }, reason }),
      () => this.#do("task.unblock", OPERATOR, { task: mine.id, reason }),
      () => this.#review(all.find(({ status }) => status === "review") ?? chosen, yes ? OPERATOR : actor, n % 2 === 0),
      () => this.#do("task.edit", OPERATOR, { task: chosen.id, changes: editOf(n, chosen, other), reason }),
      () => this.#do("agent.edit", OPERATOR, { name, reason, ...(yes ? { model: n % 2 === 0 ? "m" : "m2" } : { account: n % 2 === 0 ? "shared" : null }) }),
      () => this.#do("task.reset", OPERATOR, { task: chosen.id, reason }),
      () => n % 3 === 0 && this.#do("task.cancel", OPERATOR, { task: chosen.id, reason }),
      () => n % 3 === 0 && this.#do("lease.end", OPERATOR, { task: mine.id, reason }),
      () =>
        this.#do("files.reserve", actor, {
          globs: [GLOBS[n % 3] as string],
          mode: yes ? "shared" : "exclusive",
          ttlMs: 1_000,
          reason,
          task: null,
          fence: null,
        }),
      () => this.#do("help.want", owner, { ...under, reason }),
      () => this.#do("help.answer", actor, { task: mine.id }),
      () => this.#do("usage.report", actor, { agent: null, session: null, task: yes ? chosen.id : null, model: null, requests: 1, ...TOKENS, costMicroUsd }),
      () => this.#do("usage.refund", OPERATOR, { agent: name, task: yes ? chosen.id : null, costMicroUsd: 1 + (n % 20), reason }),
      () =>
        this.#do("budget.set", OPERATOR, {
          scope,
          windowMs: null,
          limitMicroUsd: n % 5 === 0 ? null : n,
          perClaimMicroUsd: 30,
          warnPercent: [80],
          graceMs: 500,
          absorb: yes,
          reason,
        }),
      () => this.#do("budget.topUp", OPERATOR, { scope, windowMs: null, amountMicroUsd: 1 + n, reason }),
      () => this.#do("breaker.trip", OPERATOR, { breaker: ["kind/x", "model/m", "account/shared"][n % 3] as string, untilMs: scenario.nowMs + 1_000, reason }),
      () => this.#session(actor, yes),
      () => n % 9 === 0 && this.#retire(name),
      () => n % 5 === 0 && this.#retire(boss.agent),
      () => this.#do("task.block", owner, { ...under, on: { kind: "agent", ref: name }, reason }),
      () => this.#do("event.send", actor, { ...INFO, to: yes ? { role: "orchestrator" } : { agent: name } }),
      () => this.#ack(yes ? boss : OPERATOR, n),
      () => this.#do("permission.ask", this.#keeper, { agent: name, session: null, title: "t", kind: null, options: OPTIONS, rule: null }),
      () => this.#do("permission.answer", OPERATOR, { permission: [...this.#state.permissions.values()].at(-1)?.id ?? 0, option: "yes", reason }),
      () => this.#do("credential.issue", OPERATOR, { agent: name, id: `c${n}`, hash: "h" }),
    ]
  }

  #session(actor: Actor, start: boolean): void {
    const isPresent = this.#state.agents.get(actor.agent)?.status === "present"
    if (start && isPresent && this.#actors.length < 9) this.#actors.push(this.scenario.session(actor.agent))
    else if (!start && actor.session !== null) this.#do("session.end", actor, { session: actor.session, reason })
  }

  /** Whoever waits for an agent hears of its end. */
  #retire(name: string): void {
    const waiting = this.#state.board.blockedOn(name).filter(({ owner }) => owner !== name)
    const entries = this.#do("agent.retire", OPERATOR, { name, reason })
    if (isRefusal(entries)) return
    const told = entries.flatMap(({ type, data }) => (type === "event.sent" ? [(data as { task: string }).task] : []))
    for (const { id } of waiting) expect(told, `${id} is blocked on ${name}`).toContain(id)
  }

  #ack(actor: Actor, n: number): void {
    const open = openNotices(this.#state, actor)
    const chosen = open[n % Math.max(1, open.length)]
    // What somebody is shown, it can acknowledge.
    if (chosen !== undefined) expect(this.#do("event.ack", actor, { seq: chosen.seq })).toHaveLength(1)
  }

  /** Changes are asked of who is there; else the task is open for others. */
  #review({ id, status, owner, session }: Task, actor: Actor, approve: boolean): void {
    const entries = this.#do("task.review", actor, { task: id, approve, reason })
    if (isRefusal(entries) || approve) return
    expect(status).toBe("review")
    const isThere = this.#state.agents.get(owner ?? "")?.status === "present" && this.#state.sessions.get(session ?? "")?.status === "live"
    if (!isThere) expect(this.scenario.at(id).status, `changes of ${owner}, who is gone`).toBe("pending")
  }

  /** Whatever is over is ended by one sweep, and the next finds nothing. */
  #sweep(n: number): void {
    const sessions = [...this.#state.sessions.keys()]
    const beats = sessions.filter((_, at) => (n >> at) % 2 === 0)
    const silent = sessions.filter((_, at) => (n >> at) % 4 === 1).map((id) => ({ id, silentMs: 1_000_000_000 }))
    const wakes = { busy: [], unacked: [], bits: 0 }
    this.#do("hub.sweep", HUB, { beats, silent, wakes })
    expectEqual(this.#do("hub.sweep", HUB, { beats: [], silent: [] }), [])
    // Who fell silent in the sweep waits for nothing in the next.
    this.#do("hub.sweep", HUB, { beats: [], silent: [], wakes })
    expectEqual(this.#do("hub.sweep", HUB, { beats: [], silent: [], wakes }), [])
    for (const { agent } of this.#state.jobs.openPermissions()) expectSame(this.#state.agents.get(agent)?.status, "present")
    expect(this.#state.board.nextLeaseEndMs ?? Number.POSITIVE_INFINITY).toBeGreaterThan(this.scenario.nowMs)
  }

  /** Each entry against the state before it, and the state that they lead to. */
  check(): void {
    for (const bytes of this.scenario.bytes.slice(this.#past.seq)) {
      const entry = decodeEntry(bytes)
      if (entry.type === "task.claimed") this.#claimed(entry as Entry<string, { id: string; reserves?: Record<string, number> }>)
      const { to } = entry.data as { to?: { agent?: string } }
      if (entry.type === "event.sent" && to?.agent !== undefined)
        expectSame(this.#past.agents.get(to.agent)?.status, "present", `entry ${entry.seq} is sent to ${to.agent}`)
      const { id, uncounted = false } = entry.data as { id?: string; uncounted?: boolean }
      const attempts = this.#past.tasks.get(id ?? "")?.attempts ?? 0
      evolve(this.#past, entry)
      if (entry.type === "task.retried") expectSame(this.#past.tasks.get(id ?? "")?.attempts, attempts + (uncounted ? 0 : 1))
      this.#past.journal.drain()
    }
    this.#money()
    this.#holders()
    const open = (id: string): boolean => !isClosed(this.scenario.at(id).status)
    const ids = [...this.#state.tasks.keys()].filter(open)
    expectSame(
      findCycle(ids, (id) => waitsOn(this.#state, id).filter(open)),
      null,
    )
    const blockedOn = (name: string): string[] => this.#state.board.heldBy(name).flatMap(({ blockedOn: on }) => (on?.kind === "agent" ? [on.ref] : []))
    expectSame(findCycle(NAMES, blockedOn), null)
    this.#retired()
  }

  /** Who is retired has neither credentials, sessions, files nor mail; and what the last orchestrator left unseen the operator sees. */
  #retired(): void {
    const { agents, files, board } = this.#state
    const kept = [...agents.values()].flatMap(({ name, status, credentials }): unknown[] => {
      if (status === "present") return []
      const sessions = board.sessionsOf(name).filter((session) => session.status !== "ended")
      return [...Object.keys(credentials), ...board.noticesTo(`agent:${name}`), ...sessions, ...[...files.values()].filter(({ agent }) => agent === name)]
    })
    expectEqual(kept, [])
    const left = board.noticesTo("role:orchestrator").filter(({ ackedBy }) => ackedBy.length === 0)
    const isSeen = (actor: Actor): boolean => {
      const seen = new Set(left.length === 0 ? [] : openNotices(this.#state, actor).map(({ seq }) => seq))
      return left.every(({ seq }) => seen.has(seq))
    }
    const there = this.#bosses.filter(({ agent }) => agents.get(agent)?.status === "present")
    expectSame((there.length === 0 ? [OPERATOR] : there).every(isSeen), true, "what orchestrators were told")
  }

  /** A state from a snapshot and one from the entries are the same. */
  checkFold(): void {
    const snapshot = takeSnapshot(this.#state)
    expectEqual(takeSnapshot(this.#past), snapshot)
    expectEqual(takeSnapshot(fromSnapshot(snapshot)), snapshot)
  }

  #claimed({ seq, atMs, actor: { agent: name }, data: { id, reserves = {} } }: Entry<string, { id: string; reserves?: Record<string, number> }>): void {
    const past = this.#past
    const where = `entry ${seq}: ${name} claims ${id}`
    const [task, spec, agent] = [past.tasks.get(id) as Task, past.specs.get(id) as TaskSpec, past.agents.get(name)]
    expectEqual([task.status, agent?.status], ["pending", "present"], where)
    expect(task.attempts, where).toBeLessThan(spec.maxAttempts)
    for (const dependency of spec.dependsOn) expectSame(past.tasks.get(dependency)?.status, "completed", `${where}, which waits for ${dependency}`)
    for (const breaker of breakersOf(past, name, spec)) {
      const known = past.breakers.get(breaker)
      expect(phaseOf(known, atMs), `${where} behind ${breaker}`).not.toBe("open")
      if (phaseOf(known, atMs) === "half_open") expect(known?.probe, `${where} beside the probe of ${breaker}`).toBeNull()
    }
    for (const budget of [...past.books.under(name, accountOf(past, name), task.plan, id), `task/${id}`]) {
      const known = budgetAt(past, budget, atMs)
      const limit = known === null ? null : limitOf(past, known)
      if (known === null || limit === null) continue
      expect(known.closedAtMs, `${where} under ${budget}`).toBeNull()
      expect(freeOf(known, limit), `${where} under ${budget}`).toBeGreaterThanOrEqual(reserves[budget] ?? Number.POSITIVE_INFINITY)
    }
    const active = [...past.tasks.values()].filter(({ owner, status, id: one }) => owner === name && isActive(status) && past.specs.get(one)?.filler === false)
    expect(active.length, where).toBeLessThan(agent?.maxActive ?? 0)
  }

  /** What is reserved is reserved by somebody who holds its task, and what was spent is in the books. */
  #money(): void {
    const { reservations, budgets, tasks, usage } = this.#state
    const left = new Map<string, number>()
    for (const { task, fence, agent, left: own } of reservations.values()) {
      const held = this.scenario.at(task)
      expectEqual([held.fence, held.owner], [fence, agent])
      for (const [budget, amount] of Object.entries(own)) left.set(budget, (left.get(budget) ?? 0) + amount)
    }
    for (const { id, reservedMicroUsd } of budgets.values()) expectSame(reservedMicroUsd, left.get(id) ?? 0, id)
    let spent = 0
    for (const sum of usage.values()) if (sum.task === null) spent += sum.costMicroUsd
    for (const task of tasks.values()) {
      spent += task.usage.costMicroUsd
      this.#books(`task/${task.id}`, task.usage.costMicroUsd)
    }
    this.#books("workspace", spent)
  }

  #books(id: string, spent: number): void {
    const budget = this.#state.budgets.get(id)
    if (budget !== undefined) expectSame(budget.settledMicroUsd + budget.overrunMicroUsd, spent, id)
  }

  /** Who holds a task is there and has an attempt left for it, and no two agents hold the same files. */
  #holders(): void {
    const files: { agent: string; glob: string; isShared: boolean }[] = []
    for (const { id, status, owner, session, attempts, helpWanted } of this.#state.tasks.values()) {
      const { maxAttempts, touches } = this.#state.specs.get(id) as TaskSpec
      if (!isClosed(status)) expectSame(attempts < maxAttempts, true, `${attempts} attempts of ${maxAttempts} behind ${id}`)
      if (!isHeld(status)) expectSame(helpWanted, null)
      else {
        const its = this.#state.sessions.get(session ?? "")?.status
        expectEqual([this.#state.agents.get(owner ?? "")?.status, its === "lost" ? "live" : its], ["present", "live"], id)
      }
      if (isHeld(status) || status === "review") for (const glob of touches) files.push({ agent: owner as string, glob, isShared: false })
    }
    for (const { agent, globs, mode } of this.#state.files.values()) for (const glob of globs) files.push({ agent, glob, isShared: mode === "shared" })
    for (const one of files)
      for (const other of files)
        if (one.agent !== other.agent && !(one.isShared && other.isShared) && meet(one.glob, other.glob))
          expect.fail(`${JSON.stringify(one)} meets ${JSON.stringify(other)}`)
  }
}

function meet(one: string, other: string): boolean {
  return one === other || (one.startsWith("src/") && other.startsWith("src/"))
}

function specOf(n: number): Partial<TaskSpec> {
  return {
    labels: n % 2 === 0 ? ["x"] : [],
    model: n % 5 === 0 ? "m2" : null,
    touches: n % 3 === 0 ? [GLOBS[(n >> 2) % 2] as string] : [],
    review: n % 4 === 0,
    filler: n % 11 === 0,
    maxAttempts: 1 + (n % 3),
    leaseMs: n % 2 === 0 ? 1_000 : null,
    budgetMicroUsd: n % 6 === 0 ? 100 : null,
  }
}

function editOf(n: number, { id, status }: Task, other: Task): Partial<TaskSpec> {
  const { filler: _, ...spec } = specOf(n)
  if (n % 7 === 0 && status === "pending" && id !== other.id) return { dependsOn: [other.id] }
  const fields = Object.entries(spec).filter((_, at) => (n >> at) % 2 === 0)
  return Object.fromEntries(fields)
}
