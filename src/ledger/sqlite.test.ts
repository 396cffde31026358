import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout } from "node:timers/promises"
import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { verify } from "./audit.ts"
import { makeEntries, plain } from "../../test/ledger-entries.ts"
import { ledgerPlace } from "../../test/ledger-place.ts"
import { describeLedger, type Subject } from "./ledger.contract.ts"
import { LedgerFailure, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"
import { openSqlite, type SqliteLedger } from "./sqlite.ts"
import { openFile, prepareFile } from "./sqlite-file.ts"

function sqliteSubject(): Subject {
  const folder = mkdtempSync(join(tmpdir(), "skein-ledger-"))
  let path = join(folder, "main.sqlite")
  let opened: SqliteLedger[] = []
  let crashes = 0
  return {
    supports: { durable: true, manyWriters: false },
    open: () => {
      const ledger = openSqlite({ path })
      opened.push(ledger)
      return ledger
    },
    openDamaged: () => openSqlite({ path, readOnly: true }),
    crash: () => {
      // What a restart would find: the file and its log as they are on disk at this moment, without the living process's index.
      const left = join(folder, `crashed-${++crashes}.sqlite`)
      copyFileSync(path, left)
      if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${left}-wal`)
      path = left
    },
    damage: (change) => rewriteRows(path, change),
    backup: { path: join(folder, "backup.sqlite"), open: () => openSqlite({ path: join(folder, "backup.sqlite") }) },
    dispose: () => {
      for (const ledger of opened) void ledger.close()
      opened = []
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** More pages than one step of a backup copies. */
async function fill(ledger: SqliteLedger): Promise<void> {
  const chain = new Chain(sha256)
  for (let head = 0; head < 100; head += 50)
    await ledger.append(
      head,
      makeEntries(chain, 50, () => "x".repeat(60_000)),
    )
}

/** Changes the rows as an intruder with the `sqlite3` shell would. */
function rewriteRows(path: string, change: (rows: Stored[]) => Stored[]): void {
  const database = new DatabaseSync(path)
  const rows = database.prepare("SELECT seq, bytes, hash FROM entries ORDER BY seq").all() as Stored[]
  database.exec("DROP TRIGGER IF EXISTS entries_only_grow; DROP TRIGGER IF EXISTS entries_never_shrink; BEGIN; DELETE FROM entries")
  const insert = database.prepare("INSERT INTO entries VALUES (?, ?, ?)")
  for (const { seq, bytes, hash } of change(rows)) insert.run(seq, bytes, hash)
  database.exec("COMMIT")
  database.close()
}

function inProcess(program: string): ReturnType<typeof spawnSync> {
  return spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program], { encoding: "utf8" })
}

describeLedger("sqlite", sqliteSubject)

describe("a SQLite ledger", () => {
  let folder: string
  let path: string
  beforeEach((context) => {
    ;({ folder, path } = ledgerPlace(context))
  })

  it("lets nobody but its owner read it or the files beside it", async () => {
    const ledger = openSqlite({ path })
    await ledger.append(0, makeEntries(new Chain(sha256), 3))
    await ledger.backup(join(folder, "copy.sqlite"))
    for (const name of ["main.sqlite", "main.sqlite-wal", "main.sqlite-shm", "main.sqlite.lock", "main.sqlite.owner", "copy.sqlite"]) {
      expect((statSync(join(folder, name)).mode & 0o777).toString(8), name).toBe("600")
    }
    await ledger.close()
  })

  it("is backed up beside another process that does so to the same place, and over nothing that came to be there meanwhile", async () => {
    const ledger = openSqlite({ path })
    await ledger.append(0, makeEntries(new Chain(sha256), 3))
    const copy = join(folder, "copy.sqlite")
    writeFileSync(`${copy}.part`, "another's")
    const copying = ledger.backup(copy)
    writeFileSync(copy, "another's")
    await expect(copying).rejects.toMatchObject({ code: "rolled_back", message: `${copy} exists already` })
    expect([copy, `${copy}.part`].map((file) => readFileSync(file, "utf8"))).toEqual(["another's", "another's"])
    expect(
      readdirSync(folder)
        .filter((name) => name.startsWith("copy"))
        .toSorted(),
    ).toEqual(["copy.sqlite", "copy.sqlite.part"])
    for (const nowhere of [join(folder, "none"), copy]) {
      await expect(ledger.backup(join(nowhere, "copy.sqlite"))).rejects.toMatchObject({ code: "rolled_back", message: `there is no folder ${nowhere}` })
    }
    await ledger.close()
  })

  it("breaks a copy off between two steps, and leaves nothing of it", async () => {
    const ledger = openSqlite({ path })
    await fill(ledger)
    await expect(ledger.backup(join(folder, "copy.sqlite"), () => true)).rejects.toMatchObject({ code: "rolled_back" })
    expect(readdirSync(folder).filter((name) => name.startsWith("copy"))).toEqual([])
    await ledger.close()
  })

  it("takes away what a backup to the same place left that was killed, and nothing that another writes or that is none", async () => {
    const ledger = openSqlite({ path })
    await fill(ledger)
    const copy = join(folder, "copy.sqlite")
    const killed = inProcess(`
      import { openForReading } from ${JSON.stringify(new URL("sqlite.ts", import.meta.url).href)}
      await openForReading(${JSON.stringify(path)}).backup(${JSON.stringify(copy)}, () => process.kill(process.pid, "SIGKILL"))
    `)
    const drafts = [`copy.sqlite.${killed.pid}.part`, `copy.sqlite.${killed.pid}.part-journal`]
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(drafts))
    // Of a process that lives; of one whose id means nobody here, such as one in a container; and somebody else's file.
    const [living, locked, other] = [`${copy}.${process.ppid}.part`, `${copy}.4194305.part`, `${copy}.4194306.part`]
    writeFileSync(living, "")
    writeFileSync(other, "no draft of ours, and no database")
    const writing = new DatabaseSync(locked)
    writing.exec("BEGIN EXCLUSIVE")
    await ledger.backup(copy)
    for (const kept of [living, locked, other]) expect(existsSync(kept), kept).toBe(true)
    for (const draft of drafts) expect(readdirSync(folder)).not.toContain(draft)
    writing.close()
    await ledger.close()
  })

  it("syncs each commit, also beside a log that a crash has left full-grown", () => {
    const databases = [1, 2].map(() => {
      const { database } = openFile(path, false)
      prepareFile(database, { path }, false)
      return database
    })
    expect(databases.map((database) => database.prepare("PRAGMA synchronous").get())).toEqual([{ synchronous: 2 }, { synchronous: 2 }])
    for (const database of databases) database.close()
  })

  it("tells a second opener the pid and address of the first, also in another process, and is free once that one is gone", async () => {
    const ledger = openSqlite({ path, owner: { pid: 4711, address: null } })
    expect(() => openSqlite({ path })).toThrow(/in use by process 4711$/)
    ledger.announce("http://127.0.0.1:7777")
    const other = inProcess(`
      import { openSqlite } from ${JSON.stringify(new URL("sqlite.ts", import.meta.url).href)}
      try { openSqlite({ path: ${JSON.stringify(path)} }) } catch (error) { console.log(error.code, error.message) }
    `)
    expect(other.stdout).toContain(`locked ${path} is in use by process 4711 at http://127.0.0.1:7777`)
    await ledger.close()
    expect(existsSync(`${path}.owner`)).toBe(false)
    await openSqlite({ path }).close()
  })

  it("is another process's, where the name beside it is no process: nobody is told to end process -1, which is all of them", async () => {
    const ledger = openSqlite({ path })
    for (const pid of [-1, 0, 1.5, "7", null]) {
      writeFileSync(`${path}.owner`, JSON.stringify({ pid, address: "http://127.0.0.1:1" }))
      expect(() => openSqlite({ path })).toThrow("is in use by another process")
    }
    await ledger.close()
  })

  it("whose owner cannot be named is not open, and is free once it can be", async () => {
    mkdirSync(`${path}.owner`)
    expect(() => openSqlite({ path })).toThrow("is a folder")
    rmdirSync(`${path}.owner`)
    await openSqlite({ path }).close()
  })

  it("a reader is no hindrance to housekeeping, and the write-ahead log stays near its bound under constant load", async () => {
    const chain = new Chain(sha256)
    const ledger = openSqlite({ path, walBytes: 256 * 1024 })
    for (let i = 0; i < 400; i++) {
      await ledger.append(chain.seq, makeEntries(chain, 1))
      chain.commit()
    }
    expect(statSync(`${path}-wal`).size).toBeLessThan(600 * 1024)
    await ledger.close()
  })

  it("refuses a file that is no ledger, one of a newer version, and one that is not there", async () => {
    writeFileSync(path, "this is no database, nor will it ever be one".repeat(50))
    expect(() => openSqlite({ path })).toThrow("is not a sound SQLite file")
    rmSync(path)
    const foreign = new DatabaseSync(path)
    foreign.exec("CREATE TABLE recipes (name TEXT)")
    foreign.close()
    expect(() => openSqlite({ path })).toThrow("is not a Skein ledger")
    rmSync(path)
    await openSqlite({ path }).close()
    const newer = new DatabaseSync(path)
    newer.exec("PRAGMA user_version = 2")
    newer.close()
    expect(() => openSqlite({ path })).toThrow("newer Skein")
    expect(() => openSqlite({ path: join(folder, "none.sqlite"), readOnly: true })).toThrow("there is no ledger")
    expect(() => openSqlite({ path: join(folder, "no", "such", "folder.sqlite") })).toThrow()
  })

  it("refuses to go on from a damaged end, and names the entry", async () => {
    const chain = new Chain(sha256)
    const ledger = openSqlite({ path })
    await ledger.append(0, makeEntries(chain, 100))
    await ledger.close()
    rewriteRows(path, (rows) => rows.map((row) => (row.seq === 90 ? { ...row, bytes: row.bytes.replace("entry 90", "entry 91") } : row)))
    expect(() => openSqlite({ path })).toThrow(expect.objectContaining({ code: "damaged", seq: 90 }) as Error)
    const reader = openSqlite({ path, readOnly: true })
    expect((await reader.head()).seq).toBe(100)
    await reader.close()
  })

  it("tells a broken byte from an honest replacement character, and bytes behind a NUL from none", async () => {
    const chain = new Chain(sha256)
    const ledger = openSqlite({ path })
    await ledger.append(
      0,
      makeEntries(chain, 3, (seq) => (seq === 2 ? "here \uFFFD stands" : "plain")),
    )
    expect(await ledger.read(1, 3)).toHaveLength(3)
    await ledger.close()
    const shell = new DatabaseSync(path)
    shell.exec("DROP TRIGGER entries_only_grow; UPDATE entries SET bytes = CAST(replace(CAST(bytes AS BLOB), x'efbfbd', x'ff') AS TEXT) WHERE seq = 2")
    shell.close()
    const reader = openSqlite({ path, readOnly: true })
    await expect(reader.read(1, 3)).rejects.toMatchObject({ code: "damaged", seq: 2 })
    await reader.close()
  })

  it("is readable with the sqlite3 shell: a view with a column for each field and the data as JSON", async () => {
    const ledger = openSqlite({ path })
    await ledger.append(0, makeEntries(new Chain(sha256), 2))
    const shell = new DatabaseSync(path, { readOnly: true })
    const row = shell.prepare("SELECT seq, at, type, v, agent, session, role, commandId, causedBy, data ->> '$.text' AS text FROM ledger WHERE seq = 2").get()
    expect({ ...row }).toEqual({
      seq: 2,
      at: "2023-11-14T22:13:20.002Z",
      type: "task.added",
      v: 1,
      agent: "hub",
      session: null,
      role: "supervisor",
      commandId: null,
      causedBy: null,
      text: "entry 2",
    })
    shell.close()
    await ledger.close()
    const writer = new DatabaseSync(path)
    expect(() => writer.exec("UPDATE entries SET bytes = '{}' WHERE seq = 1")).toThrow("only grows")
    expect(() => writer.exec("DELETE FROM entries WHERE seq = 2")).toThrow("only grows")
    writer.close()
  })

  it("a log torn anywhere after a crash is replayed to its last whole batch", async () => {
    const chain = new Chain(sha256)
    const ledger = openSqlite({ path })
    const grown = readFileSync(`${path}-wal`)
    const all: Stored[] = []
    for (let i = 0; i < 6; i++) {
      const batch = makeEntries(chain, 7)
      await ledger.append(all.length, batch)
      all.push(...batch)
    }
    const file = readFileSync(path)
    const log = readFileSync(`${path}-wal`)
    await ledger.close()
    const heads = new Set<number>()
    const written = log.findLastIndex((byte, at) => byte !== grown[at]) + 1
    expect(written).toBeGreaterThan(0)
    // What a tear leaves: the end of the file, what lay in those blocks once, or the frames of the log's last round.
    const rests = [(cut: number) => log.subarray(cut, cut), () => Buffer.alloc(3000, 7), (cut: number) => grown.subarray(cut)]
    for (let cut = 0; cut <= written + 4_000; cut += 1499) {
      const torn = join(folder, `torn-${cut}.sqlite`)
      writeFileSync(torn, file)
      writeFileSync(`${torn}-wal`, Buffer.concat([log.subarray(0, cut), rests[cut % 3]?.(cut) ?? Buffer.alloc(0)]))
      let head = 0
      try {
        const again = openSqlite({ path: torn })
        head = (await again.head()).seq
        expect(plain(await again.read(1, 100))).toEqual(plain(all.slice(0, head)))
        await again.close()
      } finally {
        heads.add(head)
      }
    }
    expect([...heads].every((head) => head % 7 === 0)).toBe(true)
    expect(heads.size).toBeGreaterThan(3)
  })

  it("a bit flipped anywhere in the file is found, unless it lies where no entry does", async () => {
    const chain = new Chain(sha256)
    const ledger = openSqlite({ path })
    await ledger.append(0, makeEntries(chain, 60))
    await ledger.idle()
    await ledger.close()
    const file = readFileSync(path)
    const sound = openSqlite({ path, readOnly: true })
    const entries = plain(await sound.read(1, 100))
    await sound.close()
    const flipped = join(folder, "flipped.sqlite")
    let found = 0
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: file.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const copy = Buffer.from(file)
        copy[at]! ^= 1 << bit
        writeFileSync(flipped, copy)
        const outcome = await readThrough(flipped, at % 2 === 0)
        if (outcome.finding === null) expect(outcome.entries).toEqual(entries)
        else found++
        for (const beside of ["-wal", "-shm"]) rmSync(flipped + beside, { force: true })
      }),
      { numRuns: 150 },
    )
    expect(found).toBeGreaterThan(30)
  })

  it("loses nothing that it acknowledged to kill -9, and never keeps half a batch", async () => {
    const script = join(folder, "append.mjs")
    writeFileSync(
      script,
      `
      import { writeSync } from "node:fs"
      import { EntryHasher } from ${JSON.stringify(new URL("../core/hash.ts", import.meta.url).href)}
      import { sha256 } from ${JSON.stringify(new URL("sha256.ts", import.meta.url).href)}
      import { openSqlite } from ${JSON.stringify(new URL("sqlite.ts", import.meta.url).href)}
      const ledger = openSqlite({ path: ${JSON.stringify(path)}, walBytes: 300_000 })
      const hasher = new EntryHasher(sha256)
      let { seq, hash } = await ledger.head()
      for (;;) {
        const from = seq
        const batch = Array.from({ length: 5 }, () => {
          seq++
          const bytes = JSON.stringify({ seq, atMs: seq, type: "t", v: 1, data: "x".repeat(250) })
          hash = hasher.chain(hash, bytes)
          return { seq, bytes, hash }
        })
        await ledger.append(from, batch)
        writeSync(1, seq + "\\n")
      }
    `,
    )
    for (let run = 0; run < 6; run++) {
      const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script], { stdio: ["ignore", "pipe", "inherit"] })
      let acknowledged = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => (acknowledged += text))
      await once(child.stdout, "data")
      await setTimeout(20 + 37 * run)
      child.kill("SIGKILL")
      await once(child, "close")
      const last = Number(acknowledged.slice(0, acknowledged.lastIndexOf("\n")).split("\n").at(-1))
      const ledger = openSqlite({ path })
      const { seq } = await ledger.head()
      expect(last).toBeGreaterThan(0)
      expect(seq).toBeGreaterThanOrEqual(last)
      expect(seq % 5).toBe(0)
      expect(await verify(ledger)).toMatchObject({ ok: true, entries: seq })
      await ledger.close()
    }
  })
})

/** All the entries of a file, or what is wrong with it. */
async function readThrough(path: string, readOnly: boolean): Promise<{ finding: unknown; entries: ReturnType<typeof plain> }> {
  try {
    const ledger = openSqlite({ path, readOnly })
    try {
      const { finding } = await verify(ledger)
      return { finding, entries: finding ? [] : plain(await ledger.read(1, 1000)) }
    } finally {
      await ledger.close()
    }
  } catch (error) {
    if (error instanceof LedgerFailure) return { finding: error, entries: [] }
    throw error
  }
}
