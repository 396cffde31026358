import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, expect, test } from "vitest"
import { WebSocket } from "ws"
import { STRANGERS_MAX } from "./places.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask } from "./wire.contract.ts"

let hub: Instance
const sockets: { destroy(): void }[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await hub.close()
})

type Open = { socket: Socket; text: string; isClosed: boolean }

function open(bytes = ""): Promise<Open> {
  const { port, hostname } = new URL(hub.url)
  const socket = connect(Number(port), hostname)
  sockets.push(socket)
  const state: Open = { socket, text: "", isClosed: false }
  socket.on("error", () => undefined)
  socket.setEncoding("latin1").on("data", (text: string) => (state.text += text))
  socket.on("close", () => (state.isClosed = true))
  return new Promise((resolve) => socket.once("connect", () => socket.write(bytes, () => resolve(state))))
}

/** A request of which the last byte of the body is missing. */
function half(bearer: string | null, path = "/api/orpc/ledger/head"): string {
  const who = bearer === null ? "" : `Authorization: Bearer ${bearer}\r\n`
  return `POST ${path} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\n${who}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{`
}

type Said = { frames: Record<string, unknown>[]; closed: number | null; ws: WebSocket }

async function greet(token: string | null): Promise<Said> {
  const ws = new WebSocket(`${hub.url.replace("http", "ws")}/ws`)
  sockets.push({ destroy: () => ws.terminate() })
  const said: Said = { frames: [], closed: null, ws }
  ws.on("error", () => undefined)
  ws.on("message", (data: Buffer) => said.frames.push(...[JSON.parse(data.toString()) as Record<string, unknown>].flat()))
  ws.on("close", (code) => (said.closed = code))
  await new Promise((resolve) => ws.once("open", resolve))
  if (token === null) return said
  ws.send(JSON.stringify({ hello: { token } }))
  await expect.poll(() => said.frames.length > 0, { timeout: 20_000 }).toBe(true)
  return said
}

const head = (bearer: string): Promise<{ status: number; body: Record<string, unknown>; headers: object }> =>
  ask(hub.url, "/api/orpc/ledger/head", { headers: { authorization: `Bearer ${bearer}` }, body: "{}" })

test("strangers in any state hold no more than their places: the longest here hear so, and everybody else is answered", async () => {
  hub = await startInstance({ connectionsMax: 16 })
  const ada = await hub.agent("ada")
  const health = `GET /health HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\n\r\n`
  const kinds = ["", "POST /tok", half(null, "/token"), half(null, "/enter"), health, `${half(null)}}`, half("none")]
  const opened: Open[] = []
  for (let at = 0; at < 2 * STRANGERS_MAX; at += 1) opened.push(await open(kinds[at % kinds.length]))
  const silent = await Promise.all(Array.from({ length: STRANGERS_MAX + 16 }, () => greet(null)))
  await expect.poll(() => opened.every(({ isClosed }) => isClosed), { timeout: 20_000 }).toBe(true)
  expect(opened[2]?.text).toMatch(/^HTTP\/1.1 429 [^]*Retry-After: 1[^]*"code":"overloaded"/)
  // Each request has one answer, and none that was not asked for: what comes of it a client could take for the answer to its next one.
  const statuses = opened.map(({ text }) => text.match(/(?<=HTTP\/1\.1 )\d+/g) ?? [])
  expect(statuses.slice(0, kinds.length)).toEqual([[], ["429"], ["429"], ["403"], ["200"], ["401"], ["401"]])
  expect((await head(ada)).status).toBe(200)
  expect((await head(hub.operator)).status).toBe(200)
  expect((await greet(ada)).frames[0]).toHaveProperty("welcome")
  for (let at = 0; at < STRANGERS_MAX + 16; at += 1) await open()
  await expect.poll(() => silent.every(({ closed }) => closed !== null), { timeout: 20_000 }).toBe(true)
  expect(silent[0]).toMatchObject({ closed: 1013, frames: [{ error: { code: "overloaded" } }] })
})

