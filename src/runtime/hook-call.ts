import type { AgentKind } from "../repo/agent-kinds.ts"
import { patchedPaths, writtenPaths } from "./hook-shell.ts"

/** What an agent's event means to Skein. */
export type HookMoment = "start" | "prompt" | "before" | "after" | "stop" | "end" | "usage"

/** A call of a hook, read the same way whichever agent made it. */
export type HookCall = {
  kind: AgentKind
  /** The event's name, as the agent calls it. */
  event: string
  moment: HookMoment
  /** The agent's own id of its conversation. */
  session: string | null
  cwd: string
  /** Files that the tool is about to write, as the call names them: absolute, or relative to `cwd`. */
  paths: readonly string[]
  /** At `after`: the task that the tool was to complete, fail or give back. What was used up to here belongs to it. */
  finished: string | null
  /** At `stop`: this turn is itself one that a stop hook asked for. */
  again: boolean
  /** The agent's own record of the conversation, a file of one JSON object a line. */
  transcript: string | null
  /** What was given on standard input, for what only one agent has; and as it came. */
  input: Readonly<Record<string, unknown>>
  text: string
}

const MOMENTS: Readonly<Record<AgentKind, Readonly<Record<string, HookMoment>>>> = {
  claude: { SessionStart: "start", UserPromptSubmit: "prompt", PreToolUse: "before", PostToolUse: "after", Stop: "stop", SessionEnd: "end" },
  codex: { SessionStart: "start", UserPromptSubmit: "prompt", PreToolUse: "before", PostToolUse: "after", Stop: "stop", SessionEnd: "end" },
  gemini: { SessionStart: "start", BeforeAgent: "prompt", BeforeTool: "before", AfterTool: "after", AfterAgent: "stop", SessionEnd: "end" },
  opencode: {
    "chat.message": "prompt",
    "tool.execute.before": "before",
    "tool.execute.after": "after",
    "session.idle": "stop",
    "message.completed": "usage",
  },
}

export function momentOf(kind: AgentKind, event: string): HookMoment | null {
  const moments = MOMENTS[kind]
  return Object.hasOwn(moments, event) ? (moments[event] ?? null) : null
}

/** Reads what the agent gave on standard input. Null where that is no object: then nothing can be said of it, and the agent works on. */
export function readCall(kind: AgentKind, event: string, text: string, cwd: string): HookCall | null {
  const moment = momentOf(kind, event)
  if (moment === null) return null
  let input: unknown
  try {
    input = JSON.parse(text)
  } catch {
    return null
  }
  if (!isObject(input)) return null
  const tool = wordOf(input["tool_name"] ?? input["tool"]) ?? ""
  const given = objectOf(input["tool_input"] ?? input["args"])
  return {
    kind,
    event,
    moment,
    session: wordOf(input["session_id"] ?? input["sessionID"]),
    cwd: wordOf(input["cwd"]) ?? cwd,
    paths: moment === "before" ? pathsOf(kind, tool, given) : [],
    finished: moment === "after" && /(?:^|_)(?:complete|fail|release)_task$/.test(tool) ? wordOf(given["task"]) : null,
    again: input["stop_hook_active"] === true,
    transcript: wordOf(input["transcript_path"]),
    input,
    text,
  }
}

/** The fields in which tools that write name their file. */
const FILE_FIELDS = ["file_path", "notebook_path", "filePath", "path"]

const FILE_TOOLS: Readonly<Record<AgentKind, ReadonlySet<string>>> = {
  claude: new Set(["Edit", "Write", "MultiEdit", "NotebookEdit"]),
  codex: new Set(),
  gemini: new Set(["write_file", "replace"]),
  opencode: new Set(["edit", "write", "multiedit"]),
}
const SHELL_TOOLS: ReadonlySet<string> = new Set(["Bash", "run_shell_command", "bash"])
const PATCH_TOOLS: ReadonlySet<string> = new Set(["apply_patch", "patch"])

function pathsOf(kind: AgentKind, tool: string, given: Readonly<Record<string, unknown>>): string[] {
  if (FILE_TOOLS[kind].has(tool)) return FILE_FIELDS.flatMap((field) => wordOf(given[field]) ?? [])
  if (PATCH_TOOLS.has(tool)) return patchedPaths(wordOf(given["command"]) ?? wordOf(given["patchText"]) ?? wordOf(given["input"]) ?? "")
  if (SHELL_TOOLS.has(tool)) return writtenPaths(wordOf(given["command"]) ?? "")
  return []
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

const objectOf = (value: unknown): Readonly<Record<string, unknown>> => (isObject(value) ? value : {})
const wordOf = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null)
