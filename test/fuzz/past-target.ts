import { execFileSync } from "node:child_process"
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { decodeEntry } from "../../src/core/entry.ts"
import type { Seq } from "../../src/core/ids.ts"
import { evolve, takeSnapshot, Workspace } from "../../src/core/workspace.ts"
import { readSteps, SnapshotReader } from "../../src/dashboard/fold.ts"
import { Past, type PastSource } from "../../src/dashboard/past.ts"
import { type Stand, standOf } from "../../src/dashboard/stand.ts"
import type { Hub } from "../../src/hub/hub.ts"
import { Ladder } from "../../src/hub/ladder.ts"
import type { Loop } from "../../src/hub/loop.ts"
import { snapshotFiles } from "../../src/hub/snapshot-files.ts"
import { linesOf } from "../../src/hub/snapshots.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import { recordsAt } from "../../src/surface/records-at.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { hubOn, keptLedger, scratchFolder } from "./kept-ledger.ts"
import { changeBetween, changeLine } from "./kept-lines.ts"
import { mutateBytes } from "./mutation.ts"

/** Whatever is in the files from which the past is shown, the page shows no other past than the ledger's, and the hub makes them again. */
export const pastTarget: Target = {
  name: "past",
  entrance: "snapshots and the steps of the past, from which the page shows what was",
  casesPerSubject: 100,
  open: async () => new PastSubject(await keptPast()),
}

const RUNG = 10
/** More than files are changed in a case. */
const ROUNDS = 4
const OPERATOR = { agent: "operator", session: null, role: "operator" } as const
/** What a hub must not read as a line: more than the machine would like to hold. */
const HUGE_BYTES = 3_000_000_000

/** A ledger whose past is kept, and what a hub kept of another ledger under the same names. */
type KeptPast = { main: Buffer; files: Map<string, Buffer>; foreign: Map<string, Buffer>; stands: Stand[]; states: string[] }

type Questions = { held: Stand[]; costs: ConstructorParameters<typeof Past>[1] & object; moments: Seq[] }

class PastSubject implements Subject {
  readonly #kept: KeptPast
  readonly #folder = scratchFolder()
  #sent = ""

