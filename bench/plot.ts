export type Line = { name: string; points: readonly (readonly [number, number])[] }
export type Plot = { title: string; xTitle: string; yTitle: string; lines: readonly Line[] }

const WIDTH = 720
const HEIGHT = 360
const LEFT = 64
const RIGHT = 150
const TOP = 44
const BOTTOM = 52
/** Told apart by those who see no red or green, and by their marks besides. */
const INKS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]

/** A line plot with a logarithmic x axis and a y axis from 0, as SVG that needs nothing else. */
export function plot({ title, xTitle, yTitle, lines }: Plot): string {
  const xs = lines.flatMap(({ points }) => points.map(([x]) => Math.log10(x)))
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y))
  const [xMin, xMax] = [Math.floor(Math.min(...xs)), Math.ceil(Math.max(...xs))]
  const step = niceStep(Math.max(...ys) / 5)
  const yMax = Math.ceil((Math.max(...ys) * 1.1) / step) * step
  const x = (value: number): number => LEFT + ((Math.log10(value) - xMin) / Math.max(1, xMax - xMin)) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number => HEIGHT - BOTTOM - (value / yMax) * (HEIGHT - TOP - BOTTOM)
  const parts: string[] = []
  for (let tick = 0; tick <= yMax + step / 2; tick += step) {
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(tick))}" y2="${at(y(tick))}" stroke="#ddd"/>`)
    parts.push(text(LEFT - 8, y(tick) + 4, String(Number(tick.toPrecision(6))), "end"))
  }
  for (let power = xMin; power <= xMax; power += 1) parts.push(text(x(10 ** power), HEIGHT - BOTTOM + 20, (10 ** power).toLocaleString("en-US"), "middle"))
  for (const [index, { name, points }] of lines.entries()) {
    const ink = INKS[index % INKS.length] as string
    parts.push(
      `<polyline fill="none" stroke="${ink}" stroke-width="2"${index === 0 ? "" : ` stroke-dasharray="${6 * index} 4"`} points="${points.map(([px, py]) => `${at(x(px))},${at(y(py))}`).join(" ")}"/>`,
    )
    for (const [px, py] of points) {
      parts.push(`<circle cx="${at(x(px))}" cy="${at(y(py))}" r="3.5" fill="${ink}"/>`)
      parts.push(text(x(px), y(py) - 9 - index * 12, py.toPrecision(3), "middle", ink))
    }
    parts.push(
      `<line x1="${WIDTH - RIGHT + 14}" x2="${WIDTH - RIGHT + 36}" y1="${TOP + 12 + index * 20}" y2="${TOP + 12 + index * 20}" stroke="${ink}" stroke-width="2"${index === 0 ? "" : ` stroke-dasharray="${6 * index} 4"`}/>`,
    )
    parts.push(text(WIDTH - RIGHT + 42, TOP + 16 + index * 20, name, "start"))
  }
  parts.push(text(LEFT, 24, title, "start", "#111", 16))
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, xTitle, "middle"))
  parts.push(`<text transform="rotate(-90)" x="${-(TOP + HEIGHT - BOTTOM) / 2}" y="16" text-anchor="middle" fill="#333">${escape(yTitle)}</text>`)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escape(title)}">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
${parts.join("\n")}
</svg>
`
}

/** 1, 2 or 5 times a power of ten: what people count in. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  return ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10) * power
}

function text(x: number, y: number, content: string, anchor: "start" | "middle" | "end", fill = "#333", size = 12): string {
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}" fill="${fill}" font-size="${size}">${escape(content)}</text>`
}

function at(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escape(content: string): string {
  return content.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;")
}
