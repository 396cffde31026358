import { closeSync, openSync, rmSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { LedgerFailure } from "./ledger.ts"
import { isRefused, translate } from "./sqlite-failure.ts"
import { readPrivately, replacePrivately } from "./private-file.ts"

/** Who holds a lock, as the file beside it says. `address` is null until the holder listens. */
export type Owner = { pid: number; address: string | null }

/**
 * A lock that the operating system ends with the process, however it dies: an exclusive SQLite transaction on a file of its own
 * (`PATH.lock`), so that readers of the guarded file are never in its way. `PATH.owner` names the holder for people; it is no lock.
 *
 * The lock file MUST NOT be opened by other means in this process: closing any descriptor of it would drop the lock (POSIX).
 */
export class WriterLock {
  readonly #path: string
  readonly #database: DatabaseSync
  #owner: Owner

  private constructor(path: string, database: DatabaseSync, owner: Owner) {
    this.#path = path
    this.#database = database
    this.#owner = owner
  }

  /** Takes the lock of `path` or throws `LedgerFailure("locked")`, which names the holder's pid and address. Never waits. */
  static take(path: string, owner: Owner): WriterLock {
    createPrivately(`${path}.lock`)
    let database: DatabaseSync | null = null
    try {
      database = new DatabaseSync(`${path}.lock`, { timeout: 0 })
      database.exec("BEGIN EXCLUSIVE")
    } catch (error) {
      database?.close()
      if (isRefused(error)) throw translate(error, `${path}.lock`)
      if (!/locked|busy/i.test(String(error)))
        throw new LedgerFailure(
          "rolled_back",
          `${path}.lock cannot be used (${(error as Error).message})`,
          "see that no hub runs, and remove it: it is made again",
          null,
          error,
        )
      const holder = readOwner(path)
      const who = holder ? `process ${holder.pid}${holder.address === null ? "" : ` at ${holder.address}`}` : "another process"
      throw new LedgerFailure("locked", `${path} is in use by ${who}`, "use that one, or stop it first: `skein down` a hub, Ctrl-C a witness", null, error)
    }
    const lock = new WriterLock(path, database, owner)
    try {
      lock.#write()
      return lock
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** Says where the holder listens, for whoever finds the lock taken. */
  announce(address: string): void {
    this.#owner = { ...this.#owner, address }
    this.#write()
  }

  release(): void {
    // First the name, then the lock: the next holder's name must not be removed.
    rmSync(`${this.#path}.owner`, { force: true })
    this.#database.close()
  }

  #write(): void {
    replacePrivately(`${this.#path}.owner`, `${JSON.stringify(this.#owner)}\n`)
  }
}

/** Who holds the lock of `path`, as far as the file beside it tells; it may be left over from a process that died. */
export function readOwner(path: string): Owner | null {
  try {
    const { pid, address } = JSON.parse(readPrivately(`${path}.owner`)) as Partial<Owner>
    return Number.isSafeInteger(pid) && pid! > 0 ? { pid: pid!, address: typeof address === "string" ? address : null } : null
  } catch {
    return null
  }
}

/** Makes an empty file that only its owner may read, unless there is one. */
export function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
}
