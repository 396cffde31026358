import type { IncomingMessage, ServerResponse } from "node:http"
import type { NodeIncomingMessageLike } from "@modelcontextprotocol/node"
import { SkeinError } from "../contract/errors.ts"
import { shallow } from "../contract/schema.ts"
import type { Output } from "../contract/operations.ts"
import type { SessionId } from "../core/ids.ts"
import type { Caller } from "./auth.ts"
import { mcp } from "./mcp-library.ts"
import { mcpServer, type McpBackend } from "./mcp-server.ts"
import { type Perform, type SurfaceLog, waits } from "./perform.ts"

export type McpEndpointOptions = {
  version: string
  log: SurfaceLog
  perform: Perform
  requestId(): string
  /** The agent's live sessions that were started over MCP and that nothing beats for. */
  sessionsOf(caller: Caller): Promise<SessionId[]>
}

/** Of a request: the library goes down into it level by level, and would run out of stack. */
export const LEVELS_MAX = 64
/** How long answers may take to get out once their calls are over, in ms. */
const CLOSE_MS = 1_000

/** Its connection. `lasts` is called once it is known that what is asked may take as long as it likes: then whoever ends its side is taken for gone. */
type Line = { gone: AbortSignal; lasts(): void }
/** Who asks, as the bearer said it: travels beside the request, never in it. */
type Asking = Line & { caller: Caller }

/**
 * MCP over streamable HTTP for any number of agents, every revision at one address. Nothing is kept between requests but which session a credential last
 * started: an agent that sends a fixed header has no other way to say it. After a restart the ledger tells. Identity is the bearer's; `Mcp-Session-Id` is
 * never looked at.
 */
export class McpEndpoint {
  readonly #o: McpEndpointOptions
  readonly #handler: ReturnType<typeof mcp.createMcpHandler>
  readonly #serve: ReturnType<typeof mcp.toNodeHandler>
  readonly #closing = new AbortController()
  readonly #sessions = new Map<string, { session: SessionId; caller: Caller }>()
  /** Credentials whose session of before this hub's start has been looked for: once each, since what they start from then on is known. */
  readonly #looked = new Map<string, Promise<void>>()
  readonly #calls = new Set<Promise<unknown>>()
  readonly #answers = new Set<Promise<unknown>>()

  constructor(options: McpEndpointOptions) {
    this.#o = options
    const onerror = (error: Error): void => options.log.debug({ err: error }, "an MCP request failed")
    this.#handler = mcp.createMcpHandler(
      ({ authInfo }) => {
        // Put there by `serve`, which is the only way in.
        return mcpServer(this.#backend((authInfo?.extra ?? {}) as Asking))
      },
      { onerror },
    )
    this.#serve = mcp.toNodeHandler(this.#handler, { onerror })
  }

  /** The caller with the session that its credential last started here, unless it names one of its own. A session that is over is forgotten. */
  async withSession(caller: Caller, bind: (session: SessionId) => Promise<Caller>): Promise<Caller> {
    if (caller.actor.session !== null) return caller
    const key = keyOf(caller)
    if (!this.#looked.has(key)) this.#looked.set(key, this.#look(key, caller))
    await this.#looked.get(key)
    const known = this.#sessions.get(key)
    if (known === undefined) return caller
    try {
      return await bind(known.session)
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      // Not a failure of this request: whoever needs a session is told to start one.
      this.#sessions.delete(key)
      return caller
    }
  }

  /** Binds what the agent started before this hub did, where it is one session and no other credential's: which of several it goes on with, nobody knows. */
  async #look(key: string, caller: Caller): Promise<void> {
    try {
      const sessions = await this.#o.sessionsOf(caller)
      const taken = new Set([...this.#sessions.values()].map(({ session }) => session))
      const [session, ...more] = sessions.filter((id) => !taken.has(id))
      // The agent may have started another one meanwhile.
      if (session !== undefined && more.length === 0 && !this.#sessions.has(key)) this.#sessions.set(key, { session, caller })
    } catch (error) {
      this.#looked.delete(key)
      if (!(error instanceof SkeinError)) throw error
    }
  }

  async serve(request: IncomingMessage, response: ServerResponse, caller: Caller, body: unknown, line: Line): Promise<void> {
    if (!shallow(body, LEVELS_MAX))
      throw new SkeinError("invalid_input", `the body nests more than ${LEVELS_MAX} levels deep`, "Send what the tool's schema describes.", {
        limit: LEVELS_MAX,
      })
    const asking: Asking = { caller, ...line }
    const auth = { token: "", clientId: caller.actor.agent, scopes: [], extra: { ...asking } }
    const served = this.#serve(Object.assign(request, { auth }) as NodeIncomingMessageLike, response, body)
    await (body === undefined ? served : remembered(this.#answers, served))
  }

  /** Something was revoked, or a session ended: what was bound to it is forgotten. */
  forget(matches: (caller: Caller) => boolean): void {
    for (const [key, { session, caller }] of this.#sessions)
      if (matches(caller) || matches({ ...caller, actor: { ...caller.actor, session } })) this.#sessions.delete(key)
  }

  /** Ends what waits, and ends itself once whoever called has its answer: the library's own `close` would cut it off. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled(this.#calls)
    let patience: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => (patience = setTimeout(resolve, CLOSE_MS)))
    await Promise.race([Promise.allSettled(this.#answers), late])
    clearTimeout(patience)
    await this.#handler.close()
  }

  #backend({ caller, gone, lasts }: Asking): McpBackend {
    const { version, perform, requestId } = this.#o
    const call: McpBackend["call"] = async (operation, input, signal) => {
      try {
        if (waits(operation, input)) lasts()
        const ends = AbortSignal.any([signal, gone, this.#closing.signal])
        return await remembered(this.#calls, perform(caller, { operation, input, key: null, requestId: requestId(), signal: ends }))
      } catch (error) {
        if (gone.reason instanceof SkeinError) throw gone.reason
        if (this.#closing.signal.aborted) throw new SkeinError("hub_stopping", "the hub is shutting down", "Call again when it is up.", {}, 1_000)
        throw error
      }
    }
    return {
      version,
      call,
      role: () => Promise.resolve(caller.actor.role),
      startSession: async (input, signal) => {
        const { agent, session } = caller.actor
        // A token that was minted for a session says which one.
        if (session !== null && caller.bound === undefined) return { session, agent }
        const started = (await call("session.start", { runtime: "mcp", ...input }, signal)) as Output<"session.start">
        this.#sessions.set(keyOf(caller), { session: started.session, caller })
        return started
      },
    }
  }
}

/** The same promise, in the set until it has settled. */
function remembered<Value>(set: Set<Promise<unknown>>, promise: Promise<Value>): Promise<Value> {
  set.add(promise)
  const forget = (): void => void set.delete(promise)
  promise.then(forget, forget)
  return promise
}

function keyOf({ workspace, actor, credential }: Caller): string {
  return `${workspace} ${actor.agent} ${credential ?? ""}`
}
