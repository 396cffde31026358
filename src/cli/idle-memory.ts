import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const TICK_MS = 1_000
/** Fewer entries in a tick are quiet: a checkpoint of what came before, renewed leases. */
const BUSY_ENTRIES = 10
/** Fewer entries leave less garbage than is worth a pause. */
const WORTH_ENTRIES = 1_000
/** Collecting stands the hub still for 2 ms a MB of live state: a larger heap is left to V8, which does it in pieces. */
const HEAP_MAX_BYTES = 160 * 1024 * 1024

/** What V8 does when memory is all but gone: it collects until nothing more goes, and gives every free page back at once; by itself some 8 s later. */
const ALL_OF_IT = { type: "major", flavor: "last-resort" } as const

/**
 * Gives memory back when the hub has nothing to do: after its start, and after each time that it was busy; `entries` counts what was written so far. V8
 * keeps what a busy time took (half of 175 MB, after 10,000 tasks were added), and returns it by itself only in its memory-saving mode: 3 to 5 µs a claim,
 * and pauses while the hub is busy. Answers what ends it.
 */
export function releaseWhenIdle(entries: () => number, tickMs = TICK_MS): () => void {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as (how: typeof ALL_OF_IT) => void
  setFlagsFromString("--no-expose-gc")
  let seen = entries()
  let collected = Number.NEGATIVE_INFINITY
  const timer = setInterval(() => {
    const now = entries()
    const quiet = now - seen < BUSY_ENTRIES
    seen = now
    if (!quiet || now - collected < WORTH_ENTRIES) return
    collected = now
    if (process.memoryUsage().heapTotal <= HEAP_MAX_BYTES) collect(ALL_OF_IT)
  }, tickMs)
  timer.unref()
  return () => clearInterval(timer)
}
