import { join } from "node:path"
import { SkeinError } from "../contract/errors.ts"
import { type InitRecord, readRecord } from "../repo/init-record.ts"
import type { Instance } from "./instance.ts"

/**
 * Has one `init` or `--undo` of an instance at a time change anything: of two, the later would write over the record of the earlier, and nothing could take
 * back what that one did. `record` is what was planned from. Gives what ends the turn; its process's end does too. Throws `SkeinError` where another has its
 * turn, or had it since.
 */
export async function takeTurn({ directory }: Instance, record: InitRecord | null): Promise<() => void> {
  const [{ WriterLock }, { LedgerFailure }] = await Promise.all([import("../ledger/writer-lock.ts"), import("../ledger/ledger.ts")])
  let lock
  try {
    lock = WriterLock.take(join(directory, "init.json"), { pid: process.pid, address: null })
  } catch (error) {
    if (!(error instanceof LedgerFailure) || error.code !== "locked") throw error
    throw new SkeinError("invalid", "another skein init is at work in this repository", "Wait until it has ended, and run it again. Nothing was changed.")
  }
  if (JSON.stringify(readRecord(directory)) !== JSON.stringify(record)) {
    lock.release()
    throw new SkeinError("invalid", "another skein init was faster", "Run it again, and look at what it shows. Nothing was changed.")
  }
  return () => lock.release()
}
