import { createHash } from "node:crypto"
import { setImmediate as nextTurn } from "node:timers/promises"
import { SkeinError } from "../contract/errors.ts"
import type { Session } from "../core/agent.ts"
import type { AgentId, SessionId } from "../core/ids.ts"
import type { ReportUsage, Spent } from "../core/usage.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Loop } from "../hub/loop.ts"
import { onOneLine } from "../core/one-line.ts"
import type { Caller } from "./auth.ts"
import type { Perform } from "./perform.ts"

/**
 * Usage out of the telemetry that agents send of themselves: OpenTelemetry's log records in OTLP/HTTP with JSON
 * (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"). Only model calls are taken from it; prompts and all else are passed over and kept nowhere.
 */

/** Attributes of one log record by name: texts and numbers. */
type Attributes = ReadonlyMap<string, string | number | boolean>

/** One model call as a log record tells it, with the agent's own id of the conversation. */
type Call = Spent & { model: string | null; conversation: string | null }

/** What a log record is by its event's name, and where that agent keeps its figures. Names as the agents of late 2026 send them. */
const READERS: Readonly<Record<string, (of: Attributes) => Call | null>> = {
  // Claude Code: input_tokens leaves both kinds of cache out.
  "claude_code.api_request": (of) => ({
    requests: 1,
    model: textOf(of, "model"),
    conversation: textOf(of, "session.id"),
    inputTokens: countOf(of, "input_tokens"),
    outputTokens: countOf(of, "output_tokens"),
    cacheReadTokens: countOf(of, "cache_read_tokens"),
    cacheWriteTokens: countOf(of, "cache_creation_tokens"),
    costMicroUsd: microUsdOf(of, "cost_usd"),
  }),
  // Codex: one record for each streamed event; the last one has the tokens, those from the cache counted as input too.
  "codex.sse_event": (of) => {
    // The end of a response comes twice, once with how long it took and once with its tokens.
    if (textOf(of, "event.kind") !== "response.completed" || !of.has("output_token_count")) return null
    return withCacheCounted(of, "input_token_count", "cached_token_count", "output_token_count", "conversation.id")
  },
  // Gemini CLI: thoughts are paid for as output.
  "gemini_cli.api_response": (of) => {
    const call = withCacheCounted(of, "input_token_count", "cached_content_token_count", "output_token_count", "session.id")
    return { ...call, outputTokens: call.outputTokens + countOf(of, "thoughts_token_count") }
  },
}

function withCacheCounted(of: Attributes, input: string, cached: string, output: string, conversation: string): Call {
  const cacheReadTokens = countOf(of, cached)
  return {
    requests: 1,
    model: textOf(of, "model"),
    conversation: textOf(of, conversation),
    inputTokens: Math.max(0, countOf(of, input) - cacheReadTokens),
    outputTokens: countOf(of, output),
    cacheReadTokens,
    cacheWriteTokens: 0,
    costMicroUsd: null,
  }
}

/** Records that are read in one turn of the loop: about 2 ms. */
const AT_ONCE = 500

/** What one export holds, calls of one conversation and model added up; `pause` lets others have their turns. Throws `invalid_input` on what is no export of logs. */
export async function callsIn(body: unknown, pause: () => Promise<unknown>): Promise<Call[]> {
  const sums = new Map<string, Call>()
  let read = 0
  for (const record of recordsIn(body)) {
    if (read++ % AT_ONCE === 0) await pause()
    const attributes = attributesOf(record)
    const name = nameOf(record, attributes)
    const call = Object.hasOwn(READERS, name) ? READERS[name]?.(attributes) : null
    if (call === null || call === undefined) continue
    // Priced and unpriced calls stay apart: a sum of both would hide what is missing.
    const key = JSON.stringify([call.conversation, call.model, call.costMicroUsd === null])
    const sum = sums.get(key)
    sums.set(key, sum === undefined ? call : plus(sum, call))
  }
  return [...sums.values()]
}

/**
 * Records the usage of one export under the caller's name. An export that comes twice counts once: its keys follow from its bytes. What cannot be
 * recorded is answered as an error, so that the exporter sends it again.
 */
