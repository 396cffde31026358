import { join } from "node:path"
import type { AgentKind } from "../../src/repo/agent-kinds.ts"
import type { Asked, ToolCall } from "./turn.ts"

/** What each agent calls its tools: so that one script can be played on all four. */
export type Hands = {
  /** A tool of Skein's MCP server. */
  skein(tool: string, input?: Readonly<Record<string, unknown>>): ToolCall
  /** Calls that replace one line of a file, in turns: some agents must have read it before. */
  edit(path: string, from: string, to: string): readonly ToolCall[]
  shell(command: string): ToolCall
}

export function handsOf(kind: AgentKind, folder: string): Hands {
  const at = (path: string): string => join(folder, path)
  switch (kind) {
    case "claude":
      return {
        skein: (tool, input = {}) => ({ tool: `mcp__skein__${tool}`, input }),
        edit: (path, from, to) => [
          { tool: "Read", input: { file_path: at(path) } },
          { tool: "Edit", input: { file_path: at(path), old_string: from, new_string: to } },
        ],
        shell: (command) => ({ tool: "Bash", input: { command, description: "a shell command" } }),
      }
    case "codex":
      return {
        skein: (tool, input = {}) => ({ tool: `mcp__skein/${tool}`, input }),
        edit: (path, from, to) => [{ tool: "apply_patch", raw: `*** Begin Patch\n*** Update File: ${path}\n@@\n-${from}\n+${to}\n*** End Patch` }],
        shell: (command) => ({ tool: "exec_command", input: { cmd: command } }),
      }
    case "gemini":
      return {
        skein: (tool, input = {}) => ({ tool: `mcp_skein_${tool}`, input }),
        edit: (path, from, to) => [
          { tool: "read_file", input: { file_path: at(path) } },
          { tool: "replace", input: { file_path: at(path), instruction: "change a line", old_string: from, new_string: to } },
        ],
        shell: (command) => ({ tool: "run_shell_command", input: { command, description: "a shell command" } }),
      }
    case "opencode":
      return {
        skein: (tool, input = {}) => ({ tool: `skein_${tool}`, input }),
        edit: (path, from, to) => [
          { tool: "read", input: { filePath: at(path) } },
          { tool: "edit", input: { filePath: at(path), oldString: from, newString: to } },
        ],
        shell: (command) => ({ tool: "bash", input: { command, description: "a shell command" } }),
      }
  }
}

/** The names of Skein's tools among those that the model may call, as Skein names them. */
export function skeinTools({ tools }: Asked): string[] {
  return tools.flatMap((tool) => /^(?:mcp__skein(?:__|\/)|mcp_skein_|skein_)(\w+)$/.exec(tool)?.[1] ?? [])
}
