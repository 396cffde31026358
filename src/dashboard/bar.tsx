import type { JSX } from "preact"

/** A part of a bar, from 0 to 1 of its length. Parts differ by their pattern, not by colour alone. */
export type BarPart = { kind: "spent" | "over" | "reserved"; share: number }

/** Shares of something, one after the other, and marks on it. `label` says the same in words. */
export function Bar({ label, parts, marks = [] }: { label: string; parts: readonly BarPart[]; marks?: readonly number[] }): JSX.Element {
  let from = 0
  return (
    <span class="bar" role="img" aria-label={label} title={label}>
      {parts.map(({ kind, share }) => {
        const left = from
        const width = Math.min(1 - left, Math.max(0, share))
        from += width
        return width <= 0 ? null : <span key={kind} class={`bar-${kind}`} style={{ left: percent(left), width: percent(width) }} />
      })}
      {marks.map((at) => (
        <span key={at} class="bar-mark" style={{ left: percent(Math.min(1, at)) }} />
      ))}
    </span>
  )
}

function percent(share: number): string {
  return `${100 * share}%`
}
