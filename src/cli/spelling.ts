/** The known word that `word` was probably meant to be, or null. Case and `-`, `_` do not count; else at most a third of its letters may differ. */
function nearest(word: string, known: Iterable<string>): string | null {
  // Distances are quadratic in the length, and nobody mistypes a word this long.
  if (word.length > 64) return null
  const plain = fold(word)
  let best: string | null = null
  let least = Math.max(1, Math.floor(plain.length / 3)) + 1
  for (const candidate of known) {
    const distance = plain === fold(candidate) ? 0 : editDistance(plain, fold(candidate), least)
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** `Did you mean X? ` or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const meant = nearest(word, known)
  return meant === null ? "" : `Did you mean "${meant}"? `
}

function fold(word: string): string {
  return word.toLowerCase().replace(/[-_ ]/g, "")
}

/** Damerau-Levenshtein distance (adjacent letters may be swapped), or `limit` where it is that or more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min((previous[j] as number) + 1, (row[j - 1] as number) + 1, (previous[j - 1] as number) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] as number) + 1)
      row.push(cost)
    }
    before = previous
    previous = row
  }
  return Math.min(limit, previous[b.length] as number)
}
