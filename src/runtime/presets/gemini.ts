import type { AgentPreset } from "./preset.ts"

/** Gemini CLI 0.61.0, as run. */
export const geminiPreset: AgentPreset = {
  name: "gemini",
  interactive: { start: ["gemini"], resume: ["gemini", "--resume", "{session}"], chooseSession: ["--session-id", "{session}"] },
  screen: {
    ready: ["^ > ", "^ \\* "],
    menus: ["^\\W*● \\d+\\. ", "Waiting for user confirmation", "Do you trust", "Apply this change\\?", "Allow execution"],
    exhausted: ["Usage limit reached", "You have exhausted your (?:daily )?(?:quota|capacity)", "RESOURCE_EXHAUSTED"],
    emptyInput: "^ [>*] $",
    bracketedPaste: true,
    enterAfterMs: 900,
    readyWithinMs: 60_000,
  },
  headless: {
    start: ["gemini", "--output-format", "stream-json"],
    resume: ["gemini", "--output-format", "stream-json", "--resume", "{session}"],
    chooseSession: ["--session-id", "{session}"],
    promptBy: "stdin",
    sessionFields: [["session_id"]],
    unknownSession: { exit: 42, says: "resum|session" },
  },
  acp: { argv: ["gemini", "--acp"], resumes: false },
  native: null,
}
