import type { Skills } from "../core/agent.ts"

/** Durations, money and skills as people write them. The first two are kept as integers: milliseconds and micro-USD. */

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const
type Unit = keyof typeof UNIT_MS

/** What a quantity can be wrong in, with what to write instead. */
export type WrongQuantity = { wrong: string; remedy: string }

export const DURATION_REMEDY = "Write a number with its unit: 250ms, 20s, 1.5h or 90m."

const MOMENT_REMEDY = "Write 10:42, 10:42:17, 2026-11-23, '2026-11-23 10:42', or how long ago: 90m."

/** `250ms`, `20s`, `1.5h` or `90m` in whole milliseconds. */
export function parseDuration(text: string): number | WrongQuantity {
  const match = /^(-?\d+(?:\.\d+)?)\s*([A-Za-zµ]*)$/.exec(text.trim())
  if (match === null) return { wrong: "is no duration", remedy: DURATION_REMEDY }
  const [, digits = "", unit = ""] = match
  if (digits.startsWith("-")) return { wrong: "is negative", remedy: DURATION_REMEDY }
  if (unit === "") return { wrong: "has no unit", remedy: `Say what it counts: ${digits}s, ${digits}m or ${digits}h.` }
  if (!Object.hasOwn(UNIT_MS, unit)) return { wrong: `has the unit "${unit}", which is none of ms, s, m, h`, remedy: DURATION_REMEDY }
  const ms = Number(digits) * UNIT_MS[unit as Unit]
  const whole = Math.round(ms)
  // 1.1h is 3,960,000.0000000005 ms in binary: a rounding error is no fraction.
  if (Math.abs(ms - whole) > 1e-6 * Math.max(1, ms)) return { wrong: "is finer than a millisecond", remedy: "Round it to whole milliseconds." }
  if (!Number.isSafeInteger(whole)) return { wrong: "is too long", remedy: DURATION_REMEDY }
  return whole
}

/** A moment: `10:42` or `10:42:17`, the last time that it was so late here, `2026-11-23`, `2026-11-23 10:42`, with a zone or here, or `90m`, so long ago. */
export function parseMoment(text: string, nowMs: number): number | WrongQuantity {
  const given = text.trim()
  const agoMs = parseDuration(given)
  if (typeof agoMs === "number") return nowMs - agoMs
  const time = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(given)
  if (time !== null) {
    const [hour = 0, minute = 0, second = 0] = time.slice(1).map((part) => Number(part ?? 0))
    const at = new Date(nowMs)
    at.setHours(hour, minute, second, 0)
    if (at.getTime() > nowMs) at.setDate(at.getDate() - 1)
    if (hour < 24 && minute < 60 && second < 60) return at.getTime()
  }
  const whole = /^\d{4}-\d{2}-\d{2}$/.test(given) ? `${given}T00:00` : given
  const ms = /^\d{4}-\d{2}-\d{2}[T ]/.test(whole) ? Date.parse(whole) : Number.NaN
  return Number.isNaN(ms) ? { wrong: "is no time", remedy: MOMENT_REMEDY } : ms
}

/** US dollars as whole millionths. */
export function parseUsd(usd: number): number | WrongQuantity {
  if (!Number.isFinite(usd)) return { wrong: "is no amount", remedy: "Write US dollars as a number: 22.5" }
  if (usd < 0) return { wrong: "is negative", remedy: "Write US dollars from 0 on." }
  if (usd > 1e6) return { wrong: "is over a million dollars", remedy: "Write US dollars, not cents or millionths." }
  const micro = Math.round(usd * 1e6)
  if (Math.abs(micro - usd * 1e6) > 1e-3) return { wrong: "is finer than a millionth of a dollar", remedy: "Round it to six decimals." }
  return micro
}

/** A duration for people, two units at the most: `850 ms`, `12.3 s`, `4 min 10 s`, `17.5 h`. */
export function showDuration(ms: number): string {
  if (ms < 1_000) return `${ms < 10 && ms % 1 !== 0 ? ms.toFixed(1) : Math.round(ms)} ms`
  if (ms < 59_950) return `${trimmed(ms / 1_000, 1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return seconds % 60 === 0 ? `${seconds / 60} min` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${trimmed(ms / 3_600_000, 2)} h`
}

/** `1 task`, `2 tasks`. */
export function showCount(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`
}

function trimmed(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)))
}

/** Skills with their levels, `docs 3, node 1`; nothing where there are none. */
export function showSkills(skills: Skills): string {
  return Object.entries(skills)
    .map(([skill, level]) => `${skill} ${level}`)
    .join(", ")
}
