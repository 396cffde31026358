import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Requested } from "../ledger/witness-http.ts"
import { SkeinError } from "../contract/errors.ts"
import type { KeptTree } from "../ledger/kept-tree.ts"
import type { Ledger } from "../ledger/ledger.ts"
import type { NoteInvalid as NoteFault } from "../ledger/note.ts"
import { readPrivately, replacePrivately } from "../ledger/private-file.ts"
import type { Instance } from "./instance.ts"
import { cosignedNote } from "./ledger-source.ts"

/** A witness that a workspace's checkpoints are sent to: where it listens, its public key, and what it saw last. */
export type KnownWitness = { url: string; vkey: string; seenSize: number }

/** `unusable`: what is known of the witness is no key of one, so that it was not asked. */
export type WitnessAnswer = { url: string; outcome: Requested["outcome"] | "unusable"; reason: string | null; offence: string | null }

function listFile({ directory }: Instance, workspace: string): string {
  return join(directory, `witnesses-${workspace}.json`)
}

export function readWitnesses(instance: Instance, workspace: string): KnownWitness[] {
  const path = listFile(instance, workspace)
  if (!existsSync(path)) return []
  const known = parsed(readPrivately(path))
  if (Array.isArray(known) && known.every(isKnown)) return known
  throw new SkeinError("invalid", `${path} is no list of witnesses`, "Put back the file, or remove it and add each witness again: skein witness add URL KEY.")
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isKnown(one: unknown): one is KnownWitness {
  const { url, vkey, seenSize } = (one ?? {}) as Partial<Record<keyof KnownWitness, unknown>>
  return typeof url === "string" && URL.canParse(url) && typeof vkey === "string" && Number.isSafeInteger(seenSize) && (seenSize as number) >= 0
}

export function writeWitnesses(instance: Instance, workspace: string, witnesses: readonly KnownWitness[]): void {
  replacePrivately(listFile(instance, workspace), `${JSON.stringify(witnesses, null, 2)}\n`)
}

/**
 * Has every known witness cosign a checkpoint; keeps the note with what they answered, unless another process had a later one cosigned meanwhile. A witness
 * that cannot be reached, or asked, holds up nobody. `known`: the tree over the ledger, where there is one of before; else the ledger is read.
 */
export async function cosignNow(
  instance: Instance,
  workspace: string,
  note: string,
  ledger: Pick<Ledger, "read">,
  known?: KeptTree,
): Promise<{ note: string; answers: WitnessAnswer[] }> {
  const witnesses = readWitnesses(instance, workspace)
  if (witnesses.length === 0) return { note, answers: [] }
  const [{ requestCosignature }, { NoteInvalid, parseNote, parseTreeHead, parseVerifier }, { KeptTree }] = await Promise.all([
    import("../ledger/witness-http.ts"),
    import("../ledger/note.ts"),
    import("../ledger/kept-tree.ts"),
  ])
  const tree = known ?? new KeptTree(ledger)
  const sizeOf = (text: string): number => parseTreeHead(parseNote(text).text).size
  const tried = <T>(read: () => T): T | NoteFault => {
    try {
      return read()
    } catch (error) {
      if (error instanceof NoteInvalid) return error
      throw error
    }
  }
  const size = sizeOf(note)
  const answers: WitnessAnswer[] = []
  let signed = note
  for (const witness of witnesses) {
    const { url, vkey } = witness
    const key = tried(() => parseVerifier(vkey))
    if (key instanceof NoteInvalid) {
      const reason = `its key in ${listFile(instance, workspace)}: ${key.message}. Give the one that it printed: skein witness add ${url} KEY`
      answers.push({ url, outcome: "unusable", reason, offence: null })
      continue
    }
    const answer = await requestCosignature({ url, witness: key, note: signed, ledger, tree, old: witness.seenSize })
    if (answer.outcome === "cosigned") {
      signed = answer.note
      witness.seenSize = size
    }
    answers.push({
      url,
      outcome: answer.outcome,
      reason: answer.outcome === "cosigned" ? null : answer.reason,
      offence: answer.outcome === "refused" ? answer.offence : null,
    })
  }
  // Read again: another process may have added one while these were asked.
  const seen = new Map(witnesses.map(({ url, vkey, seenSize }) => [`${url} ${vkey}`, seenSize]))
  const now = readWitnesses(instance, workspace)
  writeWitnesses(
    instance,
    workspace,
    now.map((one) => ({ ...one, seenSize: Math.max(one.seenSize, seen.get(`${one.url} ${one.vkey}`) ?? 0) })),
  )
  // The later one of another process stays; one that the ledger does not reach is of another history.
  const kept = tried(() => sizeOf(cosignedNote(instance, workspace) ?? ""))
  const isLater = typeof kept === "number" && kept > size && (await ledger.read(kept, 1)).length > 0
  if (answers.some(({ outcome }) => outcome === "cosigned") && !isLater)
    replacePrivately(join(instance.directory, "checkpoint", `${workspace}.cosigned`), signed)
  return { note: signed, answers }
}
