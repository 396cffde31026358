import { type Signal, signal } from "@preact/signals"

export type Theme = "auto" | "light" | "dark"

const KEPT = "skein-theme"
const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" }

/** Light or dark: as the system has it, unless it was said otherwise here. */
export const theme: Signal<Theme> = signal("auto")

export function restoreTheme(): void {
  show(kept())
}

/** From the system's to light, to dark, and back. */
export function switchTheme(): void {
  const next = NEXT[theme.peek()]
  try {
    localStorage.setItem(KEPT, next)
  } catch {
    // Then it lasts as long as the page.
  }
  show(next)
}

function show(next: Theme): void {
  theme.value = next
  if (next === "auto") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = next
}

function kept(): Theme {
  try {
    const text = localStorage.getItem(KEPT)
    return text === "light" || text === "dark" ? text : "auto"
  } catch {
    return "auto"
  }
}
