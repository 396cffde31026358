import { type Client, connect, type LiveSession } from "../client/client.ts"
import { ERRORS, SkeinError } from "../contract/errors.ts"
import { KINDS } from "../contract/names.ts"
import type { Role } from "../core/entry.ts"
import { mcp } from "../surface/mcp-library.ts"
import { mcpServer, type McpBackend } from "../surface/mcp-server.ts"
import { agentIdentity } from "./agent-identity.ts"
import { UsageError } from "./failure.ts"
import { hubMissing, type Instance, readHubFile } from "./instance.ts"
import { SoundLines } from "./mcp-lines.ts"
import { version } from "./version.ts"

export type ShimOptions = {
  /** The instance that the agent stands in. Throws `UsageError` where there is none. */
  instance(): Instance
  env: NodeJS.ProcessEnv
  cwd: string
  /** `--agent`. */
  agent: string | null
  workspace: string | undefined
  /** `--url`. */
  url: string | undefined
}

/** A model is told within this time that the hub is away, in ms: it waits for its tool meanwhile. */
const PATIENCE_MS = 10_000
/** The agent that is done with us waits no longer for us to be gone, in ms, whatever the hub does. */
const FAREWELL_MS = 2_000

/**
 * MCP over stdio for one agent: the same tools as the hub's own endpoint, over a WebSocket that mends itself. It owns the agent's session: starts it with
 * the first call that has an effect, beats for it while the agent runs, and ends it when the agent closes its pipe. It never ends for want of a hub, an
 * instance or a credential: each call then answers with what to do, and the next one looks again.
 */
export async function serveShim(options: ShimOptions): Promise<void> {
  const hub = new ShimHub(options)
  const ended = stdinEnd()
  // Each answer that waits for an agent to read what came before has some of its own.
  process.stdout.setMaxListeners(0)
  const lines = process.stdin.pipe(new SoundLines((answer) => process.stdout.write(answer)))
  const served = mcp.serveStdio(() => mcpServer(hub), { transport: new mcp.StdioServerTransport(lines), onerror: () => undefined })
  await ended
  setTimeout(() => process.exit(), FAREWELL_MS).unref()
  // Whoever sends a signal may leave it open, and open it would keep us here.
  process.stdin.destroy()
  await hub.leave()
  await served.close()
}

/** The agent is done with us: it closed our input, or sent a signal as most do soon after. */
function stdinEnd(): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => resolve()
    process.stdin.once("end", end).once("close", end)
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end)
  })
}

type Joined = { client: Client; url: string }

class ShimHub implements McpBackend {
  readonly version = version
  readonly #o: ShimOptions
  #joined: Promise<Joined> | null = null
  #live: Promise<LiveSession> | null = null

  constructor(options: ShimOptions) {
    this.#o = options
  }

  readonly call: McpBackend["call"] = async (name, input, signal) => {
    if (KINDS[name] !== "read") await this.#session()
    const joined = await this.#join()
    try {
      return await joined.client.call(name, input as never, { signal })
    } catch (error) {
      await this.#look(joined, error)
      throw error
    }
  }

  readonly startSession: McpBackend["startSession"] = async ({ resumeId }) => {
    const { id, agent, heartbeatMs } = await this.#session(typeof resumeId === "string" ? resumeId : null)
    return { session: id, agent, heartbeatMs }
  }

  readonly role: McpBackend["role"] = async () => (await this.#join()).client.welcome.role as Role

  async leave(): Promise<void> {
    const [live, joined] = [this.#live, this.#joined]
    await (await live?.catch(() => null))?.end("the agent closed its connection").catch(() => undefined)
    await (await joined?.catch(() => null))?.client.close()
  }

  /** Several calls may come at once: they share one attempt, and after one that failed the next call makes another. */
  #join(): Promise<Joined> {
    this.#joined ??= this.#connect().catch((error: unknown) => {
      this.#joined = null
      throw error instanceof UsageError ? new SkeinError("hub_unreachable", error.message, error.remedy) : error
    })
    return this.#joined
  }

  async #connect(): Promise<Joined> {
    const { agent, cwd, env, workspace } = this.#o
    const url = this.#url()
    const found = agentIdentity({
      instance: this.#o.instance(),
      env: workspace === undefined ? env : { ...env, SKEIN_WORKSPACE: workspace },
      fallback: agent,
      cwd,
    })
    if (found === null) throw nobody(agent)
    const where = workspace ?? env["SKEIN_WORKSPACE"]
    const client = await connect({
      url,
      credentialFile: found.file,
      timeoutMs: PATIENCE_MS,
      ...(where === undefined || where === "" ? {} : { workspace: where }),
    })
    return { client, url }
  }

  #url(): string {
    const { url, env } = this.#o
    const given = url ?? env["SKEIN_URL"]
    if (given !== undefined && given !== "") return given
    const instance = this.#o.instance()
    const file = readHubFile(instance)
    if (file === null) throw hubMissing(instance)
    return file.url
  }

  /** The agent's session, started where there is none. Somebody may have ended it, and the connection then goes on without one: a beat tells, for one short round trip. */
  async #session(resumeId: string | null = null): Promise<LiveSession> {
    const { client } = await this.#join()
    const known = this.#live
    const live = (await known?.catch(() => null)) ?? null
    // Another call may have found so meanwhile, and started the next one.
    if (live !== null && !(await client.session.beat({ sessions: [live.id] })).heard.includes(live.id) && this.#live === known) {
      this.#live = null
      // Nothing is to beat for it any more.
      void live.end().catch(() => undefined)
    }
    this.#live ??= client.session({ runtime: "mcp", resumeId }).catch((error: unknown) => {
      this.#live = null
      throw error
    })
    return this.#live
  }

  /** After a failure: where this connection can be of no use any more, the next call makes another one. */
  async #look({ client, url }: Joined, error: unknown): Promise<void> {
    if (!(error instanceof SkeinError)) return
    if (ERRORS[error.code].http !== 401 && !(error.code === "hub_unreachable" && this.#moved(url))) return
    this.#live = null
    this.#joined = null
    await client.close().catch(() => undefined)
  }

  /** A hub that came back may listen elsewhere. */
  #moved(url: string): boolean {
    try {
      return this.#url() !== url
    } catch {
      return false
    }
  }
}

function nobody(agent: string | null): SkeinError {
  const named = agent === null ? "no agent is named here" : `there is no credential of the agent ${agent}`
  return new SkeinError(
    "unauthenticated",
    `${named}: the hub cannot tell who you are`,
    `Have a person run: skein agent add ${agent ?? "NAME"}, and name it in the MCP settings (skein mcp --agent ${agent ?? "NAME"}) or in SKEIN_TOKEN_FILE. Then call again.`,
    { agent },
  )
}
