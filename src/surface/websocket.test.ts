import { afterEach, expect, test } from "vitest"
import { WebSocket } from "ws"
import { Bench } from "../../test/simulation/rig.ts"
import { MemoryStore } from "../ledger/memory.ts"
import { OPERATOR, TOKEN_MS } from "./auth.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask } from "./wire.contract.ts"

let hub: Instance
const open: WebSocket[] = []
afterEach(async () => {
  for (const ws of open.splice(0)) ws.terminate()
  await hub.close()
})

type Received = Record<string, unknown>
type Wire = {
  ws: WebSocket
  frames: Received[]
  messages: number
  closed: Promise<number>
  send(frame: unknown): void
  until(holds: (frames: Received[]) => boolean): Promise<void>
}

/** A bare connection that said hello. */
async function wire(token: string, more: object = {}): Promise<Wire> {
  const ws = new WebSocket(`${hub.url.replace("http", "ws")}/ws`)
  open.push(ws)
  let wake: (() => void) | null = null
  const closed = new Promise<number>((resolve) => ws.on("close", resolve))
  const self: Wire = {
    ws,
    frames: [],
    messages: 0,
    closed,
    send: (frame) => ws.send(JSON.stringify(frame)),
    until: async (holds) => {
      while (!holds(self.frames)) await new Promise<void>((resolve) => (wake = resolve))
    },
  }
  ws.on("message", (data: Buffer) => {
    const parsed = JSON.parse(data.toString("utf8")) as Received | Received[]
    self.messages += 1
    self.frames.push(...(Array.isArray(parsed) ? parsed : [parsed]))
    wake?.()
  })
  await new Promise((resolve) => ws.on("open", resolve))
  self.send({ hello: { token, ...more } })
  await self.until((frames) => "welcome" in (frames[0] ?? {}))
  return self
}

const director = { agent: OPERATOR, session: null, role: "operator" as const }
const seqsOf = (frames: Received[]): number[] => frames.flatMap(({ events = [] }) => (events as { seq: number }[]).map(({ seq }) => seq))
const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}

test("what is answered at once comes as one message", async () => {
  hub = await startInstance()
  const { frames, messages, ...client } = await wire(hub.operator)
  expect([frames.length, messages]).toEqual([1, 1])
  const connection = await wire(hub.operator)
  connection.send(Array.from({ length: 50 }, (_, at) => ({ id: at, op: "task.add", in: { id: `t${at}`, title: "T" } })))
  await connection.until((received) => received.length >= 51)
  expect(connection.messages).toBeLessThanOrEqual(4)
  expect(new Set(connection.frames.slice(1).map(({ id }) => id)).size).toBe(50)
  client.ws.close()
})

test("a reader that is too slow hears from where to come again, and then misses nothing", async () => {
  hub = await startInstance({ level: "warn", limits: { checkpointMs: 3_600_000, checkpointEntries: 1e9 } })
  const reader = await wire(hub.operator)
  reader.send({ subscribe: { from: 1 } })
  await reader.until((frames) => seqsOf(frames).length >= 2)
  reader.ws.pause()
  const body = "x".repeat(32_000)
  for (let at = 0; at < 500; at += 1) await hub.loop.execute("task.add", director, { id: `t${at}`, title: "T", body })
  // It holds nothing for whoever does not read: the loop went on, the connection's buffer stayed small.
  expect(hub.loop.stats()["subscribers"]).toBe(0)
  reader.ws.resume()
  await reader.until((frames) => frames.some((frame) => "resync" in frame))
  const { resync } = reader.frames.find((frame) => "resync" in frame) as { resync: number }
  expect(seqsOf(reader.frames)).toEqual(Array.from({ length: resync - 1 }, (_, at) => at + 1))
  reader.send({ subscribe: { from: resync } })
  const { seq } = hub.loop.head
  await reader.until((frames) => {
    const last = frames.at(-1) as { to?: number; resync?: number }
    if (last.resync !== undefined && last.resync !== resync) reader.send({ subscribe: { from: last.resync } })
    return last.to === seq
  })
  expect(seqsOf(reader.frames)).toEqual(Array.from({ length: seq }, (_, at) => at + 1))
})

test("whoever catches up on the longest entries may be told to come again, but is not taken for one that does not read", async () => {
  hub = await startInstance({ level: "warn", limits: { checkpointMs: 3_600_000, checkpointEntries: 1e9 } })
  const body = "\u0001".repeat(10_000)
  await Promise.all(Array.from({ length: 530 }, (_, at) => hub.loop.execute("task.add", director, { id: `t${at}`, title: "T", body })))
  const reader = await wire(hub.operator)
  reader.send({ subscribe: { from: 1 } })
  const { seq } = hub.loop.head
  let asked = 1
  await Promise.race([
    reader.closed,
    reader.until((frames) => {
      const { resync = asked, to } = frames.at(-1) as { to?: number; resync?: number }
      if (resync > asked) reader.send({ subscribe: { from: (asked = resync) } })
      return to === seq
    }),
  ])
  expect(seqsOf(reader.frames)).toEqual(Array.from({ length: seq }, (_, at) => at + 1))
})

