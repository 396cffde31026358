import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { alertKeys } from "../core/alerts.ts"
import { hubStatus } from "./live.ts"
import { visible } from "./visible.ts"

/** Alerts that are read out one by one: of more, how many there are. */
const TOLD_MAX = 3
/** Characters of an alert that are read out: whoever wants the rest goes to it. */
const SAID = 200

/**
 * Says each alert once to whoever listens instead of looking: when it comes, on whichever view, and again only when it was gone meanwhile. What is drawn
 * anew, or counts on in its text, is not said again.
 */
export function AlertsSaid(): JSX.Element {
  const known = useRef<ReadonlySet<string>>(new Set())
  const [said, say] = useState({ text: "", times: 0 })
  const alerts = hubStatus.value?.alerts
  useEffect(() => {
    if (alerts === undefined) return
    const keys = alertKeys(alerts)
    const fresh = alerts.filter((_, at) => !known.current.has(keys[at] as string))
    known.current = new Set(keys)
    if (fresh.length > 0) say(({ times }) => ({ text: textOf(fresh.map(({ text }) => text)), times: times + 1 }))
  }, [alerts])
  return (
    <div class="unseen" role="status" data-alerts-said>
      <span key={said.times}>{said.text}</span>
    </div>
  )
}

function textOf(fresh: readonly string[]): string {
  const told = fresh.slice(0, TOLD_MAX).map((text) => visible(text.slice(0, SAID)))
  const rest = fresh.length - told.length
  return `Needs you: ${told.join("; ")}${rest === 0 ? "" : `; and ${rest} more`}`
}
