import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, describe, expect, it } from "vitest"
import { makeEntries } from "../../test/ledger-entries.ts"
import { ledgerPlace } from "../../test/ledger-place.ts"
import { Chain } from "../core/chain.ts"
import { verify } from "./audit.ts"
import { sha256 } from "./sha256.ts"
import { openSqlite } from "./sqlite.ts"

describe("a SQLite ledger, on a disk that fails it", () => {
  let folder: string
  let path: string
  beforeEach((context) => {
    ;({ folder, path } = ledgerPlace(context))
  })

  it("a full disk refuses the batch whole, reads go on, and with room again it goes on", async () => {
    const chain = new Chain(sha256)
    let ledger = openSqlite({ path, maxBytes: 40 * 4096 })
    let full: unknown = null
    for (let i = 0; i < 100 && !full; i++) {
      const batch = makeEntries(chain, 20)
      full = await ledger.append(chain.seq - 20, batch).then(
        () => (chain.commit(), null),
        (error: unknown) => error,
      )
    }
    expect(full).toMatchObject({ code: "rolled_back", remedy: expect.stringContaining("free disk space") as string })
    chain.rollback()
    expect(await ledger.head()).toEqual({ seq: chain.seq, hash: chain.hash })
    expect(await ledger.read(1, 1000)).toHaveLength(chain.seq)
    await ledger.close()
    ledger = openSqlite({ path, maxBytes: 80 * 4096 })
    expect((await ledger.append(chain.seq, makeEntries(chain, 20))).ok).toBe(true)
    await ledger.close()
  })

  /** Appends entries one by one in a process of its own, whose files may have so many blocks of 512 bytes, and does `then` where one fails. */
  function appending(blocks: number, before: string, then: string): string {
    const script = `
      import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs"
      import { Chain } from ${JSON.stringify(new URL("../core/chain.ts", import.meta.url).href)}
      import { sha256 } from ${JSON.stringify(new URL("sha256.ts", import.meta.url).href)}
      import { openSqlite } from ${JSON.stringify(new URL("sqlite.ts", import.meta.url).href)}
      const ledger = openSqlite({ path: ${JSON.stringify(path)} })
      const chain = new Chain(sha256)
      for (let seq = 1; ; seq++) {
        const bytes = JSON.stringify({ seq, atMs: seq, type: "t", v: 1, data: "x".repeat(3000) })
        const stored = [{ seq, bytes, hash: chain.append(bytes) }]
        try { ${before}; await ledger.append(seq - 1, stored) }
        catch (error) { ${then}; break }
      }
    `
    writeFileSync(join(folder, "fill.mjs"), script)
    const command = `ulimit -f ${blocks}; exec "$0" --disable-warning=ExperimentalWarning ${join(folder, "fill.mjs")}`
    const { stdout, stderr } = spawnSync("sh", ["-c", command, process.execPath], { encoding: "utf8" })
    return stdout + stderr
  }

  it("a write that the system refuses, for a quota or a file's greatest size, is no batch; reads go on, and with room again it goes on", async () => {
    // Node ignores the signal that goes with it.
    const [code, remedy, heads] = JSON.parse(
      appending(
        400,
        "",
        `const { seq: head } = await ledger.head()
        await ledger.idle()
        const { head: after } = await ledger.append(seq - 1, stored)
        console.log(JSON.stringify([error.code, error.remedy, [head - seq, (await ledger.read(1, 1000)).length - seq, after.seq - seq]]))`,
      ),
    ) as [string, string, number[]]
    expect([code, remedy, heads]).toEqual(["rolled_back", expect.stringContaining("ulimit -f"), [-1, 0, 0]])
    const ledger = openSqlite({ path })
    expect(await verify(ledger)).toMatchObject({ ok: true })
    await ledger.close()
  })

  /** In the place of the file that ends so comes a device that takes what is written, and has no disk to sync it to. */
  const exchanged = (end: string): string => `
    const file = readdirSync("/proc/self/fd").find((fd) => { try { return readlinkSync("/proc/self/fd/" + fd).endsWith(${JSON.stringify(end)}) } catch { return false } })
    closeSync(Number(file))
    if (openSync("/dev/null", "r+") !== Number(file)) throw new Error("another descriptor was free")`

  it.runIf(process.platform === "linux")("a commit whose sync the disk failed has an unknown outcome, and the store takes no more", async () => {
    const told = appending(
      100_000,
      `if (seq === 5) { ${exchanged("-wal")} }`,
      "console.log(error.code, await ledger.append(seq - 1, []).catch((second) => second === error), seq)",
    )
    expect(told).toBe("unknown_outcome true 5\n")
    // The restart tells the truth: all that was acknowledged before, and a chain that holds.
    const ledger = openSqlite({ path })
    expect((await ledger.head()).seq).toBe(4)
    await ledger.close()
  })

  it.runIf(process.platform === "linux")("a sync that fails while the log is tidied away is not tried again: the store takes no more", async () => {
    const idle = `const idle = async () => ledger.idle().then(() => "done", (error) => error.code)`
    const before = `${idle}
      if (seq === 5) { ${exchanged("main.sqlite")}; console.log(await idle()) }
      if (seq > 5) throw new Error("it took another batch")`
    const told = appending(100_000, before, "console.log(error.code ?? error.message, seq)")
    expect(told).toBe("unknown_outcome\nunknown_outcome 5\n")
    const ledger = openSqlite({ path })
    expect((await ledger.head()).seq).toBe(4)
    await ledger.close()
  })
})
