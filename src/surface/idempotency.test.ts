import { afterEach, expect, test } from "vitest"
import { type HttpClient, httpClient } from "../client/http.ts"
import { type Instance, startInstance } from "./served.contract.ts"

let hub: Instance
const clients: HttpClient[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await hub.close()
})

function clientOf(credential: string): HttpClient {
  const client = httpClient({ url: hub.url, credential })
  clients.push(client)
  return client
}

test("a command answers the same for the same key, and each agent has its own keys", async () => {
  hub = await startInstance()
  const [ada, ben] = [clientOf(await hub.agent("ada")), clientOf(await hub.agent("ben"))]
  const first = await ada.call("session.start", { runtime: "x" }, { key: "again" })
  const started = await ben.call("session.start", { runtime: "x" }, { key: "again" })
  const { seq } = hub.loop.head
  expect(await ben.call("session.start", { runtime: "x" }, { key: "again" })).toEqual(started)
  expect(hub.loop.head.seq).toBe(seq)
  expect(first.session).not.toBe(started.session)
})

test("a key stands for one payload, whatever was asked with another key just before", async () => {
  hub = await startInstance()
  const client = clientOf(hub.operator)
  const add = (key: string, id: string, labels: string[]): Promise<unknown> => client.call("task.add", { id, title: "One", labels }, { key })
  const first = await add("k1", "one", ["a"])
  await add("k2", "two", ["b"])
  await add("k3", "three", [])
  expect(await add("k1", "one", ["a"])).toEqual(first)
  for (const [id, labels] of [
    ["one", ["b"]],
    ["one", []],
    ["two", ["a"]],
  ] as const)
    await expect(add("k1", id, [...labels])).rejects.toMatchObject({ code: "idempotency_conflict" })
  await expect(add("k3", "three", ["a"])).rejects.toMatchObject({ code: "idempotency_conflict" })
})
