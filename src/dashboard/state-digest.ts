import { StateDigest } from "../core/digest.ts"
import { remember } from "../core/idempotency.ts"
import type { Table } from "../core/table.ts"
import { UPCASTS, upcast } from "../core/upcast.ts"
import { allRows, type Rows, Workspace } from "../core/workspace.ts"
import { ledger } from "./entry-source.ts"
import { fetchKeys } from "./fold.ts"
import { workspaceOfPage } from "./live.ts"
import { breath } from "./past.ts"

const SLICE_MS = 8

/**
 * The digest of a state as `skein ledger replay` makes it: over every record that the page folded, and over the keys of commands, which the page does not
 * keep and makes anew from the ledger. Rejects where the hub does not answer.
 */
export async function digestOf(state: Workspace, onProgress: (share: number) => void): Promise<string> {
  // As it stands now: a live state goes on meanwhile, its records are never changed in place.
  const { seq } = state
  const rows = allRows(state).filter(({ table }) => table !== "keys")
  const tables = new Map(state.tables.map((table) => [table.name, table]))
  const { sha256 } = await import("./sha256.ts")
  const digest = new StateDigest(sha256)
  const keys = await keysAt(seq)
  const all: Rows[] = [...rows, ...allRows(keys).filter(({ table }) => table === "keys")]
  const total = all.reduce((sum, { keys: { length } }) => sum + length, 0)
  let done = 0
  let sliceMs = performance.now()
  for (const { table: name, keys: names, records } of all) {
    const table = tables.get(name) as Table<unknown>
    for (const [at, key] of names.entries()) {
      digest.add(table, key, records[at])
      done += 1
      if (performance.now() - sliceMs < SLICE_MS) continue
      onProgress(done / total)
      await breath()
      sliceMs = performance.now()
    }
  }
  return digest.digest()
}

/** A state with the keys of commands, and nothing else. */
async function keysAt(seq: number): Promise<Workspace> {
  const rung = (await ledger.ladder()).snapshots.findLast((kept) => kept <= seq) ?? 0
  const state = (rung === 0 ? null : await fetchKeys(workspaceOfPage(), rung)) ?? new Workspace()
  for await (const page of ledger.entries(state.seq + 1, seq)) {
    for (const entry of page) remember(state, upcast(entry, UPCASTS))
    state.journal.drain()
    await breath()
  }
  return state
}
