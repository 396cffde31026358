import { SignJWT } from "jose"
import { afterEach, expect, test } from "vitest"
import { WebSocket } from "ws"
import type { Entry } from "../core/entry.ts"
import { type Instance, type InstanceOptions, startInstance } from "../surface/served.contract.ts"
import { type Client, connect, SkeinError } from "./client.ts"
import { type Proxy, startProxy } from "./proxy.contract.ts"

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function hub(options: InstanceOptions = {}): Promise<Instance> {
  const instance = await startInstance(options)
  closing.push(() => instance.close())
  return instance
}

async function proxyTo(instance: Instance): Promise<Proxy> {
  const proxy = await startProxy(() => instance.url)
  closing.push(() => proxy.close())
  return proxy
}

async function client(url: string, credential: string, options: Partial<Parameters<typeof connect>[0]> = {}): Promise<Client> {
  const connected = await connect({ url, credential, reconnect: { baseMs: 5, capMs: 50 }, ...options })
  closing.push(() => connected.close())
  return connected
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: unknown) => (error instanceof SkeinError ? error.code : String(error)),
  )
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_500; tries += 1) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error("it never came true")
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Reads `count` entries of a stream. */
async function take(stream: AsyncIterable<Entry>, count: number): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of stream) {
    entries.push(entry)
    if (entries.length === count) break
  }
  return entries
}

test("calls of one turn that are long in bytes and not in characters all arrive", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  const added = await Promise.all(Array.from({ length: 12 }, (_, at) => director.task.add({ id: `t${at}`, title: "T", body: "漢".repeat(10_000) })))
  expect(added.map(({ task }) => task)).toEqual(added.map((_, at) => `t${at}`))
})

test("a worker claims, reports and completes a task over one WebSocket", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  await director.task.add({ id: "one", title: "One" })
  const worker = await client(instance.url, await instance.agent("ada"))
  const claim = await worker.task.claim({ task: "one" })
  expect(claim.task.owner).toBe("ada")
  await worker.task.update({ task: "one", fence: claim.fence, progress: 0.5 })
  const done = await worker.task.complete({ task: "one", fence: claim.fence, deliverable: { text: "it is done" } })
  expect(done.status).toBe("completed")
})

test("a stream goes on over a restart of the hub without a gap and without an entry twice", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  const stream = take(director.events({ from: 1 }), 60)
  let added = 0
  for (let round = 0; round < 3; round += 1) {
    for (let at = 0; at < 20; at += 1, added += 1) await director.task.add({ id: `t${added}`, title: "T" })
    if (round < 2) await instance.restart()
  }
  const entries = await stream
  expect(entries.map((entry) => entry.seq)).toEqual(Array.from({ length: 60 }, (_, at) => at + 1))
  expect(entries.filter((entry) => entry.type === "hub.started").length).toBeGreaterThanOrEqual(2)
})

test("two readers of one client each see every entry from where they asked, once", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  for (let at = 0; at < 10; at += 1) await director.task.add({ id: `t${at}`, title: "T" })
  const late = take(director.events({ from: 8 }), 12)
  const early = take(director.events({ from: 1 }), 19)
  for (let at = 10; at < 20; at += 1) await director.task.add({ id: `t${at}`, title: "T" })
  expect((await early).map((entry) => entry.seq)).toEqual(Array.from({ length: 19 }, (_, at) => at + 1))
  expect((await late).map((entry) => entry.seq)).toEqual(Array.from({ length: 12 }, (_, at) => at + 8))
})

test("a command whose answer was lost with the connection is done once and answered", async () => {
  const instance = await hub()
  const proxy = await proxyTo(instance)
  const director = await client(proxy.url, instance.operator)
  proxy.loseAnswers = true
  const added = director.task.add({ id: "once", title: "Once" })
  await until(() => instance.loop.read((state) => state.tasks.has("once")))
  proxy.cut()
  proxy.loseAnswers = false
  expect((await added).task).toBe("once")
  const entries = await instance.loop.entries(1, 100)
  expect(entries.filter(({ bytes }) => bytes.includes('"task.added"')).length).toBe(1)
  expect(proxy.connections).toBeGreaterThan(2)
})

test("a claim whose answer was lost answers the same fence again", async () => {
  const instance = await hub()
  const proxy = await proxyTo(instance)
  const director = await client(instance.url, instance.operator)
  await director.task.add({ id: "one", title: "One" })
  const worker = await client(proxy.url, await instance.agent("ada"))
  proxy.loseAnswers = true
  const claiming = worker.task.claim({ task: "one" })
  await until(() => instance.loop.read((state) => state.tasks.get("one")?.status === "claimed"))
  const fence = await instance.loop.read((state) => state.tasks.get("one")?.fence)
  proxy.cut()
  proxy.loseAnswers = false
  expect((await claiming).fence).toBe(fence)
})

