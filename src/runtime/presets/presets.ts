import type { AgentKind } from "../../repo/agent-kinds.ts"
import { claudePreset } from "./claude.ts"
import { codexPreset } from "./codex.ts"
import { geminiPreset } from "./gemini.ts"
import { opencodePreset } from "./opencode.ts"
import type { AgentPreset } from "./preset.ts"

const PRESETS: Readonly<Record<AgentKind, AgentPreset>> = { claude: claudePreset, codex: codexPreset, gemini: geminiPreset, opencode: opencodePreset }

/** The preset of that name: the user's own come before ours. Null where there is none. */
export function presetNamed(name: string, own: readonly AgentPreset[] = []): AgentPreset | null {
  return own.find((preset) => preset.name === name) ?? Object.values(PRESETS).find((preset) => preset.name === name) ?? null
}
