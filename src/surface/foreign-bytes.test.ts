import { connect } from "node:net"
import { afterAll, beforeAll, expect, test } from "vitest"
import { WebSocket } from "ws"
import { FuzzedHub } from "../../test/fuzz/fuzzed-hub.ts"
import { exchange } from "../../test/fuzz/raw-http.ts"
import { serve } from "./http.ts"

/** What fuzzing found here, each case reduced. */

let hub: FuzzedHub
beforeAll(async () => {
  hub = await FuzzedHub.open()
})
afterAll(() => hub.close())

const head = (lines: readonly string[]): string => `${lines.join("\r\n")}\r\nHost: 127.0.0.1:${hub.port}\r\nAuthorization: Bearer ${hub.bearers.operator}\r\n`
const ask = (text: string) => exchange({ port: hub.port, pieces: [Buffer.from(text)], whole: true, patienceMs: 3_000 })

/** Says hello, then the frame; answers what came back, until the connection closed or an answer to the last call came. */
function say(frame: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${hub.served.url.replace("http", "ws")}/ws`)
    const heard: string[] = []
    socket.on("open", () => {
      socket.send(JSON.stringify({ hello: { token: hub.bearers.observer } }))
      socket.send(frame)
      socket.send('{"id":99,"op":"ledger.head","in":{}}')
    })
    socket.on("message", (data) => {
      heard.push((data as Buffer).toString("utf8"))
      if (heard.join("").includes('"id":99')) socket.close()
    })
    socket.on("error", reject)
    socket.on("close", () => resolve(heard))
  })
}

test("a frame whose id is nested deeper than the stack is refused, and ends no hub", async () => {
  const heard = await say(`{"id":${"[".repeat(100_000)}${"]".repeat(100_000)}}`)
  expect(heard.join("")).toContain('"id":null,"error":{"code":"invalid_input"')
  hub.checkSound()
})

test("a subscription from a place nested deeper than the stack is refused, and ends no hub", async () => {
  const heard = await say(`{"subscribe":{"from":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`)
  expect(heard.join("")).toContain('"subscribe":null,"error":{"code":"invalid_input"')
  hub.checkSound()
})

test("a status that every object has is none of an event's", async () => {
  for (const status of ["constructor", "toString", "__proto__", { toString: 1 }]) {
    const body = JSON.stringify({ kind: "task_update", payload: { status } })
    const answer = await ask(`${head(["POST /api/orpc/event/send HTTP/1.1"])}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    expect([answer.status, JSON.parse(String("body" in answer ? answer.body : ""))]).toEqual([422, expect.objectContaining({ code: "invalid" })])
  }
  hub.checkSound()
})

test("whoever is refused while still sending gets the answer, however much it sends", async () => {
  for (const length of [1_000, 300_000, 5_000_000]) {
    const body = " ".repeat(length)
    const refused = await ask(`${head(["POST /rpc/task/block HTTP/1.1", "Origin: null"])}Content-Length: ${length}\r\n\r\n${body}`)
    expect(refused.status).toBe(403)
    const chunked = await ask(
      `${head(["POST /token HTTP/1.1", "Transfer-Encoding: chunked"])}Content-Type: application/json\r\n\r\n${length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    )
    expect(chunked.status).toBe(length > 4_096 ? 413 : 400)
  }
})

test("an expectation and a request for a tunnel are refused with words", async () => {
  const expecting = await ask(`${head(["GET /health HTTP/1.1", "Expect: other"])}\r\n`)
  const tunnel = await ask(`${head(["CONNECT /health HTTP/1.1"])}\r\n`)
  for (const answer of [expecting, tunnel])
    expect(JSON.parse(String("body" in answer ? answer.body : ""))).toMatchObject({ remedy: expect.stringMatching(/./) as string })
  expect([expecting.status, tunnel.status]).toEqual([400, 405])
})

test("an offer of HTTP/2 is passed over, and the request answered", async () => {
  const answer = await ask(`${head(["GET /health HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA"])}\r\n`)
  expect(answer.status).toBe(200)
})

test("a refused upgrade leaves no connection behind, whatever its client does", async () => {
  const other = await FuzzedHub.open()
  const socket = connect({ port: other.port, host: "127.0.0.1", allowHalfOpen: true })
  await new Promise<void>((resolve) => {
    socket.on("data", () => resolve())
    socket.write(`GET /none HTTP/1.1\r\nHost: 127.0.0.1:${other.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
  })
  // The client neither closes nor sends: a server that waited for it could not go down.
  const startMs = performance.now()
  await other.close()
  expect(performance.now() - startMs).toBeLessThan(4_000)
  socket.destroy()
})

test("an empty address to listen on is refused: it would mean every one", async () => {
  await expect(serve({ host: "" } as never)).rejects.toMatchObject({ code: "invalid_input" })
})
