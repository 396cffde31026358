import { randomBytes } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import type { Actor } from "../src/core/entry.ts"
import { systemClock } from "../src/hub/clock.ts"
import { type Hub, type Limits, openHub } from "../src/hub/hub.ts"
import { checkpointNotes } from "../src/hub/notes.ts"
import { snapshotFiles } from "../src/hub/snapshot-files.ts"
import { sha256 } from "../src/ledger/sha256.ts"
import { openSqlite } from "../src/ledger/sqlite.ts"
import type { Claim } from "./engine.ts"

export const OPERATOR: Actor = { agent: "operator", session: null, role: "operator" }

/** A hub as `skein up` opens it: SQLite on the disk, checkpoints signed and kept outside, snapshots as files. */
export function openOn(directory: string, limits: Partial<Limits> = {}): Promise<Hub> {
  mkdirSync(join(directory, "ledger"), { recursive: true })
  const notes = checkpointNotes({ keysDirectory: join(directory, "keys"), notesDirectory: join(directory, "checkpoint"), random: randomBytes })
  const complain = (fields: object, text: string): void => {
    const { err } = fields as { err?: Error }
    process.stderr.write(`hub: ${text} ${err?.stack ?? JSON.stringify(fields)}\n`)
  }
  return openHub({
    clock: systemClock,
    sha256,
    openLedger: (workspace) => Promise.resolve(openSqlite({ path: ledgerPath(directory, workspace) })),
    snapshots: snapshotFiles(join(directory, "snapshots")),
    ...(limits.rungEntries === undefined ? {} : { ladder: snapshotFiles(join(directory, "snapshots", "past")) }),
    log: { info: () => undefined, warn: complain, error: complain },
    sign: (workspace, checkpoint) => notes.sign(workspace, checkpoint),
    fatal(error) {
      process.stderr.write(`hub: ${error instanceof Error ? error.stack : String(error)}\n`)
      process.exit(70)
    },
    limits,
  })
}

export function ledgerPath(directory: string, workspace = "main"): string {
  return join(directory, "ledger", `${workspace}.sqlite`)
}

/** Every claim that the ledger's file holds, read beside the hub. */
export async function claimsInLedger(path: string): Promise<Claim[]> {
  const ledger = openSqlite({ path, readOnly: true })
  const claims: Claim[] = []
  try {
    for (let from = 1; ;) {
      const page = await ledger.read(from, 4_096)
      if (page.length === 0) return claims
      for (const { bytes } of page) {
        if (!bytes.includes('"type":"task.claimed"')) continue
        const { seq, data } = JSON.parse(bytes) as { seq: number; data: { id: string } }
        claims.push({ task: data.id, fence: seq })
      }
      from += page.length
    }
  } finally {
    await ledger.close()
  }
}
