import { once } from "node:events"
import { createReadStream, type ReadStream } from "node:fs"
import { connect } from "node:net"
import { afterEach, expect, onTestFinished, test } from "vitest"
import { WebSocket } from "ws"
import { commands } from "../core/command.ts"
import { Unfinished } from "../core/unfinished.ts"
import { type Instance, startInstance } from "./served.contract.ts"

/** Callers whose connection is gone before the hub has looked at who they are, or at what they asked for: no event tells of it any more. */

let hub: Instance
afterEach(() => hub.close())

/** Sends a request, and cuts its connection once the hub is at it; resolves when the hub knows. */
async function askAndGo(head: string, body: unknown, atIt: Promise<void>, bearer = hub.operator): Promise<void> {
  const { hostname, port, host } = new URL(hub.url)
  const text = body === null ? "" : JSON.stringify(body)
  const headers = [`Host: ${host}`, `Authorization: Bearer ${bearer}`, "Accept: application/json, text/event-stream", "Content-Type: application/json"]
  const socket = connect(Number(port), hostname)
  socket.on("error", () => undefined)
  socket.write([`${head} HTTP/1.1`, ...headers, `Content-Length: ${Buffer.byteLength(text)}`, "", text].join("\r\n"))
  await atIt
  socket.resetAndDestroy()
  await answered()
}

/** Whatever reached the hub before is done. */
async function answered(): Promise<void> {
  for (let at = 0; at < 3; at += 1) await (await fetch(`${hub.url}/health`)).text()
}

/** Holds up who is looked for, where `held` says so. */
function slowLook(held: (session: string | null) => boolean): { atIt: Promise<void>; goOn(): void } {
  const atIt = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const { auth } = hub
  const look = auth.caller.bind(auth)
  auth.caller = async (bearer, wanted) => {
    const caller = await look(bearer, wanted)
    if (!held(wanted.session)) return caller
    atIt.resolve()
    await gate.promise
    return caller
  }
  return { atIt: atIt.promise, goOn: gate.resolve }
}

test("a reader of events that is gone by then has no stream", async () => {
  hub = await startInstance()
  const { atIt, goOn } = slowLook(() => true)
  await askAndGo("GET /events?from=1", null, atIt)
  goOn()
  await answered()
  expect(hub.loop.stats()["subscribers"]).toBe(0)
})

test("a snapshot that nobody reads any more is closed", async () => {
  const atIt = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  let file: ReadStream | null = null
  const open = async (): Promise<ReadStream> => {
    file = createReadStream(import.meta.filename, { encoding: "utf8" })
    atIt.resolve()
    await gate.promise
    return file
  }
  hub = await startInstance({ snapshots: { keep: async () => undefined, open, drop: async () => undefined, list: () => Promise.resolve([1]) } })
  await askAndGo("GET /snapshots/main/9", null, atIt.promise)
  gate.resolve()
  await expect.poll(() => file?.closed, { timeout: 10_000 }).toBe(true)
})

test("a wait by MCP ends where its caller is gone by then", async () => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const call = (name: string, given: object): object => ({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: given } })
  const headers = { authorization: `Bearer ${ada}`, accept: "application/json, text/event-stream", "content-type": "application/json" }
  await (await fetch(`${hub.url}/mcp`, { method: "POST", headers, body: JSON.stringify(call("start_session", {})) })).text()
  const { atIt, goOn } = slowLook((session) => session !== null)
  await askAndGo("POST /mcp", call("wait_for_work", { waitMs: 60_000 }), atIt, ada)
  goOn()
  await expect.poll(() => hub.lines.find((line) => line.includes('"operation":"work.wait"')), { timeout: 10_000 }).toContain('"code":"timed_out"')
})

test.each(["HTTP, whole", "HTTP", "WebSocket"])("a claim that takes long is not made for a caller that has gone meanwhile: %s", async (way) => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  await hub.loop.execute("task.add", { agent: "operator", session: null, role: "operator" }, { id: "t", title: "T" })
  const sound = commands["task.claimNext"]
  onTestFinished(() => void (commands["task.claimNext"] = sound))
  let isLong = true
  commands["task.claimNext"] = {
    ...sound,
    decide: (...asked) => {
      if (isLong) throw new Unfinished()
      return sound.decide(...asked)
    },
  }
  const { hostname, port, host } = new URL(hub.url)
  const socket = connect(Number(port), hostname)
  socket.on("error", () => undefined)
  if (way === "WebSocket") {
    const client = new WebSocket(`ws://${host}/ws`, { createConnection: () => socket })
    client.on("error", () => undefined)
    await once(client, "open")
    client.send(JSON.stringify({ hello: { token: ada } }))
    client.send(JSON.stringify({ id: 1, op: "task.claimNext", in: {}, key: "k" }))
  } else {
    const other = way === "HTTP" ? "X-Other: a\r\n" : ""
    const fields = `Host: ${host}\r\n${other}Authorization: Bearer ${ada}\r\nContent-Type: application/json\r\nContent-Length: 2`
    socket.write(`POST /api/orpc/task/claimNext HTTP/1.1\r\n${fields}\r\n\r\n{}`)
  }
  const putOff = (): number => hub.loop.stats()["putOff"] ?? 0
  await expect.poll(putOff, { timeout: 10_000 }).toBeGreaterThan(0)
  socket.destroy()
  // It is asked for no more; then it could be done.
  let before = -1
  await expect.poll(() => before === (before = putOff()), { timeout: 10_000, interval: 100 }).toBe(true)
  isLong = false
  await answered()
  expect(await hub.loop.read((state) => state.tasks.get("t")?.status)).toBe("pending")
})
