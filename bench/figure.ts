/** Latencies of one stretch of work, in ms. */
export type Spread = { count: number; p50Ms: number; p90Ms: number; p99Ms: number; maxMs: number }

/** The value below which `share` (0 to 1) of the samples lie; NaN of none. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

export function spread(latenciesMs: readonly number[]): Spread {
  return {
    count: latenciesMs.length,
    p50Ms: round(percentile(latenciesMs, 0.5)),
    p90Ms: round(percentile(latenciesMs, 0.9)),
    p99Ms: round(percentile(latenciesMs, 0.99)),
    maxMs: round(percentile(latenciesMs, 1)),
  }
}

/** Of rounds, field by field, the median: one round in which the machine was busy elsewhere does not count. */
export function medians<Fields extends Record<string, number>>(rounds: readonly Fields[]): Fields {
  const [first] = rounds
  if (first === undefined) throw new Error("no rounds")
  const fields = Object.keys(first).map((field) => [field, round(median(rounds.map((one) => one[field] as number)))])
  return Object.fromEntries(fields) as Fields
}

/** Four significant digits: more would pretend. */
export function round(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : value
}

/** Rows under a heading, columns as wide as their widest cell; the first is flush left, the rest flush right. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((title, at) => Math.max(title.length, ...rows.map((row) => (row[at] ?? "").length)))
  const line = (row: readonly string[]): string =>
    widths.map((width, at) => (at === 0 ? (row[at] ?? "").padEnd(width) : (row[at] ?? "").padStart(width))).join("  ")
  return [line(heading), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n")
}

/** A figure for people: thousands set apart, small ones with three digits. */
export function show(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "-"
  if (Math.abs(value) >= 1_000)
    return Math.round(value)
      .toString()
      .replace(/\B(?=(\d{3})+$)/g, ",")
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString()
}
