import { afterAll, beforeAll, expect, test } from "vitest"
import { takeSnapshot, type Workspace } from "../core/workspace.ts"
import { SnapshotReader } from "../dashboard/fold.ts"
import { replay } from "../hub/replay.ts"
import { letGo, memorySnapshots } from "../hub/snapshots.ts"
import { sha256 } from "../ledger/sha256.ts"
import { recordsAt as readRecordsAt } from "./records-at.ts"
import { type Instance, startInstance } from "./served.contract.ts"

const OPERATOR = { agent: "operator", session: null, role: "operator" as const }
const snapshots = memorySnapshots()
const ladder = memorySnapshots()
let hub: Instance
beforeAll(async () => {
  hub = await startInstance({ level: "warn", snapshots, ladder, limits: { snapshotEntries: 12, rungEntries: 10 } })
  for (let at = 0; at < 60; at += 1)
    await hub.loop.execute("task.add", OPERATOR, { id: `t${at}`, title: `Task ${at}` }, { key: { id: `k${at}`, hash: "0".repeat(32) } })
})
afterAll(() => hub.close())

/** All that is made when the hub has nothing else to do is made: older snapshots are let go of until then. */
async function isKept(): Promise<void> {
  await expect.poll(async () => (await hub.hub.ladder("main")!.rungs()).at(-1) ?? 0, { timeout: 20_000 }).toBeGreaterThanOrEqual(60)
  let last = ""
  const isSteady = async (): Promise<boolean> => {
    const [before, kept] = [last, await hub.loop.snapshots()]
    last = kept.join(" ")
    return last === before && (kept.at(-1) ?? 0) >= 60
  }
  await expect.poll(isSteady, { timeout: 20_000, interval: 200 }).toBe(true)
}

async function read(path: string): Promise<{ seq: number; text: string; state: Workspace }> {
  const response = await fetch(hub.url + path, { headers: { Authorization: `Bearer ${hub.operator}` } })
  expect(response.status).toBe(200)
  const text = await response.text()
  const reader = new SnapshotReader()
  reader.take(text)
  return { seq: Number(response.headers.get("Skein-Snapshot-Seq")), text, state: reader.whole() }
}

async function recordsAt(seq: number): Promise<unknown> {
  const { tables } = takeSnapshot((await replay(hub.loop.ledger, sha256, { to: seq, compare: false })).state)
  return { ...tables, keys: [] }
}

test("the records of a snapshot come without the keys of commands, from the last rung or from the snapshot itself", async () => {
  await isKept()
  const [kept] = await hub.loop.snapshots()
  const rung = (await hub.hub.ladder("main")!.rungs()).at(-1) as number
  const full = await read(`/snapshots/main/${kept}`)
  expect(full.text).toContain('["keys",')
  // Before the last rung there is only the snapshot.
  for (const [asked, answered] of [
    [hub.loop.head.seq, rung],
    [rung, rung],
    [Math.min(kept as number, rung - 1), kept],
  ] as const) {
    if (asked < (kept as number)) continue
    const { seq, text, state } = await read(`/snapshots/main/${asked}?records`)
    expect(seq).toBe(answered)
    expect(state.seq).toBe(answered)
    expect(takeSnapshot(state).tables).toEqual(await recordsAt(seq))
    expect(text).not.toContain('["keys",')
  }
})

test("a rung that was made between two looks, and is too new, is let go of: the snapshot before it answers", async () => {
  await isKept()
  const ladder = hub.hub.ladder("main")!
  const [kept] = await hub.loop.snapshots()
  const rungs = (await ladder.rungs()).filter((seq) => seq >= (kept as number))
  const asked = rungs.at(-2) as number
  let isLetGo = false
  async function* told(lines: AsyncIterable<string>): AsyncIterable<string> {
    try {
      yield* lines
    } finally {
      isLetGo = true
    }
  }
  const top = async (): ReturnType<typeof ladder.top> => {
    const found = await ladder.top()
    return found === null ? null : { ...found, lines: told(found.lines) }
  }
  const found = await readRecordsAt(hub.loop, { rungs: async () => rungs.slice(0, -1), top } as typeof ladder, asked)
  expect(found?.seq).toBe((await hub.loop.snapshots()).findLast((seq) => seq <= asked))
  await letGo(found!.lines)
  expect(isLetGo).toBe(true)
})

test("steps back are served from one rung to another, and to nobody without a credential", async () => {
  await isKept()
  const ask = (headers: Record<string, string>, path = "/back/main/10/40"): Promise<Response> => fetch(hub.url + path, { headers })
  expect((await ask({})).status).toBe(401)
  const bearer = { Authorization: `Bearer ${hub.operator}` }
  const lines = (await (await ask(bearer)).text()).split("\n").slice(0, -1)
  const heads = lines
    .map((line) => JSON.parse(line.slice(64)) as { from: number; to: number } | unknown[] | null)
    .filter((value) => !Array.isArray(value) && value !== null)
  expect(heads).toMatchObject([
    { to: 40, from: 30 },
    { to: 30, from: 20 },
    { to: 20, from: 10 },
  ])
  expect((await ask(bearer, "/back/main/x/40")).status).toBe(400)
  expect((await ask(bearer, "/back/main/40/10")).status).toBe(400)
  // What is no rung, or is none yet, leads nowhere.
  for (const path of ["/back/main/11/41", "/back/main/31/40", "/back/main/0/99999990"]) {
    const answer = await ask(bearer, path)
    expect([path, answer.status, await answer.json()]).toMatchObject([
      path,
      404,
      { code: "not_found", remedy: expect.stringContaining("ledger.snapshots") as string },
    ])
  }
})
