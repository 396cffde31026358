import type { Seq } from "../core/ids.ts"
import type { Ladder } from "../hub/ladder.ts"
import type { Loop } from "../hub/loop.ts"
import { letGo, linesOf, SEAL_LENGTH } from "../hub/snapshots.ts"

/** A state so many entries older is given all the same where the past's steps lead back from it. */
const OLDER_MAX = 30_000
/** The table of what the hub remembers of commands: the last of a snapshot, and half of it. */
const KEYS = '["keys",'

/** The newest kept state at or before a seq, as a snapshot without the keys of commands, for whoever decides nothing; null where none is kept. */
export async function recordsAt(loop: Loop, ladder: Ladder | null, atOrBefore: Seq): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
  const newest = (await loop.snapshots()).findLast((seq) => seq <= atOrBefore) ?? 0
  const rung = (await ladder?.rungs())?.at(-1) ?? 0
  if (rung > 0 && rung <= atOrBefore && rung >= newest - OLDER_MAX) {
    const top = await ladder?.top()
    if (top !== null && top !== undefined && top.seq <= atOrBefore) return top
    // Another rung was made meanwhile.
    if (top !== null && top !== undefined) await letGo(top.lines)
  }
  const found = await loop.snapshot(atOrBefore)
  return found === null ? null : { seq: found.seq, lines: withoutKeys(found.lines) }
}

async function* withoutKeys(lines: AsyncIterable<string>): AsyncIterable<string> {
  for await (const line of linesOf(lines)) {
    if (line.startsWith(KEYS, SEAL_LENGTH)) break
    yield `${line}\n`
    if (line.length === SEAL_LENGTH + "null".length) return
  }
  yield `${"0".repeat(SEAL_LENGTH)}null\n`
}
