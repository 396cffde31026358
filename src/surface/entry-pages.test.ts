import { afterAll, beforeAll, expect, test } from "vitest"
import { type Instance, startInstance } from "./served.contract.ts"

let hub: Instance
beforeAll(async () => {
  hub = await startInstance({ level: "warn" })
  const operator = { agent: "operator", session: null, role: "operator" as const }
  await Promise.all(Array.from({ length: 700 }, (_, at) => hub.loop.execute("task.add", operator, { id: `t${at}`, title: "T" })))
})
afterAll(() => hub.close())

function ask(path: string, bearer: string | null = hub.operator): Promise<Response> {
  return fetch(hub.url + path, { headers: bearer === null ? {} : { Authorization: `Bearer ${bearer}` } })
}

test("entries come as they were hashed, in lines of 512, as far as the ledger goes", async () => {
  const text = await (await ask("/entries/main/3/9999")).text()
  const stored = (await hub.loop.entries(3, 9_999)).map(({ bytes }) => bytes)
  const lines = text.split("\n").slice(0, -1)
  expect(lines.map((line) => (JSON.parse(line) as unknown[]).length)).toEqual([512, stored.length - 512])
  expect(lines.map((line) => line.slice(1, -1)).join(",")).toBe(stored.join(","))
  expect(await (await ask("/entries/main/9999/10000")).text()).toBe("")
})

test("nobody reads entries without a credential, of another workspace, or by what is no seq", async () => {
  expect((await ask("/entries/main/1/2", null)).status).toBe(401)
  expect((await ask("/entries/other/1/2")).status).toBe(404)
  for (const path of ["/entries/main/0/2", "/entries/main/1/x", "/entries/main/1", "/entries/main/-1/3"]) expect((await ask(path)).status, path).toBe(400)
})
