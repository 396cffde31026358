import type { AddTask } from "../../src/core/backlog.ts"
import { hashCredential } from "../../src/surface/auth.ts"
import { OPEN } from "./breaker-oracle.ts"
import { hurryCircles, settleDispute } from "./argue.ts"
import { Caller, type Surroundings } from "./caller.ts"
import { GLOBS } from "./file-oracle.ts"
import { flood } from "./flood.ts"
import { HEARTBEAT_MS, Keeper } from "./keeper.ts"
import { policyOf } from "./policy-oracle.ts"
import { gather, MADE } from "./talk.ts"
import type { World } from "./world.ts"

/** The human: adds agents and tasks, reviews, unblocks, and now and then steps in. */
export class Director extends Caller {
  ready = false
  readonly #world: World
  #tasks: string[] = []
  #issued = 0
  /** Whether it sets a policy, and changes it. */
  readonly #governs: boolean
  /** Whether its agents are often told to wait. */
  readonly #strikes: boolean

  /** Whether it changes its mind about money and accounts again and again. */
  readonly #wavers: boolean
  /** Whether its agents ask leave for what they do, and wait for the answer. */
  readonly #allows: boolean
  /** Supervisors that take sessions into their keeping. */
  readonly #keepers: readonly Keeper[]

  constructor(world: World, surroundings: Surroundings, governs: boolean) {
    super("director", "operator", surroundings, 0)
    this.#world = world
    this.#governs = !surroundings.plain && world.chance.happens(governs ? 1 : 0.18)
    this.#allows = !surroundings.plain && world.chance.happens(0.15)
    this.#wavers = !surroundings.plain && world.chance.happens(0.2)
    this.#strikes = !surroundings.plain && world.chance.happens(0.3)
    this.#keepers = (surroundings.keeps ? ["keeper0", "keeper1"] : []).map((name) => new Keeper(name, surroundings, 0))
  }

