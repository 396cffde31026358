import type { CommandName, Commands } from "../../src/core/command.ts"
import type { Actor, Role } from "../../src/core/entry.ts"
import type { AgentId, PlanId, Seq } from "../../src/core/ids.ts"
import type { TaskStatus } from "../../src/core/task.ts"
import type { Chance } from "../../src/cli/simulation/chance.ts"
import type { Host } from "./host.ts"
import type { VirtualClock } from "../../src/hub/virtual-clock.ts"
import type { Reply, Request, Wire } from "./wire.ts"

/** Answers after which the same request with the same key is sent again. */
const AGAIN: ReadonlySet<string> = new Set(["overloaded", "storage_refused", "hub_stopping", "hub_unreachable", "timed_out"])

export type Surroundings = {
  clock: VirtualClock
  chance: Chance
  wire: Wire
  hosts: readonly Host[]
  /** Tasks that are known, for claims by name; only those of some statuses. */
  tasks(statuses?: readonly TaskStatus[]): readonly string[]
  /** Tasks that ask for help. */
  unhelped(): readonly string[]
  /** The time of the last entry. */
  nowMs(): number
  /** Plans that run. */
  plans(): readonly PlanId[]
  /** Notices that wait for an agent. */
  notices(agent: AgentId): readonly Seq[]
  /** Sessions that were ever started. */
  sessions(): readonly string[]
  /** Leases on files that anybody holds. */
  leases(): readonly string[]
  /** Threads that wait for somebody to continue them. */
  blocked(): readonly string[]
  /** The agent that directs the others as an orchestrator, where there is one. */
  leader: AgentId | null
  /** Agents wait for each other, and what depends on what is changed. */
  tangled: boolean
  /** Agents only claim, complete and release. */
  plain: boolean
  /** Agents say again what they said, and make threads go round in circles. */
  circles: boolean
  /** Inboxes are filled to their limit, and beyond. */
  floods: boolean
  /** Breakers open by failures. */
  breaks: boolean
  /** Supervisors keep sessions, and take them from each other. */
  keeps: boolean
  /** How often an attempt ends because somebody's provider asks to be left alone: 0 to 1. */
  throttled: number
  /** What an agent asked and what it heard, for the trace and the history. */
  onCall(agent: AgentId, request: Request): (reply: Reply) => void
}

/** Something that sends commands and does not give up before it knows what became of them. */
export class Caller {
  readonly name: AgentId
  readonly world: Surroundings
  actor: Actor
  #host: number
  #calls = 0
  /** Of what it asked last. */
  protected lastKey = ""
  /** What it shows the hub. */
  bearer: string | null = null
  /** Grows when it dies: whatever its earlier life still waits for is never heard. */
  life = 0

  constructor(name: AgentId, role: Role, world: Surroundings, host: number) {
    this.name = name
    this.world = world
    this.actor = { agent: name, session: null, role }
    this.#host = host
  }

  get host(): Host {
    return this.world.hosts[this.#host] as Host
  }

  /** From now on it speaks to another hub. Answers to the one that it left. */
  protected change(): Host {
    const { host } = this
    this.#host = (this.#host + 1) % this.world.hosts.length
    return host
  }

  /** Waits; never comes back where it died meanwhile. */
  async sleep(ms: number): Promise<void> {
    const { life } = this
    await new Promise<void>((resolve) => this.world.clock.after(ms, resolve))
    await this.#stillAlive(life)
  }

  /** One command, sent again under the same key until there is an answer; null where it gave up. */
  async ask<Name extends CommandName>(name: Name, input: Commands[Name]["input"], waitMs = 0): Promise<Exclude<Reply<Name>, { kind: "lost" }> | null> {
    const key = `${name}-${(this.#calls += 1)}`
    this.lastKey = key
    return this.send(name, input, key, waitMs)
  }

  /** Sends under a key of the caller's choice. */
  protected async send<Name extends CommandName>(
    name: Name,
    input: Commands[Name]["input"],
    key: string,
    waitMs = 0,
  ): Promise<Exclude<Reply<Name>, { kind: "lost" }> | null> {
    const { life, world, actor, bearer } = this
    const request: Request<Name> = { name, actor, bearer, input, key, waitMs }
    for (let attempt = 0; attempt < 40; attempt += 1) {
      const heard = world.onCall(this.name, request)
      const reply = await world.wire.call(this.host, request, waitMs + 1_200)
      await this.#stillAlive(life)
      heard(reply)
      if (reply.kind === "ok") return reply
      if (reply.kind === "error" && !AGAIN.has(reply.code)) return reply
      // Only a hub that is down is left: who is connected to one stays with it.
      if (this.host.loop === null) this.#host = (this.#host + 1) % world.hosts.length
      await this.sleep(world.chance.between(10, 100 * Math.min(10, attempt + 1)))
    }
    return null
  }

  async #stillAlive(life: number): Promise<void> {
    if (this.life !== life) await new Promise<never>(() => undefined)
  }
}
