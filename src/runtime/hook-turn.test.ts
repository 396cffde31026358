import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { SkeinError } from "../contract/errors.ts"
import { readCall } from "./hook-call.ts"
import { HookMarkFile } from "./hook-mark.ts"
import { answerTurn, type HookHub, type Turn } from "./hook-turn.ts"

const folder = mkdtempSync(join(tmpdir(), "skein-turn-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** A turn of Claude Code at a hub that takes everything, unless `hub` says otherwise. */
function turnOf(event: string, text: string, hub: Partial<HookHub> = {}): Turn {
  const call = readCall("claude", event, text, folder)
  if (call === null) throw new Error("no call")
  const takes: HookHub = {
    check: () => Promise.resolve({ allowed: true, paths: [], claimed: [] }),
    unread: () => Promise.resolve({ threads: [] }),
    read: () => Promise.resolve([]),
    acknowledge: () => Promise.resolve(),
    turn: () => Promise.resolve(),
    turnsMax: () => Promise.resolve(3),
    report: () => Promise.resolve(),
  }
  const mark = new HookMarkFile(join(folder, "marks"), "ann", call.session)
  return { call, hub: { ...takes, ...hub }, mark, agent: "ann", paths: [], requireClaim: false, nowMs: 0, usageElsewhere: false }
}

test("a prompt that nests without end is searched for a wake's nonce all the same", async () => {
  const prompt = `${"[".repeat(50_000)}"[skein:r7]"${"]".repeat(50_000)}`
  const told: unknown[] = []
  const turn = (...said: unknown[]): Promise<void> => Promise.resolve(void told.push(said))
  expect(await answerTurn(turnOf("UserPromptSubmit", `{"session_id":"s1","prompt":${prompt}}`, { turn }))).toEqual({})
  expect(told).toEqual([["started", "r7", "s1"]])
})

test("what was used counts without its task where that is none, and what the hub never takes is not offered again", async () => {
  const transcript_path = join(folder, "record.jsonl")
  writeFileSync(transcript_path, `${JSON.stringify({ type: "assistant", message: { id: "m1", model: "m", usage: { input_tokens: 1 } } })}\n`)
  const text = JSON.stringify({ session_id: "s2", transcript_path, tool_name: "complete_task", tool_input: { task: "none" } })
  const asked: unknown[] = []
  const report: HookHub["report"] = (_used, task) => {
    asked.push(task)
    return Promise.reject(new SkeinError(task === null ? "invalid_input" : "not_found", "no", "none"))
  }
  for (const _look of [1, 2]) await answerTurn(turnOf("PostToolUse", text, { report }))
  expect(asked).toEqual(["none", null])
  writeFileSync(transcript_path, "")
  writeFileSync(transcript_path, `${JSON.stringify({ type: "assistant", message: { id: "m2", model: "m", usage: { input_tokens: 1 } } })}\n`)
  // A hub that is away hears of it at the next look.
  const away = { report: () => Promise.reject(new SkeinError("hub_unreachable", "no", "none")) }
  await answerTurn(turnOf("PostToolUse", text.replace("s2", "s3"), away))
  expect(new HookMarkFile(join(folder, "marks"), "ann", "s3").read().usageBytes).toBe(0)
})
