import type { ComponentChildren, JSX } from "preact"
import { useState } from "preact/hooks"
import { InLink } from "./text.tsx"

/**
 * A list of which each row is one link, gone along by arrows (`arrows.ts`). It is one stop of the Tab key, at the link that is open or that had the focus
 * last: whoever goes by keys is through two hundred threads with one press.
 */
export function LinkList<Row>({
  rows,
  keyOf,
  hrefOf,
  open,
  children,
}: {
  rows: readonly Row[]
  keyOf: (row: Row) => string
  hrefOf: (row: Row) => string
  open: string
  children: (row: Row) => ComponentChildren
}): JSX.Element {
  const [focused, setFocused] = useState<string | null>(null)
  const keys = rows.map(keyOf)
  const stop = [focused, open].find((key) => key !== null && keys.includes(key)) ?? keys[0]
  return (
    <ul class="plain threads" data-arrows>
      {rows.map((row, at) => {
        const key = keys[at] as string
        return (
          <li key={key}>
            <a href={hrefOf(row)} aria-current={key === open ? "true" : undefined} tabIndex={key === stop ? 0 : -1} onFocus={() => setFocused(key)}>
              <InLink.Provider value={true}>{children(row)}</InLink.Provider>
            </a>
          </li>
        )
      })}
    </ul>
  )
}
