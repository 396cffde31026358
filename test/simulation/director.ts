import type { AddTask } from "../../src/core/backlog.ts"
import { Caller, type Surroundings } from "./agent.ts"
import { GLOBS } from "./file-oracle.ts"
import type { World } from "./world.ts"

/** The human: adds agents and tasks, reviews, unblocks, and now and then steps in. */
export class Director extends Caller {
  ready = false
  readonly #world: World
  #tasks: string[] = []

  constructor(world: World, surroundings: Surroundings) {
    super("director", "operator", surroundings, 0)
    this.#world = world
  }

  async direct(): Promise<void> {
    const { chance } = this.world
    for (const { name, heartbeatMs } of this.#world.agents) {
      const capabilities: Record<string, number> = chance.happens(0.6) ? { rust: chance.between(1, 5) } : {}
      await this.ask("agent.add", {
        name,
        heartbeatMs,
        capabilities,
        maxActive: chance.happens(0.7) ? 1 : 2,
        kind: chance.pick(["script", "claude", "codex", "gemini"]),
      })
    }
    // Of every ten agents here five die: their breakers would all be open, and what waits in vain could not be told from what waits for those.
    await this.ask("breaker.setPolicy", { changes: { consecutive: 0, ratePercent: 0 }, reason: "chaos" })
    if (!this.world.plain && chance.happens(0.5)) await this.#setBudget()
    for (let count = chance.between(5, 14); count > 0; count -= 1) await this.#add()
    this.ready = true
    for (;;) {
      await this.sleep(chance.between(100, 1_200))
      await this.#stepIn()
    }
  }

  async #add(): Promise<void> {
    const { chance, plain } = this.world
    const id = `t${this.#tasks.length}`
    const before = [...new Set(Array.from({ length: chance.below(3) }, () => chance.pick(this.#tasks)))].filter((task) => task !== undefined)
    const task: AddTask = {
      id,
      title: id,
      dependsOn: before,
      priority: chance.pick(["critical", "high", "normal", "low"]),
      touches: !plain && chance.happens(this.#world.hurried ? 0.7 : 0.3) ? [chance.pick(GLOBS)] : [],
      requires: chance.happens(0.3) ? { rust: chance.between(1, 4) } : {},
      estimateMs: chance.happens(0.9) ? chance.between(60_000, 660_000) : null,
      leaseMs: chance.between(1_000, 4_000),
      maxAttempts: plain ? 1_000 : chance.between(2, 6),
      review: !plain && chance.happens(0.15),
    }
    const added = await this.ask("task.add", task)
    if (added?.kind === "ok") this.#tasks.push(id)
  }

  async #edit(task: string): Promise<void> {
    const { chance } = this.world
    const touches = chance.happens(0.5) ? [chance.pick(GLOBS)] : []
    await this.ask("task.edit", { task, changes: { maxAttempts: chance.between(1, 6), review: chance.happens(0.3), touches }, reason: "thought again" })
  }

  async #setBudget(): Promise<void> {
    const { chance } = this.world
    await this.ask("budget.set", {
      scope: "workspace",
      windowMs: null,
      limitMicroUsd: chance.between(1_000, 6_000),
      perClaimMicroUsd: chance.between(400, 1_000),
      warnPercent: [80],
      graceMs: chance.between(0, 1_500),
      absorb: chance.happens(0.5),
      reason: "money",
    })
  }

  async #stepIn(): Promise<void> {
    const { chance, plain } = this.world
    if (!this.#world.oracle.budget.affords && chance.happens(0.6))
      await this.ask("budget.topUp", { scope: "workspace", windowMs: null, amountMicroUsd: chance.between(500, 3_000), reason: "more" })
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
    else if (dice < 9 && this.#tasks.length < 60) await this.#add()
  }
}
