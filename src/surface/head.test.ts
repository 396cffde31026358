import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask, raw } from "./wire.contract.ts"

let hub: Instance
beforeAll(async () => {
  hub = await startInstance()
  await hub.agent("ada")
})
afterAll(() => hub.close())

const head = (method: string, path: string, more = ""): string =>
  `${method} ${path} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nAuthorization: Bearer ${hub.operator}\r\n${more}`
const answersOf = (text: string): string[] => text.match(/HTTP\/1\.1 \d+/g) ?? []

describe.each(["/health", "/api", "/api/openapi.json", "/events?from=1", "/entries/main/1/9", "/snapshots/main/9", "/back/main/1/2"])("HEAD %s", (path) => {
  test("is answered as GET is, without the content", async () => {
    const headers = { authorization: `Bearer ${hub.operator}` }
    const answer = await ask(hub.url, path, { method: "HEAD", headers })
    const got = await fetch(new URL(path, hub.url), { headers })
    // A stream of entries has no end of its own.
    await got.body?.cancel()
    expect([answer.status, answer.headers["content-type"], answer.text]).toEqual([got.status, got.headers.get("content-type"), ""])
  })

  test("leaves the connection to the next request, which reads nothing of it", async () => {
    const { text } = await raw(hub.url, `${head("HEAD", path)}\r\n${head("GET", "/health", "Connection: close\r\n")}\r\n`)
    expect(answersOf(text)).toHaveLength(2)
    expect(text).toMatch(/\r\n\r\nHTTP\/1\.1 200 [^]*"ok":true/)
  })
})

test("HEAD leaves no stream of entries open behind it", async () => {
  await ask(hub.url, "/events", { method: "HEAD", headers: { authorization: `Bearer ${hub.operator}` } })
  await expect.poll(() => hub.loop.stats()["subscribers"]).toBe(0)
})

test("HEAD of what takes POST is refused, and what takes GET says that it takes HEAD too", async () => {
  expect((await ask(hub.url, "/api/orpc/hub/status", { method: "HEAD" })).status).toBe(405)
  const refused = await ask(hub.url, "/health", { method: "DELETE" })
  expect([refused.status, refused.headers["allow"]]).toEqual([405, "GET, HEAD"])
})

const chunks = (body: string): string => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
const asks = (coding: string, body = "{}"): string =>
  `${head("POST", "/api/orpc/hub/status", `Content-Type: application/json\r\nConnection: close\r\n${coding}\r\n\r\n`)}${chunks(body)}`

test.each(["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "Transfer-Encoding: deflate, gzip, chunked"])(
  "a body in a coding that is not undone is not taken for what it says: %s",
  async (coding) => {
    const answer = await raw(hub.url, asks(coding))
    expect([answer.status, answer.body["code"]]).toEqual([501, "not_implemented"])
  },
)

test("chunked alone is read, however it is spelt; one whose last coding is another has no end, and is no request", async () => {
  for (const coding of ["Transfer-Encoding: chunked", "transfer-encoding: Chunked"]) expect((await raw(hub.url, asks(coding))).status).toBe(200)
  for (const coding of ["Transfer-Encoding: chunked, gzip", "Transfer-Encoding: gzip"]) expect((await raw(hub.url, asks(coding))).status).toBe(400)
})
