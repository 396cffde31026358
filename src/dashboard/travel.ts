import { effect, type Signal, signal } from "@preact/signals"
import type { Seq } from "../core/ids.ts"
import type { Workspace } from "../core/workspace.ts"
import { ledger } from "./entry-source.ts"
import { count } from "./figures.ts"
import { connection, heldStands, hubAnswers, welcome } from "./live.ts"
import { livePicture, moment, pastPicture, travelTrouble } from "./moment.ts"
import { Past } from "./past.ts"
import { goToMoment } from "./route.ts"
import { forgetStored } from "./stored-pages.ts"
import { failureText } from "./failure.ts"

/** How play goes on: so many times as fast as it was, or entry by entry. */
export type Speed = "entries" | 1 | 10 | 100 | 1_000
export const SPEEDS: readonly Speed[] = ["entries", 1, 10, 100, 1_000]

/** Whether the state of the moment is still being folded. */
export const isFolding: Signal<boolean> = signal(false)
export const isPlaying: Signal<boolean> = signal(false)
export const speed: Signal<Speed> = signal("entries")

/** Entry by entry, one in so many ms; and so often play by the clock looks what is due. */
const ENTRY_MS = 400
const TICK_MS = 50

const past = new Past(ledger)
let known: Workspace | null = null
let isAtWork = false
let isPreparing = false
let abort: AbortController | null = null

/** The ledger's last entry, as far as the page knows. */
export function headSeq(): Seq {
  return Math.max(livePicture.value?.seq ?? 0, welcome.value?.head ?? 0)
}

/** Folds the state of whatever moment is asked for, from now on. */
export function followMoment(): void {
  effect(() => {
    const state = livePicture.value?.state ?? null
    // The live state is one object as long as it is of one ledger.
    if (state === known || state === null) return
    const isOther = known !== null
    known = state
    if (!isOther) return
    ledger.forget()
    past.forget()
    forgetStored()
    pastPicture.value = null
    if (moment.peek() !== "live") void show()
  })
  effect(() => {
    if (moment.value === "live") {
      abort?.abort()
      pastPicture.value = null
      travelTrouble.value = null
      isPlaying.value = false
    } else {
      // As far as it has come it is of use.
      if (isPreparing) abort?.abort()
      void show()
    }
  })
  effect(() => {
    if (hubAnswers.value && travelTrouble.peek() !== null && moment.peek() !== "live") void show()
  })
}

/** Somebody is about to go back: what any moment needs is read ahead. */
export function getReady(): void {
  if (isAtWork || moment.peek() !== "live" || livePicture.peek() === null) return
  isAtWork = true
  abort = new AbortController()
  isPreparing = true
  past
    .prepare(abort.signal)
    // The jump itself tells what is wrong.
    .catch(() => undefined)
    .finally(() => {
      isAtWork = false
      isPreparing = false
      if (moment.peek() !== "live") void show()
    })
}

/** One entry forward or back; after the last one it is now. */
export function stepBy(entries: number): void {
  const head = headSeq()
  const from = moment.peek()
  const to = Math.max(1, (from === "live" ? head : Math.min(from, head)) + entries)
  goToMoment(to >= head ? "live" : to)
}

/** Starts play at the moment that is shown (from the first entry on where that is now), or halts it. */
export function playOrHalt(): void {
  if (isPlaying.peek()) {
    isPlaying.value = false
    return
  }
  if (moment.peek() === "live") goToMoment(1)
  isPlaying.value = true
  void play()
}

/** The newest moment that was asked for; those in between are passed over. */
async function show(): Promise<void> {
  if (isAtWork) return
  isAtWork = true
  isFolding.value = true
  try {
    for (let at = moment.peek(); at !== "live" && at !== pastPicture.peek()?.seq; at = moment.peek()) {
      abort = new AbortController()
      try {
        // By then it is known how far the ledger goes.
        await heldStands()
        if (at > headSeq()) throw new Error(`the ledger ends at entry ${count(headSeq())}: there is no moment after it`)
        const state = await past.at(Math.max(1, at), abort.signal)
        // After the await: it may be now again.
        if (moment.peek() === "live") return
        travelTrouble.value = null
        pastPicture.value = { state, seq: state.seq, atMs: state.atMs, isLive: false }
        if (state.seq !== at && moment.peek() === at) return
      } catch (error) {
        if (abort.signal.aborted || moment.peek() !== at) continue
        travelTrouble.value = failureText(error)
        return
      }
    }
  } finally {
    isAtWork = false
    isFolding.value = false
  }
}

async function play(): Promise<void> {
  let ledgerMs: number | null = null
  let lastMs = performance.now()
  while (isPlaying.peek()) {
    await new Promise((resolve) => setTimeout(resolve, speed.peek() === "entries" ? ENTRY_MS : TICK_MS))
    const at = moment.peek()
    if (!isPlaying.peek() || at === "live") return
    const nowMs = performance.now()
    const pace = speed.peek()
    const shown = pastPicture.peek()
    // Never ahead of what is shown: a slow machine plays slower.
    if (shown === null || shown.seq !== at || connection.peek().phase === "lost") {
      lastMs = nowMs
      if (travelTrouble.peek() !== null) isPlaying.value = false
      continue
    }
    if (pace === "entries") {
      ledgerMs = null
      stepBy(1)
    } else {
      ledgerMs = (ledgerMs ?? shown.atMs) + (nowMs - lastMs) * pace
      // Where somebody has taken the slider elsewhere, the clock goes with it.
      if (ledgerMs < shown.atMs || at !== shown.seq) ledgerMs = shown.atMs
      const to = await lastUntil(at, ledgerMs)
      if (moment.peek() === at && to > at) stepBy(to - at)
      else if (moment.peek() !== at) ledgerMs = null
    }
    lastMs = nowMs
  }
}

/** The last entry after `from` that was there at `untilMs`. */
async function lastUntil(from: Seq, untilMs: number): Promise<Seq> {
  let last = from
  try {
    for await (const page of ledger.entries(from + 1, headSeq())) {
      for (const { seq, atMs } of page) {
        if (atMs > untilMs) return last
        last = seq
      }
    }
  } catch {
    // A lost connection is told elsewhere, and play goes on when it is back.
  }
  return last
}
