import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Seq } from "../../src/core/ids.ts"
import type { Chance } from "../../src/cli/simulation/chance.ts"
import { readWriteAheadLog } from "./write-ahead-log.ts"

/** What was done to the tail of a write-ahead log: nothing, bytes that belong to no transaction, or a transaction that nobody had heard of. */
export type Tear = "nothing" | "garbage" | "cut short" | "half a frame" | "an unheard transaction lost"

/**
 * Does to the log what a power cut may do: everything after the last transaction that somebody was told of (`toldSeq`) is free to be lost, cut or
 * spoilt; nothing before it is touched.
 */
export function tear(path: string, toldSeq: Seq, chance: Chance): Tear {
  const log = `${path}-wal`
  if (!existsSync(log)) return "nothing"
  const file = readFileSync(log)
  const { commits } = readWriteAheadLog(file)
  const last = commits.at(-1)
  if (last === undefined || chance.happens(0.15)) return "nothing"
  const free = firstFree(path, file, commits, toldSeq)
  if (free < last && chance.happens(0.8)) {
    // Anywhere in it: its first frame, a header, its very last byte.
    const at = free + chance.below(last - free)
    if (chance.happens(0.5)) writeFileSync(log, file.subarray(0, at))
    else {
      file.writeUInt8(file.readUInt8(at) ^ (1 << chance.below(8)), at)
      writeFileSync(log, file)
    }
    return "an unheard transaction lost"
  }
  const garbage = Buffer.from(Array.from({ length: chance.between(1, 9_000) }, () => chance.below(256)))
  switch (chance.below(3)) {
    case 0: {
      writeFileSync(log, Buffer.concat([file.subarray(0, last), garbage, file.subarray(last + garbage.length)]))
      return "garbage"
    }
    case 1:
      writeFileSync(log, file.subarray(0, last + chance.below(Math.max(1, file.length - last))))
      return "cut short"
    default: {
      // A frame that looks like the one before it, and of which only a part came down.
      const frame = file.subarray(Math.max(32, last - 4_120), last)
      writeFileSync(log, Buffer.concat([file.subarray(0, last), frame.subarray(0, chance.between(1, frame.length - 1))]))
      return "half a frame"
    }
  }
}

/** From where on the log holds only what nobody was told of. */
function firstFree(path: string, file: Buffer, commits: readonly number[], toldSeq: Seq): number {
  const last = commits.at(-1) as number
  const before = commits.at(-2) ?? 32
  return headWithout(path, file.subarray(0, before)) >= toldSeq ? before : last
}

/** The last seq that a ledger has whose log ends early. */
function headWithout(path: string, log: Buffer): Seq {
  const directory = mkdtempSync(join(tmpdir(), "skein-tear-"))
  try {
    const copy = join(directory, "copy.sqlite")
    copyFileSync(path, copy)
    writeFileSync(`${copy}-wal`, log)
    const database = new DatabaseSync(copy)
    const tables = database.prepare("SELECT count(*) AS found FROM sqlite_schema WHERE name = 'entries'").get() as { found: number }
    const { head } = tables.found === 0 ? { head: 0 } : (database.prepare("SELECT coalesce(max(seq), 0) AS head FROM entries").get() as { head: number })
    database.close()
    return head
  } finally {
    rmSync(directory, { recursive: true })
  }
}
