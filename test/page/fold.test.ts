import { expect, test } from "vitest"
import { Chain } from "../../src/core/chain.ts"
import { decodeEntry } from "../../src/core/entry.ts"
import { flightOf } from "../../src/core/flight.ts"
import { allRows, Workspace } from "../../src/core/workspace.ts"
import { foldIn, SnapshotReader } from "../../src/dashboard/fold.ts"
import { digestOf } from "../../src/hub/fingerprint.ts"
import { snapshotLines } from "../../src/hub/snapshots.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { fold, Scenario } from "../scenario.ts"

/** A ledger with a bit of everything that a plan brings, and keys of commands. */
function ledger(): Scenario {
  const scenario = new Scenario()
  const agents = ["ann", "bob"].map((name) => scenario.agent(name))
  for (let at = 0; at < 40; at += 1) {
    const id = scenario.task(`t${at}`, { dependsOn: at % 4 === 0 ? [] : [`t${at - 1}`] })
    const agent = agents[at % 2]!
    const { fence } = scenario.must("task.claim", agent, { task: id }, { id: `k${at}`, hash: "00" }).answer
    if (at % 5 === 0) scenario.must("task.release", agent, { task: id, fence, reason: "later" })
    if (at % 5 === 0) scenario.claim(agent, id)
    scenario.complete(agent, id)
    scenario.wait(100)
  }
  return scenario
}

const rowsOf = (state: Workspace): unknown => allRows(state).filter(({ table }) => table !== "keys")

async function pieces(state: Workspace): Promise<string> {
  const lines = snapshotLines(sha256, state, new Chain(sha256).record(), digestOf(sha256, state), async () => undefined)
  let text = ""
  for await (const line of lines) text += line
  return text
}

test("the page folds entries as the hub does, and remembers no keys", () => {
  const { bytes } = ledger()
  const page = new Workspace()
  for (const line of bytes) foldIn(page, decodeEntry(line))
  expect(rowsOf(page)).toEqual(rowsOf(fold(bytes)))
  expect(page.keys.size).toBe(0)
  expect(page.journal.length).toBe(0)
})

test("a snapshot that comes in pieces of any size, and the entries after it, give the same state as all entries", async () => {
  const { bytes } = ledger()
  const half = Math.floor(bytes.length / 2)
  const text = await pieces(fold(bytes.slice(0, half)))
  for (const size of [1, 7, 4_096, text.length]) {
    const reader = new SnapshotReader()
    for (let at = 0; at < text.length; at += size) reader.take(text.slice(at, at + size))
    const state = reader.whole()
    expect(state.seq).toBe(half)
    for (const line of bytes.slice(half)) foldIn(state, decodeEntry(line))
    expect(rowsOf(state)).toEqual(rowsOf(fold(bytes)))
    expect(flightOf(state)).toEqual(flightOf(fold(bytes)))
  }
})

test("a snapshot that is cut off is not taken for a state", async () => {
  const text = await pieces(fold(ledger().bytes))
  const reader = new SnapshotReader()
  reader.take(text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1))
  expect(() => reader.whole()).toThrow("cut off")
})