test("an action whose answer was lost is not sent again, and says that its outcome is unknown", async () => {
  const instance = await hub()
  const proxy = await proxyTo(instance)
  const director = await client(proxy.url, instance.operator)
  proxy.loseAnswers = true
  const creating = codeOf(director.workspace.create({ name: "second" }))
  await until(() => instance.hub.workspace("second") !== null)
  proxy.cut()
  proxy.loseAnswers = false
  expect(await creating).toBe("timed_out")
  expect((await director.workspace.list()).workspaces.map(({ name }) => name)).toEqual(["main", "second"])
})

test("a call without an answer in time is timed_out, one that never went out is hub_unreachable", async () => {
  const instance = await hub()
  const proxy = await proxyTo(instance)
  const director = await client(proxy.url, instance.operator)
  proxy.loseAnswers = true
  expect(await codeOf(director.call("hub.status", {}, { timeoutMs: 60 }))).toBe("timed_out")
  await proxy.close()
  // Until it knows that its connection has gone, a call may still go out on that.
  await until(async () => (await codeOf(director.call("hub.status", {}, { timeoutMs: 60 }))) === "hub_unreachable")
})

test("nobody at the address is hub_unreachable at once, with what to do", async () => {
  const error = await connect({ url: "http://127.0.0.1:9", credential: "skc_a_b_c" }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: "hub_unreachable", remedy: expect.stringContaining("skein up") as string })
})

test("a credential that is not the hub's is refused at once and not tried again", async () => {
  const instance = await hub()
  expect(await codeOf(connect({ url: instance.url, credential: `skc_ada_0123456789ab_${"x".repeat(43)}` }))).toBe("unauthenticated")
})

test("what the rate limit refuses is sent again after the time that it names", async () => {
  const instance = await hub({ rate: { perSecond: 200, burst: 5 } })
  const director = await client(instance.url, instance.operator)
  const startMs = performance.now()
  const answers = await Promise.all(Array.from({ length: 15 }, () => director.hub.status()))
  expect(answers.length).toBe(15)
  expect(performance.now() - startMs).toBeGreaterThan(25)
})

test("a token is renewed on the open connection before it is over", async () => {
  const instance = await hub()
  await instance.agent("ada")
  let minted = 0
  const token = (): Promise<string> => {
    minted += 1
    return new SignJWT({ agent: "ada", workspace: "main", role: "worker", session: null })
      .setProtectedHeader({ alg: "EdDSA" })
      .setIssuer("skein")
      .setIssuedAt()
      .setJti(`.${minted}`)
      .setExpirationTime(Math.floor(Date.now() / 1_000) + 4)
      .sign(instance.key)
  }
  const proxy = await proxyTo(instance)
  const worker = await connect({ url: proxy.url, token })
  closing.push(() => worker.close())
  for (const times of [1, 2]) {
    const before = worker.welcome.expiresAtMs ?? 0
    await until(() => (worker.welcome.expiresAtMs ?? 0) > before)
    await sleep(Math.max(0, before - Date.now() + 50))
    await worker.hub.status()
    expect(minted).toBeGreaterThan(times)
    expect(proxy.connections).toBe(1)
  }
  expect(instance.lines.filter((line) => line.includes("token_expired"))).toEqual([])
})

test("a token that ran out unseen ends the connection with 4401, and the client comes back with a fresh one", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  const { token } = (await instance.auth.exchange(instance.operator, { workspace: "main", session: null })) as { token: string }
  const raw = new WebSocket(`${instance.url.replace("http", "ws")}/ws`)
  const closed = new Promise<number>((resolve) => raw.on("close", resolve))
  raw.on("open", () => raw.send(JSON.stringify({ hello: { token } })))
  await new Promise((resolve) => raw.once("message", resolve))
  instance.wall.aheadMs = 16 * 60_000
  raw.send(JSON.stringify({ id: 1, op: "hub.status", in: {} }))
  expect(await closed).toBe(4401)
  expect((await director.hub.status()).workspace).toBe("main")
})

test("a session lives while its client beats, and is lost with its claim when the client is gone", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  await director.task.add({ id: "one", title: "One" })
  const ada = await instance.agent("ada", { heartbeatMs: 500 })
  const worker = await client(instance.url, ada)
  const session = await worker.session({ runtime: "test" })
  expect((await worker.task.claim({ task: "one" })).task.session).toBe(session.id)
  // Longer than the three beats after which silence counts, which are longer than a busy disk takes.
  await sleep(2_000)
  expect((await director.session.list()).sessions[0]).toMatchObject({ status: "live", active: true })
  await worker.close()
  await until(async () => (await director.task.show({ task: "one" })).task.status === "pending")
  expect((await director.session.list()).sessions[0]?.status).toBe("lost")
  const presence = async () => (await director.hub.status()).agents.find(({ name }) => name === "ada")?.presence
  expect(await presence()).toBe("lost")
  const again = await client(instance.url, ada)
  await (await again.session()).end()
  expect(await presence()).toBe("offline")
})

