import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { Chain } from "../../src/core/chain.ts"
import { makeEntries } from "../ledger-entries.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { Chance } from "../../src/cli/simulation/chance.ts"
import { crashes } from "./crash.ts"
import { tear } from "./tear.ts"
import { readWriteAheadLog } from "./write-ahead-log.ts"

const directories: string[] = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true })
})

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "skein-left-"))
  directories.push(directory)
  return directory
}

/** A ledger that was left as a killed hub leaves it: three batches of five in its log. */
async function left(): Promise<() => string> {
  const path = join(scratch(), "main.sqlite")
  const ledger = openSqlite({ path })
  const chain = new Chain(sha256)
  for (const from of [0, 5, 10]) await ledger.append(from, makeEntries(chain, 5))
  // Read before the ledger is closed: that would tidy up.
  const files = ["", "-wal"].map((end) => ({ end, bytes: readFileSync(`${path}${end}`) }))
  await ledger.close()
  return () => {
    const to = join(scratch(), "main.sqlite")
    for (const { end, bytes } of files) writeFileSync(`${to}${end}`, bytes)
    return to
  }
}

async function headOf(path: string): Promise<number> {
  const ledger = openSqlite({ path })
  const { seq } = await ledger.head()
  expect((await ledger.read(1, 100)).map((entry) => entry.seq)).toEqual(Array.from({ length: seq }, (_, at) => at + 1))
  await ledger.close()
  return seq
}

describe("a write-ahead log", () => {
  test("is read as SQLite reads it: cut anywhere, both say the same is left", async () => {
    const copy = await left()
    const whole = copy()
    const file = readFileSync(`${whole}-wal`)
    const { commits } = readWriteAheadLog(file)
    expect(commits.length).toBeGreaterThanOrEqual(3)
    // Behind the last one lie the frames of the log's last round, which count no more.
    for (let end = commits.at(-4) ?? 0; end < commits.at(-1)! + 10_000; end += 977) {
      const path = copy()
      writeFileSync(`${path}-wal`, file.subarray(0, end))
      const counted = readWriteAheadLog(file.subarray(0, end)).commits.length
      const database = new DatabaseSync(path)
      const { head } = database.prepare("SELECT coalesce(max(seq), 0) AS head FROM entries").get() as { head: number }
      database.close()
      expect(head).toBe(5 * (counted - (commits.length - 3)))
    }
  })
})

describe("a torn tail", () => {
  test("never touches what somebody was told of, and loses at most the last transaction of what nobody was", async () => {
    const copy = await left()
    const found = new Set<string>()
    for (let seed = 1; seed <= 120; seed += 1) {
      const path = copy()
      const toldSeq = seed % 2 === 0 ? 15 : 10
      const done = tear(path, toldSeq, new Chance(seed))
      found.add(done)
      const head = await headOf(path)
      expect(head, `seed ${seed}: ${done}`).toBe(done === "an unheard transaction lost" ? 10 : 15)
      expect(head).toBeGreaterThanOrEqual(toldSeq)
    }
    expect([...found].sort()).toEqual(["an unheard transaction lost", "cut short", "garbage", "half a frame", "nothing"])
  })
})

test("a hub that is killed under load, its log torn, comes back with all that it acknowledged, and its clients go on", { timeout: 180_000 }, async () => {
  const seed = Date.now() % 1_000_000
  const report = await crashes({ kills: 5, seed, workers: 4 })
  console.log(JSON.stringify(report))
  expect(report.acknowledged).toBeGreaterThan(50)
  expect(report.entries).toBeGreaterThan(report.acknowledged)
})

test("the same harness finds it when something that was acknowledged is lost", { timeout: 180_000 }, async () => {
  const lost = await crashes({ kills: 20, seed: 3, workers: 4, overlooks: true }).catch((error: Error) => error.message)
  expect(lost).toMatch(/was acknowledged at \d+|the hub ended with|was heard after|is not one of|stale_fence|not_found|answered with fence/)
  rmSync(/The hub's directory is kept: (\S+)/.exec(lost as string)![1]!, { recursive: true })
})
