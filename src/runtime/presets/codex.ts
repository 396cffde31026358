import type { AgentPreset } from "./preset.ts"

/** Codex 0.169.0, as run. */
export const codexPreset: AgentPreset = {
  name: "codex",
  interactive: { start: ["codex"], resume: ["codex", "resume", "{session}"], chooseSession: null },
  screen: {
    ready: ["^› (?!\\d+\\. )"],
    menus: ["^\\s*› \\d+\\. ", "enter/esc confirm", "Press enter to continue", "Yes, proceed", "Allow command\\?"],
    exhausted: ["You['’]ve hit your usage limit", "usage_limit_reached"],
    emptyInput: "^› $",
    bracketedPaste: true,
    enterAfterMs: 600,
    readyWithinMs: 30_000,
  },
  headless: {
    start: ["codex", "exec", "--json", "-"],
    resume: ["codex", "exec", "resume", "{session}", "--json", "-"],
    chooseSession: null,
    promptBy: "stdin",
    sessionFields: [["thread_id"]],
    unknownSession: { exit: 1, says: "no rollout found|not found" },
  },
  acp: { argv: ["codex-acp"], resumes: true, tellsUsage: true },
  native: { way: "command", argv: ["codex", "queue", "--thread", "{session}", "--message={prompt}"] },
}
