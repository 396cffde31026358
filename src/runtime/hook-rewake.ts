import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { readRegular } from "../client/regular-file.ts"
import { textOf } from "../repo/text-file.ts"
import type { HookMark, HookMarkFile } from "./hook-mark.ts"
import { deliver, type HookHub } from "./hook-turn.ts"

/** What the hub knows of work for the agent. */
type Work = { unread: readonly { thread: string; lastReadSeq: number; headSeq: number }[]; notices: readonly unknown[]; ready: readonly unknown[] }

export type RewakeHub = HookHub & { wait(waitMs: number): Promise<Work> }

/** How long the hub holds a question. */
const WAIT_MS = 25_000
/** Until the next look where the hub is away, or has only what this conversation was shown already, which would be answered at once. */
const AGAIN_MS = 5_000
const LOCKED_MS = 200
/** Under the hook's own limit of an hour: an agent shows a hook that was cut off as failed. */
const ENDS_AFTER_MS = 3_540_000

export type Rewake = {
  agent: string
  mark: HookMarkFile
  waiter: RewakeWaiter
  /** False when the agent it waits for has ended. */
  wanted(): boolean
  withHub<T>(use: (hub: RewakeHub) => Promise<T>): Promise<T>
  againMs?: number
}

/** The newest message of each thread with unread ones, when the waiter began to wait. */
type Heads = Readonly<Record<string, number>>

/**
 * Waits until there are messages that this conversation was not shown yet, and gives them as a text, once: it is in the mark then. Null when a later waiter of
 * the conversation has taken over, its agent has ended, or its time is up. A hub that is away is waited for.
 *
 * An agent starts its waiter and its other hooks side by side. Interleaving: a message that comes now may be read by the hook of the session's start, which
 * only puts it beside the model. So the waiter knows what there was before it said that it waits, and wakes for all that came after, shown at a start or not.
 */
export async function waitToRewake({ agent, mark, waiter, wanted, withHub, againMs = AGAIN_MS }: Rewake): Promise<string | null> {
  const endsAt = performance.now() + ENDS_AFTER_MS
  const inTime = (): boolean => wanted() && performance.now() < endsAt
  let before: Heads | null = null
  while (before === null) {
    if (!inTime()) return null
    before = await withHub(headsNow).catch(() => null)
    if (before === null) await sleep(againMs)
  }
  const since = before
  waiter.take()
  const goesOn = (): boolean => waiter.holds() && inTime()
  const look = async (hub: RewakeHub): Promise<{ text: string } | { againMs: number }> => {
    const work = await hub.wait(WAIT_MS)
    const { shown } = toWakeFor(mark.read(), since)
    const fresh = work.unread.some(({ thread, lastReadSeq, headSeq }) => headSeq > Math.max(lastReadSeq, shown[thread] ?? 0))
    if (!fresh) return { againMs: work.unread.length + work.notices.length + work.ready.length > 0 ? againMs : 0 }
    const unlock = mark.lock()
    if (unlock === null) return { againMs: LOCKED_MS }
    try {
      if (!goesOn()) return { againMs: 0 }
      const delivered = await deliver({ hub, agent }, toWakeFor(mark.read(), since))
      if (delivered.text === null) return { againMs }
      mark.write({ ...delivered.mark, atStart: false })
      return { text: delivered.text }
    } finally {
      unlock()
    }
  }
  try {
    while (goesOn()) {
      const found = await withHub(look).catch(() => ({ againMs }))
      if ("text" in found) return found.text
      if (found.againMs > 0) await sleep(found.againMs)
    }
    return null
  } finally {
    waiter.release()
  }
}

async function headsNow(hub: RewakeHub): Promise<Heads> {
  const { unread } = await hub.wait(0)
  return Object.fromEntries(unread.map(({ thread, headSeq }) => [thread, headSeq]))
}

/** The mark, but what came since and was shown at a start alone counts as not shown. */
function toWakeFor(mark: HookMark, since: Heads): HookMark {
  if (!mark.atStart) return mark
  const shown = { ...mark.shown }
  for (const thread of Object.keys(mark.pending)) shown[thread] = Math.min(shown[thread] ?? 0, since[thread] ?? 0)
  return { ...mark, shown }
}

/** Which waiter of a conversation is the one that wakes: the last that came. Each is a process of its own. */
export class RewakeWaiter {
  readonly #path: string
  readonly #token = `${process.pid} ${randomBytes(6).toString("hex")}`

  constructor(folder: string, agent: string, session: string | null) {
    this.#path = join(folder, fileName(agent, session ?? "none"))
  }

  take(): void {
    mkdirSync(join(this.#path, ".."), { recursive: true, mode: 0o700 })
    writeFileSync(this.#path, this.#token, { mode: 0o600 })
  }

  holds(): boolean {
    return textOf(this.#path) === this.#token
  }

  release(): void {
    if (this.holds()) rmSync(this.#path, { force: true })
  }
}

/** Whether a waiter of one of the agent's conversations (null: of any) is there to wake it. `folder` holds the marks of the instance's hooks. */
export function rewakeWaits(folder: string, agent: string, session: string | null): boolean {
  let names: string[]
  try {
    names = session === null ? readdirSync(folder).filter((name) => name.startsWith(`${agent}.`) && name.endsWith(".waiter")) : [fileName(agent, session)]
  } catch {
    return false
  }
  return names.some((name) => {
    try {
      const pid = Number(readRegular(join(folder, name)).split(" ")[0])
      return Number.isSafeInteger(pid) && pid > 1 && process.kill(pid, 0)
    } catch {
      return false
    }
  })
}

function fileName(agent: string, session: string): string {
  // The id comes from the agent: nothing of it may lead out of the folder.
  return `${`${agent}.${session}`.replace(/[^\w.-]/g, "_").slice(0, 150)}.waiter`
}
