import type { IncomingMessage, ServerResponse } from "node:http"
import type { NodeIncomingMessageLike } from "@modelcontextprotocol/node"
import { SkeinError } from "../contract/errors.ts"
import type { Output } from "../contract/operations.ts"
import type { SessionId } from "../core/ids.ts"
import type { Caller } from "./auth.ts"
import { mcp } from "./mcp-library.ts"
import { mcpServer, type McpBackend } from "./mcp-server.ts"
import type { Perform, SurfaceLog } from "./perform.ts"

export type McpEndpointOptions = { version: string; log: SurfaceLog; perform: Perform; requestId(): string }

/** Who asks, as the bearer said it: travels beside the request, never in it. */
type Asking = { caller: Caller; gone: AbortSignal }

/**
 * MCP over streamable HTTP for any number of agents, every revision at one address. Nothing is kept between requests but which session a credential last
 * started: an agent that sends a fixed header has no other way to say it. Identity is the bearer's; `Mcp-Session-Id` is never looked at.
 */
export class McpEndpoint {
  readonly #o: McpEndpointOptions
  readonly #handler: ReturnType<typeof mcp.createMcpHandler>
  readonly #serve: ReturnType<typeof mcp.toNodeHandler>
  readonly #closing = new AbortController()
  readonly #sessions = new Map<string, { session: SessionId; caller: Caller }>()

  constructor(options: McpEndpointOptions) {
    this.#o = options
    const onerror = (error: Error): void => options.log.debug({ err: error }, "an MCP request failed")
    this.#handler = mcp.createMcpHandler(
      ({ authInfo }) => {
        // Put there by `serve`, which is the only way in.
        const { caller, gone } = (authInfo?.extra ?? {}) as Asking
        return mcpServer(this.#backend(caller, gone))
      },
      { onerror },
    )
    this.#serve = mcp.toNodeHandler(this.#handler, { onerror })
  }

  /** The caller with the session that its credential last started here, unless it names one of its own. A session that is over is forgotten. */
  async withSession(caller: Caller, bind: (session: SessionId) => Promise<Caller>): Promise<Caller> {
    const known = this.#sessions.get(keyOf(caller))
    if (caller.actor.session !== null || known === undefined) return caller
    try {
      return await bind(known.session)
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      // Not a failure of this request: whoever needs a session is told to start one.
      this.#sessions.delete(keyOf(caller))
      return caller
    }
  }

  async serve(request: IncomingMessage, response: ServerResponse, caller: Caller, body: unknown, gone: AbortSignal): Promise<void> {
    const asking: Asking = { caller, gone }
    const auth = { token: "", clientId: caller.actor.agent, scopes: [], extra: { ...asking } }
    await this.#serve(Object.assign(request, { auth }) as NodeIncomingMessageLike, response, body)
  }

  /** Something was revoked, or a session ended: what was bound to it is forgotten. */
  forget(matches: (caller: Caller) => boolean): void {
    for (const [key, { session, caller }] of this.#sessions)
      if (matches(caller) || matches({ ...caller, actor: { ...caller.actor, session } })) this.#sessions.delete(key)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#handler.close()
  }

  #backend(caller: Caller, gone: AbortSignal): McpBackend {
    const { version, perform, requestId } = this.#o
    const call: McpBackend["call"] = async (operation, input, signal) => {
      try {
        return await perform(caller, { operation, input, key: null, requestId: requestId(), signal: AbortSignal.any([signal, gone, this.#closing.signal]) })
      } catch (error) {
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

function keyOf({ workspace, actor, credential }: Caller): string {
  return `${workspace} ${actor.agent} ${credential ?? ""}`
}
