import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { type Chart, chartsOf } from "./chart-series.ts"
import { entriesSince } from "./chart-source.ts"
import { count, money } from "./figures.ts"
import { clock, type Picture } from "./moment.ts"
import { hrefOf } from "./route.ts"

const HOUR_MS = 3_600_000
const BUCKETS = 30
const AGAIN_MS = 10_000
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
    const make = async (): Promise<void> => {
      const { state, seq, atMs, isLive } = newest.current
      const toMs = isLive ? Math.max(atMs, clock.peek()) : atMs
      const { entries, isWhole } = await entriesSince(seq, toMs - HOUR_MS, ENTRIES_MAX)
      const fromMs = isWhole ? toMs - HOUR_MS : Math.min(toMs - 1_000, entries[0]?.atMs ?? 0)
      if (!isOver) setCharts(chartsOf(entries, state, { fromMs, toMs, buckets: BUCKETS }))
    }
    // Without them the view is as useful; what keeps the hub from answering is told in the header.
    const look = (): void => void make().catch(() => undefined)
    look()
    const timer = picture.isLive ? setInterval(look, AGAIN_MS) : undefined
    return () => {
      isOver = true
      clearInterval(timer)
    }
  }, [picture.isLive, picture.isLive ? 0 : picture.seq])
  const values = (id: string, line = 0): number[] => charts.find((chart) => chart.id === id)?.lines[line]?.values.map((value) => value ?? 0) ?? []
  if (charts.length === 0) return null
  const sum = (of: number[]): number => of.reduce((before, value) => before + value, 0)
  const [done, cost, lost] = [values("throughput"), values("cost"), values("churn", 1)]
  return (
    <p class="sparks">
      <a href={hrefOf("charts")}>last hour</a>
      <Spark values={done} text={`${count(sum(done))} completed`} />
      <Spark values={cost} text={`${money(Math.round(sum(cost) * 1e6))} spent`} />
      <Spark values={lost} text={`${count(sum(lost))} leases lost or given back`} />
    </p>
  )
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
