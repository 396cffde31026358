/** How numbers and times are written, everywhere alike. */

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** A length of time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. Negative ones are 0. */
export function duration(ms: number): string {
  const left = Math.max(0, ms)
  if (left < MINUTE_MS) return `${Math.floor(left / SECOND_MS)} s`
  if (left < HOUR_MS) return two(left, MINUTE_MS, "min", SECOND_MS, "s")
  return left < DAY_MS ? two(left, HOUR_MS, "h", MINUTE_MS, "min") : two(left, DAY_MS, "d", HOUR_MS, "h")
}

function two(ms: number, large: number, name: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small)
  return `${Math.floor(ms / large)} ${name}${rest === 0 ? "" : ` ${rest} ${smallName}`}`
}

/** A whole number, its thousands apart: `12,345`. */
export function count(value: number): string {
  return grouped(String(Math.round(value)))
}

function grouped(digits: string): string {
  const [whole = "", rest] = digits.split(".")
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",")
  return rest === undefined ? apart : `${apart}.${rest}`
}

/** A moment on the reader's own clock: `2026-11-21 16:05:09`. */
export function dateTime(atMs: number): string {
  const date = new Date(atMs)
  const pad = (value: number): string => String(value).padStart(2, "0")
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
}
