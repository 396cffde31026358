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
      await this.ask("agent.add", { name, heartbeatMs, capabilities, maxActive: chance.happens(0.7) ? 1 : 2 })
    }
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
      touches: !plain && chance.happens(0.3) ? [chance.pick(GLOBS)] : [],
      requires: chance.happens(0.25) ? { rust: chance.between(1, 4) } : {},
      leaseMs: chance.between(1_000, 4_000),
      maxAttempts: plain ? 1_000 : chance.between(2, 6),
      review: !plain && chance.happens(0.15),
    }
    const added = await this.ask("task.add", task)
    if (added?.kind === "ok") this.#tasks.push(id)
  }

  async #stepIn(): Promise<void> {
    const { chance, plain } = this.world
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
    const any = chance.pick(tasks)
    if (dice === 0 && any !== undefined) await this.ask("task.cancel", { task: any.id, reason: "changed our mind" })
    else if (dice === 1 && any !== undefined) await this.ask("lease.end", { task: any.id, reason: "stuck" })
    else if (dice < 9 && this.#tasks.length < 60) await this.#add()
  }
}
