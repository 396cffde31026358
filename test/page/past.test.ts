import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import type { Entry } from "../../src/core/entry.ts"
import { flightOf } from "../../src/core/flight.ts"
import type { Seq } from "../../src/core/ids.ts"
import { takeSnapshot, type Workspace } from "../../src/core/workspace.ts"
import { readRungs, SnapshotReader } from "../../src/dashboard/fold.ts"
import { Past, type PastSource } from "../../src/dashboard/past.ts"
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
    const held = await loop.execute("task.claim", actor, { task: id }).catch(() => null)
    if (held === null) continue
    if (at % 2 === 0) await loop.execute("task.complete", actor, { task: id, fence: held.fence, deliverable: DONE, usage: USAGE })
    else await loop.execute("task.release", actor, { task: id, fence: held.fence, reason: "another one" })
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
  async *rungs(from: Seq, to: Seq) {
    yield* readRungs(lined(hub.hub.ladder("main")!.lines(from, to)))
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

test("wherever the page has been before, a moment is what a replay up to it makes", async () => {
  const { seq: head } = hub.loop.head
  expect((await madeRungs()).length).toBeGreaterThan(5)
  expect((await hub.loop.snapshots()).length).toBeGreaterThan(1)
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(-1, 20), fc.array(fc.integer({ min: 1, max: head }), { minLength: 2, maxLength: 12 }), async (near, moments) => {
      const past = new Past(source, near)
      for (const seq of moments) {
        const state = await past.at(seq)
        const { state: replayed } = await replay(hub.loop.ledger, sha256, { to: seq, compare: false })
        expect(recordsOf(state), `entry ${seq}`).toEqual(recordsOf(replayed))
      }
    }),
    { numRuns: 40 },
  )
})

test("over the steps the page reads each of them once, and no entry twice", async () => {
  const rungs = await madeRungs()
  const read: Seq[] = []
  const counting: PastSource = {
    ...source,
    ladder: async () => ({ snapshots: [], rungs }),
    async *rungs(from, to) {
      for await (const rung of source.rungs(from, to)) {
        read.push(rung.to)
        yield rung
      }
    },
  }
  const past = new Past(counting, -1)
  for (const seq of [rungs[5], rungs[1], rungs[7], rungs[2], rungs[5]]) await past.at(seq as Seq)
  expect(read).toEqual(rungs.slice(0, 8))
})

test("what was read ahead is of use, however far it came", async () => {
  const rungs = await madeRungs()
  for (const stopAfter of [0, 1, 3, 99]) {
    const stopped = new AbortController()
    let read = 0
    const past = new Past({
      ...source,
      async *rungs(from, to) {
        for await (const rung of source.rungs(from, to)) {
          if (read >= stopAfter) stopped.abort()
          stopped.signal.throwIfAborted()
          read += 1
          yield rung
        }
      },
    })
    await past.prepare(stopped.signal).catch((error: unknown) => expect(stopped.signal.aborted, String(error)).toBe(true))
    expect(read).toBe(Math.min(stopAfter, rungs.length))
    const state = await past.at(rungs[2] as Seq)
    expect(recordsOf(state)).toEqual(recordsOf((await replay(hub.loop.ledger, sha256, { to: rungs[2] as Seq, compare: false })).state))
  }
})

test("beyond the ledger's end there is no moment, and the next one is shown all the same", async () => {
  const past = new Past(source)
  const { seq: head } = hub.loop.head
  await expect(past.at(head + 100)).rejects.toThrow("the ledger ends at entry")
  expect((await past.at(5)).seq).toBe(5)
})
