import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, expect, test } from "vitest"
import { passOver } from "./upgrade-offer.ts"

/** A server as Node before 22.21 makes it: nothing but the event tells of an offer. */
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  const { method, url, headers } = request
  const answer = (): unknown => response.end(JSON.stringify({ method, url, name: headers["x-name"], body: Buffer.concat(chunks).toString() }))
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => setTimeout(answer, url === "/slow" ? 200 : 5))
})
server.on("upgrade", (request, socket, head) => passOver(server, request, socket, head))

const OFFER = "Host: here\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"

const open: Socket[] = []

beforeAll(() => once(server.listen(0, "127.0.0.1"), "listening"))
afterAll(() => {
  for (const socket of open) socket.destroy()
  server.close()
})

/** What is answered to bytes that are sent in pieces, until the server closes the connection. */
async function answers(...pieces: string[]): Promise<unknown[]> {
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1")
  open.push(socket)
  let heard = ""
  socket.setNoDelay(true).on("data", (chunk: Buffer) => (heard += String(chunk)))
  const ended = once(socket, "end")
  for (const piece of pieces) {
    socket.write(piece, "latin1")
    await sleep(30)
  }
  await ended
  return [...heard.matchAll(/\{.*?\}/g)].map(([text]) => JSON.parse(text) as unknown)
}

test("a request that offers another protocol is answered as if it had not, and its connection closes", async () => {
  expect(await answers(`GET /one HTTP/1.1\r\n${OFFER}X-Name: gr\xfc\xdfe\r\n\r\n`)).toMatchObject([{ method: "GET", url: "/one", name: "gr\xfc\xdfe" }])
})

test("its body is taken whole, whether it came with the headers, after them, or in pieces", async () => {
  const long = "x".repeat(200_000)
  expect(await answers(`POST / HTTP/1.1\r\n${OFFER}Content-Length: 5\r\n\r\nhello`)).toMatchObject([{ method: "POST", body: "hello" }])
  expect(await answers(`POST / HTTP/1.1\r\n${OFFER}Content-Length: ${long.length}\r\n\r\n`, long)).toMatchObject([{ body: long }])
  expect(await answers(`POST / HTTP/1.1\r\n${OFFER}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`, "2\r\nde\r\n0\r\n\r\n")).toMatchObject([{ body: "abcde" }])
})

test("behind other requests it waits for its turn", async () => {
  const plain = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`
  const offering = `GET /three HTTP/1.1\r\n${OFFER}\r\n`
  const [one, two, three] = [{ url: "/one" }, { url: "/two" }, { url: "/three" }]
  expect(await answers(plain("/one"), plain("/two"), offering)).toMatchObject([one, two, three])
  expect(await answers(plain("/one") + plain("/two") + offering)).toMatchObject([one, two, three])
})

test("a client that is gone before its turn harms nobody", async () => {
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1")
  const offered = once(server, "upgrade")
  socket.write(`GET /slow HTTP/1.1\r\nHost: here\r\n\r\nGET /gone HTTP/1.1\r\n${OFFER}\r\n`)
  const [, atServer] = (await offered) as [unknown, Socket]
  const closed = new Promise<void>((resolve) => atServer.once("close", () => resolve()))
  socket.resetAndDestroy()
  await closed
  expect(await answers(`GET /next HTTP/1.1\r\n${OFFER}\r\n`)).toMatchObject([{ url: "/next" }])
})
