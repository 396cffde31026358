import { useEffect, useRef, useState } from "preact/hooks"
import type { Workspace } from "../core/workspace.ts"
import type { Picture } from "./moment.ts"

/** Of the time that passes, at the most a tenth goes into working out one thing anew. */
const SHARE = 10

type Kept<Value> = { state: Workspace; seq: number; value: Value; tookMs: number; atMs: number }

/**
 * What a view works out of the whole state: anew with each picture where that is quick, and less often where it is not, so that a large workspace is
 * drawn as smoothly as a small one. `compute` MUST depend on the state alone.
 */
export function usePaced<Value>(picture: Picture, compute: (state: Workspace) => Value): Value {
  const kept = useRef<Kept<Value> | null>(null)
  const [, drawAgain] = useState(0)
  const { state, seq } = picture
  const now = performance.now()
  const last = kept.current
  // Another state is another moment: what was worked out is of no use for it.
  const waitMs = last === null || last.state !== state || last.seq > seq ? 0 : last.atMs + SHARE * last.tookMs - now
  const isStale = last === null || last.state !== state || last.seq !== seq
  if (isStale && waitMs <= 0) {
    const value = compute(state)
    const endMs = performance.now()
    kept.current = { state, seq, value, tookMs: endMs - now, atMs: endMs }
  }
  useEffect(() => {
    if (!isStale || waitMs <= 0) return undefined
    let frame = 0
    // With the others of its frame, as all that is drawn here.
    const again = (): void => void (frame = requestAnimationFrame(() => drawAgain((times) => times + 1)))
    const timer = setTimeout(again, waitMs)
    return () => {
      clearTimeout(timer)
      cancelAnimationFrame(frame)
    }
  })
  return (kept.current as Kept<Value>).value
}
