import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { fromHex } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import type { OutsideCheckpoint, Report } from "../ledger/audit.ts"
import type { Elsewhere, Stored } from "../ledger/ledger.ts"
import type { Verifier } from "../ledger/note.ts"
import { readPrivately } from "../ledger/private-file.ts"
import { SkeinError } from "../contract/errors.ts"
import type { HubConnection } from "./connection.ts"
import { UsageError } from "./failure.ts"
import type { Instance } from "./instance.ts"
import { textOf } from "../repo/text-file.ts"

/** A ledger to read: its file, beside a running hub or without one; or another machine's hub. */
export type LedgerSource = {
  name: string
  elsewhere?: Elsewhere
  read(from: Seq, limit: number): Promise<Stored[]>
  backup(path: string, isEnding?: () => boolean): Promise<void>
  close(): Promise<void>
}

export function ledgerFile({ directory }: Instance, workspace: string): string {
  return join(directory, "ledger", `${workspace}.sqlite`)
}

/** Where the hub keeps its last checkpoint of a workspace's ledger. */
export function keptFile({ directory }: Instance, workspace: string): string {
  return join(directory, "checkpoint", workspace)
}

/** A workspace whose ledger is not there though a checkpoint of it is kept, with the remedy; null where that is not so. */
export function lostLedger(instance: Instance, workspace: string): SkeinError | null {
  const path = ledgerFile(instance, workspace)
  const kept = keptFile(instance, workspace)
  if (existsSync(path) || !existsSync(kept)) return null
  return new SkeinError(
    "invalid",
    `the ledger of workspace ${workspace} is gone: there is no ${path}, but a checkpoint of it in ${kept}`,
    "Put back the ledger, or a backup that reaches the checkpoint. To begin it anew and lose what it held, put the checkpoint aside: a witness will refuse the new history.",
  )
}

/** Opens a ledger's file for reading alone. Throws what the system says where it may not be looked at. */
export async function openLedgerFile(path: string): Promise<LedgerSource> {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isDirectory() === true) throw new UsageError(`${path} is a folder`, "Name the ledger's file in it, such as .skein/ledger/main.sqlite.")
  if (found === undefined)
    throw new UsageError(`there is no ledger at ${path}`, "Name a workspace with -w, a ledger file with --file, or start a hub: skein up.")
  const { openForReading } = await import("../ledger/sqlite.ts")
  const ledger = openForReading(path)
  return {
    name: path,
    elsewhere: ledger.elsewhere,
    read: (from, limit) => ledger.read(from, limit),
    backup: (to, isEnding) => ledger.backup(to, isEnding),
    close: () => ledger.close(),
  }
}

/** Reads a ledger through its hub. */
export function ledgerOfHub(hub: HubConnection): LedgerSource {
  return {
    name: hub.url,
    async read(from, limit) {
      const { entries } = await hub.call("ledger.read", { from, limit: Math.min(limit, 1_000) })
      return entries.map(({ seq, bytes, hash }) => ({ seq, bytes, hash: fromHex(hash) }))
    },
    backup: () =>
      Promise.reject(
        new UsageError("a hub elsewhere cannot be backed up from here", "Run skein ledger backup on its machine, or take the entries: skein ledger export."),
      ),
    close: () => Promise.resolve(),
  }
}

/** The checkpoint that the hub keeps outside the ledger, as it was signed; null where there is none yet. */
export function keptNote(instance: Instance, workspace: string): string | null {
  return textOf(keptFile(instance, workspace))
}

/** The last checkpoint that witnesses cosigned, or null. */
export function cosignedNote({ directory }: Instance, workspace: string): string | null {
  return textOf(join(directory, "checkpoint", `${workspace}.cosigned`))
}

/** The public key of an instance's own ledger, as text; null before the first checkpoint. */
export function ownVerifierKey({ directory }: Instance, workspace: string): string | null {
  return textOf(join(directory, "keys", `checkpoint-${workspace}.pub`))?.trim() ?? null
}

/** The key that the instance's own checkpoints are verified with; null before the first. Throws `SkeinError` naming its file where that holds none. */
export async function ownVerifier(instance: Instance, workspace: string): Promise<Verifier | null> {
  const key = ownVerifierKey(instance, workspace)
  if (key === null) return null
  const { NoteInvalid, parseVerifier } = await import("../ledger/note.ts")
  try {
    return parseVerifier(key)
  } catch (error) {
    throw error instanceof NoteInvalid ? noPublicKey(instance, workspace) : error
  }
}

