import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Entry } from "../../src/core/entry.ts"
import { flightOf } from "../../src/core/flight.ts"
import type { Seq } from "../../src/core/ids.ts"
import { takeSnapshot, type Workspace } from "../../src/core/workspace.ts"
import { readSteps, SnapshotReader } from "../../src/dashboard/fold.ts"
import { type Stand, standOf } from "../../src/dashboard/stand.ts"
import { type Costs, Past, type PastSource } from "../../src/dashboard/past.ts"
import { replay } from "../../src/hub/replay.ts"
import { memorySnapshots } from "../../src/hub/snapshots.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { type Instance, startInstance } from "../../src/surface/served.contract.ts"

let hub: Instance
const DONE = { text: "done", evidence: { testsPass: true, commit: null, links: [] } }
const USAGE = { costMicroUsd: 1_200, inputTokens: 900, outputTokens: 300 }
const OPERATOR = { agent: "operator", session: null, role: "operator" as const }
beforeAll(async () => {
  hub = await startInstance({ level: "warn", snapshots: memorySnapshots(), ladder: memorySnapshots(), limits: { snapshotEntries: 30, rungEntries: 11 } })
  const { loop } = hub
  for (let at = 0; at < 40; at += 1) {
    const agent = `a${at % 3}`
    if (at < 3) await hub.agent(agent)
    const id = `t${at}`
    await loop.execute("task.add", OPERATOR, { id, title: id, dependsOn: at % 4 === 3 ? [`t${at - 1}`] : [] }, { key: { id, hash: "0".repeat(32) } })
    const actor = { agent, session: null, role: "worker" as const }
    // Leases on files are records that go away again.
    await loop.execute("files.reserve", actor, { globs: [`src/${id}/**`], mode: "exclusive", ttlMs: 900_000, reason: "mine", task: null, fence: null })
    const held = await loop.execute("task.claim", actor, { task: id }).catch(() => null)
    if (held !== null && at % 2 === 0) await loop.execute("task.complete", actor, { task: id, fence: held.fence, deliverable: DONE, usage: USAGE })
    else if (held !== null) await loop.execute("task.release", actor, { task: id, fence: held.fence, reason: "another one" })
    if (at % 5 !== 0) await loop.execute("files.release", actor, { lease: null, globs: null, reason: "done" })
  }
})
afterAll(() => hub.close())

/** The steps are made when the hub has nothing else to do. */
async function madeRungs(): Promise<Seq[]> {
  const ladder = hub.hub.ladder("main")!
  await expect.poll(async () => (await ladder.rungs()).at(-1) ?? 0, { timeout: 10_000 }).toBeGreaterThan(hub.loop.head.seq - 33)
  return ladder.rungs()
}

/** The hub's own ledger and snapshots, in pages of odd sizes. */
const source: PastSource = {
  async *entries(from: Seq, to: Seq) {
    for (let next = from; next <= to; next += 7) {
      const page = await hub.loop.entries(next, Math.min(7, to - next + 1))
      yield page.map(({ bytes }) => JSON.parse(bytes) as Entry)
    }
  },
  async snapshot(atOrBefore: Seq) {
    const found = await hub.loop.snapshot(atOrBefore)
    if (found === null) return null
    const reader = new SnapshotReader()
    for await (const piece of found.lines) reader.take(piece)
    return reader.whole()
  },
  ladder: async () => ({ snapshots: await hub.loop.snapshots(), rungs: await hub.hub.ladder("main")!.rungs() }),
  stands: () => Promise.resolve([]),
  async *steps(from: Seq, to: Seq) {
    yield* readSteps(lined(hub.hub.ladder("main")!.lines(from, to)))
  },
}

async function* lined(pieces: AsyncIterable<string>): AsyncIterable<string> {
  let text = ""
  for await (const piece of pieces) text += piece
  yield* text.split("\n").slice(0, -1)
}

/** All that a view could show, the keys of commands left out. */
function recordsOf(state: Workspace): unknown {
  const { seq, atMs, tables } = takeSnapshot(state)
  const sorted = Object.entries(tables).map(([name, rows]) => [name, rows.sort(([a], [b]) => (a < b ? -1 : 1))])
  return { seq, atMs, tables: sorted.filter(([name]) => name !== "keys"), counts: state.board.counts, ready: state.board.readyCount, flight: flightOf(state) }
}

/** What a page holds that was loaded when the ledger was so long. */
async function standAt(seq: Seq): Promise<Stand> {
  return standOf((await replay(hub.loop.ledger, sha256, { to: seq, compare: false })).state)
}

async function isTrue(state: Workspace, seq: Seq): Promise<void> {
  const { state: replayed } = await replay(hub.loop.ledger, sha256, { to: seq, compare: false })
  expect(recordsOf(state), `entry ${seq}`).toEqual(recordsOf(replayed))
}

/** No way but by steps: an entry that is folded costs more than all of them. */
const BY_STEPS: Costs = { near: -1, undo: 1, record: 0, step: 0, snapshot: 0 }