test("a reader that catches up is read for as fast as it takes it, and not sent away for being slower than the ledger", async () => {
  hub = await startInstance({ level: "warn", limits: { checkpointMs: 3_600_000, checkpointEntries: 1e9 } })
  const body = "x".repeat(32_000)
  for (let at = 0; at < 700; at += 1) await hub.loop.execute("task.add", director, { id: `t${at}`, title: "T", body })
  const { seq } = hub.loop.head
  const reader = await wire(hub.operator)
  reader.ws.pause()
  reader.send({ subscribe: { from: 1 } })
  const stream = await fetch(`${hub.url}/events?from=1`, { headers: { authorization: `Bearer ${hub.operator}` } })
  // So long a reader of all 22 MB would have been sent away.
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setTimeout(resolve, 2))
  expect(hub.loop.stats()["subscribers"]).toBe(2)
  reader.ws.resume()
  await reader.until((frames) => (frames.at(-1) as { to?: number }).to === seq)
  expect(seqsOf(reader.frames)).toEqual(Array.from({ length: seq }, (_, at) => at + 1))
  let tail = ""
  for await (const piece of stream.body!.pipeThrough(new TextDecoderStream())) {
    tail = tail.slice(-100) + piece
    expect(tail).not.toContain("event: resync")
    if (tail.includes(`\nid: ${seq}\n`)) break
  }
})

test("a connection that asks for many long pages at once gets each as it takes them, and is not taken for one that does not read", async () => {
  hub = await startInstance({ level: "warn", limits: { checkpointMs: 3_600_000, checkpointEntries: 1e9 } })
  const body = "x".repeat(30_000)
  for (let at = 0; at < 70; at += 1) await hub.loop.execute("task.add", director, { id: `t${at}`, title: "T", body })
  const reader = await wire(hub.operator)
  // 60 MB and more, of which none is read at first: what it does meanwhile is answered too.
  reader.ws.pause()
  reader.send(Array.from({ length: 30 }, (_, at) => ({ id: at, op: "ledger.read", in: { limit: 1_000 } })))
  for (let at = 0; at < 20; at += 1) reader.send({ id: 100 + at, op: "task.add", in: { id: `u${at}`, title: "T" } })
  await until(() => hub.loop.head.seq > 90)
  reader.ws.resume()
  await reader.until((frames) => frames.length === 51)
  expect(reader.frames.filter(({ ok }) => ok !== undefined)).toHaveLength(50)
})

test("claims of many long tasks, asked for at once, come as their reader takes them", async () => {
  hub = await startInstance({ level: "warn", limits: { checkpointMs: 3_600_000, checkpointEntries: 1e9 } })
  const ada = await hub.agent("ada", { maxActive: 50 })
  const body = "x".repeat(32_000)
  for (let at = 0; at < 50; at += 1) await hub.loop.execute("task.add", director, { id: `t${at}`, title: "T", body })
  const worker = await wire(ada)
  // 48 MB: at its limit it is told each time what it holds.
  worker.send(Array.from({ length: 30 }, (_, id) => ({ id, op: "task.claimNext", in: { max: 50, waitMs: id % 2 } })))
  await Promise.race([worker.closed, worker.until((frames) => frames.length === 31)])
  expect(worker.frames.slice(1).map(({ ok }) => (ok as { claims: unknown[] }).claims.length)).toEqual(Array.from({ length: 30 }, () => 50))
})

test("another subscription takes the place of the first, and unsubscribing ends it", async () => {
  hub = await startInstance({ limits: { checkpointMs: 3_600_000 } })
  const reader = await wire(hub.operator)
  reader.send({ subscribe: { from: 1 } })
  await reader.until((frames) => seqsOf(frames).length >= 2)
  reader.send({ subscribe: { from: 2 } })
  await reader.until((frames) => seqsOf(frames).length >= 3)
  await hub.loop.execute("task.add", director, { id: "a", title: "A" })
  await reader.until((frames) => seqsOf(frames).includes(3))
  reader.send({ unsubscribe: true })
  reader.send({ id: 1, op: "task.add", in: { id: "b", title: "B" } })
  await reader.until((frames) => frames.some(({ id }) => id === 1))
  expect(seqsOf(reader.frames)).toEqual([1, 2, 2, 3])
})

