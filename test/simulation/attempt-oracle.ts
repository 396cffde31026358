import type { Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; commandId: string | null; data: Readonly<Record<string, unknown>> }>

/** What an agent says that was throttled and tells so by its words only. */
export const THROTTLED_WORDS = "HTTP 429: too many requests"
const ROW = 10

/**
 * Attempts that were throttled, without the core (docs/how-to/keep-within-budget.md): none is counted, unless whoever was says that a further one is no use, or it is
 * the tenth in a row for which nobody said until when.
 */
export class AttemptOracle {
  readonly #rows = new Map<TaskId, number>()

  /** Reads an entry; `isFinal`: it was said that a further attempt is no use. Gives what is wrong, or null. */
  read({ type, atMs, data }: Said, isFinal: boolean): string | null {
    const id = data["id"] as TaskId
    const throttled = data["throttled"] as { untilMs: number | null } | undefined
    if (throttled === undefined) {
      if (data["tried"] !== undefined) this.#rows.delete(id)
      if (data["uncounted"] === true) return "which is not counted as an attempt, though nobody was throttled"
      return /^task\.(failed|retried|released)$/.test(type) && data["reason"] === THROTTLED_WORDS
        ? "which says that it was throttled, and is not taken for it"
        : null
    }
    const isNamed = throttled.untilMs !== null && throttled.untilMs > atMs
    const row = isNamed ? 0 : (this.#rows.get(id) ?? 0) + 1
    const counts = isFinal || row === ROW
    const isCounted = type === "task.failed" || (type === "task.retried" && data["uncounted"] !== true)
    if (counts || isNamed) this.#rows.delete(id)
    else this.#rows.set(id, row)
    if (data["judged"] !== undefined) return "which was throttled, and is judged by it"
    if (isCounted === counts) return null
    return `which was throttled ${row} times in a row, and is ${isCounted ? "counted" : "not counted"} as an attempt`
  }
}
