import { LIST_KEYS } from "./arrows.ts"
import { goTo } from "./route.ts"
import { VIEWS } from "./views.ts"

/** A key that does something anywhere on the page. `key`: as `KeyboardEvent.key` has it, with `Ctrl+` before it (or Command, where that is the habit). */
export type Binding = { key: string; what: string; run: () => void }

/** Time for the letter after `g`, in ms. */
const CHORD_MS = 1_500

const bindings: Binding[] = []
let chordUntilMs = 0

/** All keys as they are, for the help. */
export function boundKeys(): readonly { key: string; what: string }[] {
  return [...VIEWS.map(({ key, title }) => ({ key: `g ${key}`, what: `go to ${title}` })), ...bindings, ...LIST_KEYS]
}

/** Binds a key until the answer is called. Keys without Ctrl do nothing while somebody types. */
export function bindKey(binding: Binding): () => void {
  bindings.push(binding)
  return () => void bindings.splice(bindings.indexOf(binding), 1)
}

export function listenForKeys(): void {
  bindKey({ key: "/", what: "search in this view", run: () => document.querySelector<HTMLElement>("[data-search]")?.focus() })
  addEventListener("keydown", (event) => {
    const { key, altKey, isComposing, target } = event
    if (altKey || isComposing || event.defaultPrevented) return
    const isChord = event.ctrlKey || event.metaKey
    if (!isChord && (isTyping(target) || document.querySelector("dialog[open]") !== null)) return
    const view = performance.now() < chordUntilMs ? VIEWS.find((one) => one.key === key) : undefined
    chordUntilMs = key === "g" && !isChord && view === undefined ? performance.now() + CHORD_MS : 0
    const found = view === undefined ? bindings.findLast((one) => one.key === (isChord ? `Ctrl+${key.toLowerCase()}` : key)) : undefined
    if (view === undefined && found === undefined) return
    event.preventDefault()
    if (view === undefined) found?.run()
    else goTo(view.name)
  })
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}
