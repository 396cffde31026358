import { Caller, type Surroundings } from "./caller.ts"

export const HEARTBEAT_MS = 400

/** A supervisor that takes sessions into its keeping, those of others too; it falls silent, ends, and another run of it goes on. */
export class Keeper extends Caller {
  #runs = 0
  #silent = false

  constructor(name: string, world: Surroundings, host: number) {
    super(name, "supervisor", world, host)
  }

  async live(): Promise<void> {
    const { chance } = this.world
    this.life += 1
    this.#silent = false
    this.actor = { ...this.actor, session: null }
    const id = `s_${this.name}_${(this.#runs += 1)}`
    const started = await this.ask("session.start", { id, agent: this.name, runtime: "simulated", resumeId: null, owned: true })
    if (started?.kind !== "ok") {
      await this.sleep(chance.between(100, 1_000))
      return this.live()
    }
    this.actor = { ...this.actor, session: id }
    void this.#beat(id)
    for (;;) {
      await this.sleep(chance.between(50, 700))
      if (chance.happens(0.08)) await this.#fallSilent()
      // Its own of before among them, those of the other, and what has ended long since; now and then one that nobody started.
      const session = chance.happens(0.03) ? "s_nobody" : (chance.pick(this.world.sessions().slice(-8)) ?? id)
      const adopted = await this.ask("session.adopt", { session, resumeId: chance.pick([null, null, "one", "two"]) })
      // Whether that has ended or its own is not said.
      if (adopted?.kind === "error" && adopted.code === "wrong_status" && chance.happens(0.3)) return this.live()
      if (chance.happens(0.15)) await this.#start()
      if (chance.happens(0.06)) return this.#again()
    }
  }

  /** Starts a session for an agent, which it then keeps; or would, for one that is gone. */
  async #start(): Promise<void> {
    const { chance } = this.world
    const agent = `agent${chance.below(3)}`
    await this.ask("session.start", { id: `s_${agent}_by_${this.name}_${(this.#runs += 1)}`, agent, runtime: "simulated", resumeId: "one", owned: false })
  }

  /** Another run of it goes on: the session of the last one is ended in order, or left to be lost. */
  async #again(): Promise<void> {
    const { chance } = this.world
    if (chance.happens(0.5)) await this.ask("session.end", { session: this.actor.session as string, reason: "another run goes on" })
    await this.sleep(chance.between(10, 1_500))
    return this.live()
  }

  async #fallSilent(): Promise<void> {
    this.#silent = true
    await this.sleep(this.world.chance.between(HEARTBEAT_MS, 5 * HEARTBEAT_MS))
    this.#silent = false
  }

  async #beat(session: string): Promise<void> {
    const { wire } = this.world
    let attached: unknown = null
    for (;;) {
      const { host } = this
      if (!this.#silent && host.loop !== null && attached !== host.loop) {
        attached = host.loop
        wire.send(() => host.attach(session))
      } else if (!this.#silent) wire.send(() => host.beat(session))
      await this.sleep(HEARTBEAT_MS)
    }
  }
}
