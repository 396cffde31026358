import fc from "fast-check"
import { expect } from "vitest"
import { derive, kept } from "./derived.ts"
import { Model, type ModelTask } from "./model.ts"
import { expectEqual, expectSame } from "./quick-expect.ts"
import { delivery, OPERATOR, PLAN, Scenario } from "./scenario.ts"
import type { CommandName, Commands } from "../src/core/command.ts"
import { type Actor, type Entry, HUB } from "../src/core/entry.ts"
import type { Seq, TaskId } from "../src/core/ids.ts"
import { beliefsOf } from "../src/core/judgement.ts"
import { hasSkill } from "../src/core/posterior.ts"
import { isRefusal } from "../src/core/refusal.ts"
import { PRIORITIES, type TaskSpec } from "../src/core/task.ts"
import { fromSnapshot, takeSnapshot } from "../src/core/workspace.ts"

/** One step of a random history: numbers are taken modulo what there is to choose from. */
export type Step = {
  do:
    | "add"
    | "claim"
    | "next"
    | "update"
    | "renew"
    | "complete"
    | "fail"
    | "release"
    | "block"
    | "unblock"
    | "review"
    | "end"
    | "reset"
    | "cancel"
    | "edit"
    | "sweep"
    | "wait"
    | "help"
    | "answer"
    | "session"
    | "retire"
    | "restart"
  who: number
  task: number
  other: number
  stale: boolean
  yes: boolean
  n: number
}
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom("claim", "next", "next", "complete", "complete", "update", "add") },
    { weight: 5, arbitrary: fc.constantFrom("wait", "sweep", "block", "unblock", "review", "fail", "release", "renew") },
    { weight: 2, arbitrary: fc.constantFrom("edit", "reset", "cancel", "end", "help", "answer", "session", "restart") },
    { weight: 1, arbitrary: fc.constantFrom("retire", "session") },
  ),
  who: fc.nat(20),
  task: fc.nat(20),
  other: fc.nat(20),
  stale: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  yes: fc.boolean(),
  n: fc.nat(1_000),
})

const WRITES: ReadonlySet<Step["do"]> = new Set(["update", "renew", "complete", "fail", "release", "block", "help"] as const)
const LABELS = ["red", "blue"]
export const WAITS_MS = [1, 1_000, 40_000, 60_000, 119_999, 120_000, 500_000, 900_000, 90_000_000]

/** The core and the model, led through the same history. */
export class Pair {
  readonly scenario = new Scenario()
  readonly model = new Model()
  readonly actors: Actor[] = []
  readonly highest = new Map<TaskId, Seq>()
  /** Outcomes by command, so that a test can tell what its histories reached. */
  readonly reached = new Set<string>()
  #keys = 0

  constructor() {
    const { scenario, model } = this
    model.nowMs = scenario.nowMs
    for (const [name, skill, maxActive] of [
      ["ann", 2, 1],
      ["bob", 5, 2],
      ["cat", 1, 1],
    ] as const) {
      model.agents.set(name, { name, skill, maxActive, retired: false })
      scenario.must("agent.add", OPERATOR, { name, capabilities: { craft: skill }, maxActive })
      this.#start(name, true)
    }
    this.#start("ann", false)
    this.actors.push({ agent: "bob", session: null, role: "worker" })
    scenario.must("plan.add", OPERATOR, {
      ...PLAN,
      tasks: [
        { id: "a", title: "A" },
        { id: "b", title: "B", dependsOn: ["a"], estimateMs: 5 },
        { id: "f", title: "F", filler: true },
        { id: "r", title: "R", review: true },
      ],
    })
    for (const id of ["p.1/a", "p.1/b", "p.1/f", "p.1/r"]) this.#mirror(id)
  }

