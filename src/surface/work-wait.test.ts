import { afterEach, beforeEach, expect, test } from "vitest"
import { connect } from "../client/client.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask, talk } from "./wire.contract.ts"

let hub: Instance
let ada: string
const operator = { agent: "operator", session: null, role: "operator" as const }

beforeEach(async () => {
  hub = await startInstance()
  ada = await hub.agent("ada")
})
afterEach(() => hub.close())

async function wait(waitMs: number, bearer = ada): Promise<{ ready: string[]; notices: { text: string }[]; waitedMs: number; code?: string }> {
  const { body } = await ask(hub.url, `/api/orpc/${"work.wait".replace(".", "/")}`, {
    headers: { authorization: `Bearer ${bearer}` },
    body: JSON.stringify({ waitMs }),
  })
  return body as never
}
const addTask = (id: string, more: object = {}) => hub.loop.execute("task.add", operator, { id, title: id, ...more })
/** Settles when so many wait at the hub. */
async function waiters(count: number): Promise<void> {
  while (hub.loop.stats()["subscribers"] !== count) await new Promise((settle) => setTimeout(settle, 5))
}

test("a task that the caller could claim is answered at once, one that it could not is not", async () => {
  await addTask("hard", { requires: { cobol: 3 } })
  expect(await wait(0)).toMatchObject({ ready: [], notices: [], waitedMs: expect.any(Number) })
  await addTask("easy")
  expect((await wait(30_000)).ready).toEqual(["easy"])
})

test("a caller that waits is woken by the very entry that gives it work", async () => {
  const waiting = wait(15_000)
  await waiters(1)
  await addTask("one")
  const { ready, waitedMs } = await waiting
  expect(ready).toEqual(["one"])
  expect(waitedMs).toBeLessThan(15_000)
})

test("a directive wakes its target, and nobody else", async () => {
  const ben = await hub.agent("ben")
  const both = [wait(30_000), wait(30_000, ben)] as const
  await waiters(2)
  await hub.loop.execute("event.send", operator, {
    kind: "directive",
    directive: "pause",
    to: { agent: "ada" },
    task: null,
    priority: "high",
    text: "hold on",
    payload: {},
    requiresAck: true,
  })
  expect((await both[0]).notices.map(({ text }) => text)).toEqual(["hold on"])
  await addTask("one")
  expect(await both[1]).toMatchObject({ ready: ["one"], notices: [] })
})

test("with nothing to do it answers empty when the time is up", async () => {
  const { ready, waitedMs } = await wait(150)
  expect(ready).toEqual([])
  expect(waitedMs).toBeGreaterThanOrEqual(145)
})

test("a wait ends with its connection, and leaves no subscriber behind", async () => {
  const client = await connect({ url: hub.url, credential: ada })
  const gone = client.call("work.wait", { waitMs: 30_000 }).then(
    () => "answered",
    () => "given up",
  )
  await waiters(1)
  await client.close()
  expect(await gone).toBe("given up")
  await waiters(0)
})

test("nine hundred waits of one caller in one message are looked into together, when they come and when an entry does", async () => {
  let looks = 0
  const read = hub.loop.read.bind(hub.loop)
  hub.loop.read = (look) => {
    looks += 1
    return read(look)
  }
  const waits = Array.from({ length: 900 }, (_, id) => ({ id, op: "work.wait", in: { waitMs: 60_000 } }))
  const talking = talk(hub.url, [JSON.stringify({ hello: { token: ada } }), JSON.stringify(waits)], { count: 901 })
  await waiters(900)
  await addTask("one")
  const { frames } = await talking
  expect(frames.slice(1).map(({ ok }) => (ok as { ready: string[] }).ready)).toEqual(waits.map(() => ["one"]))
  expect(looks).toBeLessThan(50)
})

test("a hub that goes down says so to those who wait", async () => {
  const waiting = wait(30_000)
  await waiters(1)
  await hub.stop()
  expect((await waiting).code).toBe("hub_stopping")
})
