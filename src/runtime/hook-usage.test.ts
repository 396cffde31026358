import { execFileSync } from "node:child_process"
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import type { AgentKind } from "../repo/agent-kinds.ts"
import { type HookCall, readCall } from "./hook-call.ts"
import { HookMarkFile } from "./hook-mark.ts"
import { usageSince } from "./hook-usage.ts"

const folder = mkdtempSync(join(tmpdir(), "skein-usage-"))
afterAll(() => rmSync(folder, { recursive: true }))
const fresh = new HookMarkFile(join(folder, "marks"), "claude", "s").read()

function stopOf(kind: AgentKind, event: string, input: Record<string, unknown>): HookCall {
  const call = readCall(kind, event, JSON.stringify(input), folder)
  if (call === null) throw new Error("no call")
  return call
}

const claudeLine = (id: string, output: number): string =>
  `${JSON.stringify({ type: "assistant", message: { id, model: "m", usage: { input_tokens: 10, output_tokens: output, cache_read_input_tokens: 5, cache_creation_input_tokens: 2 } } })}\n`

test("an answer of several parts counts once, with what was last said of it", () => {
  const transcript_path = join(folder, "claude.jsonl")
  writeFileSync(transcript_path, claudeLine("a", 1) + claudeLine("a", 7) + claudeLine("b", 3) + '{"type":"user","message":{"usage":1}}\nno json "usage"\n')
  const first = usageSince(stopOf("claude", "Stop", { transcript_path }), fresh)
  expect(first.used).toEqual([{ model: "m", requests: 2, inputTokens: 20, outputTokens: 10, cacheReadTokens: 10, cacheWriteTokens: 4, costMicroUsd: null }])
  appendFileSync(transcript_path, `${claudeLine("b", 3)}${claudeLine("c", 1)}${claudeLine("d", 1).slice(0, 20)}`)
  const second = usageSince(stopOf("claude", "Stop", { transcript_path }), first.mark)
  expect(second.used.map(({ requests }) => requests)).toEqual([1])
  appendFileSync(transcript_path, claudeLine("d", 1).slice(20))
  expect(usageSince(stopOf("claude", "Stop", { transcript_path }), second.mark).used.map(({ requests }) => requests)).toEqual([1])
})

test("Codex counts cached input within its input, and tells the same state twice", () => {
  const transcript_path = join(folder, "codex.jsonl")
  const line = (total: number): string =>
    `${JSON.stringify({ type: "event_msg", payload: { type: "token_count", info: { total_token_usage: { total_tokens: total }, last_token_usage: { input_tokens: 2000, cached_input_tokens: 800, output_tokens: 34 } } } })}\n`
  writeFileSync(transcript_path, line(2034) + line(2034) + line(4068) + '{"payload":{"type":"token_count","info":null}}\n')
  expect(usageSince(stopOf("codex", "Stop", { transcript_path, model: "gpt-x" }), fresh).used).toEqual([
    { model: "gpt-x", requests: 2, inputTokens: 2400, outputTokens: 68, cacheReadTokens: 1600, cacheWriteTokens: 0, costMicroUsd: null },
  ])
})

test("Gemini writes an answer again when its tools have run", () => {
  const transcript_path = join(folder, "gemini.jsonl")
  const line = (id: string): string =>
    `${JSON.stringify({ type: "gemini", id, model: "g", tokens: { input: 2000, cached: 800, output: 30, thoughts: 4, tool: 0 } })}\n`
  writeFileSync(transcript_path, line("a") + line("a") + line("b"))
  expect(usageSince(stopOf("gemini", "AfterAgent", { transcript_path }), fresh).used).toEqual([
    { model: "g", requests: 2, inputTokens: 2400, outputTokens: 68, cacheReadTokens: 1600, cacheWriteTokens: 0, costMicroUsd: null },
  ])
})

test("opencode says what an answer cost; 0 means that it has no price", () => {
  const message = { id: "x", modelID: "m", cost: 0.00411, tokens: { input: 1200, output: 34, reasoning: 0, cache: { read: 800, write: 0 } } }
  const { used } = usageSince(stopOf("opencode", "message.completed", { message }), fresh)
  expect(used).toEqual([{ model: "m", requests: 1, inputTokens: 1200, outputTokens: 34, cacheReadTokens: 800, cacheWriteTokens: 0, costMicroUsd: 4110 }])
  expect(usageSince(stopOf("opencode", "message.completed", { message: { ...message, cost: 0 } }), fresh).used[0]?.costMicroUsd).toBeNull()
})

test("a record that is not there, is no file, or began anew is no failure", () => {
  expect(usageSince(stopOf("claude", "Stop", { transcript_path: join(folder, "none") }), fresh).used).toEqual([])
  const transcript_path = join(folder, "short.jsonl")
  writeFileSync(transcript_path, claudeLine("z", 1))
  expect(usageSince(stopOf("claude", "Stop", { transcript_path }), { ...fresh, usageBytes: 1_000_000 }).used).toHaveLength(1)
})

test("a record that is a folder, a pipe that nobody writes into, or no file at all holds nothing, at once", () => {
  const pipe = join(folder, "pipe")
  execFileSync("mkfifo", [pipe])
  for (const transcript_path of [folder, pipe, "/dev/zero", "/dev/null", join(folder, "none"), "a\0b"])
    expect(usageSince(stopOf("claude", "Stop", { transcript_path }), fresh)).toMatchObject({ used: [], mark: fresh })
})

test("what is no name of a model is left out, and what it used is told", () => {
  const transcript_path = join(folder, "models.jsonl")
  const row = (id: string, model: unknown): string => `${JSON.stringify({ type: "assistant", message: { id, model, usage: { input_tokens: 1 } } })}\n`
  writeFileSync(transcript_path, row("a", "m".repeat(201)) + row("b", "\u001b[2J") + row("c", 7))
  const { used } = usageSince(stopOf("claude", "Stop", { transcript_path }), fresh)
  expect(used).toMatchObject([{ model: "", requests: 3, inputTokens: 3 }])
})
