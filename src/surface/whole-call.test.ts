import { once } from "node:events"
import { createServer, type IncomingMessage } from "node:http"
import { Duplex } from "node:stream"
import fc from "fast-check"
import { expect, test } from "vitest"
import { readWholeCall, WHOLE_MAX_BYTES } from "./whole-call.ts"

const BODY = '{"json":{}}'
const request = ({
  line = "POST /rpc/task/claimNext HTTP/1.1",
  fields = {},
  body = BODY,
}: { line?: string; fields?: Record<string, string>; body?: string } = {}): string => {
  const all = { Host: "127.0.0.1:1", "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)), ...fields }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${line}\r\n${lines.join("")}\r\n${body}`
}
const read = (text: string) => readWholeCall(Buffer.from(text, "latin1"))

test("a call is read with what it says of itself", () => {
  const fields = { Authorization: "Bearer t", "Idempotency-Key": "k", "skein-workspace": "w", "User-Agent": "curl/8", Accept: "*/*", Connection: "keep-alive" }
  expect(read(request({ fields }))).toEqual({
    pathname: "/rpc/task/claimNext",
    headers: {
      host: "127.0.0.1:1",
      "content-type": "application/json",
      "content-length": String(BODY.length),
      authorization: "Bearer t",
      "idempotency-key": "k",
      "skein-workspace": "w",
      connection: "keep-alive",
    },
    body: Buffer.from(BODY),
  })
  expect(read(request({ line: "POST /api/orpc/task/list HTTP/1.1" }))?.pathname).toBe("/api/orpc/task/list")
})

test.each([
  ["another method", request({ line: "GET /rpc/task/list HTTP/1.1" })],
  ["another address", request({ line: "POST /token HTTP/1.1" })],
  ["a query", request({ line: "POST /rpc/task/list?a HTTP/1.1" })],
  ["HTTP/1.0, whose connections end", request({ line: "POST /rpc/task/list HTTP/1.0" })],
  ["a connection that is to end", request({ fields: { Connection: "close" } })],
  ["an upgrade", request({ fields: { Connection: "Upgrade", Upgrade: "h2c" } })],
  ["an expectation", request({ fields: { Expect: "100-continue" } })],
  ["a body in chunks", request({ fields: { "Transfer-Encoding": "chunked" } })],
  ["a page's origin", request({ fields: { Origin: "http://127.0.0.1:1" } })],
  ["a cookie", request({ fields: { Cookie: "a=b" } })],
  ["another type", request({ fields: { "Content-Type": "text/plain" } })],
  ["a header twice", request({ fields: { host: "127.0.0.1:2" } })],
  ["no host", request().replace(/Host: .*\r\n/, "")],
  ["no type", request().replace(/Content-Type: .*\r\n/, "")],
  ["no length", request().replace(/Content-Length: .*\r\n/, "")],
  ["a length of another form", request({ fields: { "Content-Length": `0${BODY.length}` } })],
  ["less than it says", request().slice(0, -1)],
  ["more than it says", `${request()}P`],
  ["a head that has no end", request().slice(0, 60)],
  ["a folded header", request({ fields: { Accept: "a\r\n b" } })],
  ["a bare line feed", request({ fields: { Accept: "a\nX-Other: b" } })],
  ["a space before a colon", request().replace("Host:", "Host :")],
  ["an empty value", request({ fields: { Accept: "" } })],
  ["a tab", request({ fields: { Accept: "a\tb" } })],
  ["a character beyond ASCII", request({ fields: { "User-Agent": "é" } })],
  ["a line before it", `\r\n${request()}`],
  ["no body", request({ body: "" })],
  ["more headers than Node's HTTP takes", request().replace("Host:", `${"Accept:a\r\n".repeat(1_001)}Host:`)],
  ["a long body", request({ body: JSON.stringify("x".repeat(WHOLE_MAX_BYTES)) })],
])("what is not as plain as a call is left to Node's HTTP: %s", (_, text) => {
  expect(read(text)).toBeNull()
})

/** What Node's HTTP reads on a connection that brings these bytes: requests with their bodies, until an error, or until nothing more is read. */
async function readByNode(bytes: Buffer): Promise<{ requests: { request: IncomingMessage; body: Buffer }[]; error: boolean }> {
  const server = createServer({ requireHostHeader: false })
  const connection = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
  const requests: { request: IncomingMessage; body: Buffer }[] = []
  let error = false
  server.on("request", (incoming: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
    incoming.on("end", () => {
      requests.push({ request: incoming, body: Buffer.concat(chunks) })
      response.end()
    })
  })
  server.on("clientError", () => {
    error = true
    connection.destroy()
  })
  server.emit("connection", connection)
  connection.push(bytes)
  connection.push(null)
  await Promise.race([once(connection, "close"), once(connection, "finish")])
  await new Promise((resolve) => setImmediate(resolve))
  connection.destroy()
  server.close()
  return { requests, error }
}

const spelled = fc.constantFrom(
  "Host",
  "host",
  "HOST",
  "Content-Type",
  "content-length",
  "Content-Length",
  "Connection",
  "Content-Length ",
  "connection",
  "Accept",
  "Authorization",
  "Transfer-Encoding",
  "Expect",
  "Upgrade",
  "X-Other",
  "Idempotency-Key",
)
const value = fc.oneof(
  fc.constantFrom(
    "127.0.0.1:1",
    "application/json",
    "11",
    "0",
    "+11",
    "11, 11",
    "0x0b",
    "keep-alive",
    "close",
    "chunked",
    "",
    " ",
    "a b",
    " a",
    "a ",
    "a\r\n b",
    "a\nb",
    "a\rb",
    "a\tb",
    "\x7f",
    "100-continue",
    "é",
  ),
  fc.string({ maxLength: 8 }),
)
const changes = fc.array(
  fc.record({
    at: fc.nat(),
    cut: fc.nat(3),
    put: fc.oneof(fc.constantFrom("\r", "\n", "\r\n", "\r\n\r\n", ":", " ", "\0", "\t", "0"), fc.string({ maxLength: 3 })),
  }),
  { maxLength: 3 },
)

test("whatever is taken for a call is one request to Node's HTTP too, with the same address, headers and body, and nothing after it", async () => {
  let taken = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(spelled, value), { maxLength: 3 }),
      changes,
      fc.constantFrom(BODY, "{}", "\r\n\r\n{}", "0\r\n\r\n", "POST / HTTP/1.1\r\n\r\n"),
      fc.constantFrom(0, 0, 0, 1, 700, 1_100),
      async (fields, changed, body, many) => {
        let text = request({ body }).replace(
          "\r\n\r\n",
          `\r\n${"Accept:a\r\n".repeat(many)}${fields.map(([name, said]) => `${name}: ${said}\r\n`).join("")}\r\n`,
        )
        for (const { at, cut, put } of changed) {
          const from = at % text.length
          text = text.slice(0, from) + put + text.slice(from + cut)
        }
        const bytes = Buffer.from(text, "latin1")
        const call = readWholeCall(bytes)
        if (call === null) return
        taken += 1
        const { requests, error } = await readByNode(bytes)
        expect(error).toBe(false)
        expect(requests).toHaveLength(1)
        const [first] = requests
        expect(first?.request.method).toBe("POST")
        expect(first?.request.url).toBe(call.pathname)
        expect(first?.request.headers).toMatchObject(call.headers)
        expect(first?.body.equals(call.body)).toBe(true)
      },
    ),
    { numRuns: 3_000 },
  )
  expect(taken).toBeGreaterThan(100)
})
