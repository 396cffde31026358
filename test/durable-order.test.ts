import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { afterAll, expect, test, vi } from "vitest"
import { checkpointNotes } from "../src/hub/notes.ts"
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

vi.mock("node:fs/promises", async (load) => {
  const real = await load<typeof import("node:fs/promises")>()
  const writeFile = (path: string, text: string, options: { mode: number; flush: boolean }): Promise<void> => {
    if (options.flush) calls.push(`sync ${basename(path).replace(/^\.(.*)\.\d+\.\d+$/, "$1")}`)
    return real.writeFile(path, text, options)
  }
  return { ...real, writeFile }
})

const folder = mkdtempSync(join(tmpdir(), "skein-durable-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

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

test("keys are on the disk before their names are; a note, which the next checkpoint makes anew, is not waited for", async () => {
  const notes = checkpointNotes({ keysDirectory: join(folder, "keys"), notesDirectory: join(folder, "notes"), random: (bytes) => Buffer.alloc(bytes, 1) })
  calls.length = 0
  await notes.sign("main", { size: 1, root: "ab".repeat(32), digest: "" })
  expect(calls.toSorted()).toEqual(["sync checkpoint-main.key", "sync checkpoint-main.pub"])
})
