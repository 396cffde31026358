import { afterAll, beforeAll, expect, test } from "vitest"
import type { Seq } from "../core/ids.ts"
import { takeSnapshot, Workspace } from "../core/workspace.ts"
import { sha256 } from "../ledger/sha256.ts"
import { type Instance, startInstance } from "../surface/served.contract.ts"
import { Ladder } from "./ladder.ts"
import { replay } from "./replay.ts"
import { memorySnapshots, type SnapshotStore } from "./snapshots.ts"

const OPERATOR = { agent: "operator", session: null, role: "operator" as const }
let hub: Instance
beforeAll(async () => {
  hub = await startInstance({ level: "warn" })
  const agent = { agent: "ada", session: null, role: "worker" as const }
  await hub.agent("ada")
  for (let at = 0; at < 30; at += 1) {
    const id = `t${at}`
    await hub.loop.execute("task.add", OPERATOR, { id, title: id }, { key: { id, hash: "0".repeat(32) } })
    const { fence } = await hub.loop.execute("task.claim", agent, { task: id })
    await hub.loop.execute("task.release", agent, { task: id, fence, reason: "later" })
  }
})
afterAll(() => hub.close())

function ladderOn(store: SnapshotStore, rungEntries = 10): Ladder {
  return new Ladder({ workspace: "main", store, ledger: hub.loop.ledger, sha256, rungEntries, pause: () => Promise.resolve() })
}

/** The state that the steps up to a seq add up to, and the steps. */
async function climbed(ladder: Ladder, to: Seq): Promise<{ state: unknown; ends: Seq[] }> {
  const state = new Workspace()
  const ends: Seq[] = []
  for await (const piece of ladder.lines(0, to)) {
    for (const line of piece.split("\n").slice(0, -1)) {
      const value = JSON.parse(line.slice(64)) as { from: Seq; to: Seq; atMs: number } | [string, [string, unknown][]] | null
      if (Array.isArray(value)) for (const [key, record] of value[1]) state.tables.find(({ name }) => name === value[0])?.restore(key, record ?? undefined)
      else if (value !== null) {
        expect(value.from).toBe(state.seq)
        state.seq = value.to
        state.atMs = value.atMs
        ends.push(value.to)
      }
    }
  }
  return { state: recordsOf(state), ends }
}

function recordsOf(state: Workspace): unknown {
  const { seq, atMs, tables } = takeSnapshot(state)
  return { seq, atMs, tables: { ...tables, keys: [] } }
}

async function replayed(to: Seq): Promise<unknown> {
  return recordsOf((await replay(hub.loop.ledger, sha256, { to, compare: false })).state)
}

test("the steps up to each of their ends add up to the state there, in whatever stretches they were made", async () => {
  const ladder = ladderOn(memorySnapshots())
  for (const head of [15, 25, 52, hub.loop.head.seq]) await ladder.grow(head)
  const rungs = await ladder.rungs()
  expect(rungs).toEqual(Array.from({ length: Math.floor(hub.loop.head.seq / 10) }, (_, at) => 10 * (at + 1)))
  for (const end of rungs) expect(await climbed(ladder, end)).toEqual({ state: await replayed(end), ends: rungs.filter((one) => one <= end) })
})

test("nothing is made for less than two steps", async () => {
  const ladder = ladderOn(memorySnapshots())
  await ladder.grow(19)
  expect(await ladder.rungs()).toEqual([])
})

test.each([
  ["changed", (text: string) => text.replace('"title":"t3"', '"title":"t4"')],
  ["cut off", (text: string) => text.slice(0, -9)],
  ["of another chain", (text: string) => text.replace(/"hash":"../, '"hash":"00')],
])("steps of which one was %s are made anew", async (_, damage) => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  const pieces = await store.open("main", 20)
  let text = ""
  for await (const piece of pieces!) text += piece
  await store.keep(
    "main",
    20,
    (async function* damaged() {
      yield damage(text)
    })(),
  )
  const ladder = ladderOn(store)
  await ladder.grow(80)
  expect(await climbed(ladder, 80)).toEqual({ state: await replayed(80), ends: [10, 20, 30, 40, 50, 60, 70, 80] })
})

test("a step that was deleted has all of them made anew", async () => {
  const store = memorySnapshots()
  await ladderOn(store).grow(50)
  await store.drop("main", 30)
  const ladder = ladderOn(store)
  await ladder.grow(80)
  expect((await climbed(ladder, 80)).ends).toEqual([10, 20, 30, 40, 50, 60, 70, 80])
})

test("a hub that stops ends in the midst of it, and goes on when it is back", async () => {
  const store = memorySnapshots()
  const ladder = new Ladder({
    workspace: "main",
    store,
    ledger: hub.loop.ledger,
    sha256,
    rungEntries: 10,
    pause: () => new Promise((resolve) => setImmediate(resolve)),
  })
  const growing = ladder.grow(80)
  await ladder.stop()
  await growing
  await ladderOn(store).grow(80)
  expect((await climbed(ladder, 80)).ends).toEqual([10, 20, 30, 40, 50, 60, 70, 80])
})
