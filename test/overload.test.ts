import { afterEach, expect, test, vi } from "vitest"
import { WebSocket } from "ws"
import { type Instance, startInstance } from "../src/surface/served.contract.ts"
import { REFUSALS } from "../src/surface/websocket.ts"

let hub: Instance | null = null
afterEach(async () => {
  vi.useRealTimers()
  await hub?.close()
  hub = null
})

type Answer = { id: number; ok?: { seq: number }; error?: { code: string; retryAfterMs: number } }

/** Sends all frames at once, in as few packets as the socket makes of them, and waits for as many answers. */
async function flood(url: string, token: string, frames: readonly object[], heard?: () => void): Promise<{ answers: Answer[]; tookMs: number }> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`)
  await new Promise((resolve) => socket.once("open", resolve))
  const answers: Answer[] = []
  const all = new Promise<void>((resolve) => {
    socket.on("message", (data: Buffer) => {
      const said = JSON.parse(data.toString()) as Answer | Answer[]
      for (const answer of [said].flat().filter(({ id }) => id !== undefined)) {
        answers.push(answer)
        heard?.()
      }
      if (answers.length === frames.length) resolve()
    })
  })
  socket.send(JSON.stringify({ hello: { token } }))
  const startMs = performance.now()
  for (const frame of frames) socket.send(JSON.stringify(frame))
  await all
  socket.close()
  return { answers, tookMs: performance.now() - startMs }
}

function adds(count: number): object[] {
  return Array.from({ length: count }, (_, at) => ({ id: at + 1, op: "task.add", in: { id: `t${at}`, title: "Task" } }))
}

test("who goes on asking is told overloaded at a rate that the hub can afford, and then not read: what was not refused waits, and is done", async () => {
  hub = await startInstance({ limits: { queueMax: 20, batchMax: 10 } })
  const { answers, tookMs } = await flood(hub.url, hub.operator, adds(8_000))
  const refused = answers.filter(({ error }) => error?.code === "overloaded")
  expect(answers.filter(({ ok }) => ok !== undefined).length + refused.length).toBe(8_000)
  expect(refused.length).toBeGreaterThan(0)
  // Beyond the burst each refusal is followed by a rest.
  expect(refused.length).toBeLessThanOrEqual(REFUSALS.burst + (REFUSALS.perSecond / 1_000) * tookMs + 2)
  expect(refused[0]?.error?.retryAfterMs).toBeGreaterThanOrEqual(20)
})

test("who asks more than its rate is told so as often as the hub can afford, and then not read for a while", async () => {
  hub = await startInstance({ rate: { perSecond: 1, burst: 100 } })
  const ada = await hub.agent("ada")
  const heads = (count: number): object[] => Array.from({ length: count }, (_, at) => ({ id: at + 1, op: "ledger.head", in: {} }))
  // Time stands still: nothing is earned, and no rest ends.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  let answered = 0
  const more = flood(hub.url, hub.operator, heads(REFUSALS.burst + 1_000), () => (answered += 1))
  await flood(hub.url, ada, heads(50))
  while (answered < 100 + REFUSALS.burst) await flood(hub.url, ada, [{ id: 1, op: "ledger.head", in: {} }])
  for (let turns = 0; turns < 20; turns += 1) await flood(hub.url, ada, [{ id: 1, op: "ledger.head", in: {} }])
  // What was in flight when the first was one too many is answered too.
  expect(answered).toBeLessThanOrEqual(100 + REFUSALS.burst + 256)
  vi.useRealTimers()
  void more
})

test.for<[what: string, frame: (at: number) => object]>([
  ["frames of no known kind", () => ({})],
  ["calls without an id", () => ({ op: "ledger.head" })],
  ["calls with a wrong key", (at) => ({ id: at, op: "ledger.head", key: 1 })],
  ["subscriptions from nowhere", () => ({ subscribe: { from: 0 } })],
  ["subscriptions", () => ({ subscribe: { from: 1 } })],
  ["cancellations", (at) => ({ cancel: at })],
  ["beats of strangers", (at) => ({ beat: [`s_${at}`] })],
])("whoever sends %s on and on is not read for a while, and others are", async ([, frame]) => {
  hub = await startInstance({ level: "warn" })
  const mallory = await hub.agent("mallory")
  // As above: no rest ends.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  const socket = new WebSocket(`${hub.url.replace("http", "ws")}/ws`)
  await new Promise((resolve) => socket.once("open", resolve))
  let answered = false
  socket.on("message", (data: Buffer) => (answered ||= data.includes('"id":5000,"ok"')))
  socket.send(JSON.stringify({ hello: { token: mallory } }))
  const many = JSON.stringify(Array.from({ length: 1_000 }, (_, at) => frame(at)))
  for (let sent = 0; sent < 3; sent += 1) socket.send(many)
  socket.send('{"id":5000,"op":"ledger.head"}')
  for (let turns = 0; turns < 30; turns += 1) await flood(hub.url, hub.operator, [{ id: 1, op: "ledger.head", in: {} }])
  expect(answered).toBe(false)
  socket.terminate()
})

test("a connection with hundreds of calls in flight is answered in order and whole, none is refused", async () => {
  hub = await startInstance()
  const { answers } = await flood(hub.url, hub.operator, adds(3_000))
  expect(answers.filter(({ error }) => error !== undefined)).toEqual([])
  expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: 3_000 }, (_, at) => at + 1))
})

test("claims that wait do not stop what comes after them on the same connection", async () => {
  hub = await startInstance()
  const waiting = Array.from({ length: 400 }, (_, at) => ({ id: at + 1, op: "task.claimNext", in: { waitMs: 1_500, plan: "none.1" } }))
  const credential = await hub.agent("ada")
  const { answers } = await flood(hub.url, credential, [...waiting, { id: 500, op: "ledger.head", in: {} }])
  expect(answers[0]).toMatchObject({ id: 500, ok: {} })
})

test("a connection has a thousand calls in flight at the most, such as claims that wait", async () => {
  hub = await startInstance()
  const waiting = Array.from({ length: 1_001 }, (_, at) => ({ id: at + 1, op: "task.claimNext", in: { waitMs: 1_500, plan: "none.1" } }))
  const { answers } = await flood(hub.url, await hub.agent("ada"), waiting)
  expect(answers[0]).toMatchObject({ id: 1_001, error: { code: "rate_limited" } })
})
