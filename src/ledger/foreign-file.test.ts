import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { afterEach, beforeEach, expect, test } from "vitest"
import { keptLedger } from "../../test/fuzz/kept-ledger.ts"
import { replay } from "../hub/replay.ts"
import { verify } from "./audit.ts"
import { makeKey, parseSigner } from "./note.ts"
import { sha256 } from "./sha256.ts"
import { openSqlite } from "./sqlite.ts"
import { readWitnessState } from "./witness.ts"

/** What fuzzing found in ledger files and the files beside them, each case reduced. */

let folder: string
let path: string
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "skein-foreign-"))
  path = join(folder, "main.sqlite")
  writeFileSync(path, (await keptLedger()).clean.main)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function change(sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

test("an emptied file beside a log of writes is damaged, and its log is kept", async () => {
  const { crashed } = await keptLedger()
  writeFileSync(path, crashed.main)
  writeFileSync(`${path}-wal`, crashed.wal ?? "")
  truncateSync(path)
  for (const readOnly of [true, false]) expect(() => openSqlite({ path, readOnly })).toThrow(expect.objectContaining({ code: "damaged" }))
  expect(readFileSync(`${path}-wal`)).toHaveLength(crashed.wal?.length ?? -1)
})

test.each(["", "-wal", "-shm"])("a pipe in the place of a ledger's file%s is named, and not waited for", (end) => {
  rmSync(path + end, { force: true })
  execFileSync("mkfifo", [path + end])
  for (const readOnly of [true, false])
    expect(() => openSqlite({ path, readOnly })).toThrow(expect.objectContaining({ code: "unsupported", message: `${path}${end} is no regular file` }))
})

test.each([
  "ALTER TABLE entries RENAME TO others; CREATE VIEW entries AS SELECT seq, replace(bytes, 'Work', 'Play') AS bytes, hash FROM others",
  "ALTER TABLE entries RENAME TO others; CREATE VIEW entries AS WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n) SELECT seq, 'x' AS bytes, x'00' AS hash FROM n",
  "CREATE TRIGGER more AFTER INSERT ON entries BEGIN INSERT INTO entries SELECT max(seq) + 1, '{}', x'00' FROM entries; END",
])("a table or trigger that we did not make is refused before it acts: %s", (sql) => {
  change(sql)
  expect(() => openSqlite({ path })).toThrow(expect.objectContaining({ code: "damaged" }))
})

test("a row that stands before the first entry is found", async () => {
  change("INSERT INTO entries SELECT -5, bytes, hash FROM entries WHERE seq = 1")
  const ledger = openSqlite({ path, readOnly: true })
  expect(await verify(ledger)).toMatchObject({ ok: false, finding: { seq: 1 } })
  await expect(replay(ledger, sha256)).rejects.toMatchObject({ code: "damaged", seq: 1 })
  await ledger.close()
})

test("a file that only single entries can be read of does not verify", async () => {
  const bytes = readFileSync(path)
  let unsound = 0
  for (let page = 1; page < bytes.length / 4_096; page += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const changed = Buffer.from(bytes)
      // The high byte of how many cells a page has.
      changed[page * 4_096 + 3] = (changed[page * 4_096 + 3] as number) ^ (1 << bit)
      writeFileSync(path, changed)
      const ledger = openSqlite({ path, readOnly: true })
      const { ok, finding } = await verify(ledger)
      const whole = await ledger.read(1, 10_000).then(
        (rows) => rows.length,
        () => null,
      )
      await ledger.close()
      if (ok) expect(whole).toBe((await keptLedger()).entries.length)
      else if (finding?.damage === "unsound") unsound += 1
    }
  }
  expect(unsound).toBeGreaterThan(0)
})

test("an entry that chains and yet follows from none is named by a replay", async () => {
  const { entries } = await keptLedger()
  const wrong = entries.find(({ bytes }) => bytes.includes('"type":"task.added"'))?.seq as number
  const forged = entries.map(({ seq, bytes }) => ({ seq, bytes: seq === wrong ? bytes.replace('"data":{', '"data":null,"was":{') : bytes }))
  const { Chain } = await import("../core/chain.ts")
  const chain = new Chain(sha256)
  const ledger = { read: (from: number, limit: number) => Promise.resolve(stored.slice(from - 1, from - 1 + limit)) }
  const stored = forged.map(({ seq, bytes }) => ({ seq, bytes, hash: chain.append(bytes) }))
  await expect(replay(ledger, sha256)).rejects.toMatchObject({ code: "damaged", seq: wrong })
})

test("a lock that cannot be opened says so", () => {
  mkdirSync(`${path}.lock`)
  expect(() => openSqlite({ path })).toThrow(expect.objectContaining({ code: "rolled_back", remedy: expect.stringContaining("remove it") as string }))
})

test("a witness's file is refused where what it saw last is not what its note says, or a part of it is missing", async () => {
  const { checkpoint } = await keptLedger()
  const vkey = parseSigner(makeKey("log", "skein/fuzz/main", new Uint8Array(32).fill(9)).skey).verifier.vkey
  const last = { size: checkpoint.size, root: checkpoint.root, note: checkpoint.note }
  const log = { vkeys: [vkey], last, convictions: [] }
  const state = join(folder, "witness.json")
  const write = (value: unknown): void => writeFileSync(state, JSON.stringify({ logs: { "skein/fuzz/main": value } }))
  write(log)
  expect(readWitnessState(state).logs["skein/fuzz/main"]).toEqual(log)
  for (const wrong of [
    { ...log, vkeys: "" },
    { ...log, vkeys: [] },
    { ...log, convictions: null },
    { ...log, last: { ...last, size: 1 } },
    { ...log, last: { ...last, root: "00" } },
    null,
  ]) {
    write(wrong)
    expect(() => readWitnessState(state), JSON.stringify(wrong)).toThrow(expect.objectContaining({ code: "damaged" }))
  }
})

test("a signing key whose name is none is malformed", () => {
  expect(() => parseSigner("PRIVATE+KEY+a b+713e530a+AQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF")).toThrow(
    expect.objectContaining({ reason: "malformed", remedy: expect.stringMatching(/./) as string }),
  )
})
