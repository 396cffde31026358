import { writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { Chain } from "../../src/core/chain.ts"
import type { Stored } from "../../src/ledger/ledger.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import type { Choices } from "./choices.ts"
import type { Files, KeptLedger } from "./kept-ledger.ts"
import { type Json, mutateText, mutateValue } from "./mutation.ts"

/** What was changed: the file around the rows; rows; or history, written anew with hashes that fit. */
export type How = "file" | "rows" | "history"

const PAGE_BYTES = 4_096
const FRAME_BYTES = PAGE_BYTES + 24

/** A sound ledger's files with something in them changed. */
export class LedgerChanges {
  readonly #kept: KeptLedger
  /** What was changed last, for people. */
  told = ""

  constructor(kept: KeptLedger) {
    this.#kept = kept
  }

  /** Writes the changed files. */
  write(path: string, choices: Choices): How {
    this.told = ""
    const how = choices.below(10)
    const files: Files = { ...(choices.chance(50) ? this.#kept.crashed : this.#kept.clean) }
    if (how < 6) {
      for (let changes = choices.between(1, 3); changes > 0; changes -= 1) {
        if (files.wal !== null && choices.chance(60)) files.wal = this.#changeFile(files.wal, FRAME_BYTES, "wal", choices)
        else files.main = this.#changeFile(files.main, PAGE_BYTES, "main", choices)
      }
      writeFiles(path, files)
      if (choices.chance(10)) writeFileSync(`${path}-shm`, choices.bytes(64))
      return "file"
    }
    writeFiles(path, files)
    return how < 9 ? this.#changeRows(path, choices) : this.#changeSchema(path, choices)
  }

  #changeFile(bytes: Buffer, unit: number, name: string, choices: Choices): Buffer {
    if (bytes.length === 0) return bytes
    const changed = Buffer.from(bytes)
    const units = Math.max(1, Math.floor(changed.length / unit))
    // Headers of files and pages are small, and mean the most.
    const at = choices.pick([
      choices.below(changed.length),
      choices.below(Math.min(120, changed.length)),
      Math.min(changed.length - 1, choices.below(units) * unit + choices.below(64)),
    ])
    const how = choices.below(8)
    this.told += `${name}: change ${how} at ${at} of ${bytes.length}; `
    switch (how) {
      case 0:
      case 1:
        changed[at] = (changed[at] as number) ^ (1 << choices.below(8))
        return changed
      case 2:
        changed[at] = choices.pick([0, 1, 0x7f, 0x80, 0xff, choices.below(256)])
        return changed
      case 3:
        return changed.subarray(0, choices.pick([at, Math.floor(at / unit) * unit, 0]))
      case 4:
        return changed.fill(choices.pick([0, 0xff]), at, Math.min(changed.length, at + choices.pick([4, 100, unit])))
      case 5: {
        const [one, other] = [choices.below(units) * unit, choices.below(units) * unit]
        const swapped = Buffer.from(bytes)
        bytes.copy(swapped, one, other, Math.min(other + unit, bytes.length))
        bytes.copy(swapped, other, one, Math.min(one + unit, bytes.length))
        return swapped
      }
      case 6: {
        const from = choices.below(units) * unit
        bytes.copy(changed, choices.below(units) * unit, from, Math.min(from + unit, bytes.length))
        return changed
      }
      default:
        return Buffer.concat([changed, choices.bytes(choices.between(1, 64)), Buffer.alloc(choices.pick([0, unit]))])
    }
  }

  /** As somebody with the `sqlite3` shell would, who may know how the chain is made. */
  #changeRows(path: string, choices: Choices): How {
    const database = new DatabaseSync(path)
    try {
      database.exec("DROP TRIGGER entries_only_grow; DROP TRIGGER entries_never_shrink")
      const count = this.#kept.entries.length
      const seq = choices.between(1, count)
      const { bytes } = this.#kept.entries[seq - 1] as Stored
      const how = choices.below(9)
      this.told = `row ${seq} of ${count}: change ${how}`
      if (how >= 7) return this.#rewrite(database, seq, choices)
      const set = (column: string, value: string | Uint8Array | number): void =>
        void database.prepare(`UPDATE entries SET ${column} = ? WHERE seq = ?`).run(value, seq)
      if (how === 0) set("bytes", changeEntry(bytes, choices))
      else if (how === 1) set("hash", choices.bytes(choices.pick([32, 31, 33, 0])))
      else if (how === 2) database.exec(`DELETE FROM entries WHERE seq ${choices.pick(["=", ">", "<"])} ${seq}`)
      else if (how === 3) set("seq", choices.pick([count + 1, count + 5, 0, -1, 2 ** 53, Number.MIN_SAFE_INTEGER]))
      else if (how === 4)
        database.exec(
          `INSERT INTO entries SELECT ${choices.pick(["max(seq) + 1", "max(seq) + 2", "-5", "9223372036854775807"])}, ${choices.pick(["bytes", "''", "'x'", "'null'", "'{}'", "replace(hex(zeroblob(40000)), '0', 'a')"])}, hash FROM entries WHERE seq = ${seq}`,
        )
      else if (how === 5) set("bytes", choices.pick(["", "null", "[]", "{}", "1", '{"seq":1}', "x".repeat(70_000), "\u0000", `${bytes}${bytes}`]))
      else database.exec(`UPDATE entries SET bytes = CAST(x'${choices.pick(["ff", "c080", "eda080", "f4908080"])}' || bytes AS TEXT) WHERE seq = ${seq}`)
    } catch {
      // SQLite itself would not have it.
      this.told += " (refused)"
    } finally {
      database.close()
    }
    return "rows"
  }

  /** Another entry, and every hash after it made to fit. */
  #rewrite(database: DatabaseSync, seq: number, choices: Choices): How {
    const chain = new Chain(sha256)
    const update = database.prepare("UPDATE entries SET bytes = ?, hash = ? WHERE seq = ?")
    let differs = false
    for (const entry of this.#kept.entries) {
      let bytes = entry.bytes
      if (entry.seq === seq)
        bytes = choices.chance(70)
          ? changeEntry(bytes, choices)
          : choices.pick([
              "{}",
              "null",
              "[]",
              '{"seq":1,"type":"x"}',
              `{"seq":${seq},"type":"task.none","atMs":1,"actor":{},"data":{}}`,
              `{"seq":${seq},"type":"task.added","atMs":9999999999999,"actor":{"agent":"x","session":null,"role":"operator"},"v":1,"data":null}`,
            ])
      if (Buffer.byteLength(bytes) > 65_535) return "rows"
      differs ||= bytes !== entry.bytes
      const hash = chain.append(bytes)
      chain.commit()
      update.run(bytes, hash, entry.seq)
    }
    return differs ? "history" : "rows"
  }

  #changeSchema(path: string, choices: Choices): How {
    const database = new DatabaseSync(path)
    const sql = choices.pick([
      "DROP TABLE entries",
      "DROP VIEW ledger",
      "ALTER TABLE entries ADD COLUMN more TEXT",
      "ALTER TABLE entries RENAME COLUMN hash TO digest",
      "ALTER TABLE entries RENAME TO others; CREATE VIEW entries AS SELECT seq, bytes, hash FROM others",
      "ALTER TABLE entries RENAME TO others; CREATE VIEW entries AS SELECT seq, replace(bytes, 'Work', 'Play') AS bytes, hash FROM others",
      "ALTER TABLE entries RENAME TO others; CREATE VIEW entries AS WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n) SELECT seq, 'x' AS bytes, x'00' AS hash FROM n",
      "CREATE TRIGGER more AFTER INSERT ON entries BEGIN DELETE FROM entries WHERE seq = 3; END; DROP TRIGGER entries_never_shrink",
      "CREATE TRIGGER more AFTER INSERT ON entries BEGIN INSERT INTO entries SELECT max(seq) + 1, '{}', x'00' FROM entries; END",
      "DROP TRIGGER entries_only_grow; DROP TRIGGER entries_never_shrink",
      "PRAGMA application_id = 0",
      "PRAGMA application_id = 1",
      "PRAGMA user_version = 0",
      "PRAGMA user_version = 99",
      "PRAGMA user_version = -1",
      "PRAGMA encoding = 'UTF-16'; VACUUM",
      "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM",
      "PRAGMA auto_vacuum = 1; VACUUM",
      "CREATE TABLE more (x); INSERT INTO more VALUES (1)",
      "DELETE FROM sqlite_schema",
    ])
    this.told = sql
    try {
      database.exec(sql)
    } catch {
      this.told += " (refused)"
    }
    database.close()
    return "file"
  }
}

function writeFiles(path: string, { main, wal }: Files): void {
  writeFileSync(path, main)
  if (wal !== null) writeFileSync(`${path}-wal`, wal)
}

/** Still JSON, or not; at most as long as an entry may be. */
function changeEntry(bytes: string, choices: Choices): string {
  const changed = choices.chance(60) ? JSON.stringify(mutateValue(JSON.parse(bytes) as Json, choices)) : mutateText(bytes, choices)
  return changed.toWellFormed()
}
