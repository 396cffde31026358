import type { Claimed } from "../../src/core/answer.ts"
import type { AgentId } from "../../src/core/ids.ts"
import { THROTTLED_WORDS } from "./attempt-oracle.ts"
import { Caller, type Surroundings } from "./caller.ts"
import { argue, settleDispute } from "./argue.ts"
import { GLOBS } from "./file-oracle.ts"
import { fillInbox } from "./flood.ts"
import { talk } from "./talk.ts"

/** An agent that claims, works, falls asleep over its lease, dies and comes back. */
export class SimulatedAgent extends Caller {
  readonly heartbeatMs: number
  #paused = false
  #sessions = 0
  /** What it worked on last; whoever comes back may still believe in it. */
  #last: { task: string; fence: number } | null = null
  /** Whether it was told that its session has ended. */
  #isOver = false

  constructor(name: AgentId, world: Surroundings, host: number, heartbeatMs: number) {
    super(name, name === world.leader ? "orchestrator" : "worker", world, host)
    this.heartbeatMs = heartbeatMs
  }

  /** Comes to life, with a new session. */
  async live(): Promise<void> {
    const { chance } = this.world
    this.#paused = false
    const id = `s_${this.name}_${(this.#sessions += 1)}`
    this.actor = { ...this.actor, session: null }
    const started = await this.ask("session.start", { id, agent: this.name, runtime: "simulated", resumeId: null, owned: chance.happens(0.75) })
    if (started?.kind !== "ok") {
      // Its credential was revoked, and another is on its way; who is retired stays so.
      await this.sleep(chance.between(100, 1_000))
      return started?.code === "retired" ? undefined : this.live()
    }
    this.actor = { ...this.actor, session: started.output.session }
    void this.#beat()
    if (this.#last !== null && chance.happens(0.6)) {
      const believed = this.#last
      await this.ask("task.claim", { task: believed.task })
      await this.#finish(believed)
    }
    for (;;) {
      const claims = await this.#claim()
      if (claims.length === 0) await this.sleep(chance.between(5, 400))
      // What it took besides waits until it comes to it: its lease may be over by then.
      for (const claim of claims) await this.#work(claim)
      if (!this.world.plain && chance.happens(0.3)) await talk(this, this.#last?.task ?? null)
      if (this.world.circles && chance.happens(0.7)) await argue(this, this.#last?.task ?? null)
      if (this.world.floods && chance.happens(0.6)) await fillInbox(this)
      if (this.name === this.world.leader) await this.#lead()
      if (!this.world.plain && chance.happens(0.05)) await this.#meddle()
      if (this.world.keeps && chance.happens(0.05)) await this.ask("session.adopt", { session: chance.pick(this.world.sessions()) ?? "", resumeId: null })
      const reviewed = chance.pick(this.world.tasks(["review"]))
      if (reviewed !== undefined && chance.happens(0.3)) await this.ask("task.review", { task: reviewed, approve: chance.happens(0.7), reason: "looked at it" })
      const unhelped = chance.pick(this.world.unhelped())
      if (unhelped !== undefined && chance.happens(0.4)) await this.ask("help.answer", { task: unhelped })
      if (chance.happens(0.05)) await this.#pause(chance.between(500, 6_000))
      if (!this.world.plain && chance.happens(0.03)) await this.ask("session.end", { session: this.actor.session as string, reason: "done for today" })
      if (this.#isOver) return this.#again()
    }
  }

  /** Its session is over: it begins another, whatever of the old one still runs. */
  async #again(): Promise<void> {
    this.#isOver = false
    this.life += 1
    return this.live()
  }

  die(): void {
    const { session } = this.actor
    this.life += 1
    const { loop } = this.host
    if (session !== null && loop !== null) this.world.clock.after(30, () => loop.detach(session))
  }

  /** Goes on with the same session at another hub, as a client does whose connection broke: the old hub hears of that, or does not. */
  move(): void {
    const { session } = this.actor
    const left = this.change()
    const { loop } = left
    if (session !== null && loop !== null && this.world.chance.happens(0.7)) left.arrive(() => left.loop === loop && loop.detach(session))
  }

  async #beat(): Promise<void> {
    const session = this.actor.session as string
    const { world } = this
    let attached: unknown = null
    for (;;) {
      const { host } = this
      const { loop } = host
      if (!this.#paused && loop !== null && attached !== loop) {
        attached = loop
        world.wire.send(() => host.attach(session))
      } else if (!this.#paused) world.wire.send(() => host.beat(session))
      await this.sleep(this.heartbeatMs)
    }
  }

  /** Nothing is done and nothing is said for a while: a machine that sleeps, a process that is stopped. */
  async #pause(ms: number): Promise<void> {
    this.#paused = true
    await this.sleep(ms)
    this.#paused = false
  }

  /** Directs the others: continues threads, has tasks done again or not at all, and says so to whom it likes. */
  async #lead(): Promise<void> {
    const { chance } = this.world
    if (this.world.circles && chance.happens(0.4)) await settleDispute(this, this.world.blocked())
    if (chance.happens(0.1)) await this.#meddle()
    if (!chance.happens(0.15)) return
    const to = chance.pick([{ agent: "agent0" }, { role: "worker" }, { role: "orchestrator" }] as const)
    const said = { kind: "directive", directive: chance.pick(["nudge", "replan"] as const), task: chance.pick(this.world.tasks()) ?? null } as const
    await this.ask("event.send", { ...said, to, priority: "high", text: "do it", payload: {}, requiresAck: true })
  }

