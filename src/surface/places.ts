/** Connections of agents, all together. */
export const CONNECTIONS_MAX = 2_000
/** What of them one agent may have, whatever it has them for. */
export const AGENT_SHARE = 4
/** Connections of whoever has not shown a token yet, besides the places that agents do not use: a team that comes back all at once needs some for a moment. */
export const STRANGERS_MAX = 200

/** Who asks on a connection. */
export type Who = { workspace: string; actor: { agent: string; role: string } }

type Owner<Guest> = { workspace: string; agent: string; places: Set<Place<Guest>> }

/** What one connection has. `owner`: the agent that asked on it last; null: nobody that counts. */
export type Place<Guest> = { readonly guest: Guest; status: "stranger" | "agent" | "operator" | "gone"; owner: Owner<Guest> | null; readonly round: number }

/** What becomes of a connection on which somebody asks: it has its place; it has that of `ends`, which MUST be ended; or it has none. */
export type Decision<Guest> = null | { ends: Place<Guest> } | { refused: "agent" | "all" }

export type PlacesOptions<Guest> = {
  agentsMax: number
  strangersMax: number
  /** Whether nothing is under way on an agent's connection: such a one gives way to a new one. */
  isIdle(guest: Guest): boolean
  /** Whether it is being looked at right now who a stranger is: it is not sent away meanwhile. */
  isLookedAt(guest: Guest): boolean
}

/**
 * Who may stay connected. Three kinds, so that none can use up what another needs: strangers, of whom the oldest give way to those who come, since anybody can be one; agents,
 * each with a quarter of what all have at the most; and the operator, who always has a place. A connection is its last caller's: what it is used for makes no difference,
 * so that nothing that is slow (a body, a reader, a wait) holds more than its agent's share.
 */
export class Places<Guest> {
  readonly #o: PlacesOptions<Guest>
  readonly #agentMax: number
  /** The longest here first, as all of these are. */
  readonly #strangers = new Set<Place<Guest>>()
  readonly #agents = new Set<Place<Guest>>()
  readonly #owners = new Map<string, Owner<Guest>>()
  #round = 0

  constructor(options: PlacesOptions<Guest>) {
    this.#o = options
    this.#agentMax = Math.max(1, Math.floor(options.agentsMax / AGENT_SHARE))
  }

  get strangers(): number {
    return this.#strangers.size
  }

  get agents(): number {
    return this.#agents.size
  }

  /** As many as one agent may have. */
  get agentMax(): number {
    return this.#agentMax
  }

  /** Whether strangers have to give way: `round` is due. */
  get isCrowded(): boolean {
    return this.#over > 0
  }

  /** Somebody has connected: a stranger, until `know`. */
  enter(guest: Guest): Place<Guest> {
    const place: Place<Guest> = { guest, status: "stranger", owner: null, round: this.#round }
    this.#strangers.add(place)
    return place
  }

  /** The connection is gone. May come at any time, and more than once. */
  leave(place: Place<Guest>): void {
    this.#unseat(place)
    place.status = "gone"
  }

  /** Somebody whose token was seen asks on the connection. The same one again costs two comparisons. */
  know(place: Place<Guest>, { workspace, actor: { agent, role } }: Who): Decision<Guest> {
    const { owner } = place
    if (owner !== null && owner.agent === agent && owner.workspace === workspace && role !== "operator") return null
    // It broke while it was looked at who asks: nothing would ever take it away again.
    if (place.status === "gone") return null
    if (role === "operator") {
      if (place.status !== "operator") this.#unseat(place)
      place.status = "operator"
      return null
    }
    const key = `${workspace} ${agent}`
    const own = this.#owners.get(key) ?? { workspace, agent, places: new Set() }
    const isFull = own.places.size >= this.#agentMax
    const others = this.#agents.size - (owner === null ? 0 : 1)
    let ends: Place<Guest> | null = null
    if (isFull || others >= this.#o.agentsMax) {
      ends = this.#oldestIdle(isFull ? own.places : this.#agents, place)
      if (ends === null) return { refused: isFull ? "agent" : "all" }
      this.leave(ends)
    }
    this.#unseat(place)
    place.status = "agent"
    place.owner = own
    own.places.add(place)
    this.#agents.add(place)
    this.#owners.set(key, own)
    return ends === null ? null : { ends }
  }

  /** Strangers that give way, the longest here first; they MUST be ended. Whoever came since the round before has its turn yet to say who it is. */
  round(): Place<Guest>[] {
    const gone: Place<Guest>[] = []
    let over = this.#over
    for (const place of this.#strangers) {
      if (over <= 0 || place.round === this.#round) break
      // Not without end: where the ledger does not answer, it is looked at for long, and anybody can have it looked at.
      if (over <= this.#o.strangersMax && this.#o.isLookedAt(place.guest)) continue
      this.leave(place)
      gone.push(place)
      over -= 1
    }
    this.#round += 1
    return gone
  }

  get #over(): number {
    return this.#strangers.size - this.#o.strangersMax - Math.max(0, this.#o.agentsMax - this.#agents.size)
  }

  #oldestIdle(places: ReadonlySet<Place<Guest>>, asking: Place<Guest>): Place<Guest> | null {
    for (const place of places) if (place !== asking && this.#o.isIdle(place.guest)) return place
    return null
  }

  #unseat(place: Place<Guest>): void {
    this.#strangers.delete(place)
    this.#agents.delete(place)
    const { owner } = place
    if (owner === null) return
    place.owner = null
    owner.places.delete(place)
    if (owner.places.size === 0) this.#owners.delete(`${owner.workspace} ${owner.agent}`)
  }
}
