import type { Output, Parsed } from "../contract/operations.ts"
import { decideClaimNext } from "../core/claim.ts"
import { openNotices } from "../core/directive.ts"
import type { Actor } from "../core/entry.ts"
import { permits } from "../core/role.ts"
import { unreadOf } from "../core/unread.ts"
import type { Workspace } from "../core/workspace.ts"
import { aborted, stopping } from "../hub/failures.ts"
import type { Loop } from "../hub/loop.ts"
import type { Context } from "./context.ts"

type Work = Omit<Output<"work.wait">, "waitedMs">

const READY_MAX = 5
const UNREAD_MAX = 20
/** One waiter looks at most so often, however fast entries come. */
const LOOK_EVERY_MS = 20

/** What there is to do for a caller right now. A task counts as ready where a claim would get it: the same decider is asked. */
function workFor(state: Workspace, actor: Actor, nowMs: number): Work {
  const claims = permits("worker", actor.role) ? decideClaimNext(state, actor, { plan: null, labels: [], filler: null, max: READY_MAX }, nowMs) : []
  const ready = "refused" in claims ? [] : claims.flatMap((event) => (event.type === "task.claimed" ? [event.data.id] : []))
  const unread = unreadOf(state, actor)
    .slice(0, UNREAD_MAX)
    .map((row) => ({ ...row, title: state.threads.get(row.thread)?.title ?? "" }))
  return { unread, notices: openNotices(state, actor), ready }
}

/** What was seen in this turn of the loop, by head and caller. */
const seen = new WeakMap<Loop, Map<string, Promise<Work>>>()

/** What there is to do for a caller. However often it waits, one look in a turn is for all of that: each may cost a millisecond, and one message may bring 900. */
function look(loop: Loop, actor: Actor): Promise<Work> {
  let looks = seen.get(loop)
  if (looks === undefined) {
    looks = new Map()
    seen.set(loop, looks)
    setImmediate(() => seen.delete(loop))
  }
  const key = `${loop.head.seq} ${actor.agent} ${actor.role} ${actor.session}`
  let work = looks.get(key)
  if (work === undefined) looks.set(key, (work = loop.read((state, nowMs) => workFor(state, actor, nowMs))))
  return work
}

/**
 * `work.wait`: answers as soon as there is something to do. It looks again when entries came, never on a timer. Interleaving: it subscribes before its
 * first look, so that what lands between the two is seen by the second look. Throws `hub_stopping`, `timed_out` where the caller is gone.
 */
export function waitForWork({ loop, caller: { actor }, signal }: Context, { waitMs }: Parsed<"work.wait">): Promise<Output<"work.wait">> {
  const startedMs = performance.now()
  return new Promise((resolve, reject) => {
    let over = false
    let looking = false
    let moved = false
    let timeIsUp = waitMs === 0
    const settle = (answer: () => void): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      unsubscribe()
      signal?.removeEventListener("abort", leave)
      answer()
    }
    const leave = (): void => settle(() => reject(aborted()))
    const lookAgain = async (): Promise<void> => {
      if (looking || over) return
      looking = true
      moved = false
      const work = await look(loop, actor)
      looking = false
      if (work.unread.length > 0 || work.ready.length > 0 || work.notices.length > 0 || timeIsUp)
        settle(() => resolve({ ...work, waitedMs: Math.round(performance.now() - startedMs) }))
      else if (moved) setTimeout(start, LOOK_EVERY_MS)
    }
    const start = (): void => {
      lookAgain().catch((error: unknown) => settle(() => reject(error)))
    }
    const stir = (): void => {
      if (moved || over) return
      moved = true
      if (!looking) setTimeout(start, LOOK_EVERY_MS)
    }
    const unsubscribe = loop.subscribe(loop.head.seq + 1, {
      deliver: stir,
      writable: () => true,
      resync: stir,
      end: () => settle(() => reject(stopping())),
    })
    const timer = setTimeout(() => {
      timeIsUp = true
      start()
    }, waitMs)
    if (signal?.aborted === true) return leave()
    signal?.addEventListener("abort", leave, { once: true })
    start()
  })
}
