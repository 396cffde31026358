import type { AgentPreset } from "./preset.ts"

/** Claude Code 2.1.330, as run. */
export const claudePreset: AgentPreset = {
  name: "claude",
  interactive: { start: ["claude"], resume: ["claude", "--resume", "{session}"], chooseSession: ["--session-id", "{session}"] },
  screen: {
    ready: ["^❯"],
    menus: ["^\\s*❯ \\d+\\. ", "Enter to confirm", "Esc to cancel", "Do you want to proceed\\?", "Press Enter to continue"],
    exhausted: ["(?:usage|session|weekly|5-hour) limit reached", "You['’]ve (?:hit|reached) your (?:\\w+ )?limit"],
    emptyInput: "^❯\\s*$",
    bracketedPaste: true,
    enterAfterMs: 600,
    readyWithinMs: 30_000,
  },
  headless: {
    start: ["claude", "-p", "--output-format", "stream-json", "--verbose"],
    resume: ["claude", "-p", "--output-format", "stream-json", "--verbose", "--resume", "{session}"],
    chooseSession: ["--session-id", "{session}"],
    promptBy: "stdin",
    sessionFields: [["session_id"]],
    unknownSession: { exit: 1, says: "No conversation found" },
  },
  // The agent itself speaks no ACP: an adapter from npm does, for it.
  acp: { argv: ["claude-agent-acp"], resumes: true, tellsUsage: true },
  native: { way: "hook" },
}
