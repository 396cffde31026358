import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import fc from "fast-check"
import { afterEach, expect, test, vi } from "vitest"
import { PlainHttp } from "./plain-http.ts"

const servers: { close(): unknown }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const never = new AbortController().signal

async function listening(server: Pick<Server, "listen" | "address" | "close">): Promise<URL> {
  servers.push(server)
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/rpc/x?y=1`)
}

/** A server that answers whatever it is asked with these bytes, in pieces cut at these places. */
function answering(bytes: Buffer, cuts: readonly number[] = [], then: (socket: Socket) => void = () => undefined): Server {
  return createServer((socket) => {
    socket.on("error", () => undefined)
    socket.once("data", () => {
      let from = 0
      for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
        socket.write(bytes.subarray(from, cut))
        from = cut
      }
      then(socket)
    })
  })
}

test("a request is what any HTTP server expects, and connections are used again", async () => {
  const seen: { path: string | undefined; host: string | undefined; body: string; port: number | undefined }[] = []
  const url = await listening(
    createHttpServer((request, response) => {
      void (async () => {
        let body = ""
        for await (const chunk of request) body += String(chunk)
        seen.push({ path: request.url, host: request.headers.host, body, port: request.socket.remotePort })
        response.writeHead(200, { "Content-Length": 2 }).end("ok")
      })()
    }),
  )
  const http = new PlainHttp({ keepAlive: true })
  for (const body of ["{}", "gänse"]) expect(await http.post(url, { "X-A": "1" }, body, never)).toEqual({ status: 200, text: "ok" })
  http.close()
  expect(seen.map(({ path, host, body }) => ({ path, host, body }))).toEqual(["{}", "gänse"].map((body) => ({ path: "/rpc/x?y=1", host: url.host, body })))
  expect(seen[0]?.port).toBe(seen[1]?.port)
})

test("an answer is the same however it is cut into pieces, by its length or in chunks", async () => {
  const plain = Buffer.from(
    'HTTP/1.1 429 Too Many\r\nContent-Length: 11\r\nRetry-After: 1\r\n\r\n{"a":"gän"}'.replace("11", String(Buffer.byteLength('{"a":"gän"}'))),
  )
  const chunked = Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n8;x=1\r\n:"gän"}\r\n0\r\n\r\n')
  for (const [bytes, status] of [
    [plain, 429],
    [chunked, 200],
  ] as const) {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: bytes.length }), { maxLength: 6 }), async (cuts) => {
        const http = new PlainHttp({ keepAlive: false })
        expect(await http.post(await listening(answering(bytes, cuts)), {}, "{}", never)).toEqual({ status, text: '{"a":"gän"}' })
      }),
      { numRuns: 40 },
    )
  }
})

test("an answer without a length ends with its connection; one that is cut off before its end is an error", async () => {
  const http = new PlainHttp({ keepAlive: true })
  const open = await listening(answering(Buffer.from("HTTP/1.1 200 OK\r\n\r\nall"), [], (socket) => socket.end()))
  expect(await http.post(open, {}, "{}", never)).toEqual({ status: 200, text: "all" })
  const cut = await listening(answering(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha"), [], (socket) => socket.end()))
  await expect(http.post(cut, {}, "{}", never)).rejects.toMatchObject({ code: "ECONNRESET" })
})

test("what is no HTTP, and what nobody answers, is told as such", async () => {
  const http = new PlainHttp({ keepAlive: false })
  // By a chunk of -6 bytes its own head came next, again and again.
  for (const wrong of ["Transfer-Encoding: chunked\r\n\r\n-6\r\n", "Transfer-Encoding: chunked\r\n\r\n0x1\r\n", "Content-Length: -1\r\n\r\n{}"]) {
    const url = await listening(answering(Buffer.from(`HTTP/1.1 200 OK\r\n${wrong}`)))
    await expect(http.post(url, {}, "{}", never), wrong).rejects.toMatchObject({ code: "EPROTO" })
  }
  await expect(http.post(await listening(answering(Buffer.from("SSH-2.0-OpenSSH\r\n\r\n"))), {}, "{}", never)).rejects.toMatchObject({ code: "EPROTO" })
  await expect(http.post(new URL("http://127.0.0.1:9/"), {}, "{}", never)).rejects.toMatchObject({ code: "ECONNREFUSED" })
})

test("an answer without an end is not read on once it is longer than any hub's", async () => {
  const piece = Buffer.alloc(1 << 20, "x")
  const endless = answering(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), [], (socket) => {
    const go = (): void => {
      while (socket.writable && socket.write(piece));
    }
    socket.on("drain", go)
    go()
  })
  await expect(new PlainHttp({ keepAlive: false }).post(await listening(endless), {}, "{}", never)).rejects.toMatchObject({ code: "EMSGSIZE" })
})

test("a call that is given up ends at once with the signal's reason, and leaves no connection", async () => {
  const closed: Promise<unknown>[] = []
  const url = await listening(createServer((socket) => void closed.push(once(socket.resume(), "close"))))
  const stop = new AbortController()
  const call = new PlainHttp({ keepAlive: true }).post(url, {}, "{}", stop.signal)
  setTimeout(() => stop.abort(new Error("enough")), 30)
  await expect(call).rejects.toThrow("enough")
  await Promise.all(closed)
})

test("a header's value can begin no other header", async () => {
  const url = await listening(answering(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
  await expect(new PlainHttp({ keepAlive: false }).post(url, { Authorization: "Bearer x\r\nX-Evil: 1" }, "{}", never)).rejects.toThrow("line break")
})

test("a kept connection that the server closed meanwhile is not used again", async () => {
  let connections = 0
  let closed = 0
  const url = await listening(
    createServer((socket) => {
      connections += 1
      socket.on("error", () => undefined)
      // The client has closed its side too: it knows.
      socket.on("close", () => (closed += 1))
      socket.on("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        setTimeout(() => socket.end(), 10)
      })
    }),
  )
  const http = new PlainHttp({ keepAlive: true })
  for (let round = 0; round < 3; round += 1) {
    expect((await http.post(url, {}, "{}", never)).status).toBe(200)
    await vi.waitFor(() => expect(closed).toBe(round + 1), 5_000)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(connections).toBe(3)
})
