import type { Client } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import { giveBack, type Stopped } from "./give-back.ts"
import type { Running, RunBy } from "./supervised.ts"

/** Whoever stops an agent waits no longer for a hub that does not answer. */
const GIVE_BACK_MS = 2_000

export type SessionKeeping = {
  agent: string
  hub: Pick<Client, "call">
  runtime(): RunBy
  running(): Pick<Running, "session" | "conversation" | "startedAtMs">
  record(changes: Pick<Running, "session">): void
  told(line: string): void
  identity(): Stopped
}

/** The session that an agent's process has with the hub: one for each start, gone on with by whoever adopts the process, and ended with it. */
export class AgentSession {
  readonly #o: SessionKeeping
  /** Sessions whose end the hub was not there to hear. */
  readonly #toEnd = new Map<string, string>()
  /** The session that the hub knows to be in this process's keeping. */
  #kept: string | null = null
  /** Ended here: a hub that still knows one of these as live has not heard of it. */
  #last: string | null = null

  constructor(options: SessionKeeping) {
    this.#o = options
  }

  /** What the hub knows of it is out of date: the next `open` says it anew. */
  forget(): void {
    this.#kept = null
  }

  /** Whether this session's process is known to have ended. */
  hasEnded(session: string | null): boolean {
    return session !== null && (session === this.#last || this.#toEnd.has(session))
  }

  /** Opens one, or goes on with the one that there is; the hub may have ended that meanwhile. `trigger`: the wake that the process was started for. */
  async open(trigger: string | null = null): Promise<void> {
    const { session, conversation } = this.#o.running()
    if (session !== null && this.#kept === session) return
    await this.heard(async () => {
      if (session !== null && (await this.#o.hub.call("session.beat", { sessions: [session] })).heard.includes(session)) return this.#keep(session)
      const started = await this.#o.hub.call("session.start", {
        agent: this.#o.agent,
        runtime: this.#o.runtime(),
        resumeId: conversation,
        owned: true,
        ...(trigger === null ? {} : { trigger }),
      })
      this.#o.record({ session: started.session })
      this.#kept = started.session
    })
  }

  /** It is kept by the supervisor's session of now. */
  async keepAnew(): Promise<void> {
    const { session } = this.#o.running()
    if (session !== null) await this.heard(() => this.#keep(session))
  }

  /** Tells the hub that it is over. It stays in the record until then, so that whoever comes after a kill tells it again. */
  async close(reason: string): Promise<void> {
    const { session } = this.#o.running()
    if (session !== null) this.#toEnd.set(session, reason)
    this.#last = session
    await this.endLeft()
    // Sessions that its tools began for it end with it: nobody speaks through them any more.
    await this.heard(async () => {
      for (const left of await this.#ofTools()) await this.#o.hub.call("session.end", { session: left, reason })
    })
  }

  /** Somebody stops its process, which failed at nothing: what it holds is given back while it still has its sessions. */
  async giveBack(reason: string): Promise<void> {
    await this.heard(async () => {
      const { session } = this.#o.running()
      await giveBack(this.#o.identity(), [...(session === null ? [] : [session]), ...(await this.#ofTools(GIVE_BACK_MS))], reason)
    })
  }

  async #ofTools(timeoutMs?: number): Promise<string[]> {
    const { startedAtMs } = this.#o.running()
    const { sessions } = await this.#o.hub.call("session.list", { agent: this.#o.agent, status: "live" }, timeoutMs === undefined ? {} : { timeoutMs })
    return sessions.filter((one) => one.runtime === "mcp" && one.startedAtMs >= (startedAtMs ?? Infinity)).map(({ id }) => id)
  }

  async endLeft(): Promise<void> {
    for (const [session, reason] of this.#toEnd) {
      await this.heard(async () => {
        await this.#o.hub.call("session.end", { session, reason }).catch((error: unknown) => {
          if (!(error instanceof SkeinError && error.code === "not_found")) throw error
        })
        this.#toEnd.delete(session)
      })
    }
  }

  /** What the hub is not there to hear is said at a later look. */
  async heard(say: () => Promise<void>): Promise<void> {
    try {
      await say()
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      this.#o.told(`${this.#o.agent}: the hub did not take it: ${error.message}`)
    }
  }

  async #keep(session: string): Promise<void> {
    await this.#o.hub.call("session.adopt", { session, resumeId: this.#o.running().conversation })
    this.#kept = session
  }
}