test("a session goes on over a restart of the hub, its claim unharmed", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  await director.task.add({ id: "one", title: "One" })
  const worker = await client(instance.url, await instance.agent("ada", { heartbeatMs: 500 }))
  const session = await worker.session()
  const { fence } = await worker.task.claim({ task: "one" })
  await instance.restart()
  await sleep(2_000)
  expect((await worker.task.update({ task: "one", fence, progress: 0.5 })).seq).toBeGreaterThan(fence)
  expect((await director.session.list({ status: "live" })).sessions.map(({ id }) => id)).toEqual([session.id])
})

test("a session that ended leaves the connection as it was before", async () => {
  const instance = await hub()
  const proxy = await proxyTo(instance)
  const { token } = await instance.auth.exchange(await instance.agent("ada"), { workspace: null, session: null })
  const worker = await connect({ url: proxy.url, token })
  closing.push(() => worker.close())
  const session = await worker.session()
  await session.end()
  expect((await worker.session.list()).sessions[0]?.status).toBe("ended")
  await worker.task.add({ id: "one", title: "One" })
  expect((await worker.task.claim({ task: "one" })).task.session).toBeNull()
  expect(proxy.connections).toBe(1)
})

test("a claim that waits gets its task the moment there is one", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  const worker = await client(instance.url, await instance.agent("ada"))
  const waiting = worker.task.claimNext({ waitMs: 5_000 })
  await sleep(50)
  await director.task.add({ id: "late", title: "Late" })
  expect((await waiting).claims[0]?.task.id).toBe("late")
})

test("a claim that waits dies with its connection, and with its signal", async () => {
  const instance = await hub()
  const director = await client(instance.url, instance.operator)
  const credential = await instance.agent("ada")
  const gone = await connect({ url: instance.url, credential })
  const first = codeOf(gone.task.claimNext({ waitMs: 60_000 }))
  const worker = await client(instance.url, credential)
  const stop = new AbortController()
  const second = codeOf(worker.task.claimNext({ waitMs: 60_000 }, { signal: stop.signal }))
  await until(() => instance.loop.stats()["parked"] === 2)
  await gone.close()
  stop.abort()
  await until(() => instance.loop.stats()["parked"] === 0)
  await director.task.add({ id: "late", title: "Late" })
  await sleep(30)
  expect([await first, await second]).toEqual(["hub_unreachable", "timed_out"])
  expect((await director.task.show({ task: "late" })).task.status).toBe("pending")
})

/** What one of the racers claims: what it won, by answer. */
type Race = (racer: Client, at: number, won: (task: string) => void) => Promise<void>

const RACE_TASKS = 5_000
const RACERS = 64

/** Each task is wanted by four racers at once, by name. */
const byName: Race = async (racer, at, won) => {
  for (let task = 0; task < RACE_TASKS; task += 1) {
    if (((task - at + RACERS) % RACERS) % 16 !== 0) continue
    const id = `race.1/t${task}`
    const code = await codeOf(racer.task.claim({ task: id }))
    if (code === "no error") won(id)
    else expect(code).toBe("claim_denied")
  }
}

/** Whoever asks next gets what is next, some of them several at once. */
const whatIsNext: Race = async (racer, at, won) => {
  for (;;) {
    try {
      const { claims } = await racer.task.claimNext({ max: 1 + (at % 3) })
      for (const { task } of claims) won(task.id)
    } catch (error) {
      expect((error as SkeinError).code).toBe("nothing_ready")
      return
    }
  }
}

test.each([
  ["claim", byName],
  ["claimNext", whatIsNext],
])("64 clients that race for 5,000 tasks by %s get each once", { timeout: 60_000 }, async (_, race) => {
  const instance = await hub({ level: "warn", rate: { perSecond: 1e6, burst: 1e6 } })
  const director = await client(instance.url, instance.operator)
  await director.plan.add({ name: "race", title: "Race", digest: "00", tasks: Array.from({ length: RACE_TASKS }, (__, at) => ({ id: `t${at}`, title: "T" })) })
  const credentials = await Promise.all(Array.from({ length: RACERS }, (__, at) => instance.agent(`racer${at}`, { maxActive: RACE_TASKS })))
  const racers = await Promise.all(credentials.map((credential) => client(instance.url, credential)))
  const won = new Map<string, string[]>()
  await Promise.all(racers.map((racer, at) => race(racer, at, (task) => won.set(task, [...(won.get(task) ?? []), `racer${at}`]))))
  expect(won.size).toBe(RACE_TASKS)
  expect([...won.values()].filter((winners) => winners.length !== 1)).toEqual([])
  const owners = await instance.loop.read((state) => [...state.tasks.values()].map((task) => [task.id, [task.owner]] as const))
  expect(new Map(owners)).toEqual(won)
})