export async function takeLogs(loop: Loop, perform: Perform, caller: Caller, sent: { bytes: Buffer; body: unknown }, requestId: string): Promise<void> {
  const calls = await callsIn(sent.body, nextTurn)
  if (calls.length === 0) return
  const print = createHash("sha256").update(sent.bytes).digest("hex").slice(0, 40)
  for (const [at, { conversation, ...call }] of calls.entries()) {
    const session = await loop.read((state) => sessionOf(state, caller.actor.agent, conversation))
    const input: ReportUsage = { agent: null, session, task: null, ...call }
    try {
      await perform(caller, { operation: "usage.report", input: named(input, caller), key: `otlp.${print}.${at}`, requestId })
    } catch (error) {
      // It was recorded when it came first, under the session of that time: the rest of the export may not be.
      if (!(error instanceof SkeinError && error.code === "idempotency_conflict")) throw error
    }
  }
}

/** Identity goes without saying where it is the caller's own. */
function named({ agent, session, ...input }: ReportUsage, { actor }: Caller): object {
  return { ...input, ...(agent === null ? {} : { agent }), ...(session === null || session === actor.session ? {} : { session }) }
}

/** The session that has this conversation; else the only one that is live. */
function sessionOf(state: Workspace, agent: AgentId, conversation: string | null): SessionId | null {
  const live = state.board.sessionsOf(agent).filter(({ status }: Session) => status === "live")
  const resumed = conversation === null ? undefined : live.find(({ resumeId }) => resumeId === conversation)
  return (resumed ?? (live.length === 1 ? live[0] : undefined))?.id ?? null
}

function plus(a: Call, b: Call): Call {
  return {
    ...a,
    requests: a.requests + b.requests,
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    cacheReadTokens: a.cacheReadTokens + b.cacheReadTokens,
    cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
    costMicroUsd: a.costMicroUsd === null ? null : a.costMicroUsd + (b.costMicroUsd ?? 0),
  }
}

function* recordsIn(body: unknown): Iterable<Record<string, unknown>> {
  const resources = listOf(body, "resourceLogs")
  if (resources === null) {
    throw new SkeinError(
      "invalid_input",
      "this is no OTLP export of logs",
      "Set the exporter to OTLP over HTTP with JSON: OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
    )
  }
  for (const resource of resources) for (const scope of listOf(resource, "scopeLogs") ?? []) yield* (listOf(scope, "logRecords") ?? []).filter(isObject)
}

/** The event's name: a field of its own in newer OTLP, an attribute or the body in older. */
function nameOf({ eventName, body }: Record<string, unknown>, attributes: Attributes): string {
  const said = valueOf(body)
  const names = [eventName, typeof said === "string" ? said : null, attributes.get("event.name")]
  return names.find((name): name is string => typeof name === "string" && Object.hasOwn(READERS, name)) ?? ""
}

function attributesOf({ attributes }: Record<string, unknown>): Attributes {
  const found = new Map<string, string | number | boolean>()
  if (!Array.isArray(attributes)) return found
  for (const attribute of attributes) {
    if (!isObject(attribute) || typeof attribute["key"] !== "string") continue
    const value = valueOf(attribute["value"])
    if (value !== null) found.set(attribute["key"], value)
  }
  return found
}

/** OTLP's JSON writes 64-bit integers as text. */
function valueOf(value: unknown): string | number | boolean | null {
  if (!isObject(value)) return null
  const { stringValue, intValue, doubleValue, boolValue } = value
  if (typeof stringValue === "string") return stringValue
  if (typeof intValue === "string" || typeof intValue === "number") return Number(intValue)
  if (typeof doubleValue === "number") return doubleValue
  return typeof boolValue === "boolean" ? boolValue : null
}

const TEXT_MAX = 200

function textOf(of: Attributes, name: string): string | null {
  const value = of.get(name)
  const text = typeof value === "string" ? onOneLine(value, "").slice(0, TEXT_MAX).toWellFormed() : ""
  return text === "" ? null : text
}

/** Some agents send figures as text. What is no count is none. */
function countOf(of: Attributes, name: string): number {
  const count = Number(of.get(name) ?? 0)
  return Number.isSafeInteger(count) && count > 0 && count <= 1e12 ? count : 0
}

function microUsdOf(of: Attributes, name: string): number | null {
  const usd = Number(of.get(name) ?? Number.NaN)
  return usd >= 0 && usd <= 1e6 ? Math.round(usd * 1e6) : null
}

function listOf(value: unknown, name: string): unknown[] | null {
  const list = isObject(value) ? value[name] : null
  return Array.isArray(list) ? (list as unknown[]) : null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
