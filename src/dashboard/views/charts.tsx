import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { type Chart, chartsOf, hubChartsOf, type Sample } from "../chart-series.ts"
import { entriesSince, hubHistory } from "../chart-source.ts"
import { count, dateTime } from "../figures.ts"
import { clock, isNow, type Picture } from "../moment.ts"
import { Plot } from "../plot.tsx"
import { setFilters } from "../route.ts"
import { NotRecorded, Text } from "../text.tsx"
import type { ViewProps } from "../views.ts"
import { failureText } from "../failure.ts"

const MINUTE_MS = 60_000
const SPANS: readonly { name: string; text: string; ms: number }[] = [
  { name: "15m", text: "15 minutes", ms: 15 * MINUTE_MS },
  { name: "2h", text: "2 hours", ms: 120 * MINUTE_MS },
  { name: "24h", text: "24 hours", ms: 1_440 * MINUTE_MS },
  { name: "all", text: "all of it", ms: Number.POSITIVE_INFINITY },
]
const BUCKETS = 60
/** Charts of now are drawn anew so often, in ms. */
const AGAIN_MS = 5_000

type Made = { charts: Chart[]; fromMs: number; toMs: number; entries: number; isWhole: boolean }

/** How it goes over time: what the ledger tells, of any moment; and what only the hub knows, of the last two hours. */
export function Charts({ picture, filters }: ViewProps): JSX.Element {
  const span = SPANS.find(({ name }) => name === filters["span"]) ?? SPANS[0]!
  const { made, trouble } = useCharts(picture, span.ms)
  return (
    <>
      <h2>Charts</h2>
      <p class="chart-span">
        <label>
          the last{" "}
          <select value={span.name} onChange={({ currentTarget }) => setFilters({ ...filters, span: currentTarget.value })}>
            {SPANS.map(({ name, text }) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>{" "}
        {made === null ? (
          <span class="quiet">reading the ledger …</span>
        ) : (
          <span class="quiet" data-until={picture.seq}>
            {dateTime(made.fromMs)} to {dateTime(made.toMs)}, from {count(made.entries)} entries
            {made.isWhole ? "" : ": no more are read for charts, so they begin later than asked"}
          </span>
        )}
      </p>
      {trouble === null ? null : (
        <p class="refusal">
          <Text of={trouble} />
        </p>
      )}
      <div class="plots">
        {made?.charts.map((chart) => (
          <Plot key={chart.id} chart={chart} />
        ))}
      </div>
      <h2>The hub itself</h2>
      {isNow.value ? <HubCharts spanMs={span.ms} /> : <NotRecorded />}
    </>
  )
}

/** The charts of the moment: at once for another moment, and every few seconds while it is now. */
function useCharts(picture: Picture, spanMs: number): { made: Made | null; trouble: string | null } {
  const [made, setMade] = useState<Made | null>(null)
  const [trouble, setTrouble] = useState<string | null>(null)
  const newest = useRef(picture)
  newest.current = picture
  useEffect(() => {
    let isOver = false
    let isAtWork = false
    const make = async (): Promise<void> => {
      if (isAtWork) return
      isAtWork = true
      try {
        const { state, seq, atMs, isLive } = newest.current
        const toMs = isLive ? Math.max(atMs, clock.peek()) : atMs
        const { entries, isWhole } = await entriesSince(seq, toMs - spanMs)
        if (isOver) return
        const firstMs = entries[0]?.atMs ?? toMs
        const fromMs = Math.max(toMs - spanMs, spanMs === Number.POSITIVE_INFINITY || !isWhole ? firstMs : toMs - spanMs)
        const span = { fromMs: Math.min(fromMs, toMs - 1_000), toMs, buckets: BUCKETS }
        setMade({ charts: chartsOf(entries, state, span), fromMs: span.fromMs, toMs, entries: entries.length, isWhole })
        setTrouble(null)
      } catch (error) {
        if (!isOver) setTrouble(failureText(error))
      } finally {
        isAtWork = false
      }
    }
    void make()
    const timer = picture.isLive ? setInterval(() => void make(), AGAIN_MS) : undefined
    return () => {
      isOver = true
      clearInterval(timer)
    }
  }, [picture.isLive, picture.isLive ? 0 : picture.seq, spanMs])
  return { made, trouble }
}

function HubCharts({ spanMs }: { spanMs: number }): JSX.Element {
  const [samples, setSamples] = useState<readonly Sample[]>([])
  useEffect(() => {
    const look = (): void => void hubHistory().then(setSamples, () => undefined)
    look()
    const timer = setInterval(look, AGAIN_MS)
    return () => clearInterval(timer)
  }, [])
  const newestMs = samples.at(-1)?.atMs ?? 0
  const shown = samples.filter(({ atMs }) => atMs >= newestMs - spanMs)
  if (shown.length < 2) return <p class="quiet">The hub takes a sample each 5 s and keeps two hours of them; there are not two yet.</p>
  return (
    <div class="plots">
      {hubChartsOf(shown).map((chart) => (
        <Plot key={chart.id} chart={chart} />
      ))}
    </div>
  )
}
