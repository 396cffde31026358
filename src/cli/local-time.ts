import { withInstants } from "../core/instant.ts"

/** A moment in local time: the time of day, with the date unless it is today. */
export function showTime(ms: number, nowMs = Date.now()): string {
  const [date, time] = localIso(ms)
  return date === localIso(nowMs)[0] ? time : `${date} ${time}`
}

/** What is said in a voice: the hub's own tells moments in UTC (`instant` in core/), and they are shown as `showTime` shows them. */
export function inLocalTime(text: string, voice: string | undefined): string {
  return withInstants(text, voice, showTime)
}

function localIso(ms: number): [string, string] {
  const at = new Date(ms)
  const two = (value: number): string => String(value).padStart(2, "0")
  return [`${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`, `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`]
}
