import { connect, type Socket } from "node:net"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { type Instance, startInstance } from "./served.contract.ts"

/** Clients that end their side once they have asked, as `nc -N` does, and those that end it, or say what is none, in the midst of a request that has its answer. */

let hub: Instance
let ada: string
beforeEach(async () => {
  hub = await startInstance({ level: "silent" })
  ada = await hub.agent("ada")
})
afterEach(() => hub.close())

/** Sends it, ends that side where it is told to, and hears the other one to its end. */
function heardTo(bytes: string, { ends, onText }: { ends: boolean; onText?: (socket: Socket, text: string) => void }): Promise<string> {
  const socket = connect({ port: Number(new URL(hub.url).port), host: "127.0.0.1", allowHalfOpen: true })
  let text = ""
  socket.on("error", () => undefined)
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk
    onText?.(socket, text)
  })
  if (ends) socket.end(bytes)
  else socket.write(bytes)
  return new Promise((resolve) => {
    socket.on("end", () => socket.destroy())
    socket.on("close", () => resolve(text))
  })
}

const get = (path: string, more = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nAuthorization: Bearer ${hub.operator}\r\n${more}\r\n`
const post = (operation: string, input: object, { bearer = hub.operator, more = "" } = {}): string => {
  const body = JSON.stringify(input)
  const length = `Content-Length: ${body.length}\r\n`
  return `POST /api/orpc/${operation} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nAuthorization: Bearer ${bearer}\r\nContent-Type: application/json\r\n${length}${more}\r\n${body}`
}

test.each<[string, () => string, RegExp]>([
  ["what needs no token", () => get("/health"), /"ok":true/],
  ["what takes its time to be made", () => get("/api/openapi.json"), /\r\n0\r\n\r\n$/],
  ["entries", () => get("/entries/main/1/9"), /"agent.added"[^]*\r\n0\r\n\r\n$/],
  ["a command that came whole", () => post("task/add", { id: "t", title: "T" }), /"task":"t"/],
  ["a command that Node's HTTP reads", () => post("task/add", { id: "t", title: "T" }, { more: "X-More: a\r\n" }), /"task":"t"/],
  ["several commands", () => post("task/add", { id: "t", title: "T" }) + post("task/add", { id: "u", title: "U" }), /"task":"t"[^]*"task":"u"/],
])("who has ended its side is answered: %s", async (_, asked, answer) => {
  expect(await heardTo(asked(), { ends: true })).toMatch(answer)
})

const mcp = (method: string, params: object, of: object = {}): string => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, ...of } })
  const headers = `Authorization: Bearer ${ada}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n`
  const newest = Object.keys(of).length === 0 ? "" : `MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: ${method}\r\n`
  return `POST /mcp HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\n${headers}${newest}Content-Length: ${body.length}\r\n\r\n${body}`
}
const MCP_NEWEST = "io.modelcontextprotocol"
const NEWEST = {
  _meta: {
    [`${MCP_NEWEST}/protocolVersion`]: "2026-07-28",
    [`${MCP_NEWEST}/clientInfo`]: { name: "t", version: "1" },
    [`${MCP_NEWEST}/clientCapabilities`]: {},
  },
}

test.each<[string, () => string, RegExp]>([
  ["which tools there are", () => mcp("tools/list", {}), /"claim_task"[^]*\r\n0\r\n\r\n$/],
  ["a call", () => mcp("tools/call", { name: "start_session", arguments: {} }), /s_[0-9a-z]+/],
  ["several calls", () => mcp("tools/list", {}) + mcp("tools/call", { name: "start_session", arguments: {} }), /"claim_task"[^]*s_[0-9a-z]+/],
  // The hub has nothing to tell on such a stream, and ends it by itself.
  ["a stream", () => mcp("subscriptions/listen", { notifications: { toolsListChanged: true } }, NEWEST), /acknowledged[^]*\r\n0\r\n\r\n$/],
])("who asks by MCP and has ended its side is answered: %s", async (_, asked, answer) => {
  expect(await heardTo(asked(), { ends: true })).toMatch(answer)
})

test("who waits by MCP and ends its side is taken for gone", async () => {
  await heardTo(mcp("tools/call", { name: "start_session", arguments: {} }), { ends: true })
  await heardTo(mcp("tools/call", { name: "wait_for_work", arguments: { waitMs: 60_000 } }), { ends: true })
  expect(hub.loop.stats()["subscribers"]).toBe(0)
})

describe.each(["work/wait", "task/claimNext"])("who waits by %s and ends its side", (operation) => {
  test("is taken for gone, also behind another request", async () => {
    for (const before of ["", get("/health")]) {
      const heard = await heardTo(before + post(operation, { waitMs: 60_000 }, { bearer: ada }), { ends: true })
      expect(heard).not.toContain('"claims"')
      expect(hub.loop.stats()["subscribers"]).toBe(0)
      expect(hub.loop.stats()["parked"]).toBe(0)
    }
  })
})

test("a stream of events ends with its reader's side", async () => {
  const read = heardTo(get("/events?from=1"), { ends: false, onText: (socket) => socket.end() })
  expect(await read).toContain("event: entries")
  expect(hub.loop.stats()["subscribers"]).toBe(0)
})

test.each<[string, (socket: Socket) => void]>([
  ["ends it", (socket) => socket.end()],
  ["goes on with what is no chunk", (socket) => socket.write("none\r\n")],
])("who has its answer before its own request is whole, and %s, hears nothing more", async (_, goesOn) => {
  let wasSent = false
  const onText = (socket: Socket, text: string): void => {
    if (wasSent || !text.includes('"ok":true')) return
    wasSent = true
    goesOn(socket)
  }
  const heard = await heardTo(get("/health", "Transfer-Encoding: chunked\r\n"), { ends: false, onText })
  expect(heard.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"])
})

test("nothing is said in the midst of an answer: a stream is cut where its request turns out to be none", async () => {
  let wasSent = false
  const onText = (socket: Socket, text: string): void => {
    if (wasSent || !text.includes("event: entries")) return
    wasSent = true
    socket.write("none\r\n")
  }
  const heard = await heardTo(get("/events?from=1", "Transfer-Encoding: chunked\r\n"), { ends: false, onText })
  expect(heard.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"])
})
