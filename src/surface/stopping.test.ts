import { connect } from "node:net"
import { afterEach, expect, test } from "vitest"
import { type Instance, startInstance } from "./served.contract.ts"
import { type Answer, ask, raw } from "./wire.contract.ts"

/** Whoever waits over HTTP while a hub goes down hears so, and when to come again: none of them is cut off without a word. */

let hub: Instance
afterEach(() => hub.close())

const told = (answer: Answer, code: unknown): void => {
  expect({ status: answer.status, code }).toEqual({ status: 503, code: "hub_stopping" })
}

test.each([
  ["work.wait", { waitMs: 60_000 }, (): unknown => hub.loop.stats()["subscribers"]],
  ["task.claimNext", { waitMs: 60_000 }, (): unknown => hub.loop.stats()["parked"]],
])("%s that waits hears `hub_stopping` with the time to come again", async (operation, input, waiting) => {
  hub = await startInstance()
  const ada = await hub.agent("ada")
  const headers = { authorization: `Bearer ${ada}` }
  const asked = ["/api/orpc/", "/rpc/"].map((way) =>
    ask(hub.url, way + operation.replace(".", "/"), { headers, body: JSON.stringify(way === "/rpc/" ? { json: input } : input) }),
  )
  await expect.poll(waiting, { timeout: 20_000 }).toBe(2)
  await hub.stop()
  const [plain, rpc] = (await Promise.all(asked)) as [Answer, Answer]
  told(plain, plain.body["code"])
  expect(plain.headers["retry-after"]).toBe("1")
  told(rpc, (rpc.body["json"] as { code: string }).code)
})

test.each(["/api/orpc/task/add", "/token", "/otlp/v1/logs", "/mcp", "/enter"])(
  "who has sent half a body to %s hears it too, and nothing was done",
  async (path) => {
    hub = await startInstance()
    const { host } = new URL(hub.url)
    const body = JSON.stringify({ id: "one", title: "One" })
    const heard = raw(
      hub.url,
      [
        `POST ${path} HTTP/1.1`,
        `Host: ${host}`,
        `Origin: http://${host}`,
        `Authorization: Bearer ${hub.operator}`,
        "Content-Type: application/json",
        `Content-Length: ${body.length}`,
        "",
        body.slice(0, 10),
      ].join("\r\n"),
    )
    // A request behind it is answered: that one has been read.
    await ask(hub.url, "/health", { method: "GET" })
    await ask(hub.url, "/health", { method: "GET" })
    await hub.stop()
    const answer = await heard
    expect(answer.status).toBe(503)
    expect(answer.text).toContain("hub_stopping")
    await hub.restart()
    expect(await hub.loop.read((state) => state.tasks.has("one"))).toBe(false)
  },
)

test("what comes of a body once its sender has heard that the hub goes down is not carried out", async () => {
  hub = await startInstance()
  const { host, hostname, port } = new URL(hub.url)
  const body = JSON.stringify({ id: "late", title: "Late" })
  const head = [`POST /api/orpc/task/add HTTP/1.1`, `Host: ${host}`, `Authorization: Bearer ${hub.operator}`, "Content-Type: application/json"]
  const socket = connect(Number(port), hostname)
  let text = ""
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk
    socket.end(body.slice(10))
  })
  socket.on("error", () => undefined)
  const ended = new Promise((resolve) => socket.on("close", resolve))
  socket.write([...head, `Content-Length: ${body.length}`, "", body.slice(0, 10)].join("\r\n"))
  await new Promise((connected) => socket.once("connect", connected))
  await ask(hub.url, "/health", { method: "GET" })
  await ask(hub.url, "/health", { method: "GET" })
  await hub.stop()
  await ended
  expect(text).toContain("hub_stopping")
  await hub.restart()
  expect(await hub.loop.read((state) => state.tasks.has("late"))).toBe(false)
})
