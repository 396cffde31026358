import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Quiet for so long is idle. */
const IDLE_MS = 60_000
const TICKS = 60
/** Fewer entries in a tick are quiet: a checkpoint of what came before, renewed leases. */
const BUSY_ENTRIES = 10
/** Fewer entries leave less garbage than is worth a pause. */
const WORTH_ENTRIES = 1_000
/**
 * Collecting stands the hub still for 2 ms a MB of live state, a quarter of such a heap as a rule: a larger one is left to V8, which does it in pieces
 * after some 8 s of rest.
 */
const HEAP_MAX_BYTES = 1024 * 1024 * 1024
/**
 * While the heap is small V8 begins no collection at rest, and lets the heap grow to four times what lives in it before it collects all of it: by itself it
 * allows a hub that often rests much less, and marking a heap of 60 MB takes 0.2 s of another core, 40 µs of each of 5,000 claims. A large one as ever.
 */
const SMALL_HEAP = "--memory-reducer-gc-count=0 --heap-growing-percent=300"
const LARGE_HEAP = "--memory-reducer-gc-count=2 --heap-growing-percent=0"
/** V8 begins its first collection at rest no sooner than 8 s after a start. */
const UNTOUCHED_MS = 5_000

/** What V8 does when memory is all but gone: it collects until nothing more goes, and gives every free page back at once; by itself some 8 s later. */
const ALL_OF_IT = { type: "major", flavor: "last-resort" } as const

/**
 * Has V8 leave a small heap to `releaseWhenIdle`. Only in a process that has just begun, before it does anything else: V8 ends a process ("started_gcs() <=
 * MaxNumberOfGCs()") in which it is told that there are fewer collections at rest than it has begun. Later it does nothing.
 */
export function leaveSmallHeap(): void {
  if (performance.now() < UNTOUCHED_MS) setFlagsFromString(SMALL_HEAP)
}

/**
 * Gives memory back when the hub has had nothing to do for `idleMs`: after its start, and after each time that it was busy; `entries` counts what was
 * written so far. V8 keeps what a busy time took (half of 175 MB, after 10,000 tasks were added), and returns it by itself only in its memory-saving mode:
 * 3 to 5 µs a claim, and pauses while the hub is busy. Not sooner, and V8 by itself not at all: whatever saves memory forgets the shapes of objects that
 * nobody holds at rest, and with them the compiled code of a claim, so that the next thousands cost a third more. Answers what ends it.
 */
export function releaseWhenIdle(entries: () => number, idleMs = IDLE_MS): () => void {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as (how: typeof ALL_OF_IT) => void
  setFlagsFromString("--no-expose-gc")
  // Once large it is left to V8 for ever: what it has begun by then may not be taken back.
  let isLarge = false
  let seen = entries()
  let collected = Number.NEGATIVE_INFINITY
  let quietTicks = 0
  const timer = setInterval(() => {
    const now = entries()
    quietTicks = now - seen < BUSY_ENTRIES ? quietTicks + 1 : 0
    seen = now
    // Not `process.memoryUsage`: it opens a file of /proc, and throws where there is none, or the process has no descriptor left.
    if (!isLarge && getHeapStatistics().total_heap_size > HEAP_MAX_BYTES) {
      isLarge = true
      setFlagsFromString(LARGE_HEAP)
    }
    if (quietTicks < TICKS || now - collected < WORTH_ENTRIES) return
    collected = now
    if (!isLarge) collect(ALL_OF_IT)
  }, idleMs / TICKS)
  timer.unref()
  return () => clearInterval(timer)
}
