import { ERRORS, SkeinError } from "../contract/errors.ts"
import type { ErrorBody, ErrorCode } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import type { Input, Output } from "../contract/operations.ts"
import type { Entry } from "../core/entry.ts"
import type { SessionId } from "../core/ids.ts"
import { Connection } from "./connection.ts"
import type { Welcome } from "./frames.ts"
import { hubAddress } from "./hub-address.ts"
import type { Identity } from "./identity.ts"

export { ERRORS, SkeinError }
export type { Entry, ErrorBody, ErrorCode, Input, OperationName, Output, Welcome }

export type ConnectOptions = Identity & {
  /** Of the hub, such as `http://127.0.0.1:4100`: `.skein/hub.json` has it. */
  url: string
  /** `main` unless the identity says otherwise. */
  workspace?: string
  /** One of the agent's own sessions, to go on with it. */
  session?: SessionId
  /** For each call and for the first connection, in ms; 30,000 by default. A claim may wait its `waitMs` besides. */
  timeoutMs?: number
  /** Backoff with full jitter between two attempts to connect, in ms; 50 doubled each time up to 5,000 by default. */
  reconnect?: { baseMs?: number; capMs?: number }
  /** Gives up connecting, once it is aborted before the hub has answered. */
  signal?: AbortSignal
  /** Between 0 and 1: the jitter. */
  random?: () => number
}

export type CallOptions = {
  /** Idempotency key. Commands get one by themselves; give one to ask again for the same answer in another process. */
  key?: string
  signal?: AbortSignal
  timeoutMs?: number
}

type Noun = OperationName extends `${infer First}.${string}` ? First : never
type Verb<N extends string> = OperationName extends infer Name ? (Name extends `${N}.${infer Rest}` ? Rest : never) : never
/** `{}` may be left out where everything in it has a default. */
type MayBeLeftOut<In> = In extends Record<string, never> ? true : Partial<In> extends In ? true : false
type Arguments<Name extends OperationName> =
  MayBeLeftOut<Input<Name>> extends true ? [input?: Input<Name>, options?: CallOptions] : [input: Input<Name>, options?: CallOptions]
type Method<Name extends OperationName> = (...given: Arguments<Name>) => Promise<Output<Name>>
type Verbs<N extends Noun> = { [V in Verb<N>]: Method<`${N}.${V}` & OperationName> }

/** A session that the client beats for until it ends or the client closes. */
export type LiveSession = { id: SessionId; agent: string; heartbeatMs: number; end(reason?: string): Promise<void> }
export type SessionOptions = {
  runtime?: string
  resumeId?: string | null
  /** Whose session, for supervisors; by default the caller's own, and then calls are made in its name. */
  agent?: string
}

export type Client = { [N in Noun]: Verbs<N> } & {
  /** Calls one operation. Throws `SkeinError` with code and remedy. What is safe to repeat is repeated when the connection breaks or the hub asks for it. */
  call<Name extends OperationName>(name: Name, input: Input<Name>, options?: CallOptions): Promise<Output<Name>>
  /** The ledger's entries from a seq on (1: all; default: the next), as they become durable. No gap, no entry twice, whatever happens to the connection. */
  events(options?: { from?: number; signal?: AbortSignal }): AsyncIterable<Entry>
  /** Starts a session, and beats for it. */
  session: Verbs<"session"> & ((options?: SessionOptions) => Promise<LiveSession>)
  /** What the hub said when it was last connected. */
  readonly welcome: Welcome
  close(): Promise<void>
}

const TIMEOUT_MS = 30_000

/**
 * Connects to a hub over one WebSocket that mends itself. Throws `SkeinError`: `hub_unreachable` where nobody answers, `unauthenticated`,
 * `foreign_workspace`, `invalid_input` where the address can be none. Close it, or the process stays alive.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { url, workspace, session, timeoutMs = TIMEOUT_MS, reconnect, signal, random = Math.random, ...identity } = options
  const connection = new Connection({
    url: hubAddress(url),
    workspace,
    session,
    identity,
    timeoutMs,
    reconnect: { baseMs: reconnect?.baseMs ?? 50, capMs: reconnect?.capMs ?? 5_000 },
    random,
  })
  await connection.open(signal)
  return clientOf(connection)
}

function clientOf(connection: Connection): Client {
  const call = (name: OperationName, input: unknown, options: CallOptions = {}): Promise<unknown> => connection.call(name, input ?? {}, options)
  const nouns: Record<string, Record<string, unknown>> = {}
  for (const name of Object.keys(KINDS) as OperationName[]) {
    const [noun = "", verb = ""] = name.split(".")
    const verbs = (nouns[noun] ??= {})
    verbs[verb] = (input?: unknown, options?: CallOptions) => call(name, input, options)
  }
  const start = async ({ runtime, resumeId, agent }: SessionOptions = {}): Promise<LiveSession> => {
    const input = {
      owned: true,
      ...(runtime === undefined ? {} : { runtime }),
      ...(resumeId === undefined ? {} : { resumeId }),
      ...(agent === undefined ? {} : { agent }),
    }
    const started = (await call("session.start", input)) as Output<"session.start">
    connection.beat(started.session, started.heartbeatMs)
    if (agent === undefined) await connection.bind(started.session)
    const end = async (reason = "ended"): Promise<void> => {
      connection.unbeat(started.session)
      await call("session.end", { session: started.session, reason })
    }
    return { id: started.session, agent: started.agent, heartbeatMs: started.heartbeatMs, end }
  }
  const own = {
    call,
    events: ({ from, signal }: { from?: number; signal?: AbortSignal } = {}) => eventsFrom(connection, from, signal),
    session: Object.assign(start, nouns["session"]),
    close: () => connection.close(),
  }
  const client = Object.assign(nouns, own)
  Object.defineProperty(client, "welcome", { get: () => connection.welcome })
  return client as unknown as Client
}

async function* eventsFrom(connection: Connection, from: number | undefined, signal: AbortSignal | undefined): AsyncGenerator<Entry, void, void> {
  // "The next" is settled once: after a reconnect it would be another.
  const first = from ?? ((await connection.call("ledger.head", {}, {})) as Output<"ledger.head">).seq + 1
  yield* connection.events.read(first, signal)
}
