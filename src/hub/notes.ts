import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fromHex } from "../core/hash.ts"
import type { Checkpoint } from "../core/workspace.ts"
import { formatTreeHead, makeKey, parseSigner, type Signer, signNote } from "../ledger/note.ts"

/** The hub's checkpoints as signed notes, kept outside the ledger: against them a ledger that was cut at an entry's end is found out. */
export type CheckpointNotes = {
  /** Signs and keeps a checkpoint; returns the note. */
  sign(workspace: string, checkpoint: Checkpoint): Promise<string>
  /** The last note that was kept, or null. */
  latest(workspace: string): Promise<string | null>
  /** The key to verify a workspace's notes with, in its public text form. */
  verifierKey(workspace: string): Promise<string>
}

export type NotesOptions = {
  /** Secret keys, one a workspace, `checkpoint-NAME.key` of mode 0600; the public ones stand beside them as `.pub`. */
  keysDirectory: string
  /** The latest note of each workspace, under its name. */
  notesDirectory: string
  random(bytes: number): Uint8Array
}

export function checkpointNotes({ keysDirectory, notesDirectory, random }: NotesOptions): CheckpointNotes {
  const signers = new Map<string, Promise<Signer>>()
  const signerOf = (workspace: string): Promise<Signer> => {
    const known = signers.get(workspace) ?? readOrMakeKey(keysDirectory, workspace, random)
    signers.set(workspace, known)
    return known
  }
  return {
    async sign(workspace, { size, root }) {
      const signer = await signerOf(workspace)
      const note = signNote(formatTreeHead({ origin: signer.verifier.name, size, root: fromHex(root) }), signer)
      await replaceFile(notesDirectory, workspace, note, 0o644)
      return note
    },
    async latest(workspace) {
      return readFile(join(notesDirectory, workspace), "utf8").catch(absent)
    },
    async verifierKey(workspace) {
      return (await signerOf(workspace)).verifier.vkey
    },
  }
}

/** A ledger's origin names its key: no two instances share one, so that a witness never takes one ledger for another. */
async function readOrMakeKey(directory: string, workspace: string, random: NotesOptions["random"]): Promise<Signer> {
  const name = `checkpoint-${workspace}.key`
  const kept = await readFile(join(directory, name), "utf8").catch(absent)
  if (kept !== null) return parseSigner(kept)
  const { skey, vkey } = makeKey("log", `skein/${Buffer.from(random(6)).toString("hex")}/${workspace}`, random(32))
  await replaceFile(directory, `checkpoint-${workspace}.pub`, `${vkey}\n`, 0o644)
  await replaceFile(directory, name, `${skey}\n`, 0o600)
  return parseSigner(skey)
}

/** Whole or not at all. The number keeps two writers of one process apart. */
async function replaceFile(directory: string, name: string, text: string, mode: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const aside = join(directory, `.${name}.${process.pid}.${(serial += 1)}`)
  await writeFile(aside, text, { mode })
  await rename(aside, join(directory, name))
}

let serial = 0

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null
  throw error
}
