import { spawnSync } from "node:child_process"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { expect, test } from "vitest"
import { PLAN } from "../../test/scenario.ts"
import { CLAIM_ANY, DONE, OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import { decodeEntry, encodeEntry } from "../core/entry.ts"
import { Chain } from "../core/chain.ts"
import { toHex } from "../core/hash.ts"
import type { Stored } from "../ledger/ledger.ts"
import { sha256 } from "../ledger/sha256.ts"
import { openSqlite } from "../ledger/sqlite.ts"
import { digestOf } from "./fingerprint.ts"
import { replay } from "./replay.ts"
import { replayApart, replayOnTwoCores } from "./replay-apart.ts"

/** Some hundred entries of many types, some under keys, a checkpoint every few. */
async function busyRig(): Promise<Rig> {
  const rig = await openRig({ limits: { checkpointMs: 1_000_000, checkpointEntries: 17 }, memory: { manyWriters: true } })
  const agents = await rig.agents("a", "b", "c")
  const tasks = Array.from({ length: 30 }, (_, at) => ({ id: `t${at}`, title: `t${at}`, dependsOn: at < 3 ? [] : [`t${at - 3}`] }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, tasks }, { key: { id: "a key of many entries", hash: "0" } })
  for (let round = 0; round < 12; round += 1) {
    for (const [at, agent] of agents.entries()) {
      const claimed = await rig.run(rig.loop.execute("task.claimNext", agent, CLAIM_ANY).catch(() => null))
      const claim = claimed?.claims[0]
      if (claim === undefined) continue
      const under = { task: claim.task.id, fence: claim.fence }
      await rig.execute("task.update", agent, { ...under, progress: 0.5, note: "ünïcode 🪿" }, { key: { id: `${round} ${agent.agent}`, hash: "1" } })
      if ((round + at) % 4 === 0) await rig.execute("task.release", agent, { ...under, reason: "later" })
      else await rig.execute("task.complete", agent, { ...under, ...DONE })
    }
    await rig.clock.advance(700)
  }
  await rig.run(rig.loop.checkpoint())
  return rig
}

const ledgerOf = (entries: Stored[]): { read(from: number, limit: number): Promise<Stored[]> } => ({
  read: (from, limit) => Promise.resolve(entries.filter(({ seq }) => seq >= from).slice(0, limit)),
})

/** The bytes as given, chained anew: what somebody does who forges a ledger. */
function chained(texts: readonly string[]): Stored[] {
  const chain = new Chain(sha256)
  return texts.map((bytes, at) => ({ seq: at + 1, bytes, hash: chain.append(bytes) }))
}

test("a replay reaches root and digest of every checkpoint, and the live hub's own state", async () => {
  const rig = await busyRig()
  const seen: number[] = []
  const { state, digest, compared, entries, chain } = await replay(rig.store.open("auditor"), sha256, { onEntry: ({ seq }) => seen.push(seq) })
  expect(compared.length).toBeGreaterThan(5)
  expect(compared.filter(({ ok }) => !ok)).toEqual([])
  expect([digest, entries, chain.hash]).toEqual([await rig.run(rig.loop.read((live) => digestOf(sha256, live))), rig.loop.head.seq, toHex(rig.loop.head.hash)])
  expect(digestOf(sha256, state)).toBe(digest)
  expect(seen).toEqual(rig.entries().map(({ seq }) => seq))
})

test("a replay stops where it is told, and its digest there is the checkpoint's", async () => {
  const rig = await busyRig()
  const ledger = rig.store.open("auditor")
  const { compared } = await replay(ledger, sha256)
  for (const { size, digest } of compared) expect(await replay(ledger, sha256, { to: size, compare: false })).toMatchObject({ entries: size, digest })
})

test("a replay names the entry whose bytes were changed, that is missing, or that is no entry", async () => {
  const rig = await busyRig()
  const sound = rig.store.entries
  const changed = sound.map((entry) => (entry.seq === 40 ? { ...entry, bytes: entry.bytes.replace(/"atMs":\d/, '"atMs":9') } : entry))
  await expect(replay(ledgerOf(changed), sha256)).rejects.toMatchObject({ code: "damaged", seq: 40 })
  await expect(replay(ledgerOf(sound.filter(({ seq }) => seq !== 33)), sha256)).rejects.toMatchObject({ code: "damaged", seq: 33 })
  const torn = sound.map((entry) => (entry.seq === 50 ? { ...entry, bytes: entry.bytes.slice(0, 30) } : entry))
  await expect(replay(ledgerOf(torn), sha256)).rejects.toMatchObject({ code: "damaged", seq: 50 })
})

test("a ledger that was forged and chained anew differs from its checkpoints from the forged entry on", async () => {
  const rig = await busyRig()
  const forged = rig
    .entries()
    .map((entry) =>
      entry.type === "task.progressed" && entry.seq > 40 && entry.seq < 50 ? { ...entry, data: { ...(entry.data as object), note: "forged" } } : entry,
    )
  const { compared } = await replay(ledgerOf(chained(forged.map(encodeEntry))), sha256)
  const first = compared.find(({ ok }) => !ok)
  expect(first).toBeDefined()
  expect(compared.filter(({ seq, ok }) => (seq <= 40 ? !ok : ok))).toEqual([])
})

test("a checkpoint that records another digest than its entries give is found", async () => {
  const rig = await busyRig()
  const lied = rig
    .entries()
    .map((entry) => (entry.type === "checkpoint.recorded" ? { ...entry, data: { ...(entry.data as object), digest: "0".repeat(64) } } : entry))
  const texts = lied.map(encodeEntry)
  const { compared } = await replay(ledgerOf(chained(texts)), sha256)
  expect(compared[0]).toMatchObject({ ok: false, digest: "0".repeat(64) })
  expect(decodeEntry(texts[compared[0]!.seq - 1]!).type).toBe("checkpoint.recorded")
})

test("a thread of its own for the hashes changes nothing of what a replay finds", async () => {
  const rig = await busyRig()
  const lied = rig
    .entries()
    .map((entry) => (entry.type === "checkpoint.recorded" && entry.seq > 60 ? { ...entry, data: { ...(entry.data as object), root: "0".repeat(64) } } : entry))
  for (const entries of [rig.store.entries, chained(lied.map(encodeEntry))]) {
    const { state, ...alone } = await replay(ledgerOf(entries), sha256)
    const apart = await replayApart(ledgerOf(entries), {})
    expect(apart).toMatchObject(alone)
    expect(digestOf(sha256, apart!.state)).toBe(digestOf(sha256, state))
  }
})

test("a thread of its own for the hashes leaves it to one thread to name what is damaged", async () => {
  const rig = await busyRig()
  const sound = rig.store.entries
  const replaced = (change: (entry: Stored) => Stored): Stored[] => sound.map((entry) => (entry.seq === 40 ? change(entry) : entry))
  const damaged = [
    replaced((entry) => ({ ...entry, bytes: entry.bytes.replace(/"atMs":\d/, '"atMs":9') })),
    replaced((entry) => ({ ...entry, hash: entry.hash.with(0, entry.hash[0]! ^ 1) })),
    replaced((entry) => ({ ...entry, bytes: entry.bytes.slice(0, 30) })),
    sound.filter(({ seq }) => seq !== 40),
  ]
  for (const entries of damaged) expect(await replayApart(ledgerOf(entries), {})).toBeNull()
})

test("a long ledger is replayed on two cores as on one, and its damage named", async () => {
  const rig = await busyRig()
  const last = rig.entries().at(-1)!
  const more = Array.from({ length: 3_000 }, (_, at) =>
    encodeEntry({ ...last, seq: last.seq + 1 + at, type: "agent.edited", data: { name: "a", changes: { maxActive: at } } }),
  )
  const long = chained([...rig.entries().map(encodeEntry), ...more])
  const { state: _state, ...alone } = await replay(ledgerOf(long), sha256)
  expect(await replayOnTwoCores(ledgerOf(long), sha256)).toMatchObject(alone)
  expect(await replayOnTwoCores(ledgerOf(long), sha256, { to: 2_500 })).toMatchObject({ entries: 2_500 })
  long[2_700] = { ...long[2_700]!, hash: long[0]!.hash }
  await expect(replayOnTwoCores(ledgerOf(long), sha256)).rejects.toMatchObject({ code: "damaged", seq: 2_701 })
})

test("a replay on two cores goes on from a state, and reaches what one from the first entry reaches", async () => {
  const rig = await busyRig()
  const ledger = rig.store.open("auditor")
  const whole = await replay(ledger, sha256)
  for (const to of [1, 40, Math.floor(whole.entries / 2), whole.entries - 1]) {
    const { state, chain, digest } = await replay(ledger, sha256, { to })
    const reached = await replayApart(ledger, { to: whole.entries, from: { state, chain, digest } })
    expect(reached).toMatchObject({ digest: whole.digest, chain: whole.chain, entries: whole.entries })
    expect(reached?.compared).toEqual(whole.compared.filter(({ seq }) => seq > to))
    expect(reached && digestOf(sha256, reached.state)).toBe(whole.digest)
  }
})

/** What the rig has recorded, and three thousand entries after it: in all of them keys that come again, or are forgotten, and checkpoints on the way. */
function longTexts(rig: Rig): string[] {
  const last = rig.entries().at(-1)!
  const more = Array.from({ length: 3_000 }, (_, at) => {
    const key =
      at % 5 === 0
        ? { commandId: null, commandHash: null }
        : { commandId: `k${Math.floor(at / 2) % 400}${at % 7 === 0 ? ' "ü"' : ""}`, commandHash: String(at % 3) }
    const type = at % 400 === 1 ? "checkpoint.recorded" : "agent.edited"
    const data = at % 400 === 1 ? { size: 0, root: "", digest: "" } : { name: "a", changes: { maxActive: at, note: "ünïcode 🪿" } }
    return encodeEntry({ ...last, ...key, seq: last.seq + 1 + at, atMs: last.atMs + at * 60_000, type, data })
  })
  return [...rig.entries().map(encodeEntry), ...more]
}

async function inFile(entries: Stored[]): Promise<string> {
  const path = join(mkdtempSync(join(tmpdir(), "skein-replay-")), "main.sqlite")
  const writer = openSqlite({ path })
  await writer.append(0, entries)
  await writer.close()
  return path
}

test("a ledger in a file is read by the thread that hashes, and its damage named all the same", async () => {
  const path = await inFile(chained(longTexts(await busyRig())))
  const ledger = openSqlite({ path, readOnly: true })
  const { state, ...alone } = await replay(ledger, sha256)
  const withKeys = await replayApart(ledger, {})
  expect(withKeys).toMatchObject(alone)
  expect(withKeys && digestOf(sha256, withKeys.state)).toBe(digestOf(sha256, state))
  const withoutKeys = await replayApart(ledger, { keys: false })
  expect(withoutKeys).toMatchObject(alone)
  expect([withoutKeys?.state.keys.size, withoutKeys?.state.tasks.size]).toEqual([0, state.tasks.size])
  expect(await replayApart(ledger, { to: 2_500 })).toMatchObject({ entries: 2_500 })
  await ledger.close()
  const database = new DatabaseSync(path)
  database.exec("DROP TRIGGER entries_only_grow; UPDATE entries SET bytes = replace(bytes, 'ünïcode', 'UNICODE') WHERE seq = 2700")
  database.close()
  const damaged = openSqlite({ path, readOnly: true })
  expect(await replayApart(damaged, {})).toBeNull()
  await expect(replayOnTwoCores(damaged, sha256)).rejects.toMatchObject({ code: "damaged", seq: 2_700 })
  await damaged.close()
})

test("an entry that was written with two keys, of which the last counts, is left to one thread", async () => {
  const texts = longTexts(await busyRig()).map((text, at) => (at === 2_600 ? `${text.slice(0, -1)},"commandId":"another"}` : text))
  const ledger = openSqlite({ path: await inFile(chained(texts)), readOnly: true })
  const { state: _state, ...alone } = await replay(ledger, sha256)
  expect(await replayApart(ledger, { keys: false })).toBeNull()
  expect(await replayOnTwoCores(ledger, sha256, { keys: false })).toMatchObject(alone)
  await ledger.close()
})

test("what Node calls experimental is not said by the thread that hashes either", () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-replay-"))
  const store = join(folder, "store.mjs")
  // A store that is experimental in every version, as node:sqlite is in Node 22.
  writeFileSync(
    store,
    'process.emitWarning("a store", "ExperimentalWarning"); export const openForReading = () => ({ pack: async () => ({ bytes: new Uint8Array(0), lengths: new Uint32Array(0) }), close: async () => {} })',
  )
  const program = join(folder, "program.mjs")
  writeFileSync(
    program,
    `import { replayApart } from ${JSON.stringify(new URL("replay-apart.ts", import.meta.url).href)}
    const replayed = await replayApart({ elsewhere: { module: ${JSON.stringify(pathToFileURL(store).href)}, path: "" }, read: async () => [] }, { to: 5 })
    console.log(replayed?.entries)`,
  )
  const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8", env: { ...process.env, NODE_OPTIONS: "" } })
  expect([stdout, stderr]).toEqual(["0\n", ""])
})
