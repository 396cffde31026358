import type { Actor } from "../../src/core/entry.ts"
import type { AgentId } from "../../src/core/ids.ts"
import { type Unread, unreadOf } from "../../src/core/unread.ts"
import { Violation } from "./oracle.ts"
import type { WakeWorld } from "./wake-world.ts"

/** One process of an agent in its pane: takes texts, works through them turn by turn, may die at any moment. */
export class Pane {
  readonly agent: AgentId
  readonly session: string
  alive = true
  /** Nonces that stand on its screen: whoever types again looks here first. */
  readonly screen = new Set<string>()
  humanUntilMs = 0
  readonly #world: WakeWorld
  readonly #waiting: string[] = []
  #inTurn = false

  constructor(world: WakeWorld, agent: AgentId, session: string) {
    this.#world = world
    this.agent = agent
    this.session = session
    void this.#beat()
  }

  /** A text is pasted. The same nonce twice in one process is what must never happen. */
  paste(nonce: string): void {
    if (!this.alive) return
    if (this.screen.has(nonce)) throw new Violation(`the text of ${nonce} was pasted twice into the pane of ${this.agent} (${this.session})`)
    this.screen.add(nonce)
    // A text that lands on a screen that redraws is seen by nobody.
    if (!this.#world.quiet && this.#world.chance.happens(0.15)) return
    this.#waiting.push(nonce)
    void this.#work()
  }

  die(): void {
    this.alive = false
  }

  async #beat(): Promise<void> {
    while (this.alive) {
      this.#world.loop?.beat(this.session)
      await this.#world.sleep(1_000)
    }
  }

  async #work(): Promise<void> {
    if (this.#inTurn) return
    this.#inTurn = true
    const { chance } = this.#world
    for (let nonce = this.#waiting.shift(); nonce !== undefined && this.alive; nonce = this.#waiting.shift()) {
      this.#turn(true)
      if (chance.happens(0.7)) await this.#world.call("trigger.confirm", this.#actor, { job: nonce, evidence: "turn" }, 2)
      await this.#world.sleep(chance.between(100, chance.happens(0.2) ? 40_000 : 3_000))
      if (this.alive) await this.#readAll()
      this.#turn(false)
    }
    this.#inTurn = false
  }

  get #actor(): Actor {
    return { agent: this.agent, session: this.session, role: "worker" }
  }

  /** Its hook reports turns to the hub, where one is up. */
  #turn(began: boolean): void {
    const { loop } = this.#world
    if (loop === null) return
    if (began) loop.turns.began(this.agent, this.session, loop.nowMs())
    else loop.turns.ended(this.agent, this.session, loop.nowMs())
  }

  async #readAll(): Promise<void> {
    const look = (): Promise<Unread[] | null> => this.#world.read((state) => unreadOf(state, { agent: this.agent, role: "worker" }))
    let unread = await look()
    // A hub that is away comes back: its tools ask again.
    for (; this.alive && unread === null; unread = await look()) await this.#world.sleep(200)
    for (const { thread, headSeq } of unread ?? []) if (this.alive) await this.#world.call("message.ack", this.#actor, { thread, lastReadSeq: headSeq })
  }
}
