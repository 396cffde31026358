import { closeSync, lstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { readRegular } from "../client/regular-file.ts"
import { SkeinError } from "../contract/errors.ts"

/** What the hooks of one conversation remember from call to call: each is a process of its own. */
export type HookMark = {
  /** The person at the terminal was told that the hub is away. */
  warned: boolean
  /** Messages by thread that were put before the model: their numbers, up to the last. */
  shown: Readonly<Record<string, number>>
  /** Those of `shown` that the hub has not been told of: told at the next call, which shows that the agent lived on to read them. */
  pending: Readonly<Record<string, number>>
  /** What is pending was shown at the session's start, and nothing since shows that the model had a turn: it may be idle, and know of none of it. */
  atStart: boolean
  /** Turns that a stop hook asked for. */
  turns: number
  /** How far the agent's record was read for what it used, in bytes, and which of its last answers were counted. */
  usageBytes: number
  usageIds: readonly string[]
}

const FRESH: HookMark = { warned: false, shown: {}, pending: {}, atStart: false, turns: 0, usageBytes: 0, usageIds: [] }
/** A process that held the lock longer than this has died. */
const LOCK_STALE_MS = 10_000
const KEPT_MS = 7 * 24 * 3_600_000

/** The mark of one conversation: a small file in the instance's folder. What is missing or damaged counts as fresh. */
export class HookMarkFile {
  readonly #path: string

  constructor(folder: string, agent: string, session: string | null) {
    // The id comes from the agent: nothing of it may lead out of the folder.
    const name = `${agent}.${session ?? "none"}`.replace(/[^\w.-]/g, "_").slice(0, 150)
    this.#path = join(folder, `${name}.json`)
  }

  read(): HookMark {
    try {
      return markIn(JSON.parse(readRegular(this.#path)))
    } catch {
      return FRESH
    }
  }

  write(mark: HookMark): void {
    keepNote(this.#path, JSON.stringify(mark))
  }

  /** An agent that calls tools side by side calls their hooks side by side: only one of them may deliver. Null where another does. */
  lock(): (() => void) | null {
    const path = `${this.#path}.lock`
    return noted(path, () => {
      for (let attempt = 0; attempt < 2; attempt += 1) {
        try {
          closeSync(openSync(path, "wx", 0o600))
          return () => rmSync(path, { force: true })
        } catch {
          const heldMs = Date.now() - (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
          // A clock was set back.
          if (Math.abs(heldMs) < LOCK_STALE_MS) return null
          rmSync(path, { force: true })
        }
      }
      return null
    })
  }

  /** Removes the marks of conversations that nobody went on with for a week. */
  sweep(): void {
    const folder = dirname(this.#path)
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      try {
        if (Date.now() - lstatSync(path).mtimeMs > KEPT_MS) rmSync(path, { force: true })
      } catch {
        // Another hook was faster, or what stands there is no mark, such as a folder: it is in nobody's way here.
      }
    }
  }
}

/** Replaces a note of the hooks, whole. Throws `SkeinError` where it cannot be kept. */
export function keepNote(path: string, text: string): void {
  noted(path, () => {
    const draft = `${path}.${process.pid}`
    writeFileSync(draft, text, { mode: 0o600 })
    try {
      renameSync(draft, path)
    } finally {
      rmSync(draft, { force: true })
    }
  })
}

function noted<T>(path: string, act: () => T): T {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return act()
  } catch (error) {
    throw new SkeinError(
      "storage_refused",
      `what hooks remember cannot be kept at ${path} (${String(error)})`,
      "Move away what stands there, and see that you can write there.",
    )
  }
}

/** What is found of a mark: each part of it counts as fresh where it is not what it should be. */
function markIn(found: unknown): HookMark {
  if (typeof found !== "object" || found === null) return FRESH
  const { warned, shown, pending, atStart, turns, usageBytes, usageIds } = found as Record<keyof HookMark, unknown>
  return {
    warned: warned === true,
    shown: numbersIn(shown),
    pending: numbersIn(pending),
    atStart: atStart === true,
    turns: isCount(turns) ? turns : FRESH.turns,
    usageBytes: isCount(usageBytes) ? usageBytes : FRESH.usageBytes,
    usageIds: Array.isArray(usageIds) ? usageIds.filter((id) => typeof id === "string") : FRESH.usageIds,
  }
}

function numbersIn(found: unknown): Record<string, number> {
  if (typeof found !== "object" || found === null || Array.isArray(found)) return {}
  return Object.fromEntries(Object.entries(found).filter((pair): pair is [string, number] => isCount(pair[1])))
}

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0
