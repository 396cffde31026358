import type { ComponentChildren, JSX } from "preact"
import { useState } from "preact/hooks"
import { byName } from "../core/ids.ts"
import { count } from "./figures.ts"

/** A column. `order`: what its rows are put in order by, where they can be. The first column names the row. */
export type Column<Row> = {
  title: string
  isNumber?: boolean
  order?: (row: Row) => number | string | null
  cell: (row: Row) => ComponentChildren
}

/** Rows that are drawn at first, and further ones at each asking. */
const SHOWN = 100

/** A table that a press on a heading puts in order; as it comes until then. `name`: what it is a table of, for whoever does not see where it stands. */
export function SortedTable<Row>({
  name,
  columns,
  rows,
  keyOf,
}: {
  name: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  keyOf: (row: Row) => string
}): JSX.Element {
  const [by, setBy] = useState<{ column: number; isDown: boolean } | null>(null)
  const [most, setMost] = useState(SHOWN)
  const sorted = by === null ? rows : inOrder(rows, columns[by.column]?.order, by.isDown)
  return (
    <>
      <div class="scroll">
        <table aria-label={name}>
          <thead>
            <tr>
              {columns.map(({ title, isNumber = false, order }, column) => (
                <th key={title} class={isNumber ? "number" : undefined} aria-sort={by?.column !== column ? undefined : by.isDown ? "descending" : "ascending"}>
                  {order === undefined ? (
                    title
                  ) : (
                    <button
                      type="button"
                      class="sort"
                      // Of numbers the greatest are wanted first.
                      onClick={() => setBy({ column, isDown: by?.column === column ? !by.isDown : isNumber })}
                    >
                      {title}
                      <span aria-hidden="true">{by?.column !== column ? " ↕" : by.isDown ? " ↓" : " ↑"}</span>
                    </button>
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody data-arrows>
            {sorted.slice(0, most).map((row) => (
              <tr key={keyOf(row)}>
                {columns.map(({ title, isNumber, cell }, column) =>
                  column === 0 ? (
                    <th key={title} scope="row">
                      {cell(row)}
                    </th>
                  ) : (
                    <td key={title} class={isNumber === true ? "number" : undefined}>
                      {cell(row)}
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > most ? (
        <p>
          <button type="button" onClick={() => setMost(most + SHOWN * 5)}>
            {count(most)} of {count(rows.length)} are shown: show more
          </button>
        </p>
      ) : null}
    </>
  )
}

function inOrder<Row>(rows: readonly Row[], order: Column<Row>["order"], isDown: boolean): Row[] {
  if (order === undefined) return [...rows]
  const sign = isDown ? -1 : 1
  const keyed = rows.map((row) => ({ row, key: order(row) }))
  // What has no value comes last either way.
  keyed.sort(({ key: a }, { key: b }) => {
    if (a === b) return 0
    if (a === null) return 1
    if (b === null) return -1
    return sign * (typeof a === "string" && typeof b === "string" ? byName(a, b) : a < b ? -1 : 1)
  })
  return keyed.map(({ row }) => row)
}
