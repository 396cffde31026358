import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Checkpoint } from "../../src/core/workspace.ts"
import { systemClock } from "../../src/hub/clock.ts"
import { type Hub, openHub } from "../../src/hub/hub.ts"
import type { Loop } from "../../src/hub/loop.ts"
import { snapshotFiles } from "../../src/hub/snapshot-files.ts"
import type { Ledger, Stored } from "../../src/ledger/ledger.ts"
import { formatTreeHead, makeKey, parseSigner, signNote } from "../../src/ledger/note.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import { populate } from "./fuzzed-hub.ts"

/** The log's key of every ledger that is attacked. */
export const LOG = parseSigner(makeKey("log", "skein/fuzz/main", new Uint8Array(32).fill(9)).skey)

/** A sound ledger as a hub left it: its files, its entries, a checkpoint of them kept outside, and snapshots. */
export type KeptLedger = {
  entries: Stored[]
  checkpoint: Checkpoint & { note: string }
  /** Of the state after the checkpoint's entries. */
  snapshots: Map<string, Buffer>
  /** As after a clean shutdown, and as a crash finds them: with all of it still in the write-ahead log. */
  clean: Files
  crashed: Files
}
export type Files = { main: Buffer; wal: Buffer | null }

/** Tasks: more entries than a start checks by itself. */
const WORK = 80

/** A hub on a ledger, without a server. What it would have ended the process for is thrown by `fatal`. */
export function hubOn(ledger: Ledger | (() => Ledger), snapshotFolder: string, fatal: (error: unknown) => void = () => undefined): Promise<Hub> {
  const ignore = (): void => undefined
  return openHub({
    clock: systemClock,
    sha256,
    openLedger: () => Promise.resolve(typeof ledger === "function" ? ledger() : ledger),
    snapshots: snapshotFiles(snapshotFolder),
    log: { info: ignore, warn: ignore, error: ignore },
    sign: (_workspace, { size, root }) => Promise.resolve(signNote(formatTreeHead({ origin: LOG.verifier.name, size, root: Buffer.from(root, "hex") }), LOG)),
    fatal,
    limits: { snapshotEntries: 50, checkpointEntries: 1_000_000, checkpointMs: 1_000_000_000 },
  })
}

const made = new Set<string>()
// A campaign that somebody ends in the middle leaves none behind.
process.once("exit", () => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true })
})

/** A folder of our own; in memory where the system has such a place, since cases write some hundred kilobytes each. */
export function scratchFolder(): string {
  const memory = "/dev/shm"
  const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "skein-fuzz-"))
  made.add(folder)
  return folder
}

let kept: Promise<KeptLedger> | null = null

/** The same for all who ask: making it takes half a second. */
export function keptLedger(): Promise<KeptLedger> {
  kept ??= makeLedger()
  return kept
}

async function makeLedger(): Promise<KeptLedger> {
  const folder = scratchFolder()
  try {
    const path = join(folder, "main.sqlite")
    const snapshotFolder = join(folder, "snapshots")
    mkdirSync(snapshotFolder)
    const hub = await hubOn(() => openSqlite({ path, walBytes: 1e9 }), snapshotFolder)
    const loop = hub.workspace("main") as Loop
    await populate(loop)
    const operator = { agent: "operator", session: null, role: "operator" } as const
    for (let at = 0; at < WORK; at += 1) {
      await loop.execute(
        "task.add",
        operator,
        { id: `w${at}`, title: `Work ${at}`, body: "\u{1f9a2} lines\nof text ".repeat(at % 40) },
        { key: { id: `k${at}`, hash: "00" } },
      )
      if (at % 10 === 9) await loop.checkpoint()
    }
    const checkpoint = await loop.checkpoint()
    const entries = await loop.entries(1, 10_000)
    const crashed = readLedger(path, folder)
    await hub.close()
    const names = await snapshotFiles(snapshotFolder).list("main")
    const snapshots = new Map(names.map((seq) => [`main-${seq}.ndjson`, readFileSync(join(snapshotFolder, `main-${seq}.ndjson`))]))
    return { entries, checkpoint, snapshots, crashed, clean: { main: readFileSync(path), wal: null } }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readLedger(path: string, folder: string): Files {
  copyFileSync(path, join(folder, "copy"))
  copyFileSync(`${path}-wal`, join(folder, "copy-wal"))
  return { main: readFileSync(join(folder, "copy")), wal: readFileSync(join(folder, "copy-wal")) }
}
