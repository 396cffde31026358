import type { AgentPreset } from "./preset.ts"

/** opencode 1.18.33, as run. */
export const opencodePreset: AgentPreset = {
  name: "opencode",
  interactive: { start: ["opencode"], resume: ["opencode", "--session", "{session}"], chooseSession: null },
  screen: {
    ready: ["ctrl\\+p commands"],
    menus: ["Permission required", "Allow once", "Reject"],
    exhausted: ["usage limit", "insufficient_quota"],
    emptyInput: "^\\s*┃\\s*$",
    bracketedPaste: true,
    enterAfterMs: 600,
    readyWithinMs: 30_000,
  },
  headless: {
    start: ["opencode", "run", "--format", "json"],
    resume: ["opencode", "run", "--format", "json", "-s", "{session}"],
    chooseSession: null,
    promptBy: "stdin",
    sessionFields: [["sessionID"]],
    unknownSession: { exit: 1, says: "session not found|NotFoundError" },
  },
  acp: { argv: ["opencode", "acp"], resumes: true, tellsUsage: true },
  native: { way: "opencode-http" },
}
