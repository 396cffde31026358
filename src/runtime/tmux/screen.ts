import type { ScreenFacts } from "../presets/preset.ts"

/** What a pane shows, lines joined by LF, and where its cursor is. */
export type Screen = { text: string; cursorX: number }

export type Sight = { ready: boolean; menu: boolean; exhausted: boolean }

/** What the visible text says by the patterns of a preset. */
export function sightOf({ text }: Screen, facts: ScreenFacts): Sight {
  return { ready: matches(text, facts.ready), menu: matches(text, facts.menus), exhausted: matches(text, facts.exhausted) }
}

function matches(text: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => new RegExp(pattern, "mu").test(text))
}

/** The input line holds something. False where the preset does not know where the cursor stands in an empty one. */
export function hasDraft({ cursorX }: Screen, { emptyCursorX }: ScreenFacts): boolean {
  return emptyCursorX !== null && cursorX !== emptyCursorX
}

/** Whether the nonce can be read on the screen, however the agent has broken and framed its lines. */
export function shows({ text }: Screen, nonce: string): boolean {
  const bare = (of: string): string => of.replace(/[\s\u2500-\u259f|>❯›]/g, "")
  return bare(text).includes(bare(nonce))
}
