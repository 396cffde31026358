import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { showUsd } from "../core/money.ts"
import { type Chart, chartsOf } from "./chart-series.ts"
import { entriesSince } from "./chart-source.ts"
import { count } from "./figures.ts"
import { clock, type Picture } from "./moment.ts"
import { onStreamed } from "./link.ts"
import { RecentEntries } from "./recent-entries.ts"
import { hrefOf } from "./route.ts"
import { ledgerEra } from "./stored-pages.ts"

const HOUR_MS = 3_600_000
const BUCKETS = 30
/** What came is drawn so often, in ms; where nothing comes, the hour goes on at each so many of those. */
const AGAIN_MS = 2_000
const ANYWAY = 15
/** A spark is a glance: it is not worth more entries than these. */
const ENTRIES_MAX = 5_000
const WIDTH = 90
const HEIGHT = 20

/** The last hour in three small lines, each with its sum in words. */
export function Sparks({ picture }: { picture: Picture }): JSX.Element | null {
  const [charts, setCharts] = useState<readonly Chart[]>([])
  const newest = useRef(picture)
  newest.current = picture
  useEffect(() => {
    let isOver = false
    let isStale = true
    let recent = new RecentEntries(ENTRIES_MAX)
    // Without them the view is as useful; what keeps the hub from answering is told in the header.
    const read = (): void => {
      recent = new RecentEntries(ENTRIES_MAX)
      const mine = recent
      const { seq } = newest.current
      entriesSince(seq, endOf(newest.current) - HOUR_MS, ENTRIES_MAX).then(
        ({ entries, isWhole }) => {
          mine.begin(entries, isWhole)
          draw()
        },
        () => undefined,
      )
    }
    const draw = (): void => {
      if (isOver || recent.entries.length === 0) return
      isStale = false
      const toMs = endOf(newest.current)
      const fromMs = recent.isWhole ? toMs - HOUR_MS : Math.max(toMs - HOUR_MS, Math.min(toMs - 1_000, recent.entries[0]?.atMs ?? 0))
      setCharts(chartsOf(recent.entries, newest.current.state, { fromMs, toMs, buckets: BUCKETS }))
    }
    read()
    if (!picture.isLive) return () => void (isOver = true)
    const stop = onStreamed((entries) => {
      isStale = true
      if (!recent.take(entries)) read()
    })
    let ticks = 0
    const timer = setInterval(() => {
      ticks += 1
      if (isStale || ticks % ANYWAY === 0) draw()
    }, AGAIN_MS)
    return () => {
      isOver = true
      stop()
      clearInterval(timer)
    }
  }, [picture.isLive, picture.isLive ? 0 : picture.seq, ledgerEra.value])
  const values = (id: string, line = 0): number[] => charts.find((chart) => chart.id === id)?.lines[line]?.values.map((value) => value ?? 0) ?? []
  if (charts.length === 0) return null
  const sum = (of: number[]): number => of.reduce((before, value) => before + value, 0)
  const [done, cost, lost] = [values("throughput"), values("cost"), values("churn", 1)]
  return (
    <p class="sparks">
      <a href={hrefOf("charts")}>last hour</a>
      <Spark values={done} text={`${count(sum(done))} completed`} />
      <Spark values={cost} text={`${showUsd(Math.round(sum(cost) * 1e6))} spent`} />
      <Spark values={lost} text={`${count(sum(lost))} ${sum(lost) === 1 ? "lease" : "leases"} lost or given back`} />
    </p>
  )
}

function endOf({ atMs, isLive }: Picture): number {
  return isLive ? Math.max(atMs, clock.peek()) : atMs
}

function Spark({ values, text }: { values: readonly number[]; text: string }): JSX.Element {
  const most = Math.max(1e-9, ...values)
  const points = values.map((value, at) => `${(at * WIDTH) / Math.max(1, values.length - 1)},${HEIGHT - 1 - (value / most) * (HEIGHT - 2)}`)
  return (
    <span class="spark">
      <svg width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        <polyline points={points.join(" ")} fill="none" stroke="currentColor" stroke-width="1.2" />
      </svg>{" "}
      {text}
    </span>
  )
}
