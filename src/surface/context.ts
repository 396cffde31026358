import type { MetricsHistory } from "./metrics-history.ts"
import type { OperationName } from "../contract/names.ts"
import type { Output, Parsed, PlainCommand } from "../contract/operations.ts"
import type { SessionId } from "../core/ids.ts"
import type { Price } from "../core/usage.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Hub } from "../hub/hub.ts"
import type { Loop } from "../hub/loop.ts"
import type { From, Key } from "../hub/waiting.ts"
import type { Auth, Caller } from "./auth.ts"
import type { Foresight } from "./foresight.ts"

/** The live connection that a call came over, where there is one: it owns the sessions that it starts. */
export type Connection = { own(loop: Loop, session: SessionId): void; disown(session: SessionId): void }

/** All that carrying out one call needs. */
export type Context = {
  hub: Hub
  auth: Auth
  loop: Loop
  /** Looks at the state, on the caller's behalf. */
  read: <T>(look: (state: Workspace, nowMs: number) => T) => Promise<T>
  caller: Caller
  key: Key | null
  signal: AbortSignal | undefined
  connection: Connection | null
  /** Where the call came from: what takes long is not done for one that is gone. */
  from: From | undefined
  /** Counters of the surface, for `hub.metrics`. */
  metrics: () => Record<string, number>
  /** What they were lately. */
  history: Pick<MetricsHistory, "since">
  prices: Prices
  /** What would conflict in the repository; null where the hub has none beside it. */
  foresight: Foresight | null
}

/** What a model's tokens cost, by its name or the beginning of it; see `priceOf`. */
export type Prices = ReadonlyMap<string, Price>

/** Operations that are more than a command handed to the loop. */
export type Composite = Exclude<OperationName, PlainCommand> | "credential.issue"
export type Doers<Name extends OperationName> = { [Each in Name]: (context: Context, input: Parsed<Each>) => Promise<Output<Each>> }
