import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { SkeinError } from "../../src/contract/errors.ts"
import { Chain } from "../../src/core/chain.ts"
import { fromHex, sameHash } from "../../src/core/hash.ts"
import { replay } from "../../src/hub/replay.ts"
import { verify } from "../../src/ledger/audit.ts"
import { LedgerFailure, type Ledger, type Stored } from "../../src/ledger/ledger.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { type Files, hubOn, type KeptLedger, keptLedger, scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateText, mutateValue } from "./mutation.ts"

/** The files of a ledger, changed byte by byte, page by page, row by row, or written anew as one who knows the format would. */
export const ledgerTarget: Target = {
  name: "ledger",
  entrance: "ledger files: the SQLite file, its -wal and -shm, and the rows in them",
  casesPerSubject: 100,
  open: async () => new LedgerSubject(await keptLedger()),
}

/** What was changed: the file around the rows; rows; or history, written anew with hashes that fit. */
type How = "file" | "rows" | "history"

const PAGE_BYTES = 4_096
const FRAME_BYTES = PAGE_BYTES + 24

class LedgerSubject implements Subject {
  readonly #kept: KeptLedger
  readonly #folder = scratchFolder()
  #cases = 0
  #sent = ""

  constructor(kept: KeptLedger) {
    this.#kept = kept
  }

  describe(): string {
    return this.#sent
  }

  async attempt(choices: Choices): Promise<string> {
    this.#sent = ""
    this.#cases += 1
    const path = join(this.#folder, `${this.#cases}.sqlite`)
    try {
      const how = this.#write(path, choices)
      const found = await this.#verified(path, how)
      const hub = await this.#started(path, found, how)
      return `${found}; ${hub}`
    } finally {
      for (const end of ["", "-wal", "-shm", "-journal", ".lock", ".owner"]) rmSync(`${path}${end}`, { force: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  /** Writes the changed files. */
  #write(path: string, choices: Choices): How {
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
    this.#sent += `${name}: change ${how} at ${at} of ${bytes.length}; `
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
      this.#sent = `row ${seq} of ${count}: change ${how}`
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
      this.#sent += " (refused)"
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
    this.#sent = sql
    try {
      database.exec(sql)
    } catch {
      this.#sent += " (refused)"
    }
    database.close()
    return "file"
  }

  /** Opens beside a hub and verifies against the checkpoint kept outside: what was changed MUST be found, and nothing else. */
  async #verified(path: string, how: How): Promise<string> {
    const { checkpoint } = this.#kept
    const outside = { size: checkpoint.size, root: fromHex(checkpoint.root), source: "the checkpoint" }
    let ledger: Ledger
    try {
      ledger = openSqlite({ path, readOnly: true })
    } catch (error) {
      return `not opened: ${failure(error)}`
    }
    try {
      const { ok, finding, entries } = await verify(ledger, [outside])
      const first = await this.#firstDifference(ledger)
      if (ok) {
        if (first !== null) throw new Broken(`the ledger verifies, though entry ${first} is not as it was written`)
        if (entries < checkpoint.size) throw new Broken(`the ledger verifies with ${entries} entries, though a checkpoint has ${checkpoint.size}`)
      } else if (finding === null || finding.message === "" || finding.remedy === "") throw new Broken(`not ok, and no finding: ${JSON.stringify(finding)}`)
      else if (first === null && finding.seq <= checkpoint.size && finding.damage !== "unsound")
        throw new Broken(`entry ${finding.seq} is called ${finding.damage}, though all is as it was written: ${finding.message}`)
      // In a file that is broken, two ways of reading see different rows; in a sound one, the first that was changed is named.
      else if (how === "rows" && first !== null && finding.seq > first)
        throw new Broken(`entry ${first} was changed, and the finding names entry ${finding.seq}: ${finding.message}`)
      const replayed = await replay(ledger, sha256).catch((error: unknown) => failure(error))
      // Whoever writes history anew may write what chains and yet is none of ours, where no checkpoint reaches.
      if (ok && how !== "history" && typeof replayed === "string") throw new Broken(`the ledger verifies, and does not replay: ${replayed}`)
      if (ok && how !== "history" && typeof replayed !== "string" && replayed.compared.some((compared) => !compared.ok))
        throw new Broken("the ledger verifies, and a checkpoint does not agree with its replay")
      return ok ? "verifies" : `finding ${finding?.damage}`
    } catch (error) {
      if (error instanceof Broken) throw error
      throw new Broken(`verify threw: ${error instanceof Error ? error.stack : String(error)}`)
    } finally {
      await ledger.close()
    }
  }

  /** The first entry under the checkpoint that cannot be read as it was written, or null. Read one by one, and not by what is tested. */
  async #firstDifference(ledger: Ledger): Promise<number | null> {
    const { entries, checkpoint } = this.#kept
    const covered = entries.slice(0, checkpoint.size)
    const isSame = ({ seq, bytes, hash }: Stored, row: Stored | undefined): boolean => row?.seq === seq && row.bytes === bytes && sameHash(row.hash, hash)
    try {
      const rows = await ledger.read(1, entries.length)
      return covered.find((entry, at) => !isSame(entry, rows[at]))?.seq ?? null
    } catch {
      // A part of the file is unsound. What is read of the rest by itself is compared; what is not read may still be found by reading in order.
      for (const entry of covered) {
        const [row] = await ledger.read(entry.seq, 1).catch(() => [])
        if (row !== undefined && row.seq === entry.seq && !isSame(entry, row)) return entry.seq
      }
      return covered.length + 1
    }
  }

  /** A hub starts on it, works and stops; or refuses with the reason. A changed entry it MUST refuse, unless history was written anew. */
  async #started(path: string, found: string, how: How): Promise<string> {
    let fatal: unknown = null
    try {
      const hub = await hubOn(
        () => openSqlite({ path }),
        join(this.#folder, "none"),
        (error) => (fatal = error),
      )
      try {
        const loop = hub.workspace("main")
        const operator = { agent: "operator", session: null, role: "operator" } as const
        await loop?.execute("task.add", operator, { id: `after${this.#cases}`, title: "After" })
        if (found.startsWith("finding altered") && how !== "history") throw new Broken("a hub started on a ledger with a changed entry")
      } finally {
        await hub.close()
      }
    } catch (error) {
      if (error instanceof Broken) throw error
      // The commit failed, and the hub would have ended: the next start tells the truth.
      if (fatal !== null) return `ended: ${failure(fatal)}`
      const why = failure(error)
      // What is forged beyond the last checkpoint that is kept outside chains: whoever folds it names it, and verifying does not fold.
      if (found === "verifies" && how !== "history" && why.includes("seq")) throw new Broken(`the ledger verifies, and no hub starts on it: ${String(error)}`)
      return `not started: ${why}`
    }
    return "started"
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

/** The reason, where it is one of ours; throws what is no documented failure. */
function failure(error: unknown): string {
  // The file says of itself that it is for reading only.
  if (error instanceof SkeinError && error.code === "storage_refused" && error.remedy !== "") return error.code
  if (error instanceof LedgerFailure && error.remedy !== "" && error.message !== "") return error.seq === null ? error.code : `${error.code} at a seq`
  throw new Broken(`no LedgerFailure: ${error instanceof Error ? error.stack : String(error)}`)
}