  #start(name: string, owned: boolean): void {
    const actor = this.scenario.session(name, "worker", owned)
    this.actors.push(actor)
    for (const known of this.model.sessions.values()) {
      if (this.scenario.state.sessions.has(known.id)) continue
      expect(known.status).not.toBe("live")
      known.status = "ended"
    }
    this.model.sessions.set(actor.session as string, { id: actor.session as string, agent: name, status: "live", owned })
  }

  #mirror(id: TaskId): void {
    const { dependsOn, requires, filler, review, prefers, labels, priority, estimateMs, maxAttempts } = this.scenario.state.specs.get(id) as TaskSpec
    const rest = { dependsOn, skill: requires["craft"] ?? 0, filler, review, prefers, labels, priority, estimateMs: estimateMs ?? 60_000, maxAttempts }
    this.model.tasks.set(id, {
      id,
      age: this.scenario.at(id).addedSeq,
      status: "pending",
      owner: null,
      session: null,
      leaseMs: 0,
      leaseEndsAtMs: null,
      attempts: 0,
      waitsOn: null,
      help: null,
      ...rest,
    })
  }

  /** Runs one command; the same key again answers the same, with another payload it is a conflict. */
  #run<Name extends CommandName>(
    name: Name,
    actor: Actor,
    input: Commands[Name]["input"],
  ): { code: string; answer: Commands[Name]["output"] | null; entries: Entry[] } {
    this.#keys += 1
    const key = { id: `k${this.#keys}`, hash: "a" }
    const outcome = this.scenario.attempt(name, actor, input, key)
    if (isRefusal(outcome)) return { code: outcome.refused, answer: null, entries: [] }
    if (outcome.entries.length > 0) {
      expect(this.scenario.attempt(name, actor, input, key)).toEqual({
        ...outcome,
        entries: outcome.entries.map((entry) => JSON.parse(JSON.stringify(entry)) as Entry),
      })
      expect(this.scenario.attempt(name, actor, input, { ...key, hash: "b" })).toMatchObject({ refused: "idempotency_conflict" })
    }
    return { code: "ok", ...outcome }
  }

  /** Takes one step in both and compares what they say and where every task stands. */
  take(step: Step): void {
    // As it is before the step, by which the core decides.
    const learned = new Map([...this.model.agents.keys()].map((name) => [name, beliefsOf(this.scenario.state, name)("craft")]))
    this.model.has = ({ name, skill }, level) => hasSkill({ craft: skill }, () => learned.get(name), "craft", level)
    const said = this.#both(step)
    expectEqual(said.core, said.model, JSON.stringify(step))
    this.reached.add(`${step.do} ${typeof said.core === "string" ? said.core : ((said.core as { code?: string } | null)?.code ?? "-")}`)
    this.check()
  }

  #both({ do: what, who: w, task: t, other: o, stale, yes, n }: Step): { core: unknown; model: unknown } {
    const { scenario, model } = this
    const ids = [...model.tasks.keys()]
    const id = n % 4 === 3 ? (ids[t % ids.length] as TaskId) : this.#likely(what, t, ids)
    const holder = this.actors.find(({ agent, session }) => WRITES.has(what) && model.task(id).owner === agent && model.task(id).session === session)
    const actor = n % 4 === 2 || holder === undefined ? (this.actors[w % this.actors.length] as Actor) : holder
    const fence = stale ? 1 : (scenario.at(id).fence ?? 1)
    const fenced = !stale
    const code = <Name extends CommandName>(name: Name, by: Actor, input: Commands[Name]["input"]): string => this.#run(name, by, input).code
    switch (what) {
      case "wait":
        scenario.wait(WAITS_MS[n % WAITS_MS.length] as number)
        model.nowMs = scenario.nowMs
        return { core: null, model: null }
      case "add": {
        const fresh = `t${ids.length}`
        if (ids.length > 9) return { core: null, model: null }
        const spec: Partial<TaskSpec> = { ...specOf(n, yes), dependsOn: [...new Set(n % 3 === 0 ? [] : [id, ids[o % ids.length] as TaskId])] }
        const core = code("task.add", OPERATOR, { id: fresh, title: fresh, ...spec })
        this.#mirror(fresh)
        return { core, model: "ok" }
      }
      case "claim":
        return { core: code("task.claim", actor, { task: id }), model: model.claim(actor, id) }
      case "next": {
        const filler = [null, null, true, false][n % 4] as boolean | null
        const label = n % 5 === 0 ? (LABELS[o % 2] as string) : null
        const max = 1 + (n % 3)
        const { code: core, answer } = this.#run("task.claimNext", actor, { plan: null, labels: label === null ? [] : [label], filler, max })
        const claims = answer?.claims.map((claim) => claim.task.id) ?? []
        return { core: { code: core, claims }, model: model.claimNext(actor, filler, label, max) }
      }
      case "update":
        return {
          core: code("task.update", actor, { task: id, fence, progress: n / 1_000, note: yes ? "so far" : null }),
          model: model.update(actor, id, fenced),
        }
      case "renew":
        return { core: code("lease.renew", actor, { task: id, fence }), model: model.renewLease(actor, id, fenced) }
      case "complete":
        return { core: code("task.complete", actor, { task: id, fence, ...delivery() }), model: model.complete(actor, id, fenced) }
      case "fail":
        return {
          core: code("task.fail", actor, { task: id, fence, reason: "r", retry: yes, usage: delivery().usage }),
          model: model.fail(actor, id, fenced, yes),
        }
      case "release":
        return { core: code("task.release", actor, { task: id, fence, reason: "r" }), model: model.release(actor, id, fenced) }
      case "block": {
        const on = n % 4 === 0 ? null : (ids[o % ids.length] as TaskId)
        const input = { task: id, fence, on: on === null ? { kind: "external" as const, ref: id } : { kind: "task" as const, ref: on }, reason: "r" }
        return { core: code("task.block", actor, input), model: model.block(actor, id, fenced, on) }
      }
      case "unblock":
        return { core: code("task.unblock", OPERATOR, { task: id, reason: "r" }), model: model.unblock(id) }
      case "review":
        return { core: code("task.review", actor, { task: id, approve: yes, reason: "r" }), model: model.review(actor, id, yes) }
      case "end":
        return { core: code("lease.end", OPERATOR, { task: id, reason: "r" }), model: model.endByHand(id) }
      case "reset":
        return { core: code("task.reset", OPERATOR, { task: id, reason: "r" }), model: model.reset(id) }
      case "cancel":
        return { core: code("task.cancel", OPERATOR, { task: id, reason: "r" }), model: model.cancel(id) }
      case "edit":
        return this.#edit(id, yes ? [...new Set([ids[o % ids.length] as TaskId, ids[n % ids.length] as TaskId])] : null, n)
      case "help":
        return { core: code("help.want", actor, { task: id, fence, reason: "r" }), model: model.wantHelp(actor, id, fenced) }
      case "answer":
        return { core: code("help.answer", actor, { task: id }), model: model.answerHelp(actor, id) }
      case "sweep": {
        const sessions = [...model.sessions.keys()]
        const beats = sessions.filter((_, at) => (n >> (2 * at)) % 4 === 1)
        const silent = sessions.filter((_, at) => (n >> (2 * at)) % 4 === 2)
        const core = code("hub.sweep", HUB, { beats, silent: silent.map((id) => ({ id, silentMs: 1_000_000_000 })) })
        model.sweep(beats, silent)
        return { core, model: "ok" }
      }
      case "session":
        return this.#session(actor, yes)
      case "retire":
        return n > 300
          ? { core: null, model: null }
          : { core: code("agent.retire", OPERATOR, { name: actor.agent, reason: "r" }), model: model.retire(actor.agent) }
      case "restart":
        scenario.state = fromSnapshot(copied(takeSnapshot(scenario.state)))
        return { core: null, model: null }
    }
  }

  /** A task that the command may be about: one that is held for a write under a lease, one in review for a review. */
  #likely(what: Step["do"], at: number, ids: readonly TaskId[]): TaskId {
    const wanted = (id: TaskId): boolean => {
      const task = this.model.task(id)
      if (what === "unblock") return task.status === "blocked"
      if (what === "review") return task.status === "review"
      return !WRITES.has(what) || this.model.held(task)
    }
    const fitting = ids.filter(wanted)
    return (fitting.length > 0 ? fitting : ids)[at % (fitting.length > 0 ? fitting.length : ids.length)] as TaskId
  }

  #edit(id: TaskId, dependsOn: TaskId[] | null, n: number): { core: unknown; model: unknown } {
    const task = this.model.task(id)
    const { dependsOn: _, filler, ...simple } = specOf(n, n % 2 === 0)
    const changes: Partial<TaskSpec> = { ...simple, ...(dependsOn === null ? {} : { dependsOn }), ...(n % 7 === 0 ? { filler: filler ?? false } : {}) }
    const { code } = this.#run("task.edit", OPERATOR, { task: id, changes, reason: "r" })
    let model = "ok"
    if (this.model.closed(task)) model = "wrong_status"
    else if (task.status !== "pending" && (changes.dependsOn !== undefined || changes.filler !== undefined)) model = "wrong_status"
    else if ((changes.maxAttempts ?? task.attempts + 1) <= task.attempts) model = "invalid"
    else if (dependsOn !== null && this.model.circular(id, dependsOn)) model = "cycle"
    else {
      const { requires, estimateMs, ...same } = changes
      Object.assign(
        task,
        same,
        estimateMs === undefined ? {} : { estimateMs: estimateMs ?? 60_000 },
        requires === undefined ? {} : { skill: requires["craft"] ?? 0 },
      )
    }
    return { core: code, model }
  }

  #session(actor: Actor, start: boolean): { core: unknown; model: unknown } {
    if (start) {
      const retired = this.model.agents.get(actor.agent)?.retired === true
      if (!retired && this.actors.length < 12) this.#start(actor.agent, true)
      return { core: null, model: null }
    }
    if (actor.session === null || this.actors.length < 5) return { core: null, model: null }
    const known = this.scenario.state.sessions.has(actor.session)
    const { code } = this.#run("session.end", actor, { session: actor.session, reason: "r" })
    if (known) this.model.endSession(actor.session, "ended")
    return { core: code, model: known ? "ok" : "not_found" }
  }

  check(): void {
    const { scenario, model } = this
    for (const task of model.all()) {
      const { status, owner, session, leaseEndsAtMs, attempts, fence, helpWanted } = scenario.at(task.id)
      const stands = {
        id: task.id,
        status,
        owner: owned(task) ? owner : null,
        session: owned(task) ? session : null,
        leaseEndsAtMs,
        attempts,
        help: helpWanted && { helper: helpWanted.helper },
      }
      expectEqual(stands, standing(task))
      expectSame(fence !== null, owned(task) || status === "completed")
      // A fence never comes again, and never goes back.
      if (fence !== null) {
        const highest = this.highest.get(task.id) ?? 0
        if (fence < highest) expect(fence).toBeGreaterThanOrEqual(highest)
        this.highest.set(task.id, fence)
      }
    }
    expectEqual(kept(scenario.state), derive(scenario.state))
    const total = Object.values(scenario.state.board.counts).reduce((sum, count) => sum + count, 0)
    expectSame(total, model.tasks.size)
  }
}

