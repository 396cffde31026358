/** What no assignment may use: the pair does not fit. */
export const IMPOSSIBLE = Number.NEGATIVE_INFINITY

/**
 * The assignment problem (Kuhn 1955), by shortest augmenting paths with potentials: gives each row at most one column and each column at most one row, so
 * that as many rows as possible are served and, among those ways, the sum of scores is the greatest. `scores[row][column]`; `IMPOSSIBLE` for pairs that do
 * not fit. Answers each row's column, or -1. O(n² m) for the n of the shorter side. The core imports no packages, so this is written out.
 */
export function assign(scores: readonly (readonly number[])[]): number[] {
  const rows = scores.length
  const columns = scores[0]?.length ?? 0
  if (rows === 0 || columns === 0) return scores.map(() => -1)
  if (rows > columns) {
    const taken = assign(Array.from({ length: columns }, (_, column) => scores.map((row) => row[column] as number)))
    const answer = scores.map(() => -1)
    taken.forEach((row, column) => {
      if (row >= 0) answer[row] = column
    })
    return answer
  }
  const columnOf = cheapest(costsOf(scores))
  return columnOf.map((column, row) => (scores[row]?.[column] === IMPOSSIBLE ? -1 : column))
}

/** Scores turned round; what does not fit costs more than all that fits can ever be worth. */
function costsOf(scores: readonly (readonly number[])[]): number[][] {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (const row of scores) {
    for (const score of row) {
      if (score === IMPOSSIBLE) continue
      if (score < least) least = score
      if (score > most) most = score
    }
  }
  const span = most >= least ? most - least : 0
  const forbidden = (span + 1) * (scores.length + 1)
  return scores.map((row) => row.map((score) => (score === IMPOSSIBLE ? forbidden : most - score)))
}

/** Each row's column at the least total cost; rows ≤ columns. Index 0 of the 1-based arrays stands for "none". */
function cheapest(costs: readonly (readonly number[])[]): number[] {
  const n = costs.length
  const m = costs[0]?.length ?? 0
  const rowPrice = new Float64Array(n + 1)
  const columnPrice = new Float64Array(m + 1)
  const rowOf = new Int32Array(m + 1)
  const cameFrom = new Int32Array(m + 1)
  for (let row = 1; row <= n; row += 1) {
    rowOf[0] = row
    let column = 0
    const slack = new Float64Array(m + 1).fill(Number.POSITIVE_INFINITY)
    const used = new Uint8Array(m + 1)
    do {
      used[column] = 1
      const at = rowOf[column] as number
      let delta = Number.POSITIVE_INFINITY
      let next = 0
      for (let to = 1; to <= m; to += 1) {
        if (used[to] === 1) continue
        const reduced = ((costs[at - 1] as number[])[to - 1] as number) - (rowPrice[at] as number) - (columnPrice[to] as number)
        if (reduced < (slack[to] as number)) {
          slack[to] = reduced
          cameFrom[to] = column
        }
        if ((slack[to] as number) < delta) {
          delta = slack[to] as number
          next = to
        }
      }
      for (let to = 0; to <= m; to += 1) {
        if (used[to] === 1) {
          rowPrice[rowOf[to] as number] = (rowPrice[rowOf[to] as number] as number) + delta
          columnPrice[to] = (columnPrice[to] as number) - delta
        } else slack[to] = (slack[to] as number) - delta
      }
      column = next
    } while (rowOf[column] !== 0)
    while (column !== 0) {
      const from = cameFrom[column] as number
      rowOf[column] = rowOf[from] as number
      column = from
    }
  }
  const columnOf = Array.from({ length: n }, () => -1)
  for (let column = 1; column <= m; column += 1) if (rowOf[column] !== 0) columnOf[(rowOf[column] as number) - 1] = column - 1
  return columnOf
}
