import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Seq } from "../core/ids.ts"
import { rowsOf } from "../core/kept-rows.ts"
import { takeSnapshot, type Workspace } from "../core/workspace.ts"
import { SnapshotReader } from "../dashboard/fold.ts"
import { sha256 } from "../ledger/sha256.ts"
import { type Instance, startInstance } from "../surface/served.contract.ts"
import { Ladder } from "./ladder.ts"
import { replay } from "./replay.ts"
import { memorySnapshots, Seals, type SnapshotStore } from "./snapshots.ts"

const OPERATOR = { agent: "operator", session: null, role: "operator" as const }
let hub: Instance
beforeAll(async () => {
  hub = await startInstance({ level: "warn" })
  const agent = { agent: "ada", session: null, role: "worker" as const }
  await hub.agent("ada")
  for (let at = 0; at < 40; at += 1) {
    const id = `t${at}`
    await hub.loop.execute("task.add", OPERATOR, { id, title: id }, { key: { id, hash: "0".repeat(32) } })
    const { fence } = await hub.loop.execute("task.claim", agent, { task: id })
    await hub.loop.execute("task.release", agent, { task: id, fence, reason: "later" })
  }
})
afterAll(() => hub.close())

function ladderOn(store: SnapshotStore, rungEntries = 10, pause = (): Promise<void> => Promise.resolve()): Ladder {
  return new Ladder({ workspace: "main", store, ledger: hub.loop.ledger, sha256, rungEntries, pause })
}

/** What the steps from one rung back to another make of a state, and where they begin. */
async function goneBack(ladder: Ladder, state: Workspace, to: Seq, from: Seq): Promise<{ state: unknown; begins: Seq[] }> {
  const begins: Seq[] = []
  let at = from
  const restore = (name: string, key: string, record: unknown): void => state.tables.find((table) => table.name === name)?.restore(key, record ?? undefined)
  for await (const piece of ladder.lines(to, from)) {
    for (const line of piece.split("\n").slice(0, -1)) {
      const value = JSON.parse(line.slice(64)) as { from: Seq; to: Seq; atMs: number } | null
      const kept = rowsOf(value)
      if (kept !== null) for (const [key, record] of kept.rows) restore(kept.table, key, record)
      else if (value !== null) {
        expect(value.to).toBe(at)
        at = value.from
        state.seq = value.from
        state.atMs = value.atMs
      } else begins.push(at)
    }
  }
  return { state: recordsOf(state), begins }
}

function recordsOf(state: Workspace): unknown {
  const { seq, atMs, tables } = takeSnapshot(state)
  return { seq, atMs, tables: { ...tables, keys: [] } }
}

async function stateAt(to: Seq): Promise<Workspace> {
  return (await replay(hub.loop.ledger, sha256, { to, compare: false })).state
}

async function textOf(store: SnapshotStore, key: string, seq: Seq): Promise<string> {
  let text = ""
  for await (const piece of (await store.open(key, seq))!) text += piece
  return text
}

/** What was kept, each line changed before it is sealed. */
async function* resealed(text: string, change: (line: string) => string): AsyncIterable<string> {
  const seals = new Seals(sha256)
  for (const line of text.split("\n").slice(0, -1)) {
    const changed = change(line.slice(64))
    yield `${seals.next(changed)}${changed}\n`
  }
}

/** The state that is kept at the last rung. */
async function topOf(ladder: Ladder): Promise<Workspace> {
  const reader = new SnapshotReader()
  for await (const piece of (await ladder.top())!.lines) reader.take(piece)
  return reader.whole()
}

/** From the kept state back to every rung. */
async function isTrue(ladder: Ladder): Promise<void> {
  const rungs = await ladder.rungs()
  const last = rungs.at(-1) as Seq
  expect(recordsOf(await topOf(ladder))).toEqual(recordsOf(await stateAt(last)))
  for (const end of [0, ...rungs]) expect((await goneBack(ladder, await topOf(ladder), end, last)).state, `entry ${end}`).toEqual(recordsOf(await stateAt(end)))
}

test("from any entry the steps lead back to any rung before it, in whatever stretches they were made", async () => {
  const ladder = ladderOn(memorySnapshots(), 1)
  const { seq: head } = hub.loop.head
  for (const made of [15, 25, 52, 109, head]) {
    await ladder.grow(made)
    await isTrue(ladder)
  }
  expect(await ladder.rungs()).toEqual(Array.from({ length: head }, (_, at) => at + 1))
  const wide = ladderOn(memorySnapshots(), 4)
  await wide.grow(head)
  const last = (await wide.rungs()).at(-1) as Seq
  const moments = fc.tuple(fc.integer({ min: 1, max: last }), fc.nat())
  await fc.assert(
    fc.asyncProperty(moments, async ([from, seed]) => {
      const to = 4 * (seed % Math.ceil(from / 4))
      const { state } = await goneBack(wide, await stateAt(from), to, 4 * Math.ceil(from / 4))
      expect(state, `from entry ${from} to ${to}`).toEqual(recordsOf(await stateAt(to)))
    }),
    { numRuns: 60 },
  )
})

