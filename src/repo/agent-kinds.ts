import { shellWord } from "./shell-word.ts"

/**
 * The agents that can be plugged in, as data: how each is found, which files hold its settings, and what Skein writes there. Every entry was run against the
 * real agent (Claude Code 2.1.330, Codex 0.169, Gemini CLI 0.61, opencode 1.18; `test/agents/`). Pure: `init-*` writes.
 */
export const AGENT_KINDS = ["claude", "codex", "gemini", "opencode"] as const
export type AgentKind = (typeof AGENT_KINDS)[number]

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** One thing that Skein writes into a file of the repository; `file` is relative to the worktree's top. */
export type SettingsEdit =
  /** The key at `at` has this value. */
  | { do: "set"; file: string; format: "json" | "toml"; at: readonly string[]; value: JsonValue }
  /** The list at `at` holds this element, and no other that is ours (`isOurHook`, or the same text); what others put there stays. */
  | { do: "include"; file: string; format: "json"; at: readonly string[]; value: JsonValue }
  /** The whole file is ours. */
  | { do: "write"; file: string; format: "text"; text: string }

/** Whose settings, and what `skein` is called on this machine: the words of its command line, `["skein"]` unless it is not on the path. */
export type Plug = { agent: string; command: readonly string[] }

export type AgentKindFacts = {
  kind: AgentKind
  title: string
  /** What it is called on the path. */
  binaries: readonly string[]
  npmPackage: string
  /** What the agent reads at the start of every session, relative to the worktree's top. */
  instructionFile: "CLAUDE.md" | "AGENTS.md" | "GEMINI.md"
  /** What its user has to grant before it minds the settings of a repository at all; Skein never grants it in their name. */
  trust: string
  /** Where hooks are given, by moment: the agent's own names. */
  events: readonly HookEvent[]
}

/** `matcher`: a pattern of the agent's for the names of tools; null where the event has none. */
export type HookEvent = { event: string; matcher: string | null; timeoutS: number }

/** Slow enough for a hub under load, short enough that an agent is never held up by a hub that hangs: the hook itself gives up before. */
const TIMEOUT_S = 10

const FACTS: Readonly<Record<AgentKind, AgentKindFacts>> = {
  claude: {
    kind: "claude",
    title: "Claude Code",
    binaries: ["claude"],
    npmPackage: "@anthropic-ai/claude-code",
    instructionFile: "CLAUDE.md",
    trust: "Start `claude` here once and accept that this folder is trusted: until then it minds neither the permissions nor the MCP server of the repository.",
    events: [
      event("SessionStart"),
      event("UserPromptSubmit"),
      event("PreToolUse", "Edit|Write|MultiEdit|NotebookEdit|Bash"),
      event("PostToolUse", "*"),
      event("Stop"),
      event("SessionEnd"),
    ],
  },
  codex: {
    kind: "codex",
    title: "Codex",
    binaries: ["codex"],
    npmPackage: "@openai/codex",
    instructionFile: "AGENTS.md",
    trust:
      "Start `codex` here once, accept that this project is trusted, and review the hooks with `/hooks`. A headless run: `codex exec --trust --dangerously-bypass-hook-trust`, once you have read .codex/hooks.json.",
    events: [
      event("SessionStart"),
      event("UserPromptSubmit"),
      event("PreToolUse", "^(apply_patch|Bash)$"),
      event("PostToolUse"),
      event("Stop"),
      // Codex gives this one three seconds, whatever is asked for.
      { event: "SessionEnd", matcher: null, timeoutS: 3 },
    ],
  },
  gemini: {
    kind: "gemini",
    title: "Gemini CLI",
    binaries: ["gemini"],
    npmPackage: "@google/gemini-cli",
    instructionFile: "GEMINI.md",
    trust: "Start `gemini` here once and trust this folder. A headless run: GEMINI_CLI_TRUST_WORKSPACE=true gemini -p …",
    events: [
      event("SessionStart"),
      event("BeforeAgent"),
      event("BeforeTool", "write_file|replace|run_shell_command"),
      event("AfterTool", ".*"),
      event("AfterAgent"),
      event("SessionEnd"),
    ],
  },
  opencode: {
    kind: "opencode",
    title: "opencode",
    binaries: ["opencode"],
    npmPackage: "opencode-ai",
    instructionFile: "AGENTS.md",
    trust: "Nothing is to be granted: opencode loads the plugins of a repository as they are.",
    events: [],
  },
}