test("wherever the page has been before, whatever it holds and whatever a way costs, a moment is what a replay up to it makes", async () => {
  const { seq: head } = hub.loop.head
  expect((await madeRungs()).length).toBeGreaterThan(10)
  expect((await hub.loop.snapshots()).length).toBeGreaterThan(1)
  const within = fc.integer({ min: 1, max: head })
  const costs = fc.record({
    near: fc.constantFrom(-1, 20),
    undo: fc.constantFrom(0.1, 10),
    record: fc.constantFrom(0, 1),
    step: fc.constantFrom(0, 1),
    snapshot: fc.constantFrom(0, 1e6),
  })
  let steps = 0
  await fc.assert(
    fc.asyncProperty(
      costs,
      fc.array(within, { maxLength: 2 }),
      fc.array(within, { minLength: 2, maxLength: 12, size: "max" }),
      async (costing, held, moments) => {
        const stands = await Promise.all(held.map(standAt))
        const { source: counted, read } = counting(stands)
        const past = new Past(counted, costing)
        for (const seq of moments) await isTrue(await past.at(seq), seq)
        steps += read.length
      },
    ),
    { numRuns: 40 },
  )
  expect(steps).toBeGreaterThan(100)
})

/** The hub's past, what the page holds besides, and what of it was read. */
function counting(stands: readonly Stand[]): { source: PastSource; read: string[]; loaded: Seq[] } {
  const read: string[] = []
  const loaded: Seq[] = []
  const counted: PastSource = {
    ...source,
    stands: () => Promise.resolve(stands),
    async snapshot(seq) {
      loaded.push(seq)
      return source.snapshot(seq)
    },
    async *steps(from, to, signal) {
      for await (const step of source.steps(from, to, signal)) {
        read.push(`${step.to}-${step.from}`)
        yield step
      }
    },
  }
  return { source: counted, read, loaded }
}

test("the page goes back from what it holds, loads no state, and reads no step twice", async () => {
  const rungs = await madeRungs()
  const last = rungs.at(-1) as Seq
  const { source: counted, read, loaded } = counting([await standAt(last - 4)])
  const past = new Past(counted, { ...BY_STEPS, snapshot: 1e6 })
  for (const seq of [rungs[5], rungs[1], rungs[7], rungs[2], rungs[5]] as Seq[]) await isTrue(await past.at(seq), seq)
  expect(loaded).toEqual([])
  expect(new Set(read).size).toBe(read.length)
  expect(read.length).toBeGreaterThan(3)
})

test("a page that holds nothing so old loads the state at the last rung, once", async () => {
  const rungs = await madeRungs()
  const { source: counted, loaded } = counting([await standAt(hub.loop.head.seq)])
  const past = new Past({ ...counted, ladder: async () => ({ snapshots: [], rungs }) }, BY_STEPS)
  for (const seq of [rungs[4], rungs[1], rungs[7]] as Seq[]) await isTrue(await past.at(seq), seq)
  expect(loaded).toEqual([rungs.at(-1)])
})

test("what was read ahead is of use, however far it came", async () => {
  const rungs = await madeRungs()
  const last = rungs.at(-1) as Seq
  for (const stopAfter of [0, 1, 2, 99]) {
    const stopped = new AbortController()
    const { source: counted, read } = counting([await standAt(last)])
    const stopping: PastSource = {
      ...counted,
      async *steps(from, to, signal) {
        for await (const step of counted.steps(from, to, signal)) {
          if (read.length > stopAfter) stopped.abort()
          signal?.throwIfAborted()
          yield step
        }
      },
    }
    const past = new Past(stopping, { ...BY_STEPS, snapshot: 1e6 })
    await past.prepare(stopped.signal).catch((error: unknown) => expect(stopped.signal.aborted, String(error)).toBe(true))
    const ahead = read.length
    expect(ahead).toBeGreaterThan(0)
    const seq = rungs[2] as Seq
    await isTrue(await past.at(seq), seq)
    // The one at which it was stopped is read again.
    expect(read.length - new Set(read).size).toBeLessThanOrEqual(stopAfter < ahead ? 1 : 0)
  }
})

test("where the hub gives no steps the moment says why, and another is shown all the same", async () => {
  const rungs = await madeRungs()
  const { source: counted } = counting([await standAt(rungs.at(-1) as Seq)])
  const past = new Past({ ...counted, async *steps() {} }, { ...BY_STEPS, undo: 0 })
  await expect(past.at(rungs[3] as Seq)).rejects.toThrow(`the hub does not give the past before entry ${rungs.at(-1)}`)
  await isTrue(await past.at(rungs.at(-1) as Seq), rungs.at(-1) as Seq)
})

test("beyond the ledger's end there is no moment, and the next one is shown all the same", async () => {
  const past = new Past(source)
  const { seq: head } = hub.loop.head
  await expect(past.at(head + 100)).rejects.toThrow("the ledger ends at entry")
  expect((await past.at(5)).seq).toBe(5)
})