test("an upgrade that is no WebSocket's holds nothing either, also behind a call that came whole", async () => {
  hub = await startInstance({ connectionsMax: 16 })
  const { host } = new URL(hub.url)
  const upgrade = `GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\n\r\n`
  const opened: Open[] = []
  for (let at = 0; at < 2 * STRANGERS_MAX; at += 1) {
    const one = await open(at % 2 === 0 ? upgrade : `${half(null)}}`)
    if (at % 2 === 1) await expect.poll(() => one.text, { timeout: 20_000, interval: 1 }).toContain("401")
    one.socket.write(at % 2 === 0 ? "" : upgrade)
    opened.push(one)
  }
  const errors = hub.lines.filter((line) => line.includes('"level":50'))
  await expect.poll(() => opened.filter(({ isClosed }) => !isClosed).length, { timeout: 20_000 }).toBeLessThanOrEqual(STRANGERS_MAX + 16)
  expect(errors).toEqual([])
  expect((await head(hub.operator)).status).toBe(200)
})

test("a team of more than strangers have places for may come all at once: places that no agent uses are strangers' meanwhile", async () => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const team = Array.from({ length: STRANGERS_MAX + 100 }, () => open())
  const opened = await Promise.all(team)
  await head(hub.operator)
  for (const { socket } of opened) socket.write(`${half(ada)}}`)
  await expect.poll(() => opened.every(({ text }) => text.includes("200 OK")), { timeout: 20_000 }).toBe(true)
})

test("an agent has a quarter of the places by whatever it holds them, in as many sessions as it likes, and is told by name; others have theirs", async () => {
  hub = await startInstance({ connectionsMax: 16 })
  const [ada, ben] = [await hub.agent("ada"), await hub.agent("ben")]
  const welcomed = [await greet(ada), await greet(ada)]
  expect(welcomed.map(({ frames }) => Object.keys(frames[0] ?? {}))).toEqual([["welcome"], ["welcome"]])
  // A wait, and a body that does not end.
  const waiting = ask(hub.url, "/api/orpc/work/wait", { headers: { authorization: `Bearer ${ada}` }, body: '{"waitMs":60000}' }).catch(() => null)
  await open(half(ada))
  await expect.poll(() => hub.loop.stats()["subscribers"], { timeout: 20_000 }).toBe(1)
  await expect.poll(async () => (await head(ada)).status, { timeout: 20_000 }).toBe(429)
  const { body, headers } = await head(ada)
  expect(body).toMatchObject({ code: "overloaded", details: { agent: "ada", limit: 4 } })
  expect(headers).toHaveProperty("retry-after", "1")
  const more = await greet(ada)
  await expect.poll(() => more.closed, { timeout: 20_000 }).toBe(1013)
  expect(more.frames).toMatchObject([{ error: { code: "overloaded", message: expect.stringContaining("ada has 4 connections") as string } }])
  expect((await head(ben)).status).toBe(200)
  expect((await head(hub.operator)).status).toBe(200)
  // One that is over gives its place back.
  welcomed[0]?.ws.terminate()
  await expect.poll(async () => (await head(ada)).status, { timeout: 20_000 }).toBe(200)
  await hub.stop()
  await waiting
})

test("an agent's connection on which nothing is under way gives way to its next one", async () => {
  hub = await startInstance({ connectionsMax: 16 })
  const ada = await hub.agent("ada")
  const whole = (): string => `${half(ada)}}`
  const opened: Open[] = []
  for (let at = 0; at < 12; at += 1) {
    const one = await open(whole())
    await expect.poll(() => one.text, { timeout: 20_000 }).toContain("200 OK")
    opened.push(one)
  }
  await expect.poll(() => opened.map(({ isClosed }) => isClosed), { timeout: 20_000 }).toEqual(opened.map((_, at) => at < 8))
})

test("connections that break, in whatever state, give their places back", async () => {
  hub = await startInstance({ connectionsMax: 16 })
  const ada = await hub.agent("ada")
  for (let round = 0; round < 5; round += 1) {
    const states = [
      open(),
      open("GE"),
      open(half(null)),
      open(half(ada)),
      open(`${half(ada)}}`),
      open("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
      open("\r\n\0"),
    ]
    const all = await Promise.all(states)
    const greeted = await greet(ada).catch(() => null)
    await sleep(5)
    for (const [at, { socket }] of all.entries()) {
      if (at % 2 === round % 2) socket.resetAndDestroy()
      else socket.end()
    }
    for (const { socket } of all) socket.destroy()
    greeted?.ws.terminate()
  }
  await expect
    .poll(async () => (await Promise.all([head(ada), head(ada), head(ada), head(ada)])).map(({ status }) => status), { timeout: 20_000 })
    .toEqual([200, 200, 200, 200])
})
