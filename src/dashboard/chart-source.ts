import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import type { Sample } from "./chart-series.ts"
import { ledger } from "./entry-source.ts"
import { ask } from "./live.ts"

/** Entries that are read for charts at the most, and at a stretch. */
const ENTRIES_MAX = 50_000
const STRETCH = 512 * 8

/** The entries up to `seq` since a time; `isWhole`: all of them, no more than a chart may read. */
export async function entriesSince(seq: Seq, fromMs: number, max = ENTRIES_MAX): Promise<{ entries: Entry[]; isWhole: boolean }> {
  const stretches: Entry[][] = []
  let isWhole = true
  for (let to = seq; to >= 1;) {
    const from = Math.max(1, to - STRETCH + 1, seq - max + 1)
    const stretch: Entry[] = []
    for await (const page of ledger.entries(from, to)) stretch.push(...page)
    stretches.unshift(stretch)
    const [first] = stretch
    if (first === undefined || first.atMs < fromMs || from === 1) break
    isWhole = seq - from + 1 < max
    to = isWhole ? from - 1 : 0
  }
  return { entries: stretches.flat(), isWhole }
}

const KEPT_MS = 2 * 3_600_000
let samples: Sample[] = []

/** The hub's samples of the last two hours, and on: only new ones are asked for. */
export async function hubHistory(): Promise<readonly Sample[]> {
  const lastMs = samples.at(-1)?.atMs ?? 0
  const { history } = (await ask("hub.metrics", { sinceMs: lastMs })) as { history?: Sample[] }
  samples = [...samples, ...(history ?? []).filter(({ atMs }) => atMs > (samples.at(-1)?.atMs ?? 0))]
  const newestMs = samples.at(-1)?.atMs ?? 0
  samples = samples.filter(({ atMs }) => atMs > newestMs - KEPT_MS)
  return samples
}
