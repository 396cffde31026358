import { mkdtemp, readFile, stat } from "node:fs/promises"
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
})
