import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { makeEntries } from "../../test/ledger-entries.ts"
import { ledgerPlace } from "../../test/ledger-place.ts"
import { Chain } from "../core/chain.ts"
import { verify } from "./audit.ts"
import { sha256 } from "./sha256.ts"
import { openSqlite } from "./sqlite.ts"

describe("a SQLite ledger, beside its writer", () => {
  let folder: string
  let path: string
  beforeEach((context) => {
    ;({ folder, path } = ledgerPlace(context))
  })

  it("is copied from beside a writer that never rests, as it was when the copy began", async () => {
    const chain = new Chain(sha256)
    const ledger = openSqlite({ path })
    const large = makeEntries(chain, 700, () => "x".repeat(60_000))
    await ledger.append(0, large)
    const beside = openSqlite({ path, readOnly: true })
    let isDone = false
    const copied = beside.backup(join(folder, "copy.sqlite")).then(() => (isDone = true))
    for (let more = 0; more < 2_000 && !isDone; more += 1) {
      await ledger.append(chain.seq, makeEntries(chain, 1))
      await new Promise((settle) => setImmediate(settle))
      if (!isDone) expect(existsSync(join(folder, "copy.sqlite")), "a copy that is not whole").toBe(false)
    }
    expect(isDone).toBe(true)
    await copied
    await ledger.append(chain.seq, makeEntries(chain, 1))
    expect((await beside.head()).seq).toBe(chain.seq)
    const copy = openSqlite({ path: join(folder, "copy.sqlite"), readOnly: true })
    expect(await verify(copy)).toMatchObject({ ok: true, entries: 700 })
    await Promise.all([ledger.close(), beside.close(), copy.close()])
  })

  it("can be read while a hub writes to it, and after the hub has closed", async () => {
    const chain = new Chain(sha256)
    const hub = openSqlite({ path })
    await hub.append(0, makeEntries(chain, 5))
    const reader = openSqlite({ path, readOnly: true })
    expect((await reader.head()).seq).toBe(5)
    await hub.append(5, makeEntries(chain, 2))
    expect(await reader.read(1, 100)).toHaveLength(7)
    await expect(reader.append(7, makeEntries(chain, 1))).rejects.toMatchObject({
      code: "rolled_back",
      message: expect.stringContaining("reading only") as string,
    })
    await reader.close()
    await hub.close()
    const later = openSqlite({ path, readOnly: true })
    expect((await later.head()).seq).toBe(7)
    await later.close()
  })

  it("is read without a trace, in a folder that is closed too: alone, and with a log that lacks its index", async () => {
    const chain = new Chain(sha256)
    const hub = openSqlite({ path })
    await hub.append(0, makeEntries(chain, 5))
    const copies = [join(folder, "with a log"), join(folder, "alone")]
    for (const copy of copies) mkdirSync(copy)
    for (const end of ["", "-wal"]) copyFileSync(`${path}${end}`, join(copies[0]!, `copy${end}`))
    await hub.close()
    copyFileSync(path, join(copies[1]!, "copy"))
    const made = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith("skein-reading-"))
    const others = new Set(made())
    for (const copy of copies) {
      const stand = (): unknown => readdirSync(copy).map((name) => [name, readFileSync(join(copy, name)), statSync(join(copy, name), { bigint: true }).mtimeNs])
      const before = stand()
      for (const name of readdirSync(copy)) chmodSync(join(copy, name), 0o400)
      chmodSync(copy, 0o500)
      const reader = openSqlite({ path: join(copy, "copy"), readOnly: true })
      expect(await verify(reader)).toMatchObject({ ok: true, entries: 5 })
      await reader.close()
      chmodSync(copy, 0o700)
      expect(stand()).toEqual(before)
    }
    await expect.poll(() => made().filter((name) => !others.has(name))).toEqual([])
  })

  it("whose log has a hole of many gigabytes is read in its place, and not copied", async () => {
    const chain = new Chain(sha256)
    const hub = openSqlite({ path })
    await hub.append(0, makeEntries(chain, 5))
    const copy = join(folder, "copy")
    for (const end of ["", "-wal"]) copyFileSync(`${path}${end}`, `${copy}${end}`)
    await hub.close()
    truncateSync(`${copy}-wal`, 2 ** 40)
    const reader = openSqlite({ path: copy, readOnly: true })
    expect(await verify(reader)).toMatchObject({ ok: true, entries: 5 })
    await reader.close()
  })

  it("that a hub opens while it is read is not taken for damaged: whoever reads is told to do it again", async () => {
    const chain = new Chain(sha256)
    let hub = openSqlite({ path })
    await hub.append(0, makeEntries(chain, 5))
    await hub.close()
    const reader = openSqlite({ path, readOnly: true })
    expect(await reader.read(1, 100)).toHaveLength(5)
    hub = openSqlite({ path })
    await hub.append(5, makeEntries(chain, 5))
    await hub.close()
    await expect(reader.read(1, 100)).rejects.toMatchObject({ code: "locked", remedy: expect.stringContaining("do that again") as string })
    await expect(reader.backup(join(folder, "copy"))).rejects.toMatchObject({ code: "locked" })
    expect(existsSync(join(folder, "copy"))).toBe(false)
    await reader.close()
    const again = openSqlite({ path, readOnly: true })
    expect(await again.read(1, 100)).toHaveLength(10)
    await again.close()
  })
})