test("a connection that answers no ping is ended, and its session is lost with its claims", async () => {
  hub = await startInstance({ pingMs: 200 })
  const dead = await wire(await hub.agent("ada", { heartbeatMs: 500 }))
  dead.send({ id: 1, op: "session.start", in: { owned: true } })
  await dead.until((frames) => frames.some(({ id }) => id === 1))
  const { session } = (dead.frames.at(-1) as { ok: { session: string } }).ok
  dead.send({ hello: { token: await hub.agent("other") } })
  expect(await dead.closed).toBe(4401)
  const quiet = await wire((await hub.auth.mint({ actor: { agent: "ada", session, role: "worker" }, workspace: "main", credential: null })).token)
  await hub.loop.execute("task.add", director, { id: "one", title: "One" })
  quiet.send({ id: 1, op: "task.claim", in: { task: "one" } })
  await quiet.until((frames) => frames.some(({ id }) => id === 1))
  // Alive: it answers pings, which beat for its session.
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  expect(await hub.loop.read((state) => [state.sessions.get(session)?.status, state.tasks.get("one")?.status])).toEqual(["live", "claimed"])
  const connections = async (): Promise<unknown> => {
    const { body } = await ask(hub.url, "/api/orpc/hub/metrics", { headers: { authorization: `Bearer ${hub.operator}` }, body: "{}" })
    return (body as { surface: { connections: number } }).surface.connections
  }
  expect(await connections()).toBe(1)
  quiet.ws.pause()
  await until(async () => (await connections()) === 0)
  await until(() => hub.loop.read((state) => state.tasks.get("one")?.status === "pending"))
  expect(await hub.loop.read((state) => state.sessions.get(session)?.status)).toBe("lost")
})

test("a pong that came while the machine stood still counts", async () => {
  hub = await startInstance({ pingMs: 50 })
  const { ws, closed } = await wire(hub.operator)
  let isClosed = false
  void closed.then(() => (isClosed = true))
  await new Promise<void>((resolve) => {
    ws.once("ping", () => {
      ws.pong()
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)
      resolve()
    })
  })
  await Promise.race([closed, new Promise((resolve) => ws.once("ping", resolve))])
  expect(isClosed).toBe(false)
})

test("a connection that is not read, since much of what it asked is in flight, is not taken for one that is gone", async () => {
  const disk = new Bench()
  hub = await startInstance({ pingMs: 40, openLedger: () => Promise.resolve(new MemoryStore({ disk }).open()) })
  const connection = await wire(hub.operator)
  let isClosed = false
  void connection.closed.then(() => (isClosed = true))
  disk.held = true
  connection.send(Array.from({ length: 300 }, (_, at) => ({ id: at, op: "task.add", in: { id: `t${at}`, title: "T" } })))
  // Ten pings, and no pong of them is read.
  await new Promise((resolve) => setTimeout(resolve, 400))
  disk.release()
  expect(isClosed).toBe(false)
  await connection.until((frames) => frames.filter(({ ok }) => ok !== undefined).length === 300)
})

test("a beat counts for the sender's own sessions, and for another's only where it directs others", async () => {
  hub = await startInstance()
  const [ben, supervisor] = [await wire(await hub.agent("ben")), await wire(await hub.agent("sup", { role: "supervisor" }))]
  await hub.agent("ada")
  const started = { id: "s_ada", agent: "ada", runtime: "test", resumeId: null, owned: true }
  const { session } = await hub.loop.execute("session.start", { agent: "ada", session: null, role: "worker" }, started)
  ben.send({ beat: [session] })
  for (const id of [1, 2]) {
    ben.send({ id, op: "hub.status", in: {} })
    await ben.until((frames) => frames.some((frame) => frame["id"] === id))
  }
  expect(hub.loop.presence(session)).toBeNull()
  supervisor.send({ beat: [session] })
  await until(() => hub.loop.presence(session)?.connections === 1)
  supervisor.ws.close()
  await until(() => hub.loop.presence(session)?.connections === 0)
})

test("a token that has run out is heard of at the next message, and where none comes at the next ping", async () => {
  for (const [pingMs, frame] of [
    [3_600_000, { id: 1, op: "hub.status", in: {} }],
    [50, null],
  ] as const) {
    hub = await startInstance({ pingMs })
    const { token } = await hub.auth.exchange(await hub.agent("ada"), { workspace: null, session: null })
    const { frames, closed, send } = await wire(token)
    hub.wall.aheadMs = TOKEN_MS
    if (frame !== null) send(frame)
    expect(await closed).toBe(4401)
    expect(frames.slice(1)).toMatchObject([{ error: { code: "token_expired" } }])
    if (frame !== null) await hub.close()
  }
})