test("the way back takes the fewest steps", async () => {
  const ladder = ladderOn(memorySnapshots(), 1)
  await ladder.grow(hub.loop.head.seq)
  const begins = async (to: Seq, from: Seq): Promise<Seq[]> => (await goneBack(ladder, await stateAt(from), to, from)).begins
  expect(await begins(0, 121)).toEqual([120, 110, 100, 0])
  expect(await begins(98, 121)).toEqual([120, 110, 100, 99, 98])
  expect(await begins(7, 20)).toEqual([10, 9, 8, 7])
})

test("nothing is made for less than two steps", async () => {
  const ladder = ladderOn(memorySnapshots())
  await ladder.grow(19)
  expect(await ladder.rungs()).toEqual([])
})

/** Writes one of what is kept anew, changed. */
async function damage(store: SnapshotStore, key: string, seq: Seq, how: (text: string) => string): Promise<void> {
  let text = ""
  for await (const piece of (await store.open(key, seq))!) text += piece
  const changed = how(text)
  expect(changed).not.toBe(text)
  const lines = async function* lines(): AsyncIterable<string> {
    yield changed
  }
  await store.keep(key, seq, lines())
}

test.each([
  ["changed", (text: string) => text.replace('"title":"t3"', '"title":"t4"')],
  ["cut off", (text: string) => text.slice(0, -9)],
  ["of another chain", (text: string) => text.replace(/"hash":"(.)/, (_, digit) => `"hash":"${digit === "0" ? "1" : "0"}`)],
])("where the state at the last rung was %s all is made anew", async (_, how) => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  await damage(store, "main@top", 50, how)
  // Were it taken for true, this one would stay.
  await damage(store, "main", 10, (text) => text.replace("t1", "t2"))
  const ladder = ladderOn(store)
  await ladder.grow(80)
  expect(await ladder.rungs()).toEqual([10, 20, 30, 40, 50, 60, 70, 80])
  await isTrue(ladder)
})

test.each([
  ["changed", (text: string) => text.replace("t8", "t7")],
  ["cut off", (text: string) => text.slice(0, -69)],
  ["of an earlier version", (text: string) => text.replace('"version":3', '"version":1')],
])("a step that was %s is not gone over, and all are made anew", async (_, how) => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  await damage(store, "main", 30, how)
  const ladder = ladderOn(store)
  expect((await goneBack(ladder, await stateAt(50), 0, 50)).begins).toEqual(expect.not.arrayContaining([20]))
  expect(await ladder.rungs()).toEqual([])
  await ladder.grow(51)
  expect(await ladder.rungs()).toEqual([10, 20, 30, 40, 50])
  await isTrue(ladder)
})

test("a wide step is not made of a narrow one that was changed", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(90)
  await damage(store, "main", 30, (text) => text.replace("t8", "t7"))
  const ladder = ladderOn(store)
  await ladder.grow(120)
  await isTrue(ladder)
})

test("what an earlier version kept, steps forward without a state, is thrown away and made again", async () => {
  const store = memorySnapshots()
  const lines = async function* lines(): AsyncIterable<string> {
    yield "the past"
  }
  for (const seq of [10, 20, 30]) await store.keep("main", seq, lines())
  const ladder = ladderOn(store)
  expect(await ladder.rungs()).toEqual([])
  await ladder.grow(40)
  expect(await store.list("main")).toEqual([10, 20, 30, 40])
  await isTrue(ladder)
})

test("what the version before kept, every record whole, is gone over and gone on from", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(100)
  for (const key of ["main", "main@100", "main@top"])
    for (const seq of await store.list(key)) {
      const older = (line: string): string => {
        const value: unknown = JSON.parse(line)
        const kept = rowsOf(value)
        return JSON.stringify(kept === null ? value : [kept.table, kept.rows]).replace('"version":3', '"version":2')
      }
      await store.keep(key, seq, resealed(await textOf(store, key, seq), older))
    }
  const older = await textOf(store, "main", 10)
  expect(older).toContain('"version":2')
  const ladder = ladderOn(store)
  await isTrue(ladder)
  await ladder.grow(hub.loop.head.seq)
  await isTrue(ladder)
  expect(await textOf(store, "main", 10), "it is not made anew").toBe(older)
})

test("what was kept of another ledger is no past of this one, and is made anew", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  // As where a hub was given another ledger file: the chain has other hashes there, or does not reach so far.
  for (const read of [
    async (from: Seq, limit: number) => (await hub.loop.ledger.read(from, limit)).map((stored) => ({ ...stored, hash: new Uint8Array(32) })),
    async () => [],
  ]) {
    const ladder = new Ladder({ workspace: "main", store, ledger: { read }, sha256, rungEntries: 10, pause: () => Promise.resolve() })
    expect(await ladder.rungs()).toEqual([])
    expect(await ladder.top()).toBeNull()
    expect(await ladder.lines(10, 20)[Symbol.asyncIterator]().next()).toMatchObject({ done: true })
    await ladder.grow(9)
    expect(await store.list("main")).toEqual([])
    await ladderOn(store).grow(50)
  }
})

test("no step of another ledger is given, also where nobody has asked yet which there are, as a page that was open before does not", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  const read = async (from: Seq, limit: number) => (await hub.loop.ledger.read(from, limit)).map((stored) => ({ ...stored, hash: new Uint8Array(32) }))
  const ladder = new Ladder({ workspace: "main", store, ledger: { read }, sha256, rungEntries: 10, pause: () => Promise.resolve() })
  expect(await ladder.lines(10, 20)[Symbol.asyncIterator]().next()).toMatchObject({ done: true })
})

test("what was made beyond the last rung, and may be of a time that was taken back since, is no past, and is made anew", async () => {
  const { seq: head } = hub.loop.head
  // The hub was killed once its wider step was made, before the state was kept; then a copy of the ledger that ends at entry 60 took its place, and grew.
  const [killed, store] = [memorySnapshots(), memorySnapshots()]
  await ladderOn(killed).grow(head)
  await ladderOn(store).grow(60)
  for (const [key, seq] of [
    ["main", 70],
    ["main@100", 100],
  ] as const) {
    const text = await textOf(killed, key, seq)
    await store.keep(
      key,
      seq,
      resealed(text, (line) => line.replaceAll('"t28"', '"other"')),
    )
  }
  expect(await textOf(store, "main@100", 100)).toContain('"other"')
  const ladder = ladderOn(store)
  expect(await ladder.lines(60, 70)[Symbol.asyncIterator]().next()).toMatchObject({ done: true })
  await ladder.grow(head)
  await isTrue(ladder)
})

test("a state that was changed in its midst is given to nobody as such, and is made anew", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  await damage(store, "main@top", 50, (text) => text.replace('"title":"t3"', '"title":"t4"'))
  const ladder = ladderOn(store)
  expect(await ladder.rungs()).toEqual([10, 20, 30, 40, 50])
  await expect(topOf(ladder)).rejects.toThrow(SyntaxError)
  expect(await ladder.rungs()).toEqual([])
  await ladder.grow(51)
  await isTrue(ladder)
})

test("a step that is missing where somebody goes back is made anew, and what lies between two rungs is none", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  await store.keep("main", 13, (await store.open("main", 10))!)
  await store.drop("main", 30)
  const ladder = ladderOn(store)
  expect(await ladder.rungs()).toEqual([10, 20, 40, 50])
  expect((await goneBack(ladder, await stateAt(50), 13, 20)).begins).toEqual([])
  expect(await ladder.rungs(), "nothing is wrong with it: nobody was told of 13").toEqual([10, 20, 40, 50])
  expect((await goneBack(ladder, await stateAt(50), 0, 50)).begins).toEqual([40, 30])
  await ladder.grow(51)
  expect(await ladder.rungs()).toEqual([10, 20, 30, 40, 50])
  await isTrue(ladder)
})

test("a step that was deleted has all of them made anew", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  await store.drop("main", 30)
  const ladder = ladderOn(store)
  await ladder.grow(80)
  expect(await ladder.rungs()).toEqual([10, 20, 30, 40, 50, 60, 70, 80])
  await isTrue(ladder)
})

test("only one state is kept, however far the past has grown", async () => {
  const store = memorySnapshots()
  const ladder = ladderOn(store, 1)
  for (let head = 5; head < 120; head += 5) await ladder.grow(head)
  expect(await store.list("main@top")).toEqual([(await ladder.rungs()).at(-1)])
})

test("a hub that stops ends in the midst of it, and goes on when it is back", async () => {
  const store = memorySnapshots()
  const ladder = ladderOn(store, 10, () => new Promise((resolve) => setImmediate(resolve)))
  const growing = ladder.grow(120)
  await ladder.stop()
  await growing
  expect(await ladder.rungs()).toEqual([])
  const again = ladderOn(store)
  await again.grow(120)
  expect((await again.rungs()).length).toBe(12)
  await isTrue(again)
})

test("what cannot be kept is tried again once more entries have come, and not at each quiet moment", async () => {
  const store = memorySnapshots()
  const { seq: head } = hub.loop.head
  let tried = 0
  let isFull = true
  const ladder = ladderOn({
    ...store,
    keep: (...step) => {
      tried += 1
      return isFull ? Promise.reject(new Error("planted")) : store.keep(...step)
    },
  })
  await expect(ladder.grow(head - 10)).rejects.toThrow("planted")
  await ladder.grow(head - 10)
  expect(tried).toBe(1)
  isFull = false
  await ladder.grow(head)
  await isTrue(ladder)
})
