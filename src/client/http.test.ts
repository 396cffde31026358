import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, expect, test } from "vitest"
import { httpClient } from "./http.ts"

type Asked = { path: string; bearer: string; key: string | undefined; atMs: number }

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** Answers what it is asked: `/token` with a token, each call with the next of these answers, then with `{}`. */
async function answering(...answers: object[]): Promise<{ port: number; asked: Asked[] }> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const { authorization = "", "idempotency-key": key } = request.headers
    asked.push({ path: request.url ?? "", bearer: authorization.replace("Bearer ", ""), key: key as string | undefined, atMs: performance.now() })
    const failed = request.url === "/token" ? undefined : answers.shift()
    response.statusCode = failed === undefined ? 200 : 503
    response.end(JSON.stringify(request.url === "/token" ? { token: "a.b.c", lastsMs: 1 } : { json: failed === undefined ? {} : { data: failed } }))
  })
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, asked }
}

const refusal = (code: string, retryAfterMs = 0): object => ({ code, message: code, remedy: "Wait.", details: {}, retryAfterMs })
const credential = "skc_ada_0_x"

test("on this machine a credential is sent as it is, to another name it is traded for a token first", async () => {
  const { port, asked } = await answering()
  for (const host of ["127.0.0.1", "0.0.0.0"]) {
    const client = httpClient({ url: `http://${host}:${port}`, credential })
    closing.push(() => client.close())
    await client.call("ledger.head", {})
  }
  expect(asked.map(({ path, bearer }) => [path, bearer])).toEqual([
    ["/rpc/ledger/head", credential],
    ["/token", credential],
    ["/rpc/ledger/head", "a.b.c"],
  ])
})

test("a command is sent again under its own key, and not before the time that was named", async () => {
  const { port, asked } = await answering(refusal("overloaded", 200), refusal("timed_out"))
  const client = httpClient({ url: `http://127.0.0.1:${port}`, credential })
  closing.push(() => client.close())
  await client.call("task.claim", { task: "t" })
  expect(asked.map(({ key }) => key)).toEqual(Array.from({ length: 3 }, () => asked[0]?.key))
  expect(asked[0]?.key).toBeTypeOf("string")
  expect((asked[1]?.atMs ?? 0) - (asked[0]?.atMs ?? 0)).toBeGreaterThan(150)
})

test("an action is sent again where nothing was done, and not where its outcome is unknown; nothing is sent more than four times", async () => {
  const { port, asked } = await answering(refusal("overloaded"), refusal("timed_out"), ...Array.from({ length: 9 }, () => refusal("overloaded")))
  const client = httpClient({ url: `http://127.0.0.1:${port}`, credential })
  closing.push(() => client.close())
  await expect(client.call("credential.issue", { agent: "ada" })).rejects.toMatchObject({ code: "timed_out" })
  expect(asked).toHaveLength(2)
  await expect(client.call("ledger.head", {})).rejects.toMatchObject({ code: "overloaded" })
  expect(asked).toHaveLength(6)
})