function owned(task: ModelTask): boolean {
  return ["claimed", "in_progress", "blocked", "review"].includes(task.status)
}

function standing(task: ModelTask): Record<string, unknown> {
  const { id, status, owner, session, leaseEndsAtMs, attempts, help } = task
  return { id, status, owner: owned(task) ? owner : null, session: owned(task) ? session : null, leaseEndsAtMs, attempts, help }
}

export function specOf(n: number, yes: boolean): Partial<TaskSpec> {
  return {
    priority: PRIORITIES[n % 4] ?? "normal",
    requires: n % 3 === 0 ? {} : { craft: 1 + (n % 5) },
    estimateMs: n % 5 === 0 ? null : (n % 4) * 30_000,
    prefers: n % 6 === 0 ? "ann" : n % 6 === 1 ? "bob" : null,
    labels: LABELS.filter((_, at) => (n >> at) % 2 === 0),
    filler: n % 4 === 0 && yes,
    review: n % 7 === 0,
    maxAttempts: 1 + (n % 3),
  }
}

export function inHistory(steps: readonly Step[]): Pair {
  const pair = new Pair()
  for (const step of steps) pair.take(step)
  return pair
}

export const history = fc.array(step, { minLength: 1, maxLength: 60, size: "max" })

export function copied<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
