/** The page's colours as a canvas takes them: it knows no custom properties. */
export type Colours = Readonly<Record<(typeof NAMES)[number], string>>

const NAMES = ["ground", "raised", "line", "ink", "quiet", "accent", "good", "busy", "warn", "bad", "tint"] as const

/** The colours that hold for an element now. */
export function coloursOf(element: HTMLElement): Colours {
  const before = element.style.color
  const found = NAMES.map((name) => {
    element.style.color = `var(--${name})`
    return [name, getComputedStyle(element).color] as const
  })
  element.style.color = before
  return Object.fromEntries(found) as Colours
}

/** A third hint at a state, besides its shape and its word. */
export function colourOf(state: string, colours: Colours): string {
  return colours[HINTS[state] ?? "ink"]
}

const HINTS: Readonly<Record<string, keyof Colours>> = {
  completed: "good",
  claimed: "busy",
  in_progress: "busy",
  blocked: "warn",
  review: "warn",
  failed: "bad",
  unreachable: "bad",
  waiting: "quiet",
  cancelled: "quiet",
}
