import type { CommandName, Commands } from "../../src/core/command.ts"
import type { Actor } from "../../src/core/entry.ts"
import type { Seq } from "../../src/core/ids.ts"
import type { ErrorCode, SkeinError } from "../../src/contract/errors.ts"
import { operations } from "../../src/contract/operations.ts"
import { permits } from "../../src/core/role.ts"
import type { Loop } from "../../src/hub/loop.ts"
import { revokedBy } from "../../src/surface/perform.ts"
import type { Chance } from "../../src/cli/simulation/chance.ts"
import type { Host } from "./host.ts"
import type { VirtualClock } from "../../src/hub/virtual-clock.ts"

/** `bearer`: what it proves with who it is; null for the director, who is asked for nothing. */
export type Request<Name extends CommandName = CommandName> = {
  name: Name
  actor: Actor
  bearer: string | null
  input: Commands[Name]["input"]
  key: string
  waitMs: number
}
export type Reply<Name extends CommandName = CommandName> =
  | { kind: "ok"; output: Commands[Name]["output"] }
  | { kind: "error"; code: ErrorCode }
  | { kind: "lost" }

/** How bad the network is; probabilities of 0 to 1. */
export type Weather = { drop: number; duplicate: number; slow: number }
export const CALM: Weather = { drop: 0, duplicate: 0, slow: 0 }

/** `voidSince`: the entry by which the hub knew that who asks may not. `asOf`: the last entry of all, where the hub had read that. */
export type Known = { voidSince: Seq | null; asOf: Seq | null }

type WireOptions = {
  clock: VirtualClock
  chance: Chance
  weather(): Weather
  /** A hub has taken a request, and has answered it, at the moment at which it does. `Known`: what it knew when it was asked. */
  onTaken(request: Request, loop: Loop): Seq | null
  /** Since which entry whoever asks may not ask any more, or null. */
  voidSince(request: Request): Seq | null
  onAnswered(request: Request, loop: Loop, reply: Reply, known: Known): void
}

/** The network between agents and hubs: requests and answers are delayed, lost, doubled, and overtake each other. */
export class Wire {
  readonly #o: WireOptions

  constructor(options: WireOptions) {
    this.#o = options
  }

  /** Sends a request and waits for its answer for so long at the most; `lost` says nothing about what became of it. */
  call<Name extends CommandName>(host: Host, request: Request<Name>, timeoutMs: number): Promise<Reply<Name>> {
    const { clock, chance } = this.#o
    return new Promise((resolve) => {
      const connection = new AbortController()
      const finish = (reply: Reply): void => {
        cancel()
        resolve(reply)
      }
      const cancel = clock.after(timeoutMs, () => {
        connection.abort()
        resolve({ kind: "lost" })
      })
      const copies = chance.happens(this.#o.weather().duplicate) ? 2 : 1
      for (let copy = 0; copy < copies; copy += 1) this.send(() => host.arrive(() => this.#deliver(host, request, connection.signal, finish)))
    })
  }

  /** Carries one message, or loses it. */
  send(arrive: () => void): void {
    const { clock, chance } = this.#o
    const { drop, slow } = this.#o.weather()
    if (chance.happens(drop)) return
    clock.after(chance.happens(slow) ? chance.between(50, 1_500) : chance.between(0, 4), arrive)
  }

  #deliver(host: Host, request: Request, signal: AbortSignal, finish: (reply: Reply) => void): void {
    const { loop } = host
    if (loop === null) {
      if (this.#o.chance.happens(0.7)) this.send(() => finish({ kind: "error", code: "hub_unreachable" }))
      return
    }
    const { name, actor, input, key, waitMs, bearer } = request
    const voidSince = this.#o.voidSince(request)
    const asOf = this.#o.onTaken(request, loop)
    const known = { voidSince: voidSince !== null && voidSince <= loop.head.seq ? voidSince : null, asOf }
    const answer = (reply: Reply): void => {
      // A process that is gone says nothing any more.
      if (host.loop !== loop) return
      this.#o.onAnswered(request, loop, reply, known)
      this.send(() => finish(reply))
    }
    const { auth } = host
    // The loop is behind the surface, which asks who calls, and the contract who may call at all.
    const perform = (by: Actor): void => {
      if (host.loop !== loop) return
      if (!permits(operations[name as keyof typeof operations].least, by.role)) return answer({ kind: "error", code: "forbidden" })
      loop.execute(name, by, input as never, { key: { id: key, hash: hashOf(name, input) }, waitMs, signal }).then((output) => {
        const matches = revokedBy(name, input, "main")
        if (matches !== null) auth.forget(matches)
        answer({ kind: "ok", output })
      }, refused)
    }
    const refused = (error: unknown): void => answer({ kind: "error", code: (error as SkeinError).code })
    if (bearer === null) return perform(actor)
    auth.caller(bearer, { workspace: "main", session: actor.session, loopback: true }).then((caller) => perform(caller.actor), refused)
  }
}

/** Stands for the hash of the payload: the simulation has no adversary. */
function hashOf(name: string, input: unknown): string {
  const text = `${name} ${JSON.stringify(input)}`
  let [low, high] = [0x811c9dc5, 0x9dc5811c]
  for (let at = 0; at < text.length; at += 1) {
    low = Math.imul(low ^ text.charCodeAt(at), 0x01000193)
    high = Math.imul(high ^ text.charCodeAt(text.length - 1 - at), 0x01000193)
  }
  return `${(low >>> 0).toString(16).padStart(8, "0")}${(high >>> 0).toString(16).padStart(8, "0")}`.repeat(2)
}