function event(name: string, matcher: string | null = null): HookEvent {
  return { event: name, matcher, timeoutS: TIMEOUT_S }
}

export function agentKind(kind: AgentKind): AgentKindFacts {
  return FACTS[kind]
}

export function isAgentKind(text: string): text is AgentKind {
  return (AGENT_KINDS as readonly string[]).includes(text)
}

/** All that Skein writes for one agent. */
export function settingsOf(kind: AgentKind, plug: Plug): SettingsEdit[] {
  return [...mcpEntry(kind, plug), ...hookEntries(kind, plug)]
}

/** What makes Skein's tools known to the agent, and lets it call them without asking each time. */
export function mcpEntry(kind: AgentKind, { agent, command }: Plug): SettingsEdit[] {
  const [program = "skein", ...words] = command
  const args = [...words, "mcp", "--agent", agent]
  switch (kind) {
    case "claude":
      return [
        { do: "set", file: ".mcp.json", format: "json", at: ["mcpServers", "skein"], value: { type: "stdio", command: program, args } },
        { do: "include", file: CLAUDE_SETTINGS, format: "json", at: ["enabledMcpjsonServers"], value: "skein" },
        { do: "include", file: CLAUDE_SETTINGS, format: "json", at: ["permissions", "allow"], value: "mcp__skein" },
      ]
    case "codex": {
      // Codex hands no environment on to MCP servers but what is named; `wait_for_work` waits longer than its 60 s; and without "approve" a headless run
      // refuses every tool of a server in the name of the user.
      const value = {
        command: program,
        args,
        env_vars: ["SKEIN_TOKEN_FILE", "SKEIN_URL", "SKEIN_WORKSPACE", "SKEIN_SESSION"],
        tool_timeout_sec: 200,
        default_tools_approval_mode: "approve",
      }
      return [{ do: "set", file: ".codex/config.toml", format: "toml", at: ["mcp_servers", "skein"], value }]
    }
    case "gemini": {
      // Gemini CLI keeps variables whose name sounds like a secret from MCP servers, and `SKEIN_TOKEN_FILE` does; one that is not set becomes an empty text.
      const value = { command: program, args, env: { SKEIN_TOKEN_FILE: "$SKEIN_TOKEN_FILE" }, trust: true }
      return [{ do: "set", file: GEMINI_SETTINGS, format: "json", at: ["mcpServers", "skein"], value }]
    }
    case "opencode":
      return [{ do: "set", file: "opencode.json", format: "json", at: ["mcp", "skein"], value: { type: "local", command: [program, ...args], enabled: true } }]
  }
}

/** What makes the agent call `skein hook` where an edit is about to happen, and where it takes in text. */
export function hookEntries(kind: AgentKind, plug: Plug): SettingsEdit[] {
  switch (kind) {
    case "claude":
      return FACTS.claude.events.map((given) => {
        const answer = { type: "command", command: hookCommand(kind, given.event, plug), timeout: given.timeoutS }
        return hookEntry(CLAUDE_SETTINGS, given, answer, ...(REWAKING.has(given.event) ? [rewakeHook(plug)] : []))
      })
    case "codex":
      return FACTS.codex.events.map((given) =>
        hookEntry(".codex/hooks.json", given, { type: "command", command: hookCommand(kind, given.event, plug), timeout: given.timeoutS }),
      )
    case "gemini":
      return FACTS.gemini.events.map((given) =>
        // Its timeouts are in milliseconds.
        hookEntry(GEMINI_SETTINGS, given, { name: "skein", type: "command", command: hookCommand(kind, given.event, plug), timeout: given.timeoutS * 1_000 }),
      )
    case "opencode":
      return [{ do: "write", file: OPENCODE_PLUGIN, format: "text", text: opencodePlugin(plug) }]
  }
}

const CLAUDE_SETTINGS = ".claude/settings.json"
const GEMINI_SETTINGS = ".gemini/settings.json"
const OPENCODE_PLUGIN = ".opencode/plugins/skein.js"

function hookEntry(file: string, { event, matcher }: HookEvent, ...hooks: readonly JsonValue[]): SettingsEdit {
  return { do: "include", file, format: "json", at: ["hooks", event], value: { ...(matcher === null ? {} : { matcher }), hooks } }
}

/** Events after which Claude Code is idle: from there a command waits beside it, and wakes it by its end. */
const REWAKING: ReadonlySet<string> = new Set(["SessionStart", "Stop"])
const REWAKE_TIMEOUT_S = 3_600

