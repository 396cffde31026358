import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { Entry } from "../../core/entry.ts"
import type { TaskView } from "../../core/view.ts"
import { count } from "../figures.ts"
import { Ago, Text, To } from "../text.tsx"
import { useHistory } from "./stored-entries.ts"

/** The entries that are about a task, read when somebody wants to see them. */
export function TaskHistory({ task }: { task: TaskView }): JSX.Element {
  const [isOpen, setOpen] = useState(false)
  const { history, further } = useHistory(task.id, task, isOpen)
  const { entries, from, isReading, trouble } = history
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>History: its entries in the ledger</summary>
      <ol class="plain" reversed>
        {entries.map((entry) => (
          <li key={entry.seq}>
            <To view="ledger" part={String(entry.seq)}>
              {count(entry.seq)}
            </To>{" "}
            <Text of={entry.type} max={60} /> <span class="quiet">by</span> <Text of={entry.actor.agent} max={80} />{" "}
            <span class="quiet">
              <Ago atMs={entry.atMs} />
            </span>
            <Said entry={entry} />
          </li>
        ))}
      </ol>
      {isReading ? <p role="status">Reading the ledger …</p> : null}
      {trouble === null ? null : (
        <p role="alert">
          <Text of={trouble} /> <button onClick={further}>Try again</button>
        </p>
      )}
      {!isReading && trouble === null && from > task.addedSeq ? (
        <p>
          <button type="button" onClick={further}>
            Look further back than entry {count(from)}
          </button>
        </p>
      ) : null}
    </details>
  )
}

/** What an entry says in words, where it says anything. */
function Said({ entry }: { entry: Entry }): JSX.Element | null {
  const { reason, note, body, text } = entry.data as { reason?: unknown; note?: unknown; body?: unknown; text?: unknown }
  const words = [reason, note, body, text].filter((said): said is string => typeof said === "string" && said !== "").join(" · ")
  return words === "" ? null : (
    <div>
      <Text of={words} max={200} />
    </div>
  )
}