  async direct(): Promise<void> {
    const { chance, plain } = this.world
    for (const { name, heartbeatMs } of this.#world.agents) {
      const capabilities: Record<string, number> = chance.happens(0.6) ? { rust: chance.between(1, 5) } : {}
      await this.ask("agent.add", {
        name,
        role: name === this.world.leader ? "orchestrator" : "worker",
        heartbeatMs,
        capabilities,
        maxActive: chance.happens(0.6) ? 1 : chance.between(2, 3),
        kind: chance.pick(["script", "claude", "codex", "gemini"]),
        account: chance.happens(0.5) ? "shared" : null,
        costPerHourMicroUsd: !plain && chance.happens(0.3) ? chance.between(4_000, 9_000) : 0,
        model: this.world.breaks ? chance.pick(["m", "n", null]) : null,
      })
    }
    for (const { name } of this.#keepers) await this.ask("agent.add", { name, role: "supervisor", heartbeatMs: HEARTBEAT_MS })
    for (const agent of [...this.#world.agents, ...this.#keepers]) await this.#issue(agent)
    await this.#setBreakers()
    if (!plain && chance.happens(0.5)) await this.#setBudget("workspace", null)
    if (!plain && chance.happens(0.35)) await this.#limit()
    if (this.#governs) await this.ask("policy.set", { text: policyOf((from) => chance.pick(from)), reason: "rules" })
    if (this.#allows) await this.ask("wake.setPolicy", { changes: { permissionMs: chance.between(1_000, 3_000) }, reason: "chaos" })
    if (this.world.circles && chance.happens(0.7)) await hurryCircles(this)
    for (let count = chance.between(5, 14); count > 0; count -= 1) await this.#add()
    if (!plain && chance.happens(0.5)) await this.ask("thread.create", { thread: "talk-a", title: "plans", type: "workflow", participants: ["agent0"] })
    this.ready = true
    for (const keeper of this.#keepers) void keeper.live()
    if (this.world.floods) void flood(this)
    for (;;) {
      await this.sleep(chance.between(100, 1_200))
      await this.#stepIn()
    }
  }

  /** It is over. */
  leave(): void {
    for (const caller of [this, ...this.#keepers]) caller.life += 1
  }

  /** Of every ten agents here five die: in most teams their breakers would all be open, and little would be done. */
  async #setBreakers(): Promise<void> {
    const { chance, breaks } = this.world
    const never = { consecutive: 0, ratePercent: 0 }
    const often = (): object => ({
      consecutive: chance.pick([0, 2, 3, 4]),
      outcomes: chance.between(2, 6),
      ratePercent: chance.pick([0, 50, 60, 75]),
      windowMs: chance.pick([2_000, 6_000, 600_000]),
    })
    await this.ask("breaker.setPolicy", { changes: { ...(breaks ? often() : never), ...OPEN }, reason: "chaos" })
  }

  async #add(): Promise<void> {
    const { chance, plain, tangled } = this.world
    const id = `t${this.#tasks.length}`
    const before = [...new Set(Array.from({ length: chance.below(3) }, () => chance.pick(this.#tasks)))].filter((task) => task !== undefined)
    const task: AddTask = {
      id,
      title: id,
      dependsOn: before,
      priority: chance.pick(["critical", "high", "normal", "low"]),
      touches: !plain && chance.happens(this.#world.hurried ? 0.7 : 0.3) ? [chance.pick(GLOBS)] : [],
      requires: chance.happens(0.3) ? { rust: chance.between(1, 4) } : {},
      estimateMs: chance.happens(0.9) ? (tangled ? 300_000 : chance.between(60_000, 660_000)) : null,
      leaseMs: chance.between(1_000, 4_000),
      maxAttempts: plain ? 1_000 : chance.between(2, 6),
      filler: !plain && chance.happens(0.15),
      review: !plain && chance.happens(0.15),
      labels: chance.happens(this.world.breaks ? 0.5 : 0.2) ? ["docs"] : [],
      model: this.world.breaks && chance.happens(0.2) ? "n" : null,
      prefers: tangled && chance.happens(0.4) ? chance.pick(this.#world.agents).name : null,
      budgetMicroUsd: !plain && chance.happens(0.15) ? chance.between(300, 2_500) : null,
    }
    const added = await this.ask("task.add", task)
    if (added?.kind === "ok") this.#tasks.push(id)
  }

  async #edit(task: string): Promise<void> {
    const { chance } = this.world
    const touches = chance.happens(0.5) ? [chance.pick(GLOBS)] : []
    const money = chance.happens(0.3) ? { budgetMicroUsd: chance.happens(0.35) ? null : chance.between(300, 4_000) } : {}
    const order = this.world.tangled && chance.happens(0.6) ? { dependsOn: [chance.pick(this.#tasks)] } : {}
    const kind = this.world.breaks ? { labels: chance.happens(0.5) ? ["docs"] : [], model: chance.pick(["m", null]) } : {}
    const changes = { maxAttempts: chance.between(1, 6), review: chance.happens(0.3), touches, ...money, ...order, ...kind }
    await this.ask("task.edit", { task, changes, reason: "thought again" })
  }

  async #setBudget(scope: string, windowMs: number | null): Promise<void> {
    const { chance } = this.world
    await this.ask("budget.set", {
      scope,
      windowMs,
      limitMicroUsd: chance.between(1_000, 6_000),
      perClaimMicroUsd: chance.happens(0.8) ? chance.between(400, 1_000) : null,
      warnPercent: chance.happens(0.8) ? [80] : [50, 90],
      graceMs: chance.between(0, 1_500),
      absorb: chance.happens(0.5),
      reason: "money",
    })
  }

  /** Takes a limit away, gives one, or has an agent work on another account. */
  async #waver(): Promise<void> {
    const { chance } = this.world
    const held = [...this.#world.oracle.budget.held.keys()]
    const task = chance.pick(held.length > 0 && chance.happens(0.7) ? held : this.#tasks)
    const dice = chance.below(4)
    if (dice === 0) await this.#limit(0.6)
    else if (dice < 3 && task !== undefined) {
      const budgetMicroUsd = chance.happens(0.5) ? null : chance.between(300, 4_000)
      await this.ask("task.edit", { task, changes: { budgetMicroUsd }, reason: "thought of the money" })
    } else {
      const { name } = chance.pick(this.#world.agents)
      await this.ask("agent.edit", { name, account: chance.pick([null, "shared", "other"]), reason: "its quota" })
    }
  }

  /** Limits what an agent, an account, a plan or a task may spend, or lifts a limit again; some are counted anew every few seconds. */
  async #limit(lifts = 0.3): Promise<void> {
    const { chance } = this.world
    const { budget, plans } = this.#world.oracle
    const known = chance.pick([...budget.books.values()])
    if (known !== undefined && chance.happens(lifts)) {
      const { scope, windowMs } = known
      const rules = { perClaimMicroUsd: null, warnPercent: [80], graceMs: 500, absorb: false }
      return void (await this.ask("budget.set", { scope, windowMs, limitMicroUsd: null, ...rules, reason: "no more of it" }))
    }
    const { name } = chance.pick(this.#world.agents)
    const of = [chance.pick([...plans.running].map((plan) => `plan/${plan}`)), chance.pick(this.#tasks.map((task) => `task/${task}`))]
    const scopes = [`agent/${name}`, `agent/${name}`, "account/shared", "account/other", `account/agent/${name}`, ...of].filter((scope) => scope !== undefined)
    await this.#setBudget(chance.pick(scopes), chance.happens(0.4) ? chance.between(1_500, 6_000) : null)
  }

  /** Asks leave for an agent, as its supervisor does, or answers what one asked: now and then too late, once more, or with what is not offered. */
  async #allow(): Promise<void> {
    const { chance } = this.world
    const asked = chance.pick([...this.#world.oracle.permissions.asked.values()].slice(-3))
    const dice = chance.below(6)
    if (asked === undefined || dice < 3) {
      const options = ["once", "always", "never"].slice(chance.below(2)).map((id) => ({ id, name: id, kind: id }))
      const rule = chance.happens(0.3) ? { name: "all", option: chance.pick(["once", "never", null]) } : null
      const { name } = chance.pick(this.#world.agents)
      await this.ask("permission.ask", { agent: name, session: null, title: "run the tests", kind: null, options, rule })
    } else if (dice < 5) await this.ask("permission.answer", { permission: asked.id, option: chance.pick(["once", "never", "never", null]), reason: "looked" })
    else await this.ask("permission.withdraw", { permission: asked.id, reason: "its turn ended" })
  }

  /** Gives money to what has none, and takes back what was spent: now and then more than that. */
  async #pay(): Promise<void> {
    const { chance } = this.world
    const { budget, atMs } = this.#world.oracle
    const tight = chance.pick([...budget.tight(atMs)])
    if (tight !== undefined && chance.happens(0.6)) {
      const { scope, windowMs } = tight
      await this.ask("budget.topUp", { scope, windowMs, amountMicroUsd: chance.between(500, 3_000), reason: "more" })
    }
    const spent = budget.books.size > 0 && chance.happens(0.1) ? chance.pick([...budget.spent.values()]) : undefined
    if (spent === undefined || spent.microUsd < 2) return
    const costMicroUsd = chance.happens(0.15) ? spent.microUsd + chance.below(1_000) : chance.between(1, spent.microUsd)
    await this.ask("usage.refund", { agent: spent.agent, task: spent.task, costMicroUsd, reason: "the call failed" })
  }

  async #stepIn(): Promise<void> {
    const { chance, plain } = this.world
    if (!plain) await this.#pay()
    if (this.#allows) await this.#allow()
    if (plain) return this.#tasks.length < 25 ? this.#add() : undefined
    const tasks = [...this.#world.oracle.tasks.values()]
    const reviewed = tasks.find(({ status }) => status === "review")
    if (reviewed !== undefined && chance.happens(0.7))
      await this.ask("task.review", { task: reviewed.id, approve: chance.happens(0.7), reason: "looked at it" })
    const failed = tasks.find(({ status }) => status === "failed" || status === "cancelled")
    if (failed !== undefined && chance.happens(0.5)) await this.ask("task.reset", { task: failed.id, reason: "once more" })
    const blocked = tasks.find(({ status }) => status === "blocked")
    if (blocked !== undefined && chance.happens(0.2)) await this.ask("task.unblock", { task: blocked.id, reason: "the director says so" })
    const dice = chance.below(20)
    const chosen = chance.pick(tasks)
    if (dice === 0 && chosen !== undefined) await this.ask("task.cancel", { task: chosen.id, reason: "changed our mind" })
    else if (dice === 1 && chosen !== undefined) await this.ask("lease.end", { task: chosen.id, reason: "stuck" })
    else if (dice === 2 && chosen?.status === "completed") await this.ask("task.reset", { task: chosen.id, reason: "not good enough" })
    else if (dice === 3 && chosen !== undefined) await this.#edit(chosen.id)
    else if (dice === 4) await this.#manage()
    else if (dice === 5 || (this.#strikes && dice > 14)) await this.#stop()
    else if (dice === 6) await this.#plan()
    else if (dice === 7 && chance.happens(0.5)) await this.#limit()
    else if (dice < 11 && this.#tasks.length < 60) await this.#add()
    const kept = this.world.keeps && chance.happens(0.3) ? chance.pick(this.#keepers).actor.session : null
    if (kept !== null) await this.ask("session.end", { session: kept, reason: "start anew" })
    if (this.world.leader !== null) await this.#followUp(this.world.leader)
    if (this.world.tangled && chance.happens(0.6)) await this.#disentangle()
    if (chance.happens(0.08)) await gather(this, chance.pick(MADE))
    if (this.world.circles) await settleDispute(this, this.#world.oracle.circles.blocked())
    if (this.#wavers && chance.happens(0.4)) await this.#waver()
    if (this.world.breaks && chance.happens(0.08)) await this.#setBreakers()
    if (this.#governs && chance.happens(0.1))
      await this.ask("policy.set", { text: chance.happens(0.25) ? null : policyOf((from) => chance.pick(from)), reason: "thought again" })
  }

  /** Acknowledges what waits for it, and for the orchestrator once that is gone; says where a person worked; now and then goes on without it. */
  async #followUp(leader: string): Promise<void> {
    const { chance } = this.world
    const seq = chance.pick(this.#world.oracle.notices.open(this.name, "operator"))
    if (seq !== undefined && chance.happens(0.3)) await this.ask("event.ack", { seq })
    const dice = chance.below(40)
    if (dice < 3) await this.ask("agent.handled", { agent: chance.pick(this.#world.agents).name, untilMs: this.#world.oracle.atMs })
    else if (dice === 3) await this.ask("agent.retire", { name: leader, reason: "does it itself" })
  }

  /** Changes what a task depends on, or takes away what somebody waits for. */
  async #disentangle(): Promise<void> {
    const { chance } = this.world
    const awaited = chance.pick(this.#world.oracle.waits.awaited())
    const pending = chance.pick(this.world.tasks(["pending"]))
    if (awaited?.kind === "task" && chance.happens(0.5)) await this.ask("task.cancel", { task: awaited.ref, reason: "not needed" })
    else if (awaited?.kind === "agent" && chance.happens(0.2)) await this.ask("agent.retire", { name: awaited.ref, reason: "not needed" })
    else if (pending !== undefined) await this.#edit(pending)
  }

  /** Hires nobody, but changes what agents may, takes their sessions and credentials from them, and now and then sends one away for good. */
  async #manage(): Promise<void> {
    const { chance } = this.world
    const agent = chance.pick(this.#world.agents)
    const { name } = agent
    const dice = chance.below(8)
    if (dice < 2)
      await this.ask("agent.edit", {
        name,
        maxActive: chance.between(1, 3),
        kind: chance.pick(["script", "claude", "codex"]),
        reason: "thought again",
      })
    else if (dice < 5) {
      const revoked = await this.ask("credential.revoke", { agent: name, id: agent.bearer?.split("_")[2] as string, reason: "it leaked" })
      if (revoked?.kind === "ok") await this.#issue(agent)
    } else if (dice < 7 && agent.actor.session !== null) await this.ask("session.end", { session: agent.actor.session, reason: "start anew" })
    else if (this.#world.agents.length > 2 && chance.happens(0.5)) await this.ask("agent.retire", { name, reason: "not needed" })
  }

  /** A credential that the agent has once the ledger has it: for each the next number, and nothing that would have to be guessed. */
  async #issue(agent: Caller): Promise<void> {
    const { name } = agent
    const id = `c${(this.#issued += 1)}`
    const bearer = `skc_${name}_${id}_${"x".repeat(43)}`
    const issued = await this.ask("credential.issue", { agent: name, id, hash: hashCredential(bearer) })
    if (issued?.kind === "ok") agent.bearer = bearer
  }

  /** Has an agent, an account or a kind of work left alone for a while, or lets it go on. */
  async #stop(): Promise<void> {
    const { chance } = this.world
    const { name } = chance.pick(this.#world.agents)
    const nowMs = this.#world.oracle.atMs
    const account = chance.pick(["shared", "other", `agent/${name}`])
    const breaker = chance.pick([`agent/${name}`, `account/${account}`, "kind/docs"])
    const untilMs = nowMs + (chance.happens(0.2) ? 20_000 : chance.between(300, 4_000))
    const dice = chance.below(6)
    if (dice < 2) await this.ask("account.exhausted", { account, untilMs, reason: "quota" })
    else if (dice === 2) await this.ask("account.restored", { account, reason: "paid" })
    else if (dice < 5) await this.ask("breaker.trip", { breaker, untilMs: chance.happens(0.9) ? untilMs : null, reason: "stop" })
    else await this.ask("breaker.reset", { breaker, reason: "go on" })
  }

  /** Runs one of a few files, often one that runs already, or cancels what runs. */
  async #plan(): Promise<void> {
    const { chance } = this.world
    const plans = [...this.#world.oracle.plans.running]
    if (plans.length > 0 && chance.happens(0.3)) return void (await this.ask("plan.cancel", { plan: chance.pick(plans), reason: "changed our mind" }))
    const digest = `${chance.below(3)}`
    const tasks = ["a", "b", "c"].map((id, at) => ({ id, title: id, dependsOn: at === 2 ? ["a"] : [], leaseMs: chance.between(1_000, 4_000), maxAttempts: 4 }))
    const budgetMicroUsd = chance.happens(0.5) ? chance.between(1_500, 5_000) : null
    const rest = { title: "release", commit: null, worktrees: false, budgetMicroUsd, agents: [], tasks }
    await this.ask("plan.add", { name: "release", digest, maxActiveAgents: chance.between(1, 2), ...rest })
  }
}
