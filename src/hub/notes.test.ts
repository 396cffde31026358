import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { randomBytes } from "node:crypto"
import { expect, test } from "vitest"
import { openNote, parseTreeHead, parseVerifier } from "../ledger/note.ts"
import { checkpointNotes } from "./notes.ts"

test("a checkpoint is signed with the workspace's own key and kept outside the ledger", async () => {
  const directory = await mkdtemp(join(tmpdir(), "skein-notes-"))
  const options = { keysDirectory: join(directory, "keys"), notesDirectory: join(directory, "checkpoint"), random: (bytes: number) => randomBytes(bytes) }
  const notes = checkpointNotes(options)
  const root = "ab".repeat(32)
  const note = await notes.sign("main", { size: 7, root, digest: "" })
  expect(await notes.latest("main")).toBe(note)
  expect(await notes.latest("other")).toBeNull()
  const verifier = parseVerifier(await checkpointNotes(options).verifierKey("main"))
  const head = parseTreeHead(openNote(note, [verifier]).text)
  expect([head.size, Buffer.from(head.root).toString("hex"), head.origin]).toEqual([7, root, verifier.name])
  expect((await stat(join(directory, "keys/checkpoint-main.key"))).mode & 0o777).toBe(0o600)
  expect(await readFile(join(directory, "keys/checkpoint-main.pub"), "utf8")).not.toContain("PRIVATE")
  const elsewhere = checkpointNotes({ ...options, keysDirectory: join(directory, "other") })
  expect(parseVerifier(await elsewhere.verifierKey("main")).name, "no two instances have one origin").not.toBe(verifier.name)
})

test("what keeps a key or a note from being kept is no hindrance once it is gone, and leaves nothing behind", async () => {
  const directory = await mkdtemp(join(tmpdir(), "skein-notes-"))
  const [keys, kept] = [join(directory, "keys"), join(directory, "checkpoint")]
  const notes = checkpointNotes({ keysDirectory: keys, notesDirectory: kept, random: (bytes) => randomBytes(bytes) })
  const sign = (size: number): Promise<string> => notes.sign("main", { size, root: "ab".repeat(32), digest: "" })
  await writeFile(keys, "in its place")
  await expect(sign(1)).rejects.toThrow()
  await rm(keys)
  await mkdir(join(kept, "main"), { recursive: true })
  await expect(sign(2)).rejects.toMatchObject({ code: "storage_refused", remedy: expect.stringContaining(kept) as string })
  await expect(sign(3)).rejects.toThrow()
  await rm(join(kept, "main"), { recursive: true })
  expect(await notes.latest("main").catch(() => "none")).toBeNull()
  expect(await readdir(kept)).toEqual([])
  expect(await sign(4)).toBe(await notes.latest("main"))
})

test("a signing key that was damaged is named with its file, and a public key that was is written again", async () => {
  const directory = await mkdtemp(join(tmpdir(), "skein-notes-"))
  const [keys, kept] = [join(directory, "keys"), join(directory, "checkpoint")]
  const options = { keysDirectory: keys, notesDirectory: kept, random: (bytes: number) => randomBytes(bytes) }
  const vkey = await checkpointNotes(options).verifierKey("main")
  await writeFile(join(keys, "checkpoint-main.pub"), "")
  expect(await checkpointNotes(options).verifierKey("main")).toBe(vkey)
  expect(await readFile(join(keys, "checkpoint-main.pub"), "utf8")).toBe(`${vkey}\n`)
  await writeFile(join(keys, "checkpoint-main.key"), "")
  await expect(checkpointNotes(options).verifierKey("main")).rejects.toMatchObject({
    message: expect.stringContaining(join(keys, "checkpoint-main.key")) as string,
    remedy: expect.stringContaining("Put back the file") as string,
  })
})
