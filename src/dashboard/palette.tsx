import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Workspace } from "../core/workspace.ts"
import { Dialog } from "./dialog.tsx"
import { welcome } from "./live.ts"
import { picture } from "./moment.ts"
import { goTo } from "./route.ts"
import { InLink, Text } from "./text.tsx"
import { VerbForm } from "./verb-form.tsx"
import { type Given, openPalette } from "./palette-call.ts"
import { allVerbs, openVerb, type Verb, verbsFor } from "./verbs.ts"
import { VIEWS } from "./views.ts"
import { failureText } from "./failure.ts"

/** Something that the palette leads to or does. */
type Choice = { kind: "view" | "task" | "agent" | "thread" | "plan" | "do"; name: string; about: string; run: () => void }

/** So many are shown: whoever sees more types on. */
const SHOWN_MAX = 50

/** The command palette, and the forms that it leads to. */
export function Palette(): JSX.Element {
  const open = openPalette.value
  return (
    <>
      {open === null ? null : <Finder key={JSON.stringify(open)} typed={open.typed} given={open.given} />}
      <VerbForm />
    </>
  )
}

function Finder({ typed, given }: { typed: string; given: Given }): JSX.Element {
  const [text, setText] = useState(typed)
  const [at, setAt] = useState(0)
  const [verbs, setVerbs] = useState<readonly Verb[] | string>([])
  useEffect(() => {
    allVerbs().then(
      (all) => setVerbs(verbsFor(all, welcome.peek()?.role ?? "observer")),
      (error: unknown) => setVerbs(failureText(error)),
    )
  }, [])
  const close = (): void => void (openPalette.value = null)
  const choices = choicesFor(text, picture.value?.state ?? null, typeof verbs === "string" ? [] : verbs, given)
  const chosen = Math.min(at, choices.length - 1)
  const take = (choice: Choice | undefined): void => {
    if (choice === undefined) return
    close()
    choice.run()
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key]
    if (step !== undefined) setAt(Math.max(0, Math.min(choices.length - 1, chosen + step)))
    else if (event.key === "Enter") take(choices[chosen])
    else return
    event.preventDefault()
  }
  useEffect(() => document.getElementById(`choice-${chosen}`)?.scrollIntoView({ block: "nearest" }), [chosen])
  return (
    <Dialog title="Find or do anything" onClose={close}>
      <div class="palette">
        <input
          role="combobox"
          aria-label="Find or do anything"
          aria-expanded="true"
          aria-controls="choices"
          aria-activedescendant={chosen < 0 ? undefined : `choice-${chosen}`}
          autocomplete="off"
          spellcheck={false}
          placeholder="a view, task, agent, thread, or what to do"
          value={text}
          autofocus
          onInput={({ currentTarget }) => {
            setText(currentTarget.value)
            setAt(0)
          }}
          onKeyDown={onKeyDown}
        />
        <ul id="choices" role="listbox" aria-label="what was found">
          {choices.map((choice, index) => (
            // A mouse is one way, the keyboard in the input above the other.
            <li
              key={`${choice.kind} ${choice.name}`}
              id={`choice-${index}`}
              role="option"
              aria-selected={index === chosen}
              onClick={() => take(choice)}
              onMouseMove={() => setAt(index)}
            >
              <span class="quiet kind">{choice.kind}</span>{" "}
              <InLink.Provider value={true}>
                <Text of={choice.name} max={80} />
              </InLink.Provider>{" "}
              <span class="quiet">
                <Text of={choice.about.slice(0, 100)} />
              </span>
            </li>
          ))}
        </ul>
        <p class="quiet" role="status">
          {typeof verbs === "string" ? <Text of={`What can be done is not known: ${verbs}`} /> : choices.length === 0 ? "Nothing is called so." : ""}
        </p>
      </div>
    </Dialog>
  )
}

/** All that fits what was typed, the best first: names that begin with it, then names that hold it, then what is said of them. Every word must be found. */
function choicesFor(text: string, state: Workspace | null, verbs: readonly Verb[], given: Given): readonly Choice[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
  const ranked: { choice: Choice; rank: number }[] = []
  for (const choice of everything(state, verbs, given)) {
    const rank = rankOf(choice, words)
    if (rank !== null) ranked.push({ choice, rank })
    if (words.length === 0 && ranked.length >= SHOWN_MAX) break
  }
  return ranked
    .sort((a, b) => a.rank - b.rank)
    .slice(0, SHOWN_MAX)
    .map(({ choice }) => choice)
}

function rankOf({ name, about, kind }: Choice, words: readonly string[]): number | null {
  const [low, all] = [name.toLowerCase(), `${kind} ${name} ${about}`.toLowerCase()]
  if (!words.every((word) => all.includes(word))) return null
  return words.every((word) => low.startsWith(word)) ? 0 : words.every((word) => low.includes(word)) ? 1 : 2
}

function* everything(state: Workspace | null, verbs: readonly Verb[], given: Given): Generator<Choice> {
  for (const { name, title, key } of VIEWS) yield { kind: "view", name: title, about: `g ${key}`, run: () => goTo(name) }
  for (const verb of verbs) yield { kind: "do", name: verb.name, about: verb.summary, run: () => (openVerb.value = { verb, given }) }
  if (state === null) return
  for (const { name, kind } of state.agents.values()) yield { kind: "agent", name, about: kind, run: () => goTo("agents", [name]) }
  for (const { id, name } of state.plans.values()) yield { kind: "plan", name: id, about: name, run: () => goTo("plan", [id]) }
  for (const { id } of state.tasks.values()) yield { kind: "task", name: id, about: state.specs.get(id)?.title ?? "", run: () => goTo("plan", [id]) }
  for (const { id, title } of state.threads.values()) yield { kind: "thread", name: id, about: title, run: () => goTo("threads", [id]) }
}
