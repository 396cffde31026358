import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import { exactUsd } from "../core/money.ts"
import type { Chart } from "./chart-series.ts"
import { dateTime, duration } from "./figures.ts"
import { remPx } from "./scale.ts"
import { theme } from "./theme.ts"

/** Of the lines of a chart, in this order; dashes tell them apart where colours do not. */
const COLOURS = ["--accent", "--warn"]
const DASHES = [[], [6, 4]]
/** Rows of the table beside a chart: the newest. */
const ROWS_MAX = 200
const DAY_S = 86_400

/** A chart, and the same figures as a table. */
export function Plot({ chart }: { chart: Chart }): JSX.Element {
  const { id, title, lines } = chart
  return (
    <figure class="plot" aria-labelledby={`plot-${id}`}>
      <figcaption id={`plot-${id}`}>
        {title} <span class="quiet">{lines.length > 1 ? legendOf(chart) : ""}</span>
      </figcaption>
      <Canvas chart={chart} />
      <p class="quiet">{saidOf(chart)}</p>
      <details>
        <summary>figures</summary>
        <Figures chart={chart} />
      </details>
    </figure>
  )
}

function Canvas({ chart }: { chart: Chart }): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const shape = `${theme.value} ${remPx.value} ${chart.lines.map(({ name }) => name).join()} ${chart.unit}`
  useEffect(() => {
    const { current } = box
    if (current === null) return undefined
    const draw = (): void => {
      plot.current?.destroy()
      plot.current = new uPlot(optionsOf(chart, current), dataOf(chart), current)
    }
    draw()
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(200, current.clientWidth), height: current.clientHeight }))
    sizes.observe(current)
    // The system may go dark, or to colours of its own, while the page is open.
    const looks = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => matchMedia(query))
    for (const look of looks) look.addEventListener("change", draw)
    return () => {
      sizes.disconnect()
      for (const look of looks) look.removeEventListener("change", draw)
      plot.current?.destroy()
      plot.current = null
    }
  }, [shape])
  useEffect(() => plot.current?.setData(dataOf(chart)), [chart])
  return <div ref={box} class="plot-box" role="img" aria-label={`${chart.title}: ${saidOf(chart)}`} />
}

function dataOf({ times, lines }: Chart): uPlot.AlignedData {
  return [times, ...lines.map(({ values }) => values)]
}

function optionsOf({ lines, unit }: Chart, box: HTMLElement): uPlot.Options {
  const style = getComputedStyle(box)
  // A colour that depends on the theme is only known once it was used: a canvas does not know light-dark().
  const colour = (name: string): string => {
    box.style.color = `var(${name})`
    const found = style.color
    box.style.color = ""
    return found
  }
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    // In whole pixels: uPlot reads of 11.2px the 2, and puts the date over the time.
    font: `${Math.round(0.7 * remPx.peek())}px ${style.fontFamily}`,
  }
  return {
    width: Math.max(200, box.clientWidth),
    height: box.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, size: 3 * remPx.peek(), values: (_, marks, __, ___, stepS) => timesOf(marks, stepS) },
      { ...axis, size: 3.75 * remPx.peek(), values: (_, marks) => marks.map((mark) => textOf(mark, unit)) },
    ],
    series: [
      {},
      ...lines.map(({ name, values }, at) => ({
        label: name,
        stroke: colour(COLOURS[at % COLOURS.length] as string),
        dash: DASHES[at % DASHES.length] as number[],
        width: 1.5,
        spanGaps: true,
        // Where little is known a line has nothing to join.
        points: { show: values.includes(null), size: 4 },
      })),
    ],
  }
}

/** What stands at marks of time, so many seconds apart: the date with the first of each day. */
function timesOf(marks: readonly number[], stepS: number): string[] {
  let before = ""
  return marks.map((mark) => {
    const [date = "", time = ""] = dateTime(mark * 1_000).split(" ")
    const isNew = date !== before
    before = date
    if (stepS >= DAY_S) return date.slice(5)
    return `${time.slice(0, stepS < 60 ? 8 : 5)}${isNew ? `\n${date}` : ""}`
  })
}

function legendOf({ lines }: Chart): string {
  return lines.map(({ name }, at) => `${at % 2 === 0 ? "——" : "– –"} ${name}`).join("  ")
}

/** A chart in a sentence. */
function saidOf({ lines, unit }: Chart): string {
  return lines
    .map(({ name, values }) => {
      const known = values.filter((value) => value !== null)
      if (known.length === 0) return `${name}: nothing`
      return `${name}: last ${saidText(known.at(-1) as number, unit)}, most ${saidText(Math.max(...known), unit)}`
    })
    .join("; ")
}

function Figures({ chart: { times, lines, unit, title } }: { chart: Chart }): JSX.Element {
  const rows = times.map((time, at) => ({ time, values: lines.map(({ values }) => values[at] ?? null) })).filter(({ values }) => values.some((value) => value))
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
      <table>
        <thead>
          <tr>
            <th scope="col">from</th>
            {lines.map(({ name }) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows
            .slice(-ROWS_MAX)
            .reverse()
            .map(({ time, values }) => (
              <tr key={time}>
                <th scope="row">{dateTime(time * 1_000)}</th>
                {values.map((value, at) => (
                  <td key={at} class="number">
                    {value === null ? "" : saidText(value, unit)}
                  </td>
                ))}
              </tr>
            ))}
        </tbody>
      </table>
      {rows.length === 0 ? <p class="quiet">nothing in this time</p> : null}
    </div>
  )
}

function textOf(value: number, unit: Chart["unit"]): string {
  if (unit === "usd") return exactUsd(Math.round(value * 1e6))
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 4
  const text = value.toLocaleString("en", { maximumFractionDigits: digits })
  return unit === "count" ? text : `${text} ${unit}`
}

/** As a mark has it, but a long time in its units. */
function saidText(value: number, unit: Chart["unit"]): string {
  return unit === "s" && value >= 60 ? duration(value * 1_000) : textOf(value, unit)
}