function noPublicKey({ directory }: Instance, workspace: string): SkeinError {
  const path = join(directory, "keys", `checkpoint-${workspace}.pub`)
  return new SkeinError("invalid", `${path} holds no public key`, "Put back the file, or have the hub write it again: skein down, then skein up.")
}

/** A note's checkpoint, its signature verified. Throws `SkeinError` naming `source` where it is no checkpoint, or none of the keys signed it. */
export async function outsideCheckpoint(note: string, keys: readonly Verifier[], source: string): Promise<OutsideCheckpoint> {
  const { NoteInvalid, openNote, parseTreeHead } = await import("../ledger/note.ts")
  try {
    const { size, root } = parseTreeHead(openNote(note, keys).text)
    return { size, root, source }
  } catch (error) {
    throw error instanceof NoteInvalid ? new SkeinError("invalid", `${source}: ${error.message}`, error.remedy) : error
  }
}

/** A ledger verified entry by entry, its checkpoints with it, and replayed from its bytes alone. */
export type Audit = {
  verified: Report
  replayed: { entries: number; digest: string; compared: number; mismatch: Seq | null; tookMs: number } | null
  tookMs: number
}

/** Verifies and replays. The kept checkpoint finds a ledger that was cut at an entry's end. */
export async function auditLedger(source: Pick<LedgerSource, "read" | "elsewhere">, outside: readonly OutsideCheckpoint[]): Promise<Audit> {
  const [{ verify }, { replayOnTwoCores }, { sha256 }] = await Promise.all([
    import("../ledger/audit.ts"),
    import("../hub/replay-apart.ts"),
    import("../ledger/sha256.ts"),
  ])
  const startedMs = performance.now()
  const verified = await verify(source, outside)
  const verifiedMs = performance.now()
  if (!verified.ok) return { verified, replayed: null, tookMs: verifiedMs - startedMs }
  const { entries, digest, compared } = await replayOnTwoCores(source, sha256, { to: verified.head.seq, keys: false })
  const mismatch = compared.find(({ ok }) => !ok)?.seq ?? null
  return {
    verified,
    replayed: { entries, digest, compared: compared.length, mismatch, tookMs: performance.now() - verifiedMs },
    tookMs: verifiedMs - startedMs,
  }
}

/** What the instance itself has to compare its ledger with. `unreadable`: what it should have and nobody can read, which shows neither a cut nor that there is none. */
export type OwnCheckpoints = { outside: OutsideCheckpoint[]; unreadable: SkeinError | null }

export async function ownCheckpoints(instance: Instance, workspace: string): Promise<OwnCheckpoints> {
  const path = keptFile(instance, workspace)
  const aside = unreadableFile(instance, workspace)
  const unreadable = existsSync(aside) ? missingEvidence(aside, "is a checkpoint that a hub could not read at its start, and put aside") : null
  if (!existsSync(path)) return { outside: [], unreadable }
  let key: Verifier | null
  try {
    key = await ownVerifier(instance, workspace)
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error
    return { outside: [], unreadable: error }
  }
  if (key === null) return { outside: [], unreadable: noPublicKey(instance, workspace) }
  try {
    return { outside: [await outsideCheckpoint(readPrivately(path), [key], `.skein/checkpoint/${workspace}`)], unreadable }
  } catch (error) {
    return { outside: [], unreadable: missingEvidence(path, `cannot be read: ${(error as Error).message}`) }
  }
}

/** Where a hub that starts puts a kept checkpoint that it cannot read: its own next one would take that one's place unseen. */
export function unreadableFile({ directory }: Instance, workspace: string): string {
  return join(directory, "checkpoint", `${workspace}.unreadable`)
}

function missingEvidence(path: string, how: string): SkeinError {
  return new SkeinError(
    "invalid",
    `${path} ${how}`,
    "That alone shows no tampering, but the ledger's end may have been cut off unseen. Hold it against a checkpoint that is kept elsewhere, such as a witness's: skein ledger verify --checkpoint FILE. Then remove this one.",
  )
}
