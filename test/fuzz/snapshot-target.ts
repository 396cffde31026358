import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Loop } from "../../src/hub/loop.ts"
import { replay } from "../../src/hub/replay.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { hubOn, type KeptLedger, keptLedger, scratchFolder } from "./kept-ledger.ts"
import { changeLine } from "./kept-lines.ts"
import { mutateBytes } from "./mutation.ts"

/** Snapshots are a projection: whatever is in their files, the hub starts, and has the state that the ledger has. */
export const snapshotTarget: Target = {
  name: "snapshot",
  entrance: "snapshot files",
  casesPerSubject: 100,
  open: async () => new SnapshotSubject(await keptLedger()),
}

class SnapshotSubject implements Subject {
  readonly #kept: KeptLedger
  readonly #folder = scratchFolder()
  #sent = ""

  constructor(kept: KeptLedger) {
    this.#kept = kept
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const path = join(this.#folder, "main.sqlite")
    writeFileSync(path, this.#kept.clean.main)
    const [[name, bytes] = ["", Buffer.alloc(0)]] = [...this.#kept.snapshots]
    const changed = choices.chance(50) ? mutateBytes(bytes, choices, 3) : changeLine(bytes, choices)
    this.#sent = changed.toString("utf8")
    const named = choices.chance(10)
      ? choices.pick(["main-99999.ndjson", "main-0.ndjson", "main-1.ndjson", "main-999999999999999999999.ndjson", "main-50.ndjson.1.part", "main--1.ndjson"])
      : name
    writeFileSync(join(this.#folder, named), changed)
    try {
      const hub = await hubOn(() => openSqlite({ path }), this.#folder)
      const loop = hub.workspace("main") as Loop
      await loop.execute("task.add", { agent: "operator", session: null, role: "operator" }, { id: "after", title: "After" })
      const { size, digest } = await loop.checkpoint()
      await hub.close()
      const ledger = openSqlite({ path, readOnly: true })
      const { compared } = await replay(ledger, sha256)
      await ledger.close()
      const wrong = compared.find(({ ok }) => !ok)
      if (wrong !== undefined) throw new Broken(`with this snapshot the hub records checkpoints that no replay reaches: ${JSON.stringify(wrong)}`)
      if (compared.at(-1)?.digest !== digest) throw new Broken(`the checkpoint of ${size} entries is not the last`)
      return "as the ledger says"
    } finally {
      for (const file of readdirSync(this.#folder)) rmSync(join(this.#folder, file), { recursive: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }
}
