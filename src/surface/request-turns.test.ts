import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { afterEach, expect, test } from "vitest"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask } from "./wire.contract.ts"

const OPERATOR = { agent: "operator", session: null, role: "operator" } as const

/** What a client gets that sends its requests without waiting for answers. */

let hub: Instance
const open: Socket[] = []
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy()
  await hub.close()
})

function call(operation: string, input: unknown, token = hub.operator): string {
  const body = JSON.stringify(input)
  const { host } = new URL(hub.url)
  return `POST /api/orpc/${operation} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

async function connected(): Promise<Socket> {
  const socket = connect(Number(new URL(hub.url).port), "127.0.0.1").setEncoding("utf8")
  open.push(socket)
  await once(socket, "connect")
  return socket
}

/** Reads so many answers, and gives their bodies. */
async function answers(socket: Socket, count: number): Promise<string[]> {
  const bodies: string[] = []
  // A long answer comes in many pieces: they are put together once, when it is whole.
  let pieces: string[] = []
  let [held, wanted] = [0, 0]
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    pieces.push(chunk as string)
    held += (chunk as string).length
    if (held < wanted) continue
    let text = pieces.join("")
    wanted = 0
    for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
      const bytes = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1])
      if (text.length < end + 4 + bytes) {
        wanted = end + 4 + bytes
        break
      }
      bodies.push(text.slice(end + 4, end + 4 + bytes))
      text = text.slice(end + 4 + bytes)
    }
    pieces = [text]
    held = text.length
    if (bodies.length >= count) break
  }
  return bodies
}

/** The hub is asked on other connections often enough that whatever it had to do is done. */
async function othersAreServed(): Promise<Record<string, number>> {
  let status: Record<string, unknown> = {}
  for (let time = 0; time < 100; time += 1)
    status = (await ask(hub.url, "/api/orpc/hub/metrics", { headers: { authorization: `Bearer ${hub.operator}` }, body: "{}" })).body
  return status["surface"] as Record<string, number>
}

test("a client that asks for many long pages at once and reads none has few of them made", async () => {
  hub = await startInstance()
  for (let at = 0; at < 140; at += 1) await hub.loop.execute("task.add", OPERATOR, { id: `t${at}`, title: "T", body: "x".repeat(32_000) })
  const made: number[] = []
  const entries = hub.loop.entries.bind(hub.loop)
  hub.loop.entries = (first, limit) => {
    made.push(first)
    return entries(first, limit)
  }
  const socket = await connected()
  socket.write(Array.from({ length: 24 }, (_, at) => call("ledger/read", { from: at + 1, limit: 1_000 })).join(""))
  await othersAreServed()
  // One that waits to be sent, and what the operating system holds of those before it.
  expect(made.length).toBeLessThan(10)
  const bodies = await answers(socket, 24)
  expect(bodies.map((body) => (JSON.parse(body) as { entries: { seq: number }[] }).entries[0]?.seq)).toEqual(Array.from({ length: 24 }, (_, at) => at + 1))
})

test("behind a call that waits little is read, and all of it is answered in order", async () => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const many = 10_000
  const socket = await connected()
  socket.write(call("task/claimNext", { waitMs: 60_000 }, ada) + `GET /health HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\n\r\n`.repeat(many))
  expect((await othersAreServed())["requests"]).toBeLessThan(5_000)
  await hub.loop.execute("task.add", OPERATOR, { id: "one", title: "One" })
  const [claimed, ...rest] = await answers(socket, many + 1)
  expect(JSON.parse(claimed ?? "")).toMatchObject({ claims: [{ task: { id: "one" } }] })
  expect([rest.length, new Set(rest).size]).toEqual([many, 1])
})

test("of what one connection sends, each takes effect before the next, and what waits when the client leaves is not done", async () => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const socket = await connected()
  socket.write(call("task/add", { id: "a", title: "A" }, ada) + call("task/add", { id: "b", title: "B", dependsOn: ["a"] }, ada))
  expect((await answers(socket, 2)).map((body) => (JSON.parse(body) as { task: string }).task)).toEqual(["a", "b"])
  await hub.loop.execute("task.cancel", OPERATOR, { task: "a", reason: "r" })
  socket.write(call("task/claimNext", { waitMs: 60_000 }, ada) + call("task/add", { id: "late", title: "Late" }, ada))
  await othersAreServed()
  const isAdded = (): Promise<boolean> => hub.loop.read((state) => state.tasks.has("late"))
  expect(await isAdded()).toBe(false)
  socket.destroy()
  await othersAreServed()
  expect([await isAdded(), hub.loop.stats()["parked"]]).toEqual([false, 0])
})

test("what is no HTTP is refused after what came before it is answered, and nothing waits any more once its client has left", async () => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const parked = (count: number) => expect.poll(() => hub.loop.stats()["parked"]).toBe(count)
  const wait = call("task/claimNext", { waitMs: 60_000 }, ada)
  const [left, stays, last] = [await connected(), await connected(), await connected()]
  left.write(`${wait}what?\r\n\r\n`)
  await parked(1)
  left.end("what?\r\n\r\n")
  await parked(0)
  stays.write(`${wait}what?\r\n\r\n`)
  await parked(1)
  await hub.loop.execute("task.add", OPERATOR, { id: "one", title: "One" })
  expect((await answers(stays, 2)).map((body) => JSON.parse(body) as unknown)).toMatchObject([
    { claims: [{ task: { id: "one" } }] },
    { message: "this is no HTTP request" },
  ])
  last.write(`${call("ledger/head", {}).replace("\r\n", "\r\nConnection: close\r\n")}more`)
  expect(JSON.parse((await answers(last, 1))[0] ?? "")).toMatchObject({ seq: hub.loop.head.seq })
})

test("a WebSocket that is asked for behind other requests opens when they are answered", async () => {
  hub = await startInstance()
  const socket = await connected()
  let heard = ""
  socket.on("data", (chunk) => (heard += String(chunk)))
  socket.write(
    `${call("ledger/head", {}).repeat(2)}GET /ws HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  )
  await expect.poll(() => heard).toMatch(/101 Switching Protocols[^]*\r\n\r\n$/)
  expect(heard.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 101"])
})
