import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { SkeinError } from "../contract/errors.ts"
import { fromHex } from "../core/hash.ts"
import type { Checkpoint } from "../core/workspace.ts"
import { formatTreeHead, makeKey, NoteInvalid, parseSigner, type Signer, signNote } from "../ledger/note.ts"
import { readPrivately } from "../ledger/private-file.ts"

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
    // A key that could not be read, or kept, is looked for again by the next checkpoint.
    known.catch(() => signers.delete(workspace))
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
      return kept(join(notesDirectory, workspace))
    },
    async verifierKey(workspace) {
      return (await signerOf(workspace)).verifier.vkey
    },
  }
}

/** A ledger's origin names its key: no two instances share one, so that a witness never takes one ledger for another. */
async function readOrMakeKey(directory: string, workspace: string, random: NotesOptions["random"]): Promise<Signer> {
  const name = `checkpoint-${workspace}.key`
  const text = kept(join(directory, name))
  if (text !== null) return keepPublic(directory, workspace, signerIn(join(directory, name), text))
  const { skey } = makeKey("log", `skein/${Buffer.from(random(6)).toString("hex")}/${workspace}`, random(32))
  const signer = await keepPublic(directory, workspace, parseSigner(skey))
  await replaceFile(directory, name, `${skey}\n`, 0o600, true)
  return signer
}

function signerIn(path: string, text: string): Signer {
  try {
    return parseSigner(text)
  } catch (error) {
    if (!(error instanceof NoteInvalid)) throw error
    throw new SkeinError(
      "invalid",
      `${path} holds no key, so that no checkpoint can be signed`,
      "Put back the file. Or remove it: the next checkpoint makes another, and is another log's for every witness.",
    )
  }
}

/** The public key follows from the secret one: where it is missing or not as it was written, it is written again. */
async function keepPublic(directory: string, workspace: string, signer: Signer): Promise<Signer> {
  const name = `checkpoint-${workspace}.pub`
  const text = `${signer.verifier.vkey}\n`
  if (!holds(join(directory, name), text)) await replaceFile(directory, name, text, 0o644, true)
  return signer
}

/**
 * Whole or not at all. The number keeps two writers of one process apart. `isSynced`: its name must not be on the disk before what is in it; a note is
 * made anew by the next checkpoint, and a sync would stand in the way of a commit.
 */
async function replaceFile(directory: string, name: string, text: string, mode: number, isSynced = false): Promise<void> {
  const aside = join(directory, `.${name}.${process.pid}.${(serial += 1)}`)
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await writeFile(aside, text, { mode, flush: isSynced })
    await rename(aside, join(directory, name))
  } catch (error) {
    // On a full disk each checkpoint would leave another behind.
    await rm(aside, { force: true }).catch(() => undefined)
    throw new SkeinError(
      "storage_refused",
      `a checkpoint cannot be kept: ${(error as Error).message}`,
      `Make room, or see that ${directory} can be written to; then ask again.`,
    )
  }
}

let serial = 0

function holds(path: string, text: string): boolean {
  try {
    return kept(path) === text
  } catch {
    return false
  }
}

/** Null where there is no such file. */
function kept(path: string): string | null {
  try {
    return readPrivately(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null
    throw error
  }
}
