import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import { EntryHasher, GENESIS, toHex } from "../src/core/hash.ts"
import type { Seq } from "../src/core/ids.ts"
import { replay } from "../src/hub/replay.ts"
import type { Stored } from "../src/ledger/ledger.ts"
import { sha256 } from "../src/ledger/sha256.ts"

/** Ledgers of real runs, one of each released version, as `skein ledger export` wrote them: head and state that every later version must reach. */
const RELEASED: Record<string, { head: string; state: string }> = {
  "0.1.0.jsonl": {
    head: "f941701056580ec9caad106b5a84eb7a89e91897aa4d906a46921b335c1c3155",
    state: "b27e3f86a2cdf7f0308f7f8d6929d89dbbe78936c57c42e84542eaa84e9536c5",
  },
}

const FOLDER = fileURLToPath(new URL("ledgers/", import.meta.url))

function readLedger(file: string): { read(from: Seq, limit: number): Promise<Stored[]>; stored: Stored[] } {
  const hasher = new EntryHasher(sha256)
  let hash: Uint8Array = GENESIS
  const lines = readFileSync(FOLDER + file, "utf8")
    .trimEnd()
    .split("\n")
  const stored = lines.map((bytes, at): Stored => ({ seq: at + 1, bytes, hash: (hash = hasher.chain(hash, bytes)) }))
  return { stored, read: (from, limit) => Promise.resolve(stored.slice(from - 1, from - 1 + limit)) }
}

describe("a ledger of a released version", () => {
  test("is there for every version that this test knows, and no other", () => {
    expect(readdirSync(FOLDER)).toEqual(Object.keys(RELEASED))
  })

  test.each(Object.entries(RELEASED))("%s replays to the state that it recorded, on any machine", async (file, { head, state }) => {
    const ledger = readLedger(file)
    const replayed = await replay(ledger, sha256)
    expect(toHex((ledger.stored.at(-1) as Stored).hash)).toBe(head)
    expect(replayed.compared.length).toBeGreaterThan(3)
    expect(replayed.compared.filter(({ ok }) => !ok)).toEqual([])
    expect(replayed.digest).toBe(state)
  })
})
