/** What an agent's own text says of its account: the words, and when its quota comes back, in ms since 1970; null where they name no time. */
export type QuotaNotice = { said: string; untilMs: number | null }

/** So far behind its beginning a notice may still name the time. */
const NOTICE_MAX = 400
/** A clock time without a date that passed so short a while ago is not tomorrow's: the notice is an old one. */
const JUST_PASSED_MS = 3_600_000
/** A session of Claude Code lasts five hours: its reset is never further away. */
const SESSION_MAX_MS = 6 * 3_600_000
const DAY_MS = 86_400_000
const RESET_MAX_MS = 3 * 366 * DAY_MS

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] as const
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS } as const

const SPAN = String.raw`\d+(?:\.\d+)?\s*(?:ms|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])`
const IN_TIME = new RegExp(String.raw`(?:try again in|retry(?:ing)? in|resets? (?:after|in))\s+(${SPAN}(?:[\s,]*(?:and\s+)?${SPAN})*)`, "iu")
const AT_TIME = new RegExp(
  String.raw`(?:try again at|resets?(?: at)?|resets? on)\s+(?:(${MONTHS.join("|")})[a-z]*\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?:,\s*(\d{4}))?(?:,|\s+at)?\s+)?` +
    String.raw`(?:(\d{1,2})(?::(\d{2}))?\s*([ap])\.?m\b|(\d{1,2}):(\d{2})\b)(?:\s*\(([\w+\-/]+)\)|\s+(UTC|GMT(?:[+-]\d{1,2}(?::?\d{2})?)?)\b)?`,
  "iu",
)
const AT_EPOCH = /(?:"resets_at"\s*:\s*|limit reached\|)(\d{10})\b/iu
const IN_SECONDS = /"resets_in_seconds"\s*:\s*(\d+)/iu

/**
 * The last notice in a text by which an agent says that its account is used up (`patterns` find its beginning), or null. The known wordings of Claude Code
 * ("resets 3pm (Europe/Berlin)", "resets Oct 9 at 5pm"), Codex ("try again at 3:05 PM", "in 2 days 4 hours") and Gemini CLI ("Access resets at 3:05 PM GMT+2",
 * "will reset after 12h22m44s") are read. Without a zone a clock time is of this machine, as the agent's is. A time that has passed is told as it is.
 */
export function quotaNotice(text: string, patterns: readonly string[], nowMs: number, zone = localZone()): QuotaNotice | null {
  const line = text.replace(/[\s\u2500-\u259f]+/gu, " ")
  let at = -1
  let times = 0
  for (const pattern of patterns) {
    for (const match of line.matchAll(new RegExp(pattern, "gu"))) {
      times += 1
      at = Math.max(at, match.index)
    }
  }
  if (at < 0) return null
  const notice = line.slice(at, at + NOTICE_MAX)
  const named = namedReset(notice, nowMs, zone)
  // An agent may say anything: a time beyond all quotas is none.
  if (named !== null && !(named.untilMs !== null && Math.abs(named.untilMs - nowMs) < RESET_MAX_MS)) return { said: named.said, untilMs: null }
  // Without a time one notice is like the other: how many there are tells a new one.
  return named ?? { said: `${notice.slice(0, 60).trim()} (${times})`, untilMs: null }
}

function namedReset(notice: string, nowMs: number, zone: string): QuotaNotice | null {
  const said = ({ index, 0: found }: RegExpExecArray): string => notice.slice(0, index + found.length).trim()
  const epoch = AT_EPOCH.exec(notice)
  if (epoch !== null) return { said: said(epoch), untilMs: Number(epoch[1]) * 1_000 }
  const seconds = IN_SECONDS.exec(notice)
  if (seconds !== null) return { said: said(seconds), untilMs: nowMs + Number(seconds[1]) * 1_000 }
  const span = IN_TIME.exec(notice)
  const clock = AT_TIME.exec(notice)
  if (span !== null && (clock === null || span.index <= clock.index)) return { said: said(span), untilMs: nowMs + spanMs(span[1] ?? "") }
  if (clock === null) return null
  return { said: said(clock), untilMs: clockMs(clock, /\bsession limit|\b5-hour limit/iu.test(notice), nowMs, zone) }
}

function spanMs(text: string): number {
  let sum = 0
  for (const [, count, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)\s*(ms|[a-z])/giu))
    sum += Number(count) * (UNIT_MS[unit.toLowerCase() as keyof typeof UNIT_MS] ?? 0)
  return Math.round(sum)
}

function clockMs(
  [, month, day, year, hour12, minute12, half, hour24, minute24, named, offset]: RegExpExecArray,
  isSession: boolean,
  nowMs: number,
  local: string,
): number {
  const hour = half === undefined ? Number(hour24) : (Number(hour12) % 12) + (half.toLowerCase() === "p" ? 12 : 0)
  const minute = Number(minute12 ?? minute24 ?? 0)
  const zone = zoneOf(named ?? offset, local)
  const today = wallIn(zone, nowMs)
  if (month !== undefined) {
    const at = (inYear: number): number =>
      epochOf(zone, { year: inYear, month: MONTHS.indexOf(month.toLowerCase() as (typeof MONTHS)[number]), day: Number(day), hour, minute })
    if (year !== undefined) return at(Number(year))
    // Notices reach days ahead, not months: in December a date in January is next year's.
    return at(today.year) < nowMs - 180 * DAY_MS ? at(today.year + 1) : at(today.year)
  }
  const at = epochOf(zone, { ...today, hour, minute })
  const next = at > nowMs ? at : epochOf(zone, { ...today, day: today.day + 1, hour, minute })
  const last = at > nowMs ? epochOf(zone, { ...today, day: today.day - 1, hour, minute }) : at
  return nowMs - last < JUST_PASSED_MS || (isSession && next - nowMs > SESSION_MAX_MS) ? last : next
}

type Wall = { year: number; month: number; day: number; hour: number; minute: number }

/** What clock and calendar show there; `month` counts from 0. */
function wallIn(zone: string, atMs: number): Wall {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  })
  const parts = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]))
  return { year: parts["year"] ?? 0, month: (parts["month"] ?? 1) - 1, day: parts["day"] ?? 1, hour: parts["hour"] ?? 0, minute: parts["minute"] ?? 0 }
}

function epochOf(zone: string, { year, month, day, hour, minute }: Wall): number {
  const wanted = Date.UTC(year, month, day, hour, minute)
  const shownAt = (atMs: number): number => {
    const wall = wallIn(zone, atMs)
    return Date.UTC(wall.year, wall.month, wall.day, wall.hour, wall.minute)
  }
  // Twice, since the first guess may lie on the other side of a change of the clocks.
  const first = wanted - (shownAt(wanted) - wanted)
  return first - (shownAt(first) - wanted)
}

/** The zone that was named, as far as it is one; an abbreviation is that of this machine. */
function zoneOf(named: string | undefined, local: string): string {
  if (named === undefined) return local
  const offset = /^GMT([+-])(\d{1,2}):?(\d{2})?$/iu.exec(named)
  const zone = offset === null ? named : `${offset[1]}${(offset[2] ?? "").padStart(2, "0")}:${offset[3] ?? "00"}`
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: zone }).resolvedOptions().timeZone
  } catch {
    return local
  }
}

function localZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone
}
