import type * as z from "zod"
import { SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { operations, type PlainCommand } from "../contract/operations.ts"
import type { Actor } from "../core/entry.ts"
import { permits } from "../core/role.ts"
import type { Hub } from "../hub/hub.ts"
import type { Loop } from "../hub/loop.ts"
import type { Judged } from "../hub/policy-log.ts"
import type { From } from "../hub/waiting.ts"
import { composites } from "./actions.ts"
import { mismatch } from "./claim-mismatch.ts"
import type { Auth, Caller } from "./auth.ts"
import type { Connection, Context, Prices } from "./context.ts"
import { invalidInput } from "./invalid-input.ts"
import { type Payload, PayloadHash } from "./payload-hash.ts"
import type { Buckets } from "./rate.ts"
import { type Foresee, Foresight } from "./foresight.ts"

/** One call as it came in, whatever way it came. */
export type Call = {
  operation: string
  input: unknown
  /** The caller's idempotency key, where it sent one. */
  key: string | null
  /** Names this request in logs and answers. */
  requestId: string
  signal?: AbortSignal | undefined
  connection?: Connection
  /** Where it came from, where that is known. */
  from?: From
}

/** Where what happens is told. Level `debug` has a line for each call; nothing in any line is a secret. */
export type SurfaceLog = {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
  isLevelEnabled(level: string): boolean
}

export type PerformOptions = {
  hub: Hub
  auth: Auth
  log: SurfaceLog
  rate: Buckets
  metrics(): Record<string, number>
  history: Context["history"]
  /** None by default: then only what comes with its cost has one. */
  prices?: Prices
  foresee?: Foresee | undefined
  /** Something was revoked: connections of such callers end. */
  revoked(matches: (caller: Caller) => boolean): void
}

/** Whether a call may wait for what it asks for, and is called off when its caller goes; all else is answered as soon as may be. */
export function waits(operation: string, input: unknown): boolean {
  if (operation === "work.wait") return true
  return operation === "task.claimNext" && (input as { waitMs?: unknown } | null | undefined)?.waitMs !== undefined
}

export type Perform = (caller: Caller, call: Call) => Promise<unknown>

/** Whether the caller may add plans: nothing else is read that is as long as one. */
export function mayPlan({ actor }: Caller): boolean {
  return permits(operations["plan.add"].least, actor.role)
}

const KEY = /^[A-Za-z0-9._:-]{1,128}$/
/** Identity that a payload may repeat, and from where its true value comes. */
const IDENTITY: readonly [string, (caller: Caller) => unknown][] = [
  ["agent", ({ actor }) => actor.agent],
  ["session", ({ actor }) => actor.session],
  ["role", ({ actor }) => actor.role],
  ["workspace", ({ workspace }) => workspace],
]

type Row = {
  name: OperationName
  least: (typeof operations)[OperationName]["least"]
  kind: (typeof KINDS)[OperationName]
  /** Whether a policy is asked here, and not by the loop in the turn of its command. */
  asksPolicy: boolean
  schema: z.ZodType
  identity: typeof IDENTITY
  composite: ((context: Context, input: never) => Promise<unknown>) | null
  hash: PayloadHash
}

/** The contract, ready to run: looked up once at start, so that a call costs a map lookup and one parse. */
const rows = new Map<string, Row>(
  (Object.keys(operations) as OperationName[]).map((name) => {
    const { least, input } = operations[name]
    const composite = Object.hasOwn(composites, name) ? composites[name as keyof typeof composites] : null
    return [
      name,
      {
        name,
        least,
        kind: KINDS[name],
        asksPolicy: KINDS[name] !== "command" && name !== "credential.issue",
        schema: input,
        identity: IDENTITY.filter(([field]) => !Object.hasOwn(input.shape, field)),
        composite,
        hash: new PayloadHash(name),
      },
    ]
  }),
)

/** What kind of operation it is; undefined: there is none of that name. */
export function kindOf(operation: string): Row["kind"] | undefined {
  return rows.get(operation)?.kind
}

/** Checks one call and carries it out: rate, operation, role, identity, schema, then the loop. Every way in (RPC, OpenAPI, WebSocket) ends here. */
export function performer(options: PerformOptions): Perform {
  const { hub, auth, rate, metrics, history, revoked, prices = new Map(), foresee } = options
  const foresight = foresee === undefined ? null : new Foresight(foresee)
  const run = (caller: Caller, call: Call): Promise<unknown> => {
    const { actor } = caller
    rate.take(caller)
    const row = rows.get(call.operation)
    if (row === undefined) throw unknownOperation(call.operation)
    if (!permits(row.least, actor.role)) throw notPermitted(row, actor)
    const loop = hub.workspace(caller.workspace)
    if (loop === null)
      throw new SkeinError("not_found", `there is no workspace ${caller.workspace}`, "`workspace.list` lists them.", { workspace: caller.workspace })
    // Before it is read: a hub that is overloaded must not spend itself on refusals.
    if (row.kind === "command") loop.admit(actor.agent)
    const parsed = row.schema.safeParse(withoutIdentity(row, caller, call.input ?? {}))
    if (!parsed.success) throw invalidInput(row.name, parsed.error)
    const key = keyOf(row, call.key, parsed.data as Payload)
    if (row.composite !== null) {
      const read: Context["read"] = (look) => loop.read(look, actor.agent)
      const context: Context = {
        hub,
        auth,
        loop,
        read,
        caller,
        key,
        signal: call.signal,
        connection: call.connection ?? null,
        from: call.from,
        metrics,
        history,
        prices,
        foresight,
      }
      return row.asksPolicy && loop.policy.isSet ? permitted(row, context, parsed.data as never) : row.composite(context, parsed.data as never)
    }
    return loop.execute(row.name as PlainCommand, actor, parsed.data as never, { key })
  }
  const after = (caller: Caller, { operation, input }: Call): void => {
    const matches = revokedBy(operation, input, caller.workspace)
    if (matches === null) return
    auth.forget(matches)
    revoked(matches)
  }
  // Not an async function: most calls need nothing after their answer, and each promise more costs a call what its routing does.
  return (caller, call) => {
    const startedMs = performance.now()
    const failed = (error: unknown): never => {
      throw told(options.log, error, correlation(caller, call, startedMs))
    }
    let answer: Promise<unknown>
    try {
      answer = run(caller, call)
    } catch (error) {
      return Promise.reject(told(options.log, error, correlation(caller, call, startedMs)))
    }
    if (!REVOKING.has(call.operation) && !options.log.isLevelEnabled("debug")) return answer.catch(failed)
    return answer.then((output) => {
      after(caller, call)
      if (options.log.isLevelEnabled("debug")) options.log.debug({ ...correlation(caller, call, startedMs), seq: seqOf(output) }, "done")
      return output
    }, failed)
  }
}

/** What is no command of the loop is asked of the policy before it is done, against the state as it stands then. */
async function permitted(row: Row, context: Context, input: never): Promise<unknown> {
  const { loop, caller } = context
  const judged: Judged[] = []
  const denied = await loop.read((_, nowMs) => loop.policy.refusal(row.name, caller.actor, input, nowMs, judged))
  loop.policy.keep(judged)
  if (denied !== null) throw SkeinError.fromRefusal(denied)
  return row.composite?.(context, input)
}

const RESTART = "Start the hub anew: `skein down`, then `skein up`. Nothing is lost by it."

/** An error as a caller may see it: what is no `SkeinError` is a fault of ours, told in the log and only named to the caller. */
export function told(log: SurfaceLog, error: unknown, fields: { requestId: string } & Record<string, unknown>): SkeinError {
  if (error instanceof SkeinError) {
    if (log.isLevelEnabled("debug")) log.debug({ ...fields, code: error.code }, error.message)
    return error
  }
  log.error({ ...fields, err: error }, "a call failed inside Skein")
  if ((error as { code?: unknown } | null)?.code === "MODULE_NOT_FOUND")
    return new SkeinError("internal", "Skein was installed anew while this hub ran, and what it still had to load is gone", RESTART, {
      requestId: fields.requestId,
    })
  return new SkeinError("internal", "a fault in Skein", "Look into the hub's log for this request id, and report it.", { requestId: fields.requestId })
}

function correlation({ actor, workspace }: Caller, { requestId, operation, key }: Call, startedMs: number): { requestId: string } & Record<string, unknown> {
  return {
    requestId,
    operation: operation.slice(0, 64),
    commandId: key,
    workspace,
    agent: actor.agent,
    session: actor.session,
    tookMs: Math.round((performance.now() - startedMs) * 1_000) / 1_000,
  }
}

function seqOf(answer: unknown): unknown {
  if (typeof answer !== "object" || answer === null) return undefined
  return "seq" in answer ? answer.seq : "fence" in answer ? answer.fence : undefined
}

function unknownOperation(name: string): SkeinError {
  const shown = name.slice(0, 64)
  return new SkeinError("unknown_operation", `there is no operation ${JSON.stringify(shown)}`, "/api lists the operations.", { operation: shown })
}

function notPermitted({ name, least }: Row, { agent, role }: Actor): SkeinError {
  return new SkeinError(
    "forbidden",
    `${agent} is ${role}; ${name} is for ${least === "operator" ? "the operator" : `${least} and above`}`,
    least === "operator" ? "Ask the operator." : `Ask an agent of role ${least}, or the operator.`,
    {
      operation: name,
      role,
      least,
    },
  )
}

/** Identity in a payload is no harm where it says what the token says, and else refused. */
function withoutIdentity({ identity }: Row, caller: Caller, input: unknown): unknown {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return input
  let rest: Record<string, unknown> | null = null
  for (const [field, own] of identity) {
    if (!Object.hasOwn(input, field)) continue
    const given = (input as Record<string, unknown>)[field]
    if (given !== own(caller)) throw mismatch(field, typeof given === "string" ? given.slice(0, 80) : typeof given, own(caller))
    rest ??= { ...input }
    delete rest[field]
  }
  return rest ?? input
}

/** The key with the first 128 bits of the hash of what was asked, in hex: the same key with another payload is a conflict. */
function keyOf(row: Row, key: string | null, input: Payload): { id: string; hash: string } | null {
  if (key === null) return null
  if (!KEY.test(key)) throw new SkeinError("invalid_input", "the idempotency key is not one", "Use 1 to 128 of A-Z a-z 0-9 . _ : -", {})
  if (row.kind !== "command") return null
  return { id: key, hash: row.hash.of(input) }
}

const REVOKING = new Set<string>(["agent.retire", "credential.revoke", "session.end"] satisfies OperationName[])
type Matches = (caller: Caller) => boolean

/**
 * Whose tokens are void after an operation of this hub, by its input, or an entry that another hub appended, by its data; null: nobody's. What was minted for
 * others goes with its minter.
 */
export function revokedBy(what: string, data: unknown, workspace: string): Matches | null {
  const { name, agent, id, session = id } = (data ?? {}) as { name?: string; agent?: string; id?: string; session?: string }
  const within =
    (matches: Matches): Matches =>
    (other) =>
      other.workspace === workspace && matches(other)
  switch (what) {
    case "agent.retire":
    case "agent.retired":
      return within(({ actor, minter }) => actor.agent === name || minter?.agent === name)
    case "credential.revoke":
    case "agent.credential_revoked":
      return within(({ actor, credential, minter = null }) => {
        return (actor.agent === agent && credential === id) || (minter !== null && minter.agent === agent && minter.credential === id)
      })
    case "session.end":
    case "session.ended":
      return within(({ actor }) => actor.session === session)
    default:
      return null
  }
}

/** What a loop is asked for by the ways in that stream: events and snapshots. */
export function workspaceOf(hub: Hub, { workspace }: Caller): Loop {
  const loop = hub.workspace(workspace)
  if (loop === null) throw new SkeinError("not_found", `there is no workspace ${workspace}`, "`workspace.list` lists them.", { workspace })
  return loop
}
