import { expect, test } from "vitest"
import { agentKind, AGENT_KINDS } from "../repo/agent-kinds.ts"
import { writeAnswer } from "./hook-answer.ts"
import { type HookCall, momentOf, readCall } from "./hook-call.ts"

const read = (kind: HookCall["kind"], event: string, input: unknown): HookCall => {
  const call = readCall(kind, event, JSON.stringify(input), "/here")
  if (call === null) throw new Error("not read")
  return call
}

test("every event that skein init sets up is one that is answered", () => {
  for (const kind of AGENT_KINDS) for (const { event } of agentKind(kind).events) expect(momentOf(kind, event), `${kind} ${event}`).not.toBeNull()
  expect(momentOf("claude", "constructor")).toBeNull()
})

test.each([
  ["claude", "PreToolUse", { tool_name: "Edit", tool_input: { file_path: "/r/a" } }, ["/r/a"]],
  ["claude", "PreToolUse", { tool_name: "NotebookEdit", tool_input: { notebook_path: "/r/n.ipynb" } }, ["/r/n.ipynb"]],
  ["claude", "PreToolUse", { tool_name: "Bash", tool_input: { command: "rm x" } }, ["x"]],
  ["claude", "PreToolUse", { tool_name: "Read", tool_input: { file_path: "/r/a" } }, []],
  ["codex", "PreToolUse", { tool_name: "apply_patch", tool_input: { command: "*** Update File: a.txt" } }, ["a.txt"]],
  ["codex", "PreToolUse", { tool_name: "Bash", tool_input: { command: "sed -i s/a/b/ a.txt" } }, ["a.txt"]],
  ["gemini", "BeforeTool", { tool_name: "write_file", tool_input: { file_path: "a", content: "x" } }, ["a"]],
  ["gemini", "BeforeTool", { tool_name: "replace", tool_input: { file_path: "a" } }, ["a"]],
  ["opencode", "tool.execute.before", { tool: "write", sessionID: "s", args: { filePath: "a" } }, ["a"]],
  ["opencode", "tool.execute.before", { tool: "apply_patch", args: { patchText: "*** Add File: n" } }, ["n"]],
  ["claude", "PreToolUse", { tool_name: 7, tool_input: ["x"] }, []],
] as const)("%s %s %j is about to write %j", (kind, event, input, paths) => {
  expect(read(kind, event, input).paths).toEqual(paths)
})

test("what is no JSON object is not read", () => {
  for (const text of ["", "{", "[]", "null", "7", '"x"']) expect(readCall("claude", "Stop", text, "/")).toBeNull()
})

const edit = read("claude", "PreToolUse", {})
test("a refusal is said in each agent's own dialect", () => {
  expect(JSON.parse(writeAnswer(edit, { deny: "no" }))).toEqual({
    hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision: "deny", permissionDecisionReason: "no" },
  })
  expect(JSON.parse(writeAnswer(read("gemini", "BeforeTool", {}), { deny: "no" }))).toEqual({ decision: "deny", reason: "no" })
  expect(JSON.parse(writeAnswer(read("opencode", "tool.execute.before", {}), { deny: "no" }))).toEqual({ deny: "no" })
})

test("one more turn is asked for as each agent takes it", () => {
  expect(JSON.parse(writeAnswer(read("codex", "Stop", {}), { again: "go on" }))).toEqual({ decision: "block", reason: "go on" })
  expect(JSON.parse(writeAnswer(read("gemini", "AfterAgent", {}), { again: "go on" }))).toEqual({ decision: "deny", reason: "go on" })
})

test("context goes only where it stops nothing, and nothing to say is no output", () => {
  expect(JSON.parse(writeAnswer(read("claude", "PostToolUse", {}), { context: "c" }))).toEqual({
    hookSpecificOutput: { hookEventName: "PostToolUse", additionalContext: "c" },
  })
  expect(writeAnswer(read("claude", "Stop", {}), { context: "c" })).toBe("")
  expect(writeAnswer(edit, {})).toBe("")
})