test("what follows a hello in its message is said with the token that it brings", async () => {
  hub = await startInstance({ pingMs: 3_600_000 })
  const credential = await hub.agent("ada")
  const { token } = await hub.auth.exchange(credential, { workspace: null, session: null })
  const client = await wire(token)
  hub.wall.aheadMs = TOKEN_MS
  client.send([{ hello: { token: credential } }, { id: 1, op: "ledger.head", in: {} }])
  await Promise.race([client.closed, client.until((frames) => frames.length === 3)])
  expect(client.frames.slice(1)).toMatchObject([{ welcome: { agent: "ada" } }, { id: 1, ok: {} }])
})

test("a beat is one call, however many sessions it names that the connection is not known to own, and it owns those that are its agent's", async () => {
  hub = await startInstance({ rate: { perSecond: 0.001, burst: 12 } })
  const token = await hub.agent("ada", { heartbeatMs: 60_000 })
  const first = await wire(token)
  first.send(Array.from({ length: 8 }, (_, id) => ({ id, op: "session.start", in: { runtime: "process", owned: true } })))
  await first.until((frames) => frames.length === 9)
  const sessions = first.frames.flatMap(({ ok }) => (ok === undefined ? [] : [(ok as { session: string }).session]))
  const second = await wire(token)
  second.send({ beat: ["no session", ...sessions] })
  await until(() => sessions.every((session) => hub.loop.presence(session)?.connections === 2))
  expect(sessions).toHaveLength(8)
})

test("beats that are longer together than a call may be end the connection", async () => {
  hub = await startInstance()
  const client = await wire(hub.operator)
  client.send(Array.from({ length: 20 }, () => ({ beat: Array.from({ length: 1_000 }, () => "s_0123456789") })))
  expect(await client.closed).toBe(4400)
  expect(client.frames.slice(1)).toMatchObject([{ error: { code: "body_too_large", details: { limit: 262_144 } } }])
})

test("a plan may be longer than any other call, and what hides in one may not", async () => {
  hub = await startInstance()
  const client = await wire(hub.operator)
  const tasks = Array.from({ length: 20 }, (_, at) => ({ id: `t${at}`, title: "T", body: "x".repeat(20_000) }))
  client.send({ id: 1, op: "plan.add", in: { name: "long", title: "Long", digest: "0".repeat(64), tasks } })
  const task = JSON.stringify({ id: "one", title: "T", body: "x".repeat(300_000) })
  client.ws.send(`{"id":2,"op":"plan.add","in":${task},"op":"task.add"}`)
  client.ws.send(`{"id":3,"op":"plan.add","in":${task},"op":7,"beat":[]}`)
  await client.until((frames) => frames.length === 4)
  expect(client.frames.slice(1).sort((a, b) => Number(a["id"]) - Number(b["id"]))).toMatchObject([
    { id: 1, ok: { plan: "long.1" } },
    { id: 2, error: { code: "body_too_large" } },
    { id: 3, error: { code: "body_too_large" } },
  ])
})

test("two hellos in one message end the connection", async () => {
  hub = await startInstance()
  const client = await wire(hub.operator)
  client.send([{ hello: { token: hub.operator } }, { hello: { token: hub.operator } }, { hello: { token: hub.operator } }])
  expect(await client.closed).toBe(4400)
  expect(client.frames.slice(1)).toMatchObject([{ error: { code: "invalid_input", message: "a message has two hellos" } }])
})

test("a call that waits is ended by a cancel, and others go on beside it", async () => {
  hub = await startInstance()
  const worker = await wire(await hub.agent("ada"))
  worker.send({ id: 1, op: "task.claimNext", in: { waitMs: 60_000 } })
  worker.send({ id: 2, op: "hub.status", in: {} })
  await worker.until((frames) => frames.some(({ id }) => id === 2))
  expect(worker.frames.some(({ id }) => id === 1)).toBe(false)
  worker.send({ cancel: 1 })
  await worker.until((frames) => frames.some(({ id }) => id === 1))
  expect(worker.frames.at(-1)?.["error"]).toMatchObject({ code: "timed_out" })
})

test("a hub that goes down answers what is in flight, then ends its connections with 1001", async () => {
  hub = await startInstance()
  const client = await wire(hub.operator)
  client.send(Array.from({ length: 200 }, (_, at) => ({ id: at, op: "task.add", in: { id: `t${at}`, title: "T" } })))
  await until(() => hub.loop.read((state) => state.tasks.size > 0))
  await hub.stop()
  expect(await client.closed).toBe(1001)
  const answers = client.frames.filter(({ id }) => id !== undefined)
  await hub.restart()
  const added = await hub.loop.read((state) => [...state.tasks.keys()])
  // Nothing was acknowledged that is not there, and nothing is there that nobody was told of.
  expect(
    answers
      .filter(({ ok }) => ok !== undefined)
      .map(({ id }) => `t${String(id)}`)
      .toSorted(),
  ).toEqual(added.toSorted())
})
