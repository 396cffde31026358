import { type Signal, signal } from "@preact/signals"

/** What fields of a form start with, by their names. */
export type Given = Readonly<Record<string, string>>

/** What the palette was called with: what is typed in it at first; null while it is closed. It may be called before its code is there. */
export const openPalette: Signal<{ typed: string; given: Given } | null> = signal(null)
