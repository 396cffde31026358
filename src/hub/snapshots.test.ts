import { createHash } from "node:crypto"
import { mkdtemp, readdir, stat, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { CLAIM_ANY, OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import { ThroughLedger } from "../../test/simulation/through-ledger.ts"
import { decodeEntry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { evolve, Workspace } from "../core/workspace.ts"
import { sha256 } from "../ledger/sha256.ts"
import type { Stored } from "../ledger/ledger.ts"
import { MemoryStore } from "../ledger/memory.ts"
import { systemClock } from "./clock.ts"
import { digestOf } from "./fingerprint.ts"
import { openHub } from "./hub.ts"
import { replay } from "./replay.ts"
import { snapshotFiles } from "./snapshot-files.ts"
import { letGo, memorySnapshots, readSnapshot, SEAL_LENGTH, Seals, type SnapshotStore } from "./snapshots.ts"

const LIMITS = { snapshotEntries: 40, checkpointMs: 1_000 }

/** Some of everything that a state keeps. */
async function work(rig: Rig, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += 1) {
    const [agent] = await rig.agents(`a${at}`)
    await rig.execute(
      "task.add",
      OPERATOR,
      { id: `t${at}`, title: `t${at}`, dependsOn: at % 3 === 0 || at === from ? [] : [`t${at - 1}`] },
      { key: { id: `k${at}`, hash: "00".repeat(16) } },
    )
    const { claims } = await rig.run(rig.loop.execute("task.claimNext", agent!, CLAIM_ANY).catch(() => ({ claims: [] })))
    for (const claim of at % 2 === 0 ? claims : [])
      await rig.execute("task.block", agent!, { task: claim.task.id, fence: claim.fence, on: { kind: "external", ref: "x" }, reason: "waits" })
    await rig.clock.advance(400)
  }
}

async function digestsOf(rig: Rig): Promise<[string, string]> {
  const live = await rig.run(rig.loop.read((state) => digestOf(sha256, state)))
  const { digest, compared } = await replay(rig.store.open("auditor"), sha256)
  expect(compared.filter(({ ok }) => !ok)).toEqual([])
  return [live, digest]
}

/** A store of which the newest snapshot was changed as `damage` says. */
function damaged(store: SnapshotStore, damage: (text: string) => string): SnapshotStore {
  let bad: Seq | undefined
  return {
    ...store,
    async open(workspace: string, seq: Seq) {
      const lines = await store.open(workspace, seq)
      bad ??= (await store.list(workspace)).at(-1)
      if (lines === null || seq !== bad) return lines
      const text = await textOf(lines)
      return (async function* pieces() {
        yield damage(text)
      })()
    },
  }
}

async function textOf(lines: AsyncIterable<string>): Promise<string> {
  let text = ""
  for await (const line of lines) text += line
  return text
}

/** As another hub would have written it. */
function resealed(text: string): string {
  const seals = new Seals(sha256)
  const lines = text.split("\n").slice(0, -1)
  return lines.map((line) => `${seals.next(line.slice(SEAL_LENGTH))}${line.slice(SEAL_LENGTH)}\n`).join("")
}

describe("a snapshot", () => {
  test("gives back the very state: a hub that starts from it answers, chains and digests as one that replayed everything", async () => {
    const memory = { manyWriters: true }
    let rig = await openRig({ limits: LIMITS, memory })
    await work(rig, 0, 14)
    expect(await rig.run(rig.loop.snapshots())).not.toEqual([])
    await rig.close()
    const { store, clock, snapshots } = rig
    const reads: Seq[] = []
    class Counting extends ThroughLedger {
      override read(from: Seq, limit: number): Promise<Stored[]> {
        if (limit > 1) reads.push(from)
        return super.read(from, limit)
      }
    }
    rig = await openRig({ limits: LIMITS, store, clock, snapshots, wrap: (ledger) => new Counting(ledger) })
    expect(reads[0]).toBeGreaterThan(LIMITS.snapshotEntries)
    await work(rig, 14, 20)
    await rig.run(rig.loop.checkpoint())
    const [live, replayed] = await digestsOf(rig)
    expect(live).toBe(replayed)
    expect(rig.logged).toEqual([])
  })

  test.each([
    ["cut off", (text: string) => text.slice(0, -20)],
    ["cut at a line's end", (text: string) => `${text.split("\n").slice(0, -2).join("\n")}\n`],
    ["empty", () => ""],
    ["a line left out", (text: string) => text.split("\n").toSpliced(2, 1).join("\n")],
    [
      "lines swapped",
      (text: string) =>
        text
          .split("\n")
          .map((line, at, lines) => lines[at === 2 ? 3 : at === 3 ? 2 : at] ?? line)
          .join("\n"),
    ],
    [
      "a seal changed",
      (text: string) =>
        text
          .split("\n")
          .map((line, at) => (at === 3 ? `${line.startsWith("0") ? "1" : "0"}${line.slice(1)}` : line))
          .join("\n"),
    ],
    ["a record doubled at its end", (text: string) => `${text}${text.split("\n").at(-3)}\n`],
    [
      "a line more after its end",
      (text: string) =>
        `${text}${createHash("sha256")
          .update(`${text.slice(text.lastIndexOf("\n", text.length - 2) + 1).slice(0, 64)}["tasks",[]]`)
          .digest("hex")}["tasks",[]]\n`,
    ],
    ["a record changed", (text: string) => text.replace(/"title":"t3"/, '"title":"t4"')],
    ["its time changed", (text: string) => text.replace(/"atMs":(\d+)/, (_, ms: string) => `"atMs":${Number(ms) + 3_600_000}`)],
    ["a bit of its tree changed", (text: string) => text.replace(/"roots":\["(.)/, (_, digit: string) => `"roots":["${digit === "0" ? "1" : "0"}`)],
    ["of a later version", (text: string) => text.replace('"version":2', '"version":3')],
    ["no JSON", (text: string) => text.replace("{", "")],
  ])("that is damaged (%s) is passed over for the one before it", async (_, damage) => {
    const limits = { snapshotEntries: 20, checkpointMs: 1_000 }
    const memory = { manyWriters: true }
    let rig = await openRig({ limits, memory })
    await work(rig, 0, 12)
    expect((await rig.run(rig.loop.snapshots())).length).toBeGreaterThan(1)
    await rig.close()
    const { store, clock } = rig
    const bad = (await rig.snapshots.list("main")).at(-1)
    rig = await openRig({ limits, store, clock, snapshots: damaged(rig.snapshots, damage) })
    expect(rig.logged).toEqual(["a snapshot was passed over"])
    expect(await rig.run(rig.loop.snapshots()), "it would be given to others").not.toContain(bad)
    await work(rig, 12, 14)
    await rig.run(rig.loop.checkpoint())
    const [live, replayed] = await digestsOf(rig)
    expect(live).toBe(replayed)
  })

  test.each([14, 28])("of another ledger is passed over, and let go of (%i tasks)", async (tasks) => {
    const one = await openRig({ limits: LIMITS })
    await work(one, 0, tasks)
    const foreign = await one.snapshots.list("main")
    const other = await openRig({ limits: LIMITS, memory: { manyWriters: true } })
    await work(other, 50, 64)
    await other.close()
    const { store, clock } = other
    const rig = await openRig({ limits: LIMITS, store, clock, snapshots: one.snapshots })
    expect(rig.logged.length).toBeGreaterThan(0)
    expect(foreign.length).toBeGreaterThan(0)
    expect(await rig.run(rig.loop.snapshots()), "the hub's own would be let go of in their place").toEqual([])
    const [live, replayed] = await digestsOf(rig)
    expect(live).toBe(replayed)
  })

  test("that lies under another's name is passed over", async () => {
    let rig = await openRig({ limits: LIMITS, memory: { manyWriters: true } })
    await work(rig, 0, 14)
    await rig.close()
    const { store, clock, snapshots } = rig
    const [first, ...later] = await snapshots.list("main")
    await snapshots.keep("main", later.at(-1)!, (await snapshots.open("main", first!))!)
    rig = await openRig({ limits: LIMITS, store, clock, snapshots })
    expect(rig.logged).toEqual(["a snapshot was passed over"])
  })

  test.each([
    ["at its beginning", (text: string) => text.replace('"atMs":', '"atMs":1'), false],
    ["in its midst", (text: string) => text.replace(/"title":"t3"/, '"title":"t4"'), true],
    ["at its end", (text: string) => text.slice(0, -9), true],
    ["by one of another ledger", (text: string) => resealed(text.replace(/"hash":"(.)/, (_, digit) => `"hash":"${digit === "0" ? "1" : "0"}`)), false],
  ])("that is damaged while the hub runs (%s) is given to nobody as the state", async (_, damage, isBegun) => {
    const rig = await openRig({ limits: { snapshotEntries: 20, checkpointMs: 1_000 } })
    await work(rig, 0, 12)
    const { seq } = rig.loop.head
    const newest = (await rig.snapshots.list("main")).at(-1) as Seq
    const whole = await textOf((await rig.snapshots.open("main", newest))!)
    const changed = damage(whole)
    expect(changed).not.toBe(whole)
    const pieces = async function* pieces(): AsyncIterable<string> {
      yield changed
    }
    await rig.snapshots.keep("main", newest, pieces())
    const found = await rig.run(rig.loop.snapshot(seq))
    if (isBegun) {
      expect(found?.seq).toBe(newest)
      await expect(textOf(found!.lines)).rejects.toThrow(SyntaxError)
    } else await letGo(found!.lines)
    const older = await rig.run(rig.loop.snapshot(seq))
    expect(older?.seq).toBeLessThan(newest)
    const { state } = await readSnapshot(sha256, older!.lines)
    const entries = await rig.run(rig.loop.entries(1, older!.seq, "operator"))
    const folded = new Workspace()
    for (const { bytes } of entries) evolve(folded, decodeEntry(bytes))
    expect(digestOf(sha256, state)).toBe(digestOf(sha256, folded))
  })

  test("that cannot be kept costs nothing but itself", async () => {
    const rig = await openRig({ limits: LIMITS, snapshots: { ...memorySnapshots(), keep: () => Promise.reject(new Error("planted")) } })
    await work(rig, 0, 14)
    expect(rig.logged).toContain("a snapshot could not be kept")
    expect(rig.fatal).toEqual([])
  })

  test("is kept with the first batch after a start that had to fold much for want of one, and not after any other start", async () => {
    const first = await openRig({ limits: LIMITS })
    await first.agents("ada")
    const edit = (rig: Rig, at: number): Promise<unknown> => rig.execute("agent.edit", OPERATOR, { name: "ada", reason: "r", costPerHourMicroUsd: at })
    for (let at = 1; at < 100; at += 1) await edit(first, at)
    await first.close()
    const { store, clock, snapshots } = first
    const atFirst = await snapshots.list("main")
    const none = memorySnapshots()
    for (const kept of [snapshots, none]) {
      const rig = await openRig({ limits: LIMITS, store, clock, snapshots: kept })
      await edit(rig, 100)
      await rig.close()
    }
    expect(atFirst).not.toEqual([])
    expect(await snapshots.list("main")).toEqual(atFirst)
    expect(await none.list("main")).toEqual([first.entries().findLast(({ type }) => type === "hub.started")?.seq])
  })

  test("comes the later the more there is to write: an entry's share of the cost does not grow with the state", async () => {
    const rig = await openRig({ limits: LIMITS })
    for (let at = 0; at < 60; at += 1) {
      await rig.run(Promise.all(Array.from({ length: 10 }, (_, index) => rig.loop.execute("task.add", OPERATOR, { id: `t${at}-${index}`, title: "t" }))))
    }
    await rig.clock.advance(1_000)
    const kept = await rig.loop.snapshots()
    expect(kept.length).toBeGreaterThan(1)
    expect(kept.length).toBeLessThan(6)
  })

  test("is written while the hub goes on deciding, and holds the state of its seq", async () => {
    const rig = await openRig({ limits: { snapshotEntries: 1_300, checkpointMs: 1_000_000, checkpointEntries: 10_000 } })
    const add = (name: string, count: number): Promise<unknown> =>
      rig.run(Promise.all(Array.from({ length: count }, (_, at) => rig.loop.execute("task.add", OPERATOR, { id: `${name}${at}`, title: name }))))
    await add("a", 1_300)
    await add("b", 200)
    await rig.clock.advance(1_000)
    const kept = await rig.run(rig.loop.snapshot(rig.loop.head.seq))
    let text = ""
    for await (const lines of kept!.lines) text += lines
    const rows = text.split("\n").flatMap((line) => (line.slice(64).startsWith('["tasks"') ? (JSON.parse(line.slice(64)) as [string, unknown[]])[1] : []))
    expect(rows.length).toBe(kept!.seq - 2)
  })
})

describe("snapshot files", () => {
  const lines = async function* (...texts: string[]): AsyncIterable<string> {
    for (const text of texts) yield text
  }

  test("are whole, private, and listed by workspace in order", async () => {
    const directory = join(await mkdtemp(join(tmpdir(), "skein-snapshots-")), "snapshots")
    const store = snapshotFiles(directory)
    expect(await store.list("main")).toEqual([])
    await store.keep("main", 20, lines("a\n", "b\n"))
    await store.keep("main", 3, lines("c\n"))
    await store.keep("main-2", 7, lines("d\n"))
    await writeFile(join(directory, "main-9.ndjson.1.part"), "torn")
    expect([await store.list("main"), await store.list("main-2")]).toEqual([[3, 20], [7]])
    let text = ""
    for await (const piece of (await store.open("main", 20))!) text += piece
    expect(text).toBe("a\nb\n")
    expect((await stat(join(directory, "main-20.ndjson"))).mode & 0o777).toBe(0o600)
    expect(await store.open("main", 4)).toBeNull()
    await Promise.all([store.keep("main", 30, lines("e\n")), store.keep("main-2", 31, lines("f\n"))])
    expect((await readdir(directory)).sort()).toEqual(["main-2-31.ndjson", "main-2-7.ndjson", "main-20.ndjson", "main-3.ndjson", "main-30.ndjson"])
  })

  test("whose seq is written otherwise than we do are none, and one that is all hole is not read to its end", async () => {
    const directory = await mkdtemp(join(tmpdir(), "skein-snapshots-"))
    for (const seq of ["007", "0", "1e3", "9999999999999999", "5 "]) await writeFile(join(directory, `main-${seq}.ndjson`), "a\n")
    await writeFile(join(directory, "main-6.ndjson"), "")
    await truncate(join(directory, "main-6.ndjson"), 2 ** 40)
    const store = snapshotFiles(directory)
    expect(await store.list("main")).toEqual([6])
    await expect(readSnapshot(sha256, (await store.open("main", 6))!)).rejects.toThrow(SyntaxError)
  })

  test("that fail half-way leave nothing under their name", async () => {
    const directory = await mkdtemp(join(tmpdir(), "skein-snapshots-"))
    const store = snapshotFiles(directory)
    const failing = async function* (): AsyncIterable<string> {
      yield "a\n"
      listed = await store.list("main")
      throw new Error("planted")
    }
    let listed: Seq[] | null = null
    await expect(store.keep("main", 1, failing())).rejects.toThrow("planted")
    expect(listed, "while it is written").toEqual([])
    expect(await readdir(directory)).toEqual([])
  })

  test("serve a real hub: what it keeps on disk is what it starts from", async () => {
    const directory = await mkdtemp(join(tmpdir(), "skein-snapshots-"))
    const store = new MemoryStore()
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const snapshots = snapshotFiles(directory)
    const options = {
      clock: systemClock,
      sha256,
      snapshots,
      log,
      openLedger: async () => store.open(),
      sign: async () => "",
      fatal: () => undefined,
      limits: { snapshotEntries: 10 },
    }
    let hub = await openHub(options)
    for (let at = 0; at < 12; at += 1) await hub.workspace("main")!.execute("task.add", OPERATOR, { id: `t${at}`, title: "t" })
    const before = await hub.workspace("main")!.read((state) => state.tasks.size)
    await hub.close()
    const [seq] = await snapshots.list("main")
    const { head } = await readSnapshot(sha256, (await snapshots.open("main", seq!))!)
    expect([seq, head.seq]).toEqual([10, 10])
    const warned: string[] = []
    hub = await openHub({ ...options, log: { ...log, warn: (_, text) => void warned.push(text) } })
    expect(await hub.workspace("main")!.read((state) => state.tasks.size)).toBe(before)
    expect(warned).toEqual([])
    await hub.close()
  })
})
