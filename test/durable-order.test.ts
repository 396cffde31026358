import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test, vi } from "vitest"
import { makeKey, parseSigner } from "../src/ledger/note.ts"
import { replacePrivately } from "../src/ledger/private-file.ts"
import { Witness } from "../src/ledger/witness.ts"

/** What a power cut would take is not seen by reading files: the order of the calls is. */
const { calls } = vi.hoisted(() => ({ calls: [] as string[] }))
vi.mock("node:fs", async (load) => {
  const real = await load<typeof import("node:fs")>()
  const fsyncSync: typeof real.fsyncSync = (file) => {
    calls.push(real.fstatSync(file).isDirectory() ? "sync the folder" : "sync the file")
    real.fsyncSync(file)
  }
  const renameSync: typeof real.renameSync = (from, to) => {
    calls.push("rename")
    real.renameSync(from, to)
  }
  return { ...real, fsyncSync, renameSync }
})

const folder = mkdtempSync(join(tmpdir(), "skein-durable-"))
afterEach(() => {
  calls.length = 0
  rmSync(folder, { recursive: true, force: true })
})

test("what is in a file is on the disk before its name is, and of a witness its name before anybody is answered", () => {
  const { skey } = makeKey("witness", "witness.example/w1", Buffer.alloc(32, 2))
  const witness = new Witness(join(folder, "witness.json"), parseSigner(skey), () => 0)
  calls.length = 0
  witness.watch(makeKey("log", "skein/main", Buffer.alloc(32, 1)).vkey)
  expect(calls).toEqual(["sync the file", "rename", "sync the folder"])
  calls.length = 0
  replacePrivately(join(folder, "token.pem"), "secret")
  expect(calls).toEqual(["sync the file", "rename"])
  witness.close()
})
