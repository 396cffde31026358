import type { ScreenFacts } from "../presets/preset.ts"

/** What a pane shows, rows joined by LF, and what stands before the cursor in its row. */
export type Screen = { text: string; before: string }

/** Blanks at the end of a row are not told by tmux. */
export function screenOf(rows: readonly string[], cursor: { x: number; y: number }): Screen {
  return { text: rows.join("\n"), before: (rows[cursor.y] ?? "").slice(0, cursor.x).padEnd(cursor.x) }
}

export type Sight = { ready: boolean; menu: boolean }

/** What the visible text says by the patterns of a preset. */
export function sightOf({ text }: Screen, facts: ScreenFacts): Sight {
  return { ready: matches(text, facts.ready), menu: matches(text, facts.menus) }
}

function matches(text: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => new RegExp(pattern, "mu").test(text))
}

/** The input line holds something. False where the preset does not know what an empty one looks like. */
export function hasDraft({ before }: Screen, { emptyInput }: ScreenFacts): boolean {
  return emptyInput !== null && !new RegExp(emptyInput, "u").test(before)
}

/** Whether the nonce can be read on the screen, however the agent has broken and framed its lines. */
export function shows({ text }: Screen, nonce: string): boolean {
  const bare = (of: string): string => of.replace(/[\s\u2500-\u259f|>❯›]/g, "")
  return bare(text).includes(bare(nonce))
}
