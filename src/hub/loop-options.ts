import type { Chain } from "../core/chain.ts"
import type { Entry } from "../core/entry.ts"
import type { Sha256 } from "../core/hash.ts"
import type { Checkpoint, Workspace } from "../core/workspace.ts"
import type { Ledger } from "../ledger/ledger.ts"
import type { Clock } from "./clock.ts"
import type { Fingerprint } from "./fingerprint.ts"
import type { Policy } from "./policy.ts"
import type { Ladder } from "./ladder.ts"
import type { Quiet } from "./quiet.ts"
import type { SnapshotStore } from "./snapshots.ts"
import type { From, Key } from "./waiting.ts"

export type ExecuteOptions = {
  key?: Key | null
  /** `task.claimNext` only: parks until something fits, for 150,000 ms at the most. */
  waitMs?: number
  /** The caller's connection: what is parked dies with it. */
  signal?: AbortSignal | undefined
  /** Where it came from: what is put off is not done for one that is gone. */
  from?: From | undefined
}

export type LoopLog = { info(fields: object, text: string): void; warn(fields: object, text: string): void; error(fields: object, text: string): void }

export type LoopOptions = {
  name: string
  clock: Clock
  sha256: Sha256
  ledger: Ledger
  state: Workspace
  chain: Chain
  policy: Policy
  fingerprint: Fingerprint
  snapshots: SnapshotStore
  ladder: Ladder | null
  /** For what is done beside the work. */
  quiet: Quiet
  log: LoopLog
  /** Signs a checkpoint and keeps it outside the ledger; returns the signed note. */
  sign(workspace: string, checkpoint: Checkpoint): Promise<string>
  /** The commit's outcome is unknown: the hub MUST stop; restart and replay tell the truth. */
  fatal(error: unknown): void
  /** Another hub has appended this. */
  onForeign(entry: Entry): void
  /** 32 random bits, for pauses that differ. */
  bits(): number
  /** Commands that may wait at once, and claims that may be parked; beyond it callers hear `overloaded`, or that nothing is ready. */
  queueMax: number
  /** How long a command may have to wait for its batch, in ms: where those before it take longer, it hears `overloaded` and nothing is done. */
  queueWaitMs: number
  /** Commands of one batch at the most, not counting parked claims that are woken by it. */
  batchMax: number
  /** How long a batch is decided, in ms: who is not decided by then waits for the next one. Full batches of claims take a third of 30. */
  decideMs: number
  /** What one decision of a claim compares of files, and has judged, in steps (`EFFORT_MAX`); what is left of it is for the next batch. */
  claimSteps: number
  /** A checkpoint is recorded after so many entries, or so long after the first that none covers. */
  checkpointEntries: number
  checkpointMs: number
  snapshotEntries: number
}
