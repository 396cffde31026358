import { once } from "node:events"
import { request as httpRequest, Agent } from "node:http"
import { networkInterfaces } from "node:os"
import { connect, createServer, type AddressInfo, type Socket } from "node:net"
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest"
import { textFrame } from "../contract/frame.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { WholeCalls } from "./whole-calls.ts"

const OPERATOR = { agent: "operator", session: null, role: "operator" } as const

let hub: Instance | null = null
afterEach(async () => {
  await hub?.close()
  hub = null
})

type Said = { path?: string; body?: string; token?: string; fields?: Record<string, string> }

function text(instance: Instance, { path = "/rpc/task/list", body = '{"json":{}}', token = instance.operator, fields = {} }: Said = {}): string {
  const all = {
    Host: new URL(instance.url).host,
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    "Content-Length": String(body.length),
    ...fields,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`
}

async function connected(instance: Instance): Promise<Socket> {
  const socket = connect({ port: Number(new URL(instance.url).port), host: "127.0.0.1", allowHalfOpen: true }).setEncoding("latin1")
  onTestFinished(() => void socket.destroy())
  socket.on("error", () => undefined)
  await once(socket, "connect")
  return socket
}

type Answer = { status: string; headers: Record<string, string>; body: string }

/** Reads one answer, by its length. */
async function answer(socket: Socket): Promise<Answer> {
  let got = ""
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    got += chunk as string
    const end = got.indexOf("\r\n\r\n")
    if (end < 0) continue
    const [status = "", ...lines] = got.slice(0, end).split("\r\n")
    const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]))
    const body = got.slice(end + 4)
    if (body.length < Number(headers["content-length"])) continue
    socket.unshift(body.slice(Number(headers["content-length"])), "latin1")
    return { status, headers, body: body.slice(0, Number(headers["content-length"])) }
  }
  throw new Error(`the connection ended after ${JSON.stringify(got)}`)
}

/** What came last. */
async function heard(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [string]
  return chunk
}

/** What no two answers have in common. */
function comparable({ status, headers, body }: Answer): unknown {
  const { "x-request-id": _id, date: _date, ...rest } = headers
  return { status: status.split(" ")[1], headers: rest, body: body.replaceAll(/"nowMs":\d+/g, "") }
}

/** What is left to it after all. */
const BY_NODE = new Set(["a body that is no JSON", "a body that is not what oRPC sends", "another host"])

describe("a call that came whole is answered as Node's HTTP answers it", () => {
  test.each<[string, string, Said]>([
    ["a read", "200", {}],
    ["text that is not ASCII", "200", { path: "/rpc/task/show", body: '{"json":{"task":"t"}}' }],
    ["plain JSON", "200", { path: "/api/orpc/task/list", body: "{}" }],
    ["nobody's token", "401", { token: "x" }],
    ["an unknown operation", "404", { path: "/rpc/task/nothing" }],
    ["an input that its schema refuses", "400", { body: '{"json":{"limit":"many"}}' }],
    ["a body that is no JSON", "400", { body: "{" }],
    ["a body that is not what oRPC sends", "400", { body: '{"input":{}}' }],
    ["a key that is none", "400", { path: "/rpc/task/add", body: '{"json":{"id":"u","title":"U"}}', fields: { "Idempotency-Key": "a b" } }],
    ["a refusal of the state", "404", { path: "/rpc/task/claim", body: '{"json":{"task":"none"}}' }],
    ["a workspace that is not there", "404", { fields: { "Skein-Workspace": "none" } }],
    ["a session that is not there", "403", { fields: { "Skein-Session": "s_none" } }],
    ["another host", "403", { fields: { Host: "evil.example" } }],
  ])("%s", async (name, status, said) => {
    hub = await startInstance()
    await hub.loop.execute("task.add", OPERATOR, { id: "t", title: "Größe ∞" })
    const [plain, other] = [await connected(hub), await connected(hub)]
    plain.write(text(hub, said))
    other.write(text(hub, { ...said, fields: { "X-Not-Known": "a", ...said.fields } }))
    const [got, byNode] = [await answer(plain), await answer(other)]
    // Node's HTTP says in words what each status means.
    if (!BY_NODE.has(name)) expect(got.status).toBe(`HTTP/1.1 ${status} ${status === "200" ? "OK" : "Refused"}`)
    expect(byNode.status).toContain(status)
    expect(comparable(got)).toEqual(comparable(byNode))
    expect(got.headers["x-request-id"]).toMatch(/^[0-9a-f]{8}-\d+$/)
    expect(Math.abs(Date.parse(got.headers["date"] ?? "") - Date.now())).toBeLessThan(60_000)
  })
})

test("a refusal for the rate says when to come again, as by Node's HTTP, and is counted as a request", async () => {
  hub = await startInstance({ rate: { perSecond: 0.001, burst: 1 } })
  const [plain, other] = [await connected(hub), await connected(hub)]
  plain.write(text(hub))
  expect((await answer(plain)).status).toContain("200")
  plain.write(text(hub))
  other.write(text(hub, { fields: { "X-Not-Known": "a" } }))
  const [got, byNode] = [await answer(plain), await answer(other)]
  expect([got.status, byNode.status]).toEqual(["HTTP/1.1 429 Refused", "HTTP/1.1 429 Too Many Requests"])
  for (const { headers, body } of [got, byNode]) {
    expect(Number(headers["retry-after"])).toBeGreaterThan(900)
    expect(body).toContain("rate_limited")
  }
  expect(Object.keys(got.headers).toSorted()).toEqual(Object.keys(byNode.headers).toSorted())
  const ids = [got, byNode].map(({ headers }) => Number(headers["x-request-id"]?.split("-")[1]))
  expect(new Set(ids)).toEqual(new Set([2, 3]))
})

describe("a connection", () => {
  test("carries call after call, whatever became of the one before", async () => {
    hub = await startInstance()
    const socket = await connected(hub)
    for (const [said, status] of [
      [{}, "200"],
      [{ token: "x" }, "401"],
      [{}, "200"],
      [{ body: "{" }, "400"],
      [{}, "200"],
    ] as [Said, string][]) {
      socket.write(text(hub, said))
      expect((await answer(socket)).status).toContain(status)
    }
  })

  test("that brings a request in pieces is answered, and so is what follows", async () => {
    hub = await startInstance()
    const socket = await connected(hub)
    const whole = text(hub)
    for (const piece of [whole.slice(0, 30), whole.slice(30, -3), whole.slice(-3)]) {
      socket.write(piece)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect((await answer(socket)).status).toContain("200")
    socket.write(whole)
    expect((await answer(socket)).status).toContain("200")
  })

  test("that asks on before it was answered has its answers in order", async () => {
    hub = await startInstance()
    const socket = await connected(hub)
    const add = (id: string): string => text(hub as Instance, { path: "/rpc/task/add", body: `{"json":{"id":"${id}","title":"T"}}` })
    // The first by itself, the others while it is carried out.
    socket.write(add("a0"))
    await vi.waitUntil(() => hub?.loop.head.seq !== undefined)
    for (let at = 1; at < 40; at += 1) {
      socket.write(add(`a${at}`))
      if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    for (let at = 0; at < 40; at += 1) expect((await answer(socket)).body).toContain(`"seq":`)
    const { list } = await hub.loop.read((state) => ({ list: [...state.tasks.keys()] }))
    expect(list).toEqual(Array.from({ length: 40 }, (_, at) => `a${at}`))
  })

  test("of a client that has ended its side is answered, and ends", async () => {
    hub = await startInstance()
    for (const said of [{}, { token: "x" }, { path: "/rpc/task/add", body: '{"json":{"id":"h","title":"H"}}' }]) {
      const socket = await connected(hub)
      socket.end(text(hub, said))
      expect((await answer(socket)).status).toMatch(/200|401/)
      await once(socket.resume(), "end")
    }
  })

  test("is asked at each call who calls, and in which session", async () => {
    hub = await startInstance()
    const [ada, ben] = [await hub.agent("ada"), await hub.agent("ben")]
    const { token } = await hub.auth.exchange(ben, { workspace: null, session: null })
    const socket = await connected(hub)
    const ask = async (said: Said): Promise<string> => {
      socket.write(text(hub as Instance, { path: "/rpc/ledger/head", ...said }))
      const { status, body } = await answer(socket)
      return `${status.slice(9, 12)} ${/"code":"(\w+)"/.exec(body)?.[1] ?? ""}`.trim()
    }
    socket.write(text(hub, { path: "/rpc/session/start", token: ada }))
    const session = /"session":"(\w+)"/.exec((await answer(socket)).body)?.[1] as string
    const fields = { "Skein-Session": session }
    expect([await ask({ token: ada, fields }), await ask({ token: ben, fields }), await ask({ token })]).toEqual(["200", "403 claim_mismatch", "200"])
    socket.write(text(hub, { path: "/rpc/session/end", token: ada, body: `{"json":{"session":"${session}"}}` }))
    expect((await answer(socket)).status).toContain("200")
    expect([await ask({ token: ada, fields }), await ask({ token: ada })]).toEqual(["409 wrong_status", "200"])
    hub.wall.aheadMs = 16 * 60_000
    expect([await ask({ token }), await ask({ token: ben })]).toEqual(["401 token_expired", "200"])
    socket.write(text(hub, { path: "/rpc/credential/revoke", body: `{"json":{"agent":"ada","id":"${ada.split("_")[2]}","reason":"lost"}}` }))
    expect((await answer(socket)).status).toContain("200")
    socket.write(text(hub, { path: "/rpc/agent/retire", body: '{"json":{"name":"ben","reason":"done"}}' }))
    expect((await answer(socket)).status).toContain("200")
    expect([await ask({ token: ada }), await ask({ token: ben }), await ask({})]).toEqual(["401 unauthenticated", "401 unauthenticated", "200"])
  })

  const afar = Object.values(networkInterfaces()).flatMap((each) => each?.filter(({ family, internal }) => family === "IPv4" && !internal) ?? [])[0]
  test.skipIf(afar === undefined)("from another address than the hub's own machine takes a token, and no credential", async () => {
    const { address = "" } = afar ?? {}
    hub = await startInstance({ host: "0.0.0.0", allowedHosts: ["hub.example"] })
    const { token } = await hub.auth.exchange(hub.operator, { workspace: null, session: null })
    const socket = connect(Number(new URL(hub.url).port), address).setEncoding("latin1")
    onTestFinished(() => void socket.destroy())
    for (const [said, status] of [
      [token, "200"],
      [hub.operator, "401"],
      [token, "200"],
      [hub.operator, "401"],
    ] as const) {
      socket.write(text(hub, { token: said, fields: { Host: "hub.example" } }))
      expect((await answer(socket)).status).toContain(status)
    }
  })

  test("may ask for a WebSocket after its calls", async () => {
    hub = await startInstance()
    const socket = await connected(hub)
    socket.write(text(hub))
    await answer(socket)
    const upgrade = [
      "GET /ws HTTP/1.1",
      `Host: ${new URL(hub.url).host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    socket.write(`${upgrade.join("\r\n")}\r\n\r\n`)
    await vi.waitFor(async () => expect(await heard(socket)).toContain("101 Switching"))
    const frame = Buffer.from(textFrame(JSON.stringify({ hello: { token: hub.operator } })))
    // A client's frames are masked; a mask of nothing changes nothing.
    const masked = Buffer.concat([
      frame.subarray(0, 1),
      Buffer.from([(frame[1] as number) | 0x80]),
      ...(frame[1] === 126 ? [frame.subarray(2, 4)] : []),
      Buffer.alloc(4),
      frame.subarray(frame[1] === 126 ? 4 : 2),
    ])
    socket.write(masked)
    expect(await heard(socket)).toContain("welcome")
  })

  test("that is idle ends with the hub at once, and one that is asked on is answered first and told that it ends", async () => {
    const instance = await startInstance()
    const [idle, busy, early] = [await connected(instance), await connected(instance), await connected(instance)]
    for (const socket of [idle, busy, early]) {
      socket.write(text(instance))
      await answer(socket)
    }
    let append = (): void => undefined
    const appended = new Promise<void>((resolve) => (append = resolve))
    const execute = instance.loop.execute.bind(instance.loop)
    instance.loop.execute = async (...asked: Parameters<typeof execute>) => {
      const done = await execute(...asked)
      await appended
      return done
    }
    busy.write(text(instance, { path: "/rpc/task/add", body: '{"json":{"id":"last","title":"L"}}' }))
    await vi.waitUntil(async () => instance.loop.read((state) => state.tasks.has("last")))
    early.write(text(instance, { path: "/rpc/task/add", body: '{"json":{"id":"early","title":"E"}}' }))
    await vi.waitUntil(async () => instance.loop.read((state) => state.tasks.has("early")))
    early.write(text(instance, { path: "/rpc/task/add", body: '{"json":{"id":"late","title":"L"}}' }))
    const closed = instance.close()
    await once(idle.resume(), "end")
    append()
    expect([(await answer(early)).status, (await answer(early)).body]).toEqual(["HTTP/1.1 200 OK", expect.stringContaining("hub_stopping")])
    await once(early.resume(), "end")
    const { status, headers } = await answer(busy)
    expect([status, headers["connection"]]).toEqual(["HTTP/1.1 200 OK", "close"])
    await Promise.all([once(busy.resume(), "end"), closed])
  })

  test("on which somebody asks just as the hub goes down is told so, whether it is the first call or another", async () => {
    const instance = await startInstance()
    const [fresh, kept] = [await connected(instance), await connected(instance)]
    kept.write(text(instance))
    await answer(kept)
    const closed = instance.close()
    for (const socket of [fresh, kept]) socket.write(text(instance))
    for (const socket of [fresh, kept]) {
      const { status, body } = await answer(socket)
      expect([status, body]).toEqual(["HTTP/1.1 503 Service Unavailable", expect.stringContaining("hub_stopping")])
    }
    await closed
  })

  test("is kept by Node's client from call to call", async () => {
    hub = await startInstance()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    const ports = new Set<number | undefined>()
    for (let at = 0; at < 3; at += 1) {
      const asked = httpRequest(new URL("/rpc/task/list", hub.url), {
        agent,
        method: "POST",
        headers: { authorization: `Bearer ${hub.operator}`, "content-type": "application/json" },
      })
      asked.end('{"json":{}}')
      const [response] = await once(asked, "response")
      ports.add(asked.socket?.localPort)
      await once(response.resume(), "end")
      expect(response.statusCode).toBe(200)
    }
    expect(ports.size).toBe(1)
  })
})

test("who says nothing is let go, and so is who says nothing more", async () => {
  const calls = new WholeCalls({
    http: (socket) => socket.destroy(),
    answer: () => Promise.resolve("answer"),
    moved: () => undefined,
    silenceMs: 60,
    idleMs: 120,
  })
  const server = createServer((socket) => calls.take(socket, { socket, isBusy: false, isLookedAt: false, turnAway: null, answeredBytes: 0 }))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const silent = connect(port, "127.0.0.1").resume()
  const idle = connect(port, "127.0.0.1").resume()
  idle.write("POST /rpc/a/b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
  await Promise.all([once(silent, "close"), once(idle, "close")])
  expect(idle.bytesRead).toBe("answer".length)
  expect(silent.bytesRead).toBe(0)
})
