/** Makes ledgers to read back: every entry is decided, appended and published by the loop, as in a hub. */
import { answer } from "./child.ts"
import { openOn, OPERATOR } from "./open-hub.ts"
import type { Actor } from "../src/core/entry.ts"
import { replayOnTwoCores } from "../src/hub/replay-apart.ts"
import { sha256 } from "../src/ledger/sha256.ts"
import { openSqlite } from "../src/ledger/sqlite.ts"
import { ledgerPath } from "./open-hub.ts"
import { sleep } from "./scratch.ts"

export type Made = { entries: number; seconds: number; bytesPerEntry: number }
export type Replayed = { entries: number; seconds: number; checkpoints: number; allHold: boolean; rssBytes: number }
export type Opened = { entries: number; snapshotSeq: number; seconds: number; rssBytes: number }

/** Tasks that go through their whole life together. */
const WAVE = 1_000
const AGENTS = 50
const GIVE_UP_MS = 600_000
/** A quiet hub keeps a snapshot once so many entries have come, or so many as it has records, and an eighth of that: see `hub/upkeep.ts`. */
const SNAPSHOT_ENTRIES = 50_000
const IDLE_SHARE = 1 / 8

answer({
  /** A life of tasks: each is added, claimed, updated (`updates` times, once by default) and completed; `snapshotEntries` null: snapshots as a hub keeps them. */
  async make({
    directory,
    entries,
    snapshotEntries,
    updates = 1,
  }: {
    directory: string
    entries: number
    snapshotEntries: number | null
    updates?: number
  }): Promise<Made> {
    const startMs = performance.now()
    // However busy the machine is: this only makes, nothing is measured. A wave that filled half a batch would be taken for a load that stays.
    const patient = { queueWaitMs: GIVE_UP_MS, batchMax: 4 * WAVE, decideMs: GIVE_UP_MS }
    const hub = await openOn(directory, snapshotEntries === null ? patient : { ...patient, snapshotEntries })
    const loop = await hub.create("main")
    const actors: Actor[] = Array.from({ length: AGENTS }, (_, at) => ({ agent: `agent-${at}`, session: null, role: "worker" }))
    // A ledger may be made longer: what a former stretch named is not named again.
    const stretch = loop.head.seq
    const known = await loop.read((state) => state.agents.has("agent-0"))
    if (!known) await Promise.all(actors.map(({ agent }) => loop.execute("agent.add", OPERATOR, { name: agent, maxActive: 1_000_000 })))
    let keys = 0
    const key = (): { id: string; hash: string } => ({ id: `k${stretch}.${(keys += 1)}`, hash: "00112233445566778899aabbccddeeff" })
    for (let wave = 0; loop.head.seq < entries; wave += 1) {
      const ids = Array.from({ length: Math.min(WAVE, Math.ceil((entries - loop.head.seq) / (3 + updates))) }, (_, at) => `t${stretch}-${wave}-${at}`)
      await Promise.all(
        ids.map((id) => loop.execute("task.add", OPERATOR, { id, title: `Task ${id}`, body: "Make the tests pass that this change breaks." }, { key: key() })),
      )
      const held = await Promise.all(ids.map((task, at) => loop.execute("task.claim", actors[at % AGENTS] as Actor, { task }, { key: key() })))
      for (let update = 1; update <= updates; update += 1) {
        const said = { progress: update / (updates + 1), note: update * 2 === updates + 1 ? "half way" : `step ${update} of ${updates + 1}` }
        await Promise.all(
          held.map(({ task, fence }, at) => loop.execute("task.update", actors[at % AGENTS] as Actor, { task: task.id, fence, ...said }, { key: key() })),
        )
      }
      const deliverable = { text: "done", evidence: { testsPass: true, commit: "0123456789abcdef0123456789abcdef01234567", links: [] } }
      const usage = { costMicroUsd: 1_200, inputTokens: 900, outputTokens: 300 }
      await Promise.all(
        held.map(({ task, fence }, at) =>
          loop.execute("task.complete", actors[at % AGENTS] as Actor, { task: task.id, fence, deliverable, usage }, { key: key() }),
        ),
      )
    }
    const { seq } = loop.head
    const sample = await loop.entries(Math.max(1, seq - 999), 1_000)
    await hub.close()
    return {
      entries: seq,
      seconds: (performance.now() - startMs) / 1_000,
      bytesPerEntry: sample.reduce((sum, { bytes }) => sum + bytes.length, 0) / sample.length,
    }
  },
  /** Verifies the whole chain, folds every entry, and compares root and digest at every checkpoint. */
  async replay({ directory }: { directory: string }): Promise<Replayed> {
    const ledger = openSqlite({ path: ledgerPath(directory), readOnly: true })
    const startMs = performance.now()
    const { entries, compared } = await replayOnTwoCores(ledger, sha256, { keys: false })
    const seconds = (performance.now() - startMs) / 1_000
    await ledger.close()
    return { entries, seconds, checkpoints: compared.length, allHold: compared.every(({ ok }) => ok), rssBytes: process.memoryUsage.rss() }
  },
  /** A hub that nobody asks anything: it keeps a snapshot near its head. */
  async rest({ directory }: { directory: string }): Promise<void> {
    const hub = await openOn(directory)
    const loop = await hub.create("main")
    const { seq } = loop.head
    const records = await loop.read((state) => state.tables.reduce((sum, { size }) => sum + size, 0))
    const apart = Math.max(SNAPSHOT_ENTRIES, records) * IDLE_SHARE
    for (const deadline = performance.now() + GIVE_UP_MS; seq - ((await loop.snapshots()).at(-1) ?? 0) > apart;) {
      if (performance.now() > deadline) throw new Error("no snapshot was kept though it was quiet")
      await sleep(100)
    }
    await hub.close()
  },
  /** A hub's start, from the newest snapshot where there is one. */
  async open({ directory }: { directory: string }): Promise<Opened> {
    const startMs = performance.now()
    const hub = await openOn(directory, { snapshotEntries: Number.MAX_SAFE_INTEGER })
    const loop = await hub.create("main")
    const seconds = (performance.now() - startMs) / 1_000
    const { seq } = loop.head
    const rssBytes = process.memoryUsage.rss()
    const snapshotSeq = (await loop.snapshots()).at(-1) ?? 0
    await hub.close()
    return { entries: seq, snapshotSeq, seconds, rssBytes }
  },
})
