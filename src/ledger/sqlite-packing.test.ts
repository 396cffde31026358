import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { expect, test } from "vitest"
import { Chain } from "../core/chain.ts"
import type { Packed, Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"
import { openForReading, openSqlite } from "./sqlite.ts"
import { Packing } from "./sqlite-packing.ts"

const TEXTS = Array.from({ length: 40 }, (_, at) => `{"entry":${at + 1},"text":"${"ü🪿".repeat(at % 3)}${"x".repeat(at * 7)}"}`)

function rows(): Stored[] {
  const chain = new Chain(sha256)
  return TEXTS.map((bytes, at) => ({ seq: at + 1, bytes, hash: chain.append(bytes) }))
}

function unpacked({ bytes, lengths }: Packed, from: number): Stored[] {
  let end = 0
  return Array.from(lengths, (length, at) => {
    const start = end + 32
    end = start + length
    return { seq: from + at, bytes: new TextDecoder().decode(bytes.subarray(start, end)), hash: bytes.slice(start - 32, start) }
  })
}

test.each([
  [1, 40],
  [1, 1],
  [1, 100],
  [7, 20],
  [40, 9],
  [41, 5],
])("entries from %i on, %i at the most, are packed as they are read", async (from, limit) => {
  const path = join(mkdtempSync(join(tmpdir(), "skein-packing-")), "main.sqlite")
  const writer = openSqlite({ path })
  await writer.append(0, rows())
  await writer.close()
  const ledger = openForReading(path)
  const page = await ledger.pack(from, limit)
  expect(page && unpacked(page, from)).toEqual(await ledger.read(from, limit))
  await ledger.close()
})

/** A table that is not strict, so that it may hold what only bytes that rot can bring into the ledger's own. */
function loose(change: string): Packing {
  const database = new DatabaseSync(":memory:")
  database.exec("CREATE TABLE entries (seq INTEGER PRIMARY KEY, bytes TEXT NOT NULL, hash BLOB NOT NULL)")
  const insert = database.prepare("INSERT INTO entries VALUES (?, ?, ?)")
  for (const { seq, bytes, hash } of rows()) insert.run(seq, bytes, hash)
  database.exec(change)
  return new Packing(database)
}

test.each([
  ["one is missing in the middle", "DELETE FROM entries WHERE seq = 20"],
  ["one is missing at the end of a page", "DELETE FROM entries WHERE seq = 30"],
  ["one is missing at its beginning", "DELETE FROM entries WHERE seq = 11"],
  ["a text is of another type", "UPDATE entries SET bytes = CAST(bytes AS BLOB) WHERE seq = 20"],
  ["a hash is of another type", "UPDATE entries SET hash = CAST(hex(hash) AS TEXT) WHERE seq = 20"],
  ["a hash is too short", "UPDATE entries SET hash = x'00' WHERE seq = 20"],
  ["the first hash of a page is too long", "UPDATE entries SET hash = hash || x'00' WHERE seq = 11"],
  [
    "a hash has the first byte of its text, and the text that of the next hash",
    `UPDATE entries SET hash = CAST(hash || substr(bytes, 1, 1) AS BLOB),
       bytes = substr(bytes, 2) || CAST(substr((SELECT hash FROM entries WHERE seq = 21), 1, 1) AS TEXT) WHERE seq = 20;
     UPDATE entries SET hash = substr(hash, 2) WHERE seq = 21`,
  ],
  ["a text is too long", "UPDATE entries SET bytes = printf('%.*c', 70000, 'x') WHERE seq = 20"],
  ["another stands before the first", "INSERT INTO entries SELECT 0, bytes, hash FROM entries WHERE seq = 1"],
])("nothing is packed where %s", (_, change) => {
  const packing = loose(change)
  expect([packing.pack(1, 10), packing.pack(11, 20)]).toContain(null)
  expect(packing.pack(31, 10)?.lengths).toHaveLength(10)
})