  /** Tries what is not a worker's to do, or not this one's: MUST be refused. */
  async #meddle(): Promise<void> {
    const { chance } = this.world
    if (chance.happens(0.3)) return this.#usurp()
    const name = chance.pick(["task.unblock", "task.cancel", "task.reset", "lease.end"] as const)
    const blocked = this.world.tasks(["blocked"])
    const tasks = blocked.length > 0 ? blocked : this.world.tasks(name === "lease.end" ? ["claimed", "in_progress"] : undefined)
    if (tasks.length > 0) await this.ask(blocked.length > 0 ? "task.unblock" : name, { task: chance.pick(tasks), reason: "it knows better" })
  }

  /** Would be another, or the director. */
  async #usurp(): Promise<void> {
    const { chance } = this.world
    const other = `agent${chance.below(2)}`
    const dice = chance.below(5)
    if (dice === 4) await this.ask("task.add", { id: `by-${this.name}`, title: "gates of its own", gates: chance.happens(0.7) ? ["true"] : [] })
    else if (dice === 0) await this.ask("session.start", { id: `s_${this.name}_as_${other}`, agent: other, runtime: "usurped", resumeId: null, owned: false })
    else if (dice === 1) await this.ask("session.end", { session: `s_${other}_1`, reason: "away with it" })
    else if (dice === 2) await this.ask("policy.set", { text: null, reason: "away with it" })
    else await this.ask("agent.retire", { name: other, reason: "away with it" })
  }

  /** Takes a task by name, or the next: one, or as many as it may, now and then only of one kind. */
  async #claim(): Promise<Claimed[]> {
    const { chance } = this.world
    const tasks = this.world.tasks()
    if (chance.happens(0.25) && tasks.length > 0) {
      const reply = await this.ask("task.claim", { task: chance.pick(tasks) })
      return reply?.kind === "ok" ? [reply.output] : []
    }
    const isNarrow = !this.world.plain && chance.happens(0.15)
    const asked = {
      plan: isNarrow && chance.happens(0.3) ? (chance.pick(this.world.plans()) ?? null) : null,
      labels: isNarrow && chance.happens(0.3) ? ["docs"] : [],
      filler: isNarrow ? chance.happens(0.5) : null,
      max: !this.world.plain && chance.happens(0.35) ? chance.between(2, 4) : 1,
    }
    const reply = await this.ask("task.claimNext", asked, chance.happens(0.2) ? 0 : chance.between(0, 12) * 500)
    // Asked in the name of its session: not a word on any task.
    this.#isOver = reply?.kind === "error" && (reply.code === "wrong_status" || reply.code === "not_found")
    return reply?.kind === "ok" ? reply.output.claims : []
  }

  async #work({ task, fence, leaseMs, leaseEndsAtMs }: Claimed): Promise<void> {
    const { chance } = this.world
    const under = { task: task.id, fence }
    this.#last = under
    // Some sleep until the very moment at which their lease ends: what they then write is too late, or just in time.
    if (chance.happens(0.15)) {
      const leftMs = leaseEndsAtMs - (this.host.loop?.nowMs() ?? leaseEndsAtMs)
      await this.#pause(Math.max(0, leftMs - chance.between(0, 6)))
      return this.#finish(under)
    }
    if (task.filler && chance.happens(0.5)) {
      // Whoever is on filler work waits for real work besides, and goes over to it.
      const real = await this.ask("task.claimNext", { plan: null, labels: [], filler: false, max: 1 }, chance.between(0, 4) * 500)
      const [claim] = real?.kind === "ok" ? real.output.claims : []
      if (claim !== undefined && claim.fence !== fence) return this.#work(claim)
    }
    if (!this.world.plain && chance.happens(0.3)) await this.#spend(task.id)
    if (!this.world.plain && chance.happens(0.3)) await this.#reserve(chance.happens(0.5) ? under : { task: null, fence: null })
    for (let step = chance.below(4); step > 0; step -= 1) {
      if (chance.happens(0.12)) await this.#pause(Math.floor((leaseMs * chance.between(80, 180)) / 100))
      else await this.sleep(chance.between(0, Math.floor(leaseMs / 2)))
      const reply = await this.#step(under)
      // A stale fence is to be heeded; one in three agents does not, and MUST be refused again.
      if (reply === null || (reply.kind === "error" && chance.happens(0.7))) return
    }
    if (chance.happens(0.1)) await this.#pause(Math.floor((leaseMs * chance.between(90, 150)) / 100))
    await this.#finish(under)
    if (!this.world.plain && chance.happens(0.15)) await this.#spend(task.id)
  }

  /** Takes files besides what its task touches: some give them back, some renew them, some leave that to their end. */
  async #reserve(under: { task: string | null; fence: number | null }): Promise<void> {
    const { chance } = this.world
    const mode = chance.happens(0.5) ? "shared" : "exclusive"
    const globs = [chance.pick(GLOBS), chance.pick(GLOBS)]
    const reserved = await this.ask("files.reserve", { globs, mode, ttlMs: chance.between(1_000, 4_000), reason: "work", ...under })
    // Some that are refused try what is the holder's to do, by any lease that there is.
    const other = chance.pick(this.world.leases())
    if (reserved?.kind === "error" && other !== undefined && chance.happens(0.5))
      return void (await (chance.happens(0.5)
        ? this.ask("files.renew", { lease: other })
        : this.ask("files.release", { lease: other, globs: null, reason: "mine" })))
    if (reserved?.kind !== "ok") return
    const { lease } = reserved.output
    const dice = chance.below(8)
    if (dice < 2) await this.ask("files.release", { lease, globs: null, reason: "done" })
    else if (dice === 2) await this.ask("files.release", { lease, globs: globs.slice(1), reason: "half of it" })
    else if (dice === 3) await this.ask("files.release", { lease: null, globs: null, reason: "all of it" })
    else if (dice < 6) await this.ask("files.renew", { lease })
  }

  /** Says what it spent, on what it holds or held: now and then long after. */
  async #spend(task: string): Promise<void> {
    const { chance } = this.world
    const isVague = this.world.tangled && chance.happens(0.5)
    const agent = this.name === this.world.leader && chance.happens(0.3) ? "agent0" : null
    const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
    await this.ask("usage.report", { agent, session: null, task: isVague ? null : task, model: null, requests: 1, costMicroUsd: chance.below(500), ...tokens })
  }

  async #step(under: { task: string; fence: number }): Promise<{ kind: "ok" | "error" } | null> {
    const { chance, plain, tangled } = this.world
    const dice = chance.below(tangled ? 14 : 10)
    if (plain) return { kind: "ok" }
    if (dice < 5) return this.ask("task.update", { ...under, progress: chance.below(100) / 100, note: null })
    if (dice < 7) return this.ask("lease.renew", under)
    if (dice < 8) return this.ask("help.want", { ...under, reason: "cannot find it" })
    const on = this.world.tangled
      ? this.#awaited()
      : ({ kind: chance.happens(0.4) ? "task" : "external", ref: chance.pick(this.world.tasks()) ?? "somebody" } as const)
    const blocked = await this.ask("task.block", { ...under, on, reason: "waits" })
    if (blocked?.kind !== "ok") return blocked
    // Some take other work meanwhile: a filler is then taken from them when this one goes on.
    const meanwhile = chance.happens(0.4) ? await this.#claim() : []
    await this.sleep(chance.between(10, 600))
    const goesOn = await this.ask("task.unblock", { task: under.task, reason: "goes on" })
    for (const { task, fence } of meanwhile) if (fence !== under.fence) await this.#finish({ task: task.id, fence })
    return goesOn
  }

  /** What it waits for: an agent, or what somebody works on or waits with. */
  #awaited(): { kind: "agent" | "task"; ref: string } {
    const { chance } = this.world
    const task = chance.happens(0.65) ? chance.pick(this.world.tasks(["claimed", "in_progress", "blocked", "review"])) : undefined
    return task === undefined ? { kind: "agent", ref: `agent${chance.below(4)}` } : { kind: "task", ref: task }
  }

  async #finish(under: { task: string; fence: number }): Promise<void> {
    const { chance } = this.world
    const usage = { costMicroUsd: chance.below(1_000), inputTokens: 0, outputTokens: 0 }
    const { plain, throttled } = this.world
    const dice = chance.below(10)
    if (chance.happens(throttled)) await this.#wait(under, usage)
    else if (dice < 7) {
      const deliverable = { text: "done", evidence: { testsPass: true, commit: null, links: [] } }
      const first = await this.ask("task.complete", { ...under, deliverable, usage })
      // Some do everything twice, with another key: the fence alone keeps that from counting.
      if (first?.kind === "ok" && chance.happens(0.1)) {
        // And one in ten says something else under the key of before: that is refused, and nothing comes of it.
        if (chance.happens(0.5)) await this.send("task.complete", { ...under, deliverable: { ...deliverable, text: "else" }, usage }, this.lastKey)
        await this.ask("task.complete", { ...under, deliverable, usage })
        // And would approve it themselves, if they were let.
        if (!plain) await this.ask("task.review", { task: under.task, approve: true, reason: "it is good" })
      }
    } else if (dice < 9 || plain) await this.ask("task.release", { ...under, reason: "later" })
    else await this.ask("task.fail", { ...under, reason: "broke", retry: chance.happens(0.8), usage })
  }

  /** Its provider asks to be left alone, until a moment that it names, or without a word; some only hand its words on. */
  async #wait(under: { task: string; fence: number }, usage: { costMicroUsd: number; inputTokens: number; outputTokens: number }): Promise<void> {
    const { chance } = this.world
    const untilMs = chance.happens(this.world.throttled > 0.5 ? 0.05 : 0.4) ? this.world.nowMs() + chance.between(-500, 3_000) : null
    const said = chance.happens(0.2) ? { reason: THROTTLED_WORDS } : { reason: "quota", throttled: { untilMs } }
    if (chance.happens(0.5)) await this.ask("task.release", { ...under, ...said })
    else await this.ask("task.fail", { ...under, ...said, retry: chance.happens(0.9), usage })
  }
}
