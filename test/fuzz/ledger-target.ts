import { rmSync } from "node:fs"
import { join } from "node:path"
import { SkeinError } from "../../src/contract/errors.ts"
import { fromHex, sameHash } from "../../src/core/hash.ts"
import { replay } from "../../src/hub/replay.ts"
import { verify } from "../../src/ledger/audit.ts"
import { LedgerFailure, type Ledger, type Stored } from "../../src/ledger/ledger.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { hubOn, type KeptLedger, keptLedger, scratchFolder } from "./kept-ledger.ts"
import { type How, LedgerChanges } from "./ledger-changes.ts"

/** The files of a ledger, changed byte by byte, page by page, row by row, or written anew as one who knows the format would. */
export const ledgerTarget: Target = {
  name: "ledger",
  entrance: "ledger files: the SQLite file, its -wal and -shm, and the rows in them",
  casesPerSubject: 100,
  open: async () => new LedgerSubject(await keptLedger()),
}

class LedgerSubject implements Subject {
  readonly #kept: KeptLedger
  readonly #changes: LedgerChanges
  readonly #folder = scratchFolder()
  #cases = 0

  constructor(kept: KeptLedger) {
    this.#kept = kept
    this.#changes = new LedgerChanges(kept)
  }

  describe(): string {
    return this.#changes.told
  }

  async attempt(choices: Choices): Promise<string> {
    this.#cases += 1
    const path = join(this.#folder, `${this.#cases}.sqlite`)
    try {
      const how = this.#changes.write(path, choices)
      const found = await this.#verified(path, how)
      const hub = await this.#started(path, found, how)
      return `${found}; ${hub}`
    } finally {
      for (const end of ["", "-wal", "-shm", "-journal", ".lock", ".owner"]) rmSync(`${path}${end}`, { force: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  /** Opens beside a hub and verifies against the checkpoint kept outside: what was changed MUST be found, and nothing else. */
  async #verified(path: string, how: How): Promise<string> {
    const { checkpoint } = this.#kept
    const outside = { size: checkpoint.size, root: fromHex(checkpoint.root), source: "the checkpoint" }
    let ledger: Ledger
    try {
      ledger = openSqlite({ path, readOnly: true })
    } catch (error) {
      return `not opened: ${failure(error)}`
    }
    try {
      const { ok, finding, entries } = await verify(ledger, [outside])
      const first = await this.#firstDifference(ledger)
      if (ok) {
        if (first !== null) throw new Broken(`the ledger verifies, though entry ${first} is not as it was written`)
        if (entries < checkpoint.size) throw new Broken(`the ledger verifies with ${entries} entries, though a checkpoint has ${checkpoint.size}`)
      } else if (finding === null || finding.message === "" || finding.remedy === "") throw new Broken(`not ok, and no finding: ${JSON.stringify(finding)}`)
      else if (first === null && finding.seq <= checkpoint.size && finding.damage !== "unsound")
        throw new Broken(`entry ${finding.seq} is called ${finding.damage}, though all is as it was written: ${finding.message}`)
      // In a file that is broken, two ways of reading see different rows; in a sound one, the first that was changed is named.
      else if (how === "rows" && first !== null && finding.seq > first)
        throw new Broken(`entry ${first} was changed, and the finding names entry ${finding.seq}: ${finding.message}`)
      const replayed = await replay(ledger, sha256).catch((error: unknown) => failure(error))
      // Whoever writes history anew may write what chains and yet is none of ours, where no checkpoint reaches.
      if (ok && how !== "history" && typeof replayed === "string") throw new Broken(`the ledger verifies, and does not replay: ${replayed}`)
      if (ok && how !== "history" && typeof replayed !== "string" && replayed.compared.some((compared) => !compared.ok))
        throw new Broken("the ledger verifies, and a checkpoint does not agree with its replay")
      return ok ? "verifies" : `finding ${finding?.damage}`
    } catch (error) {
      if (error instanceof Broken) throw error
      throw new Broken(`verify threw: ${error instanceof Error ? error.stack : String(error)}`)
    } finally {
      await ledger.close()
    }
  }

  /** The first entry under the checkpoint that cannot be read as it was written, or null. Read one by one, and not by what is tested. */
  async #firstDifference(ledger: Ledger): Promise<number | null> {
    const { entries, checkpoint } = this.#kept
    const covered = entries.slice(0, checkpoint.size)
    const isSame = ({ seq, bytes, hash }: Stored, row: Stored | undefined): boolean => row?.seq === seq && row.bytes === bytes && sameHash(row.hash, hash)
    try {
      const rows = await ledger.read(1, entries.length)
      return covered.find((entry, at) => !isSame(entry, rows[at]))?.seq ?? null
    } catch {
      // A part of the file is unsound. What is read of the rest by itself is compared; what is not read may still be found by reading in order.
      for (const entry of covered) {
        const [row] = await ledger.read(entry.seq, 1).catch(() => [])
        if (row !== undefined && row.seq === entry.seq && !isSame(entry, row)) return entry.seq
      }
      return covered.length + 1
    }
  }

  /** A hub starts on it, works and stops; or refuses with the reason. A changed entry it MUST refuse, unless history was written anew. */
  async #started(path: string, found: string, how: How): Promise<string> {
    let fatal: unknown = null
    try {
      const hub = await hubOn(
        () => openSqlite({ path }),
        join(this.#folder, "none"),
        (error) => (fatal = error),
      )
      try {
        const loop = hub.workspace("main")
        const operator = { agent: "operator", session: null, role: "operator" } as const
        await loop?.execute("task.add", operator, { id: `after${this.#cases}`, title: "After" })
        if (found.startsWith("finding altered") && how !== "history") throw new Broken("a hub started on a ledger with a changed entry")
      } finally {
        await hub.close()
      }
    } catch (error) {
      if (error instanceof Broken) throw error
      // The commit failed, and the hub would have ended: the next start tells the truth.
      if (fatal !== null) return `ended: ${failure(fatal)}`
      const why = failure(error)
      // What is forged beyond the last checkpoint that is kept outside chains: whoever folds it names it, and verifying does not fold.
      if (found === "verifies" && how !== "history" && why.includes("seq")) throw new Broken(`the ledger verifies, and no hub starts on it: ${String(error)}`)
      return `not started: ${why}`
    }
    return "started"
  }
}

/** The reason, where it is one of ours; throws what is no documented failure. */
function failure(error: unknown): string {
  // The file says of itself that it is for reading only.
  if (error instanceof SkeinError && error.code === "storage_refused" && error.remedy !== "") return error.code
  if (error instanceof LedgerFailure && error.remedy !== "" && error.message !== "") return error.seq === null ? error.code : `${error.code} at a seq`
  throw new Broken(`no LedgerFailure: ${error instanceof Error ? error.stack : String(error)}`)
}
