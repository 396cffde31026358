import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import { afterEach, expect, test } from "vitest"
import type { Ledger } from "../ledger/ledger.ts"
import { MemoryStore } from "../ledger/memory.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { type Answer, ask, raw } from "./wire.contract.ts"

/** Whoever waits over HTTP while a hub goes down hears so, and when to come again: none of them is cut off without a word. */

let hub: Instance
afterEach(() => hub.close())

const told = (answer: Answer, code: unknown): void => {
  expect({ status: answer.status, code }).toEqual({ status: 503, code: "hub_stopping" })
}

test.each([
  ["work.wait", { waitMs: 60_000 }, (): unknown => hub.loop.stats()["subscribers"]],
  ["task.claimNext", { waitMs: 60_000 }, (): unknown => hub.loop.stats()["parked"]],
])("%s that waits hears `hub_stopping` with the time to come again", async (operation, input, waiting) => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const headers = { authorization: `Bearer ${ada}` }
  const asked = ["/api/orpc/", "/rpc/"].map((way) =>
    ask(hub.url, way + operation.replace(".", "/"), { headers, body: JSON.stringify(way === "/rpc/" ? { json: input } : input) }),
  )
  await expect.poll(waiting, { timeout: 20_000 }).toBe(2)
  await hub.stop()
  const [plain, rpc] = (await Promise.all(asked)) as [Answer, Answer]
  told(plain, plain.body["code"])
  expect(plain.headers["retry-after"]).toBe("1")
  told(rpc, (rpc.body["json"] as { code: string }).code)
})

test.each(["/api/orpc/task/add", "/token", "/otlp/v1/logs", "/mcp", "/enter"])(
  "who has sent half a body to %s hears it too, and nothing was done",
  async (path) => {
    hub = await startInstance()
    const { host } = new URL(hub.url)
    const body = JSON.stringify({ id: "one", title: "One" })
    const heard = raw(
      hub.url,
      [
        `POST ${path} HTTP/1.1`,
        `Host: ${host}`,
        `Origin: http://${host}`,
        `Authorization: Bearer ${hub.operator}`,
        "Content-Type: application/json",
        `Content-Length: ${body.length}`,
        "",
        body.slice(0, 10),
      ].join("\r\n"),
    )
    // A request behind it is answered: that one has been read.
    await ask(hub.url, "/health", { method: "GET" })
    await ask(hub.url, "/health", { method: "GET" })
    await hub.stop()
    const answer = await heard
    expect(answer.status).toBe(503)
    expect(answer.text).toContain("hub_stopping")
    await hub.restart()
    expect(await hub.loop.read((state) => state.tasks.has("one"))).toBe(false)
  },
)

/** Asks for an answer of many MB, and hears all that comes of it, beginning as the hub goes down; `rest` is called after each MB. */
async function readAsItStops(request: string, rest: () => Promise<unknown>): Promise<string> {
  const socket = connect(Number(new URL(hub.url).port), "127.0.0.1")
  socket.on("error", () => undefined)
  socket.write(request)
  await new Promise((heard) => socket.once("readable", heard))
  const stopped = hub.stop()
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    const isMore = Math.floor(bytes / 1e6) < Math.floor((bytes += chunk.length) / 1e6)
    if (isMore) await rest()
  }
  await stopped
  return Buffer.concat(chunks).toString("latin1")
}

const many = async (): Promise<void> => {
  hub = await startInstance({ level: "silent" })
  const by = { agent: "operator", session: null, role: "operator" as const }
  for (let at = 0; at < 1_000; at += 1) await hub.loop.execute("task.add", by, { id: `t${at}`, title: "T", body: "x".repeat(10_000) })
}
const asked = (line: string, more = "", body = ""): string =>
  `${line} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nAuthorization: Bearer ${hub.operator}\r\n${more}\r\n${body}`
const LIST = '{"limit":1000}'
const JSON_BODY = `Content-Type: application/json\r\nContent-Length: ${LIST.length}\r\n`

test.each<[string, () => string, RegExp]>([
  ["an answer to a call", () => asked("POST /api/orpc/task/list", `${JSON_BODY}X-More: a\r\n`, LIST), /"cursor":\w+\}$/],
  ["an answer to a call that came whole", () => asked("POST /api/orpc/task/list", JSON_BODY, LIST), /"cursor":\w+\}$/],
  ["entries", () => asked("GET /entries/main/1/9999"), /\r\n0\r\n\r\n$/],
  ["events", () => asked("GET /events?from=1"), /event: closing\ndata: \{\}\n\n\r\n0\r\n\r\n$/],
])("a hub that goes down waits for who still reads, for seconds: %s", async (_, request, end) => {
  await many()
  const heard = await readAsItStops(request(), () => sleep(150))
  expect(heard.length).toBeGreaterThan(4e6)
  expect(heard.slice(-60)).toMatch(end)
})

