import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { type EntryFilter, isEmptyFilter } from "../../core/entry-filter.ts"
import type { Seq } from "../../core/ids.ts"
import { filterOf } from "../ledger-search.ts"
import { LedgerAll, LedgerFound } from "../ledger-list.tsx"
import { LedgerVerified } from "../ledger-verified.tsx"
import { LedgerEntry } from "../ledger-entry.tsx"
import { goTo, setFilters } from "../route.ts"
import { ledgerEra } from "../stored-pages.ts"
import type { ViewProps } from "../views.ts"

/** Beginnings of types that are offered; any other may be typed. */
const TYPES = ["task.", "task.claimed", "task.completed", "task.failed", "lease.", "leases.renewed", "message.", "thread.", "trigger.", "agent.", "session."]
const MORE_TYPES = ["plan.", "files.", "usage.", "budget.", "breaker.", "event.", "policy.", "checkpoint.recorded", "hub.started"]
const FIELDS: readonly (keyof EntryFilter)[] = ["type", "actor", "task", "text"]
const TYPING_MS = 300

export function Ledger({ picture, parts, filters }: ViewProps): JSX.Element {
  const filter = filterOf(filters)
  const [part] = parts
  const chosen = part !== undefined && /^\d{1,15}$/.test(part) ? Number(part) : null
  const choose = (seq: Seq | null): void => goTo("ledger", seq === null ? [] : [String(seq)], filters)
  const key = `${ledgerEra.value} ${JSON.stringify(filter)}`
  return (
    <>
      <h2>Ledger</h2>
      <Filters filter={filter} agents={[...picture.state.agents.keys()]} />
      <LedgerVerified picture={picture} />
      <div class={chosen === null ? "ledger" : "ledger ledger-split"}>
        {isEmptyFilter(filter) ? (
          <LedgerAll key={ledgerEra.value} top={picture.seq} chosen={chosen} choose={choose} />
        ) : (
          <LedgerFound key={key} top={picture.seq} filter={filter} chosen={chosen} choose={choose} />
        )}
        {chosen === null ? null : <LedgerEntry key={chosen} seq={chosen} picture={picture} close={() => choose(null)} />}
      </div>
    </>
  )
}

function Filters({ filter, agents }: { filter: EntryFilter; agents: readonly string[] }): JSX.Element {
  const [typed, setTyped] = useState(filter)
  useEffect(() => {
    const wait = setTimeout(() => {
      if (FIELDS.every((field) => typed[field] === filter[field])) return
      setFilters(Object.fromEntries(FIELDS.flatMap((field) => (typed[field] === "" ? [] : [[field, typed[field]]]))))
    }, TYPING_MS)
    return () => clearTimeout(wait)
  }, [typed])
  const field = (name: keyof EntryFilter, label: string, list?: string): JSX.Element => (
    <label class="field">
      {label}
      <input
        type="text"
        value={typed[name]}
        {...(list === undefined ? {} : { list })}
        {...(name === "text" ? { "data-search": "" } : {})}
        onInput={({ currentTarget }) => setTyped({ ...typed, [name]: currentTarget.value })}
      />
    </label>
  )
  return (
    <form class="filters" role="search" aria-label="Filter the ledger" onSubmit={(event) => event.preventDefault()}>
      {field("text", "text", undefined)}
      {field("type", "type begins with", "ledger-types")}
      {field("actor", "by", "ledger-actors")}
      {field("task", "task")}
      <button type="button" onClick={() => setTyped({ type: "", actor: "", task: "", text: "" })} disabled={isEmptyFilter(typed)}>
        clear
      </button>
      <datalist id="ledger-types">
        {[...TYPES, ...MORE_TYPES].map((type) => (
          <option key={type} value={type} />
        ))}
      </datalist>
      <datalist id="ledger-actors">
        {["hub", "operator", ...agents].map((agent) => (
          <option key={agent} value={agent} />
        ))}
      </datalist>
    </form>
  )
}
