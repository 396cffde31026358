import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { SkeinError } from "../contract/errors.ts"
import type { Input } from "../contract/operations.ts"
import { carryOut, type Deed, tell } from "./act.ts"
import { Dialog } from "./dialog.tsx"
import { GRAVE } from "./grave.ts"
import { knownFor } from "./known-names.ts"
import type { Given } from "./palette-call.ts"
import { Refusal } from "./refusal.tsx"
import { Resend } from "./resend.ts"
import { Text } from "./text.tsx"
import { type Field, inputOf, openVerb, type Verb } from "./verbs.ts"
import { failureText } from "./failure.ts"

/** The form of the verb that was chosen. */
export function VerbForm(): JSX.Element | null {
  const open = openVerb.value
  return open === null ? null : <Form key={open.verb.name} verb={open.verb} given={open.given} />
}

function Form({ verb, given }: { verb: Verb; given: Given }): JSX.Element {
  const [filled, setFilled] = useState<Given>(() =>
    Object.fromEntries(verb.fields.flatMap(({ name }) => (given[name] === undefined ? [] : [[name, given[name]]]))),
  )
  const [refusal, setRefusal] = useState<{ message: string; remedy: string } | null>(null)
  const [answer, setAnswer] = useState<string | null>(null)
  const [isAtWork, setAtWork] = useState(false)
  const [resend] = useState(() => new Resend())
  const lost = GRAVE[verb.name] ?? null
  // While it is at work its outcome must find somewhere to be told.
  const close = (): void => void (isAtWork || (openVerb.value = null))
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (isAtWork) return
    setAtWork(true)
    try {
      const input = inputOf(verb.fields, filled)
      const output = await carryOut(verb.name, input as Input<Deed>, resend.keyOf(input))
      resend.cameTo(null)
      tell({ kind: "done", text: `${verb.name}: done`, remedy: "" })
      const text = JSON.stringify(output, null, 2)
      if (text === "{}") openVerb.value = null
      setRefusal(null)
      setAnswer(text)
    } catch (error) {
      resend.cameTo(error)
      setRefusal(refusalOf(error))
    }
    setAtWork(false)
  }
  const first = verb.fields.find(({ name }) => filled[name] === undefined)?.name
  return (
    <Dialog title={verb.name} onClose={close}>
      <form class="verb" onSubmit={(event) => void submit(event)}>
        <h2>{verb.summary}</h2>
        <p class="quiet">
          <code>{verb.name}</code> · for {verb.least} and above
        </p>
        <details>
          <summary>What it does</summary>
          <p class="lines">{verb.text}</p>
        </details>
        {answer === null
          ? verb.fields.map((field) => (
              <FieldInput
                key={field.name}
                field={field}
                value={filled[field.name] ?? ""}
                isFirst={field.name === first}
                known={knownFor(verb.name, field.name)}
                onChange={(value) => setFilled({ ...filled, [field.name]: value })}
              />
            ))
          : null}
        {answer !== null || lost === null ? null : (
          <label class="meant">
            <input type="checkbox" name="meant" required /> {lost} That is meant.
          </label>
        )}
        <Refusal of={refusal} />
        {answer === null ? null : (
          <div role="status">
            <p>Done. The hub answered:</p>
            <pre tabIndex={0}>
              <Text of={answer} max={4_000} lines />
            </pre>
          </div>
        )}
        <div class="buttons">
          <button type="button" onClick={close} disabled={isAtWork}>
            {answer === null ? "Leave it" : "Close"}
          </button>
          {answer === null ? (
            <button type="submit" class={lost === null ? "main" : "grave"} disabled={isAtWork}>
              {isAtWork ? "…" : verb.name}
            </button>
          ) : null}
        </div>
      </form>
    </Dialog>
  )
}

function FieldInput({
  field: { name, kind, isRequired, about, otherwise, choices, min, max },
  value,
  isFirst,
  known,
  onChange,
}: {
  field: Field
  value: string
  isFirst: boolean
  known: readonly string[]
  onChange: (value: string) => void
}): JSX.Element {
  const id = `verb-${name}`
  const common = { id, name, required: isRequired, autofocus: isFirst, "aria-describedby": `${id}-about` }
  const note = [about, kind === "list" ? "one a line" : "", kind === "json" ? "as JSON" : "", otherwise === null ? "" : `otherwise ${otherwise}`]
  return (
    <div class="field">
      <label for={id}>
        {name}
        {isRequired ? "" : <span class="quiet"> (if wanted)</span>}
      </label>
      {kind === "choice" || kind === "flag" ? (
        <select {...common} value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
          <option value="">{isRequired ? "choose" : "–"}</option>
          {(kind === "flag" ? ["true", "false"] : choices).map((choice) => (
            <option key={choice} value={choice}>
              {kind === "flag" ? (choice === "true" ? "yes" : "no") : choice}
            </option>
          ))}
        </select>
      ) : kind === "lines" || kind === "list" || kind === "json" ? (
        <textarea {...common} rows={kind === "lines" ? 3 : 2} value={value} onInput={({ currentTarget }) => onChange(currentTarget.value)} />
      ) : kind === "number" ? (
        <input
          {...common}
          type="number"
          min={min ?? undefined}
          max={max ?? undefined}
          value={value}
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      ) : (
        <>
          <input
            {...common}
            type="text"
            {...(known.length === 0 ? {} : { list: `${id}-known` })}
            value={value}
            autocomplete="off"
            onInput={({ currentTarget }) => onChange(currentTarget.value)}
          />
          {known.length === 0 ? null : (
            <datalist id={`${id}-known`}>
              {known.map((one) => (
                <option key={one} value={one} />
              ))}
            </datalist>
          )}
        </>
      )}
      <small id={`${id}-about`} class="quiet">
        {note.filter((part) => part !== "").join("; ")}
      </small>
    </div>
  )
}

function refusalOf(error: unknown): { message: string; remedy: string } {
  if (error instanceof SkeinError) return error
  return { message: failureText(error), remedy: "Mend it in the form." }
}