  constructor(kept: KeptPast) {
    this.#kept = kept
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const folder = mkdtempSync(join(this.#folder, "case-"))
    this.#sent = ""
    const laid = this.#lay(folder, choices)
    const hub = await hubAt(folder)
    try {
      const loop = hub.workspace("main") as Loop
      const ladder = ladderOf(loop, folder)
      const asked = this.#questions(choices)
      const before = await this.#look(loop, ladder, asked)
      let why: string | null = before
      // Of each file that is not as it was written somebody is told once.
      for (let round = 0; why !== null && round < ROUNDS; round += 1) {
        await ladder.grow(loop.head.seq)
        why = await this.#look(loop, ladder, asked)
      }
      if (why !== null) throw new Broken(`made anew, and not to be had: ${why}`)
      return `${laid}: ${before === null ? "answered" : `not to be had at first: ${before.replaceAll(/\d+/g, "n").slice(0, 60)}`}`
    } finally {
      await hub.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  #questions(choices: Choices): Questions {
    const { stands, states } = this.#kept
    const held = choices.chance(70) ? [choices.pick(stands)] : []
    // What costs nothing is the way that it goes.
    const costs = { near: 0, undo: choices.pick([0.4, 1e6]), record: choices.pick([0, 1e6]), step: choices.pick([0, 1e6]), snapshot: choices.pick([0, 1e6]) }
    return { held, costs, moments: Array.from({ length: 4 }, () => choices.between(1, states.length - 1)) }
  }

  /** Asks for some moments as the page does. One that is answered MUST be as the ledger has it; why one was not is told. */
  async #look(loop: Loop, ladder: Ladder, { held, costs, moments }: Questions): Promise<string | null> {
    const past = new Past(sourceOf(loop, ladder, held), costs)
    let why: string | null = null
    for (const seq of moments) {
      try {
        const state = await past.at(seq)
        if (recordsOf(state) !== this.#kept.states[seq]) throw new Broken(`the page shows another state at entry ${seq} than the ledger has`)
      } catch (error) {
        if (error instanceof Broken || !(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error
        why = error.message
      }
    }
    return why
  }

  /** The files as somebody may have left them. */
  #lay(folder: string, choices: Choices): string {
    const { main, files, foreign } = this.#kept
    mkdirSync(join(folder, "past"))
    writeFileSync(join(folder, "main.sqlite"), main)
    const whole = choices.chance(15) ? foreign : files
    if (whole === foreign) this.#sent += "all of another ledger\n"
    for (const [name, bytes] of whole) writeFileSync(join(folder, name), bytes)
    const names = [...whole.keys()]
    const count = choices.below(5)
    for (let changes = count; changes > 0; changes -= 1) {
      const name = choices.pick(names)
      const path = join(folder, name)
      if (!isFile(path)) continue
      const bytes = whole.get(name) as Buffer
      const how = choices.below(12)
      this.#sent += `${name}: change ${how}\n`
      rmSync(path)
      if (how === 0) writeFileSync(path, changeBetween(bytes, choices))
      else if (how === 1) continue
      else if (how === 2) writeFileSync(path, whole.get(choices.pick(names)) as Buffer)
      else if (how === 3) writeFileSync(path, Buffer.alloc(0))
      else if (how === 4) execFileSync("mkfifo", [path])
      else if (how === 5) symlinkSync(choices.pick(["/dev/zero", "none", path]), path)
      else if (how === 6) {
        const odd = choices.pick(["0", "1", "00010", "99999999", "999999999999999999999", "-1", "1e3", "15", "10.ndjson.1.part"])
        writeFileSync(join(folder, name.replace(/\d+(?=\.ndjson$)/, odd)), bytes)
      } else if (how === 7 && choices.chance(10)) {
        writeFileSync(path, choices.chance(50) ? bytes : "")
        truncateSync(path, HUGE_BYTES)
      } else if (how < 10) writeFileSync(path, changeLine(bytes, choices))
      else writeFileSync(path, mutateBytes(bytes, choices, 3))
      if (isFile(path) && statSync(path).size < 1e6) this.#sent += `${readFileSync(path, "utf8").slice(0, 300)}\n`
    }
    return whole === foreign ? "of another ledger" : count === 0 ? "as it was" : "changed"
  }
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** As the page asks the hub, without the way between them. */
function sourceOf(loop: Loop, ladder: Ladder, stands: readonly Stand[]): PastSource {
  return {
    async *entries(from, to) {
      yield (await loop.entries(from, to - from + 1, "operator")).map(({ bytes }) => decodeEntry(bytes))
    },
    async snapshot(atOrBefore) {
      const found = await recordsAt(loop, ladder, atOrBefore)
      if (found === null) return null
      const reader = new SnapshotReader()
      for await (const piece of found.lines) reader.take(piece)
      const state = reader.whole()
      if (state.seq !== found.seq) throw new Broken(`said to be of entry ${found.seq}, and is of ${state.seq}`)
      return state
    },
    ladder: async () => ({ snapshots: await loop.snapshots(), rungs: await ladder.rungs() }),
    stands: () => Promise.resolve(stands),
    steps: (from, to) => readSteps(linesOf(ladder.lines(from, to))),
  }
}

/** As the hub has it, but that it waits for nobody. */
function ladderOf({ ledger }: Loop, folder: string): Ladder {
  return new Ladder({ workspace: "main", store: snapshotFiles(join(folder, "past")), ledger, sha256, rungEntries: RUNG, pause: () => Promise.resolve() })
}

function hubAt(folder: string): Promise<Hub> {
  return hubOn(() => openSqlite({ path: join(folder, "main.sqlite") }), folder)
}

function recordsOf(state: Workspace): string {
  const { seq, atMs, tables } = takeSnapshot(state)
  const rows = Object.entries(tables).map(([name, records]) => [name, name === "keys" ? [] : records.toSorted(([a], [b]) => (a < b ? -1 : 1))])
  return JSON.stringify([seq, atMs, rows])
}

let kept: Promise<KeptPast> | null = null

function keptPast(): Promise<KeptPast> {
  kept ??= makePast()
  return kept
}

async function makePast(): Promise<KeptPast> {
  const { clean } = await keptLedger()
  const own = await grown(clean.main)
  const other = await grown(null)
  const state = new Workspace()
  const states = [recordsOf(state)]
  const stands: Stand[] = []
  for (const { seq, bytes } of own.entries) {
    evolve(state, decodeEntry(bytes))
    for (const key of state.keys.keys()) state.keys.restore(key, undefined)
    states.push(recordsOf(state))
    if (seq % 7 === 0) stands.push(standOf(state))
  }
  return { main: own.main, files: own.files, foreign: other.files, states, stands }
}

/** What a hub leaves of a ledger: its file, and all that it keeps of the past. */
async function grown(main: Buffer | null): Promise<{ main: Buffer; files: Map<string, Buffer>; entries: { seq: Seq; bytes: string }[] }> {
  const folder = scratchFolder()
  try {
    const path = join(folder, "main.sqlite")
    if (main !== null) writeFileSync(path, main)
    const hub = await hubAt(folder)
    const loop = hub.workspace("main") as Loop
    for (let at = 0; at < (main === null ? 170 : 5); at += 1) await loop.execute("task.add", OPERATOR, { id: `more${at}`, title: `More ${at}` })
    await ladderOf(loop, folder).grow(loop.head.seq)
    const entries = (await loop.entries(1, 10_000, "operator")).map(({ seq, bytes }) => ({ seq, bytes }))
    await hub.close()
    const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ndjson"))
    return { main: readFileSync(path), files: new Map(names.sort().map((name) => [name, readFileSync(join(folder, name))])), entries }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
