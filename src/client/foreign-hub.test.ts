import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, expect, test } from "vitest"
import { WebSocketServer } from "ws"
import { connect } from "./client.ts"
import { httpClient } from "./http.ts"
import { errorFrom } from "./post.ts"

/** What fuzzing found: something else than a hub listens where the hub was. Each case reduced. */

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Answers every POST with a body, and every WebSocket message with a text. */
async function foreign(body: string, text: string, welcomeFirst = false): Promise<string> {
  const server = createServer((_, response) => response.end(body))
  const sockets = new WebSocketServer({ server })
  sockets.on("connection", (socket) => {
    let answers = 0
    socket.on("message", () => socket.send(welcomeFirst && answers++ === 0 ? '{"welcome":{"session":null}}' : text))
  })
  return listening(server)
}

test("an answer that is no JSON, or no answer of a hub's, is told as such and breaks nothing", async () => {
  for (const body of ["", "no", "null", "1", "[]", "{}", '{"token":1}']) {
    const url = await foreign(body, "")
    const client = httpClient({ url, credential: "skc_a_b_c", timeoutMs: 500 })
    await expect(client.call("ledger.head", {}), body).rejects.toMatchObject({ name: "SkeinError", remedy: expect.stringMatching(/./) as string })
    client.close()
    await expect(connect({ url, credential: "skc_a_b_c", timeoutMs: 300 }), body).rejects.toMatchObject({ name: "SkeinError" })
  }
})

test("a message that is no frame of a hub's ends the connection, not the process", async () => {
  for (const text of ["no", "null", "[null]", "1", '{"welcome":null}', '{"events":1}', '{"events":[],"from":"x","to":1}']) {
    await expect(connect({ url: await foreign("{}", text), token: "t", timeoutMs: 300 }), text).rejects.toMatchObject({ code: "hub_unreachable" })
    const client = await connect({ url: await foreign("{}", text, true), token: "t", timeoutMs: 10_000, reconnect: { baseMs: 1, capMs: 5 } })
    await expect(client.call("task.claim", { task: "a" }, { timeoutMs: 100 }), text).rejects.toMatchObject({ name: "SkeinError" })
    await client.close()
  }
})

test("an upgrade that is refused by HTTP is told as what was said: the hub's own words, or that it is no hub", async () => {
  const answering = (status: number, body: string): Promise<string> =>
    listening(
      createServer((_, response) => response.end('{"token":"t"}')).on("upgrade", (_, socket) =>
        socket.on("error", () => undefined).end(`HTTP/1.1 ${status} No\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
      ),
    )
  const said = { code: "overloaded", message: "all places are taken", remedy: "Come again.", details: {}, retryAfterMs: 10 }
  const full = connect({ url: await answering(429, JSON.stringify(said)), token: "t", timeoutMs: 300, reconnect: { baseMs: 1, capMs: 5 } })
  await expect(full).rejects.toMatchObject({ code: "overloaded", message: "all places are taken", remedy: "Come again." })
  const refused = { ...said, code: "origin_refused", message: "the Host header is not this hub's" }
  await expect(connect({ url: await answering(403, JSON.stringify(refused)), token: "t", timeoutMs: 30_000 })).rejects.toMatchObject({ code: "origin_refused" })
  for (const body of ["", "no", "null", "[]", "{}", '{"code":"x"}', "x".repeat(200_000)])
    await expect(connect({ url: await answering(404, body), token: "t", timeoutMs: 30_000 }), body.slice(0, 20)).rejects.toMatchObject({
      code: "hub_unreachable",
      message: expect.stringContaining("HTTP 404") as string,
    })
})

test("a stream that the hub dropped because it was read too slowly goes on from where it stands", async () => {
  const server = createServer()
  const asked: number[] = []
  let connections = 0
  new WebSocketServer({ server }).on("connection", (socket) => {
    connections += 1
    socket.on("message", (data: Buffer) => {
      const frames = [JSON.parse(data.toString("utf8")) as Record<string, { from: number }> | Record<string, { from: number }>[]].flat()
      for (const { hello, subscribe } of frames) {
        if (hello !== undefined) socket.send('{"welcome":{"session":null}}')
        if (subscribe !== undefined) {
          asked.push(subscribe.from)
          socket.send(subscribe.from === 1 ? '[{"events":[{"seq":1},{"seq":2}],"from":1,"to":2},{"resync":3}]' : '{"events":[{"seq":3}],"from":3,"to":3}')
        }
      }
    })
  })
  const client = await connect({ url: await listening(server), token: "t", timeoutMs: 5_000 })
  const seen: number[] = []
  for await (const { seq } of client.events({ from: 1 })) if (seen.push(seq) === 3) break
  await client.close()
  expect({ seen, asked, connections }).toEqual({ seen: [1, 2, 3], asked: [1, 3], connections: 1 })
})

test("what can be no credential goes nowhere, and a token that can be none is not taken", async () => {
  for (const credential of ["", "skc_a b", "skc_a\r\nX: 1", "skc_\u001b[2J", "\u00e9"]) {
    const client = httpClient({ url: "http://127.0.0.1:1", credential })
    await expect(client.call("ledger.head", {}), credential).rejects.toMatchObject({ code: "unauthenticated" })
    client.close()
  }
  const url = await foreign('{"token":"\\u001b]0;owned\\u0007","lastsMs":1}', "")
  await expect(connect({ url, credential: "skc_a_b_c", timeoutMs: 300 })).rejects.toMatchObject({ code: "hub_unreachable" })
})

test("of an error that came over the wire only what has its type is taken", () => {
  const given = { code: "overloaded", message: { toString: 1 }, remedy: [], details: null, retryAfterMs: "soon" }
  expect(errorFrom(given).toJSON()).toEqual({ code: "overloaded", message: "overloaded", remedy: "", details: {}, retryAfterMs: null })
  expect(errorFrom({ ...given, retryAfterMs: 1e300 }).retryAfterMs).toBe(3_600_000)
  expect(errorFrom({ ...given, code: "constructor" }).code).toBe("internal")
})