function rewakeHook(plug: Plug): JsonValue {
  return { type: "command", command: hookCommand("claude", "rewake", plug), async: true, asyncRewake: true, timeout: REWAKE_TIMEOUT_S }
}

/** The words of a hook's command line, for a shell. */
function hookCommand(kind: AgentKind, event: string, plug: Plug): string {
  return hookWords(kind, event, plug).map(shellWord).join(" ")
}

function hookWords(kind: AgentKind, event: string, { agent, command }: Plug): string[] {
  return [...command, "hook", kind, event, ...(agent === kind ? [] : ["--agent", agent])]
}

/** Whether an element of a list of hooks is Skein's, however `skein` was called when it was written. */
export function isOurHook(element: unknown): boolean {
  const { hooks } = (typeof element === "object" && element !== null ? element : {}) as { hooks?: unknown }
  if (!Array.isArray(hooks)) return false
  return hooks.some((hook: unknown) => {
    const { command } = (typeof hook === "object" && hook !== null ? hook : {}) as { command?: unknown }
    return typeof command === "string" && /\bskein(\.cjs)?'? hook (claude|codex|gemini) /.test(command)
  })
}

/**
 * opencode has no hooks that are commands: a plugin of a few lines runs the same command. It is loaded by the agent's own runtime, so it imports nothing of
 * Skein's; and it never fails an agent but to refuse an edit.
 */
function opencodePlugin(plug: Plug): string {
  const words = JSON.stringify([...hookWords("opencode", "EVENT", plug)])
  return `// Written by \`skein init\`; \`skein init --undo\` takes it away. What it does: docs/how-to/agents of Skein.
import { spawn } from "node:child_process"

const WORDS = ${words}

function ask(event, input, directory) {
  return new Promise((settle) => {
    const [program, ...args] = WORDS.map((word) => (word === "EVENT" ? event : word))
    const child = spawn(program, args, { cwd: directory, stdio: ["pipe", "pipe", "ignore"], timeout: ${TIMEOUT_S}000 })
    let text = ""
    child.stdout.setEncoding("utf8").on("data", (chunk) => (text += chunk))
    child.stdin.on("error", () => {})
    child.on("error", () => settle({}))
    child.on("close", () => {
      try {
        settle(JSON.parse(text))
      } catch {
        settle({})
      }
    })
    child.stdin.end(JSON.stringify({ ...input, cwd: directory }))
  })
}

export const Skein = async ({ client, directory }) => {
  // Sessions of sub-agents: their end is their parent's business.
  const inner = new Set()
  const reported = new Set()
  return {
    event: async ({ event }) => {
      const about = event.properties?.info
      if (event.type === "session.created" && about?.parentID !== undefined) inner.add(about.id)
      if (event.type === "message.updated" && about?.role === "assistant" && about.time?.completed !== undefined && !reported.has(about.id)) {
        reported.add(about.id)
        const { id, sessionID, modelID, cost, tokens } = about
        await ask("message.completed", { sessionID, message: { id, modelID, cost, tokens } }, directory)
      }
      if (event.type === "session.idle" && !inner.has(event.properties.sessionID)) {
        const { sessionID } = event.properties
        const { again } = await ask("session.idle", { sessionID }, directory)
        if (again !== undefined) await client.session.promptAsync({ path: { id: sessionID }, body: { parts: [{ type: "text", text: again }] } })
      }
    },
    "chat.message": async ({ sessionID }, { message, parts }) => {
      const prompt = parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\\n")
      const { context } = await ask("chat.message", { sessionID, prompt }, directory)
      if (context === undefined) return
      parts.push({ id: \`prt_skein\${Date.now().toString(36)}\`, sessionID, messageID: message.id, type: "text", synthetic: true, text: context })
    },
    "tool.execute.before": async ({ tool, sessionID }, { args }) => {
      if (!["edit", "write", "patch", "apply_patch", "multiedit", "bash"].includes(tool)) return
      const { deny } = await ask("tool.execute.before", { tool, sessionID, args }, directory)
      if (deny !== undefined) throw new Error(deny)
    },
    "tool.execute.after": async ({ tool, sessionID }, result) => {
      const { context } = await ask("tool.execute.after", { tool, sessionID }, directory)
      if (context === undefined) return
      if (typeof result.output === "string") result.output += \`\\n\\n\${context}\`
      else if (Array.isArray(result.content)) result.content.push({ type: "text", text: context })
    },
  }
}
`
}
