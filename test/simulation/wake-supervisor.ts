import type { Commands } from "../../src/core/command.ts"
import type { Actor } from "../../src/core/entry.ts"
import type { ClaimedTrigger } from "../../src/core/trigger-view.ts"
import type { WakeWorld } from "./wake-world.ts"

type Step = Partial<Commands["trigger.record"]["input"]> & { step: Commands["trigger.record"]["input"]["step"] }

/** A supervisor that claims and delivers, dies between any two steps, and comes back as another session. `careless`: a planted fault. */
export class WakeSupervisor {
  readonly name: string
  readonly #world: WakeWorld
  readonly #careless: boolean
  #life = 0
  #sessions = 0
  #actor: Actor

  constructor(world: WakeWorld, name: string, careless: boolean) {
    this.#world = world
    this.name = name
    this.#careless = careless
    this.#actor = { agent: name, session: null, role: "supervisor" }
  }

  die(): void {
    this.#life += 1
    this.#world.after(this.#world.chance.between(500, 8_000), () => void this.live())
  }

  async live(): Promise<void> {
    const life = (this.#life += 1)
    const id = `s_${this.name}${(this.#sessions += 1)}`
    this.#actor = { ...this.#actor, session: null }
    const started = await this.#world.call("session.start", this.#actor, { id, agent: this.name, runtime: "supervisor", resumeId: null, owned: true })
    if (life !== this.#life) return
    if (started === null) return this.die()
    const actor = (this.#actor = { ...this.#actor, session: started.session })
    void this.#beat(life, started.session)
    // Panes outlive their supervisor: it takes its own back.
    for (const pane of this.#world.panes.values()) if (pane.alive) await this.#world.call("session.adopt", actor, { session: pane.session, resumeId: null }, 3)
    while (life === this.#life) {
      const claimed = await this.#world.call("trigger.claim", actor, { agents: [...this.#world.agents], max: 4, busy: await this.#world.busy() }, 3)
      for (const job of claimed?.jobs ?? []) void this.#deliver(life, actor, job)
      await this.#world.sleep(this.#world.chance.between(500, 2_000))
    }
  }

  async #beat(life: number, session: string): Promise<void> {
    while (life === this.#life) {
      this.#world.loop?.beat(session)
      await this.#world.sleep(500)
    }
  }

  async #deliver(life: number, actor: Actor, claim: ClaimedTrigger): Promise<void> {
    const world = this.#world
    const say = async (step: Step): Promise<boolean> => {
      const nothing = { channel: "pane", code: null, detail: "", session: null, beside: false, untilMs: null, bits: world.chance.below(2 ** 31) }
      return (await world.call("trigger.record", actor, { ...nothing, job: claim.job, fence: claim.fence, ...step }, 4)) !== null && life === this.#life
    }
    const pane = world.panes.get(claim.target)
    if (claim.hop === "live") {
      if (pane === undefined || !pane.alive || pane.session !== claim.session) return void (await say({ step: "failed", code: "PANE_DEAD" }))
      if (world.nowMs < pane.humanUntilMs) return void (await say({ step: "deferred", code: "OPERATOR_BUSY" }))
    }
    if (!(await say({ step: "delivering" })) && !this.#careless) return
    await world.sleep(world.chance.between(5, 300))
    if (life !== this.#life && !this.#careless) return
    if (claim.hop !== "live") return this.#start(actor, claim, say)
    if (pane === undefined || !pane.alive) return void (await say({ step: "failed", code: "PANE_DEAD" }))
    if (this.#careless || !pane.screen.has(claim.nonce)) world.guarded(() => pane.paste(claim.nonce))
    await say({ step: "sent" })
  }

  async #start(actor: Actor, { hop, target, nonce }: ClaimedTrigger, say: (step: Step) => Promise<boolean>): Promise<void> {
    const world = this.#world
    if (!world.quiet && world.chance.happens(hop === "resume" ? 0.4 : 0.15))
      return void (await say({ step: "failed", code: hop === "resume" ? "RESUME_FAILED" : "SPAWN_FAILED" }))
    world.panes.get(target)?.die()
    const pane = await world.startPane(actor, target)
    if (pane === null) return
    world.guarded(() => pane.paste(nonce))
    await say({ step: "sent", session: pane.session })
  }
}