test("a hub that goes down does not wait for who reads nothing", async () => {
  await many()
  const socket = connect(Number(new URL(hub.url).port), "127.0.0.1")
  socket.on("error", () => undefined)
  socket.write(asked("GET /entries/main/1/9999"))
  await new Promise((heard) => socket.once("readable", heard))
  await hub.stop()
  let bytes = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) bytes += chunk.length
  expect(bytes).toBeLessThan(9e6)
})

test("what comes of a body once its sender has heard that the hub goes down is not carried out", async () => {
  hub = await startInstance()
  const { host, hostname, port } = new URL(hub.url)
  const body = JSON.stringify({ id: "late", title: "Late" })
  const head = [`POST /api/orpc/task/add HTTP/1.1`, `Host: ${host}`, `Authorization: Bearer ${hub.operator}`, "Content-Type: application/json"]
  const socket = connect(Number(port), hostname)
  let text = ""
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk
    socket.end(body.slice(10))
  })
  socket.on("error", () => undefined)
  const ended = new Promise((resolve) => socket.on("close", resolve))
  socket.write([...head, `Content-Length: ${body.length}`, "", body.slice(0, 10)].join("\r\n"))
  await new Promise((connected) => socket.once("connect", connected))
  await ask(hub.url, "/health", { method: "GET" })
  await ask(hub.url, "/health", { method: "GET" })
  await hub.stop()
  await ended
  expect(text).toContain("hub_stopping")
  await hub.restart()
  expect(await hub.loop.read((state) => state.tasks.has("late"))).toBe(false)
})

/** Connects so often in a thread of its own, sends the request, and tells by `flags` that each has; answers what each heard. */
const CROWD = `
  const { parentPort, workerData: { port, request, crowd, flags } } = require("node:worker_threads")
  const { connect } = require("node:net")
  const heard = Array.from({ length: crowd }, () => new Promise((resolve) => {
    let text = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(request, () => Atomics.notify(flags, 0, Atomics.add(flags, 0, 1) + 1)))
    socket.setEncoding("latin1").on("data", (chunk) => (text += chunk))
    socket.on("error", ({ code }) => (text += code))
    socket.on("close", () => resolve(text))
  }))
  Promise.all(heard).then((all) => parentPort.postMessage(all))
`

test.each(["", "X-More: a\r\n"])("who has asked of a busy hub before it goes down hears it, also where it was not taken up yet", async (more) => {
  hub = await startInstance()
  const crowd = 60
  const flags = new Int32Array(new SharedArrayBuffer(4))
  const request = asked("POST /api/orpc/task/list", `${JSON_BODY}${more}`, LIST)
  const thread = new Worker(CROWD, { eval: true, workerData: { port: Number(new URL(hub.url).port), request, crowd, flags } })
  const heard = once(thread, "message")
  // The hub does nothing until all of them have asked: the system has taken their connections for it.
  for (let sent = 0; sent < crowd; sent = Atomics.load(flags, 0)) Atomics.wait(flags, 0, sent, 100)
  await hub.stop()
  const [all] = (await heard) as [string[]]
  expect(all.map((text) => /hub_stopping/.exec(text)?.[0] ?? text)).toEqual(all.map(() => "hub_stopping"))
})

test("what is asked as the hub goes down is answered, or was not done", async () => {
  const store = new MemoryStore()
  const openLedger = (): Promise<Ledger> => {
    const ledger = store.open()
    const append = ledger.append.bind(ledger)
    // So slow that some are under way whenever connections are looked at.
    ledger.append = (expected, batch) => sleep(50).then(() => append(expected, batch))
    return Promise.resolve(ledger)
  }
  hub = await startInstance({ level: "silent", openLedger })
  const added: string[] = []
  let isDown = false
  // Half of them are read by Node's HTTP.
  const clients = Array.from({ length: 16 }, async (_, client) => {
    const headers = { authorization: `Bearer ${hub.operator}`, ...(client % 2 === 0 ? {} : { "x-more": "a" }) }
    for (let at = 0; !isDown; at += 1) {
      const id = `c${client}-${at}`
      const answer = await ask(hub.url, "/api/orpc/task/add", { headers, body: JSON.stringify({ id, title: "T" }) }).catch(() => null)
      if (answer?.status === 200) added.push(id)
      else if (answer !== null) told(answer, answer.body["code"])
      else await sleep(1)
    }
  })
  await expect.poll(() => added.length, { timeout: 20_000 }).toBeGreaterThan(30)
  await hub.stop()
  isDown = true
  await Promise.all(clients)
  await hub.restart()
  expect((await hub.loop.read((state) => [...state.tasks.keys()])).toSorted()).toEqual(added.toSorted())
})
