import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { isOneLine } from "../core/one-line.ts"
import type { HookCall } from "./hook-call.ts"
import type { HookMark } from "./hook-mark.ts"

/** What calls of one model took. Input counts neither what was read from a cache nor what was written to one. */
export type UsedTokens = {
  model: string
  requests: number
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
  costMicroUsd: number | null
}

type Json = Readonly<Record<string, unknown>>
type Answer = Omit<UsedTokens, "requests"> & { id: string }

/** Of a record that grew by more than this since the last look, only the end is read, in bytes. */
const READ_MAX_BYTES = 8 * 1024 * 1024
const IDS_KEPT = 32

/** What the agent used since the last look, by model, read from its own record; the mark with which the next look goes on; and `place`, which names what was read. */
export function usageSince(call: HookCall, mark: HookMark): { used: UsedTokens[]; mark: HookMark; place: string } {
  if (call.kind === "opencode") {
    const answers = opencodeAnswer(call)
    return { used: addUp(answers), mark, place: answers[0]?.id ?? "" }
  }
  const grown = call.transcript === null ? null : grownText(call.transcript, mark.usageBytes)
  if (grown === null) return { used: [], mark, place: "" }
  const known = new Set(mark.usageIds)
  // An answer of several parts is recorded once a part, each with the usage of the whole.
  const fresh = new Map<string, Answer>()
  for (const line of grown.text.split("\n")) {
    const answer = answerIn(call, line)
    if (answer !== null && !known.has(answer.id)) fresh.set(answer.id, answer)
  }
  const usageIds = [...mark.usageIds, ...fresh.keys()].slice(-IDS_KEPT)
  return { used: addUp([...fresh.values()]), mark: { ...mark, usageBytes: grown.bytes, usageIds }, place: String(grown.bytes) }
}

function addUp(answers: readonly Answer[]): UsedTokens[] {
  const byModel = new Map<string, UsedTokens>()
  for (const { id: _id, ...answer } of answers) {
    const sum = byModel.get(answer.model)
    if (sum === undefined) {
      byModel.set(answer.model, { ...answer, requests: 1 })
      continue
    }
    sum.requests += 1
    sum.inputTokens += answer.inputTokens
    sum.outputTokens += answer.outputTokens
    sum.cacheReadTokens += answer.cacheReadTokens
    sum.cacheWriteTokens += answer.cacheWriteTokens
    if (answer.costMicroUsd !== null) sum.costMicroUsd = (sum.costMicroUsd ?? 0) + answer.costMicroUsd
  }
  return [...byModel.values()]
}

/** The whole lines that a file grew by; null where there is none to read. A line that is being written is left for the next look. */
function grownText(path: string, fromBytes: number): { text: string; bytes: number } | null {
  let file: number
  try {
    // The agent names it, and it may be anything: the opening of a pipe would wait for whoever writes into it.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return null
  }
  try {
    const found = fstatSync(file)
    if (!found.isFile()) return null
    const { size } = found
    const from = Math.max(fromBytes > size ? 0 : fromBytes, size - READ_MAX_BYTES)
    const bytes = Buffer.alloc(size - from)
    const read = readSync(file, bytes, 0, bytes.length, from)
    const end = bytes.subarray(0, read).lastIndexOf(0x0a) + 1
    return { text: bytes.toString("utf8", 0, end), bytes: from + end }
  } finally {
    closeSync(file)
  }
}

function answerIn(call: HookCall, line: string): Answer | null {
  // Most lines are no answer, and some are long.
  if (!line.includes(MARKS[call.kind])) return null
  let found: unknown
  try {
    found = JSON.parse(line)
  } catch {
    return null
  }
  const row = objectOf(found)
  if (call.kind === "claude") return claudeAnswer(row)
  return call.kind === "codex" ? codexAnswer(row, modelOf(call.input["model"])) : geminiAnswer(row)
}

/** What every line with an answer in it holds. */
const MARKS = { claude: '"usage"', codex: '"token_count"', gemini: '"tokens"', opencode: "" } as const

function claudeAnswer(row: Json): Answer | null {
  const message = objectOf(row["message"])
  const usage = objectOf(message["usage"])
  const id = textOf(message["id"])
  if (row["type"] !== "assistant" || id === "" || message["model"] === "<synthetic>") return null
  return {
    id,
    model: modelOf(message["model"]),
    inputTokens: countOf(usage["input_tokens"]),
    outputTokens: countOf(usage["output_tokens"]),
    cacheReadTokens: countOf(usage["cache_read_input_tokens"]),
    cacheWriteTokens: countOf(usage["cache_creation_input_tokens"]),
    costMicroUsd: null,
  }
}

function codexAnswer(row: Json, model: string): Answer | null {
  const payload = objectOf(row["payload"])
  const info = objectOf(payload["info"])
  const usage = objectOf(info["last_token_usage"])
  if (payload["type"] !== "token_count" || Object.keys(usage).length === 0) return null
  const cached = countOf(usage["cached_input_tokens"])
  const written = countOf(usage["cache_write_input_tokens"])
  return {
    // The same state may be told twice: the sum so far tells them apart.
    id: `total-${countOf(objectOf(info["total_token_usage"])["total_tokens"])}`,
    model,
    inputTokens: Math.max(0, countOf(usage["input_tokens"]) - cached - written),
    outputTokens: countOf(usage["output_tokens"]),
    cacheReadTokens: cached,
    cacheWriteTokens: written,
    costMicroUsd: null,
  }
}

function geminiAnswer(row: Json): Answer | null {
  const tokens = objectOf(row["tokens"])
  const id = textOf(row["id"])
  if (row["type"] !== "gemini" || id === "" || Object.keys(tokens).length === 0) return null
  const cached = countOf(tokens["cached"])
  return {
    id,
    model: modelOf(row["model"]),
    inputTokens: Math.max(0, countOf(tokens["input"]) - cached) + countOf(tokens["tool"]),
    outputTokens: countOf(tokens["output"]) + countOf(tokens["thoughts"]),
    cacheReadTokens: cached,
    cacheWriteTokens: 0,
    costMicroUsd: null,
  }
}

function opencodeAnswer(call: HookCall): Answer[] {
  const message = objectOf(call.input["message"])
  const tokens = objectOf(message["tokens"])
  const cache = objectOf(tokens["cache"])
  const cost = message["cost"]
  if (textOf(message["id"]) === "") return []
  return [
    {
      id: textOf(message["id"]),
      model: modelOf(message["modelID"]),
      inputTokens: countOf(tokens["input"]),
      outputTokens: countOf(tokens["output"]) + countOf(tokens["reasoning"]),
      cacheReadTokens: countOf(cache["read"]),
      cacheWriteTokens: countOf(cache["write"]),
      // In US dollars; it says 0 where it has no price, and then the price table decides.
      costMicroUsd: typeof cost === "number" && cost > 0 && cost < 1e6 ? Math.round(cost * 1e6) : null,
    },
  ]
}

const objectOf = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {})
/** The name of a model; "" where the hub would take it for none. */
const modelOf = (value: unknown): string => (typeof value === "string" && value.length <= 200 && isOneLine(value) ? value : "")
const textOf = (value: unknown): string => (typeof value === "string" ? value : "")
const countOf = (value: unknown): number => (typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0)
