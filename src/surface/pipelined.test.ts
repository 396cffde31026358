import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { MemoryStore } from "../ledger/memory.ts"
import { type Instance, startInstance } from "./served.contract.ts"

/** What a client hears and what takes effect, however its requests are cut, whoever reads them: `whole-calls.ts`, or Node's HTTP from the first on that it has to. */

let hub: Instance
let ada: string
let runs = 0
beforeAll(async () => {
  const ledger = new MemoryStore().open()
  const append = ledger.append.bind(ledger)
  let appends = 0
  // As a disk does it: what comes meanwhile comes too early.
  ledger.append = async (expected, batch) => {
    await sleep((appends += 1) % 4)
    return append(expected, batch)
  }
  hub = await startInstance({ level: "silent", openLedger: () => Promise.resolve(ledger) })
  ada = await hub.agent("ada")
})
afterAll(() => hub.close())

const KINDS = [
  "add",
  "add",
  "add",
  "addAsPlainJson",
  "addWithMore",
  "addInChunks",
  "addExpecting",
  "addAsPlan",
  "read",
  "wrong",
  "unread",
  "stranger",
  "wait",
  "claim",
  "health",
] as const
type Kind = (typeof KINDS)[number]
type Asked = { kind: Kind; bytes: string; adds: string | null; answer: { status: number; says: string } }

function post(path: string, body: string, { token = hub.operator, more = "" } = {}): string {
  const length = more.includes("chunked") ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`
  return `POST ${path} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n${length}${more}\r\n${body}`
}

function asked(kind: Kind, id: string): Asked {
  const task = JSON.stringify({ json: { id, title: id } })
  const added = (bytes: string): Asked => ({ kind, bytes, adds: id, answer: { status: 200, says: `"task":"${id}"` } })
  const other = (bytes: string, status: number, says: string): Asked => ({ kind, bytes, adds: null, answer: { status, says } })
  switch (kind) {
    case "add":
      return added(post("/rpc/task/add", task))
    case "addAsPlainJson":
      return added(post("/api/orpc/task/add", JSON.stringify({ id, title: "ü".repeat(20) })))
    case "addWithMore":
      return added(post("/rpc/task/add", task, { more: "X-More: a\r\n" }))
    case "addInChunks":
      return added(
        post("/rpc/task/add", `3\r\n${task.slice(0, 3)}\r\n${(task.length - 3).toString(16)}\r\n${task.slice(3)}\r\n0\r\n\r\n`, {
          more: "Transfer-Encoding: chunked\r\n",
        }),
      )
    case "addExpecting":
      return added(post("/rpc/task/add", task, { more: "Expect: 100-continue\r\n" }))
    case "addAsPlan":
      return {
        ...other(
          post("/rpc/plan/add", JSON.stringify({ json: { name: id, title: id, digest: "ab", tasks: [{ id: "a", title: "A" }] } })),
          200,
          `"plan":"${id}.`,
        ),
        adds: `${id}.1/a`,
      }
    case "read":
      return other(post("/rpc/ledger/head", '{"json":{}}'), 200, '"seq"')
    case "wrong":
      return other(post("/rpc/task/show", `{"json":{"task":"no-${id}"}}`), 404, `no-${id}`)
    case "unread":
      return other(post("/rpc/task/add", "{"), 400, "not JSON")
    case "stranger":
      return other(post("/rpc/task/add", task, { token: "x" }), 401, "unauthenticated")
    case "wait":
      return other(post("/rpc/work/wait", '{"json":{"waitMs":1}}', { token: ada }), 200, '"json"')
    case "claim":
      return other(post("/rpc/task/claimNext", '{"json":{"waitMs":1,"labels":["none"]}}', { token: ada }), 409, "nothing_ready")
    case "health":
      return other(`GET /health HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\n\r\n`, 200, '"ok":true')
  }
}

type Answer = { status: number; body: string }

/** The answers in what was heard, and how many bytes of them. */
function answersIn(heard: string): { answers: Answer[]; bytes: number } {
  const answers: Answer[] = []
  let at = 0
  for (;;) {
    const end = heard.indexOf("\r\n\r\n", at)
    if (end < 0) break
    const head = heard.slice(at, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (heard.length < end + 4 + length) break
    if (status !== 100) answers.push({ status, body: heard.slice(end + 4, end + 4 + length) })
    at = end + 4 + length
  }
  return { answers, bytes: at }
}

/** How long is waited before a piece goes out: not at all (it goes with the one before), for a turn, for so many ms, for all answers to what went out. */
type Pause = "none" | "turn" | "answers" | number
const pause = fc.constantFrom<Pause[]>("none", "turn", "turn", 1, 3, "answers")

type Cut = { at: number; pause: Pause }
type Spoken = { kinds: Kind[]; cuts: Cut[]; between: Pause | null }
const conversation = fc.record({
  kinds: fc.array(fc.constantFrom(...KINDS), { minLength: 1, maxLength: 8 }),
  cuts: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), pause }), { maxLength: 8 }),
  /** Whether it is cut between requests too, and how long is waited there. */
  between: fc.option(pause, { nil: null }),
})

/** Answered by its head, as the body is on its way. */
const STRANGER_WITHOUT_END: Spoken = { kinds: ["add", "stranger"], cuts: [{ at: 0.93, pause: "answers" }], between: 3 }

/** How many requests are whole in what was sent, and what may be heard of the one after them: half a request is none, but who asks is known by its head. */
function wholeIn(all: readonly Asked[], sent: Talk["pieces"]): { whole: number; half: number[] } {
  let left = sent.reduce((sum, { bytes }) => sum + bytes.length, 0)
  for (const [whole, { bytes, answer }] of all.entries()) {
    const size = Buffer.byteLength(bytes)
    if (left === 0) return { whole, half: [] }
    if (left < size) return { whole, half: answer.status === 401 && left >= bytes.indexOf("\r\n\r\n") + 4 ? [400, 401] : [400] }
    left -= size
  }
  return { whole: all.length, half: [] }
}

type Talk = { all: Asked[]; pieces: { bytes: string; pause: Pause; due: number }[] }

function talk({ kinds, cuts, between }: { kinds: readonly Kind[]; cuts: readonly Cut[]; between: Pause | null }): Talk {
  const run = (runs += 1)
  const all = kinds.map((kind, at) => asked(kind, `t${run}-${at}`))
  // As its characters are bytes.
  const texts = all.map(({ bytes }) => Buffer.from(bytes).toString("latin1"))
  const text = texts.join("")
  const ends = texts.map((_, at) => texts.slice(0, at + 1).join("").length)
  const places: Cut[] = cuts.map(({ at, pause: before }) => ({ at: Math.floor(at * text.length), pause: before }))
  if (between !== null) places.push(...ends.slice(0, -1).map((at) => ({ at, pause: between })))
  places.sort((a, b) => a.at - b.at)
  const pieces: Talk["pieces"] = []
  let from = 0
  let before: Pause = "none"
  for (const { at, pause: next } of [...places, { at: text.length, pause: "none" as Pause }]) {
    if (at > from) {
      pieces.push({ bytes: text.slice(from, at), pause: before, due: ends.filter((end) => end <= from).length })
      before = next
    }
    from = at
  }
  return { all, pieces }
}

async function open(): Promise<{ socket: Socket; heard(): string }> {
  const socket = connect({ port: Number(new URL(hub.url).port), host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
  let text = ""
  socket.on("error", () => undefined)
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk))
  await once(socket, "connect")
  return { socket, heard: () => text }
}

/** Once so many answers were heard, or nothing more comes. */
async function answered({ socket, heard }: { socket: Socket; heard(): string }, count: number): Promise<Answer[]> {
  for (let waited = 0; ; waited += 1) {
    const { answers } = answersIn(heard())
    if (answers.length >= count || socket.readableEnded || waited > 4_000) return answers
    await (waited < 20 ? new Promise((resolve) => setImmediate(resolve)) : sleep(1))
  }
}

async function say(open: { socket: Socket; heard(): string }, pieces: Talk["pieces"]): Promise<void> {
  for (const { bytes, pause: before, due } of pieces) {
    if (before === "turn") await new Promise((resolve) => setImmediate(resolve))
    else if (before === "answers") await answered(open, due)
    else if (before !== "none") await sleep(before)
    open.socket.write(bytes, "latin1")
  }
}

const added = (run: number): Promise<string[]> => hub.loop.read((state) => [...state.tasks.keys()].filter((id) => id.startsWith(`t${run}-`)))

/** Node's own way to have a connection read into a buffer of ours, as the object that has it. */
async function withoutReadingTogether(): Promise<() => void> {
  const { socket } = await open()
  let owner = (socket as unknown as { _handle: object })._handle
  while (!Object.hasOwn(owner, "useUserBuffer")) owner = Object.getPrototypeOf(owner) as object
  const has = Object.getOwnPropertyDescriptor(owner, "useUserBuffer") as PropertyDescriptor
  Object.defineProperty(owner, "useUserBuffer", { value: undefined, configurable: true })
  socket.destroy()
  return () => void Object.defineProperty(owner, "useUserBuffer", has)
}

describe.each(["as Node reads it", "in a Node that has nothing to be read together by"])("a connection, %s", (how) => {
  let restore: (() => void) | null = null
  beforeAll(async () => {
    if (how !== "as Node reads it") restore = await withoutReadingTogether()
  })
  afterAll(() => restore?.())

  test("has each request answered once and in order, and carried out once and in order, however they are cut and mixed; a WebSocket opens behind them", async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.boolean(), async (spoken, upgrades) => {
        const { all, pieces } = talk(spoken)
        const run = runs
        const connection = await open()
        const upgrade = `GET /ws HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
        try {
          await say(connection, upgrades ? [...pieces, { bytes: upgrade, pause: "turn", due: 0 }] : pieces)
          const answers = await answered(connection, all.length + (upgrades ? 1 : 0))
          const due = all.map(({ answer }) => answer)
          if (upgrades) due.push({ status: 101, says: "" })
          expect(answers.map(({ status }) => status)).toEqual(due.map(({ status }) => status))
          for (const [at, { says }] of due.entries()) expect(answers[at]?.body).toContain(says)
          const { heard } = connection
          expect(answersIn(heard()).bytes).toBe(heard().length)
          expect(await added(run)).toEqual(all.flatMap(({ adds }) => adds ?? []))
        } finally {
          connection.socket.destroy()
        }
      }),
      { numRuns: 60 },
    )
  })

  test("whose client leaves in the midst has its requests carried out to some point, none twice, and is not kept", async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.constantFrom("reset", "end", "close"), pause, fc.nat(8), async (spoken, leaves, before, left) => {
        const { all, pieces } = talk(spoken)
        const run = runs
        const connection = await open()
        const { socket } = connection
        const sent = pieces.slice(0, left)
        await say(connection, sent)
        const { whole, half } = wholeIn(all, sent)
        if (before === "answers") await answered(connection, whole + Math.max(0, half.length - 1))
        else if (before === "turn") await new Promise((resolve) => setImmediate(resolve))
        else if (typeof before === "number") await sleep(before)
        if (leaves === "reset") socket.resetAndDestroy()
        else if (leaves === "end") socket.end()
        else socket.destroy()
        if (leaves === "end") await expect.poll(() => socket.readableEnded || socket.destroyed, { timeout: 5_000, interval: 1 }).toBe(true)
        const tasks = await added(run)
        expect(tasks).toEqual(
          all
            .slice(0, whole)
            .flatMap(({ adds }) => adds ?? [])
            .slice(0, tasks.length),
        )
        const { answers } = answersIn(connection.heard())
        const due = all.slice(0, whole).map(({ answer }) => answer.status)
        const statuses = answers.map(({ status }) => status)
        expect(statuses.slice(0, whole)).toEqual(due.slice(0, answers.length))
        // Whoever ends its side has asked, and reads; but whoever waits may be gone, and is taken for that.
        if (leaves === "end" && !all.some(({ kind }) => kind === "wait" || kind === "claim")) expect(statuses).toHaveLength(whole + Math.min(1, half.length))
        expect(statuses.slice(whole)).toEqual(half.filter((status) => statuses[whole] === status))
        socket.destroy()
      }),
      {
        numRuns: 60,
        examples: [
          [STRANGER_WITHOUT_END, "end", "answers", 2],
          [STRANGER_WITHOUT_END, "close", "answers", 2],
          // Its end comes as the first one is under way.
          [{ kinds: ["add", "add"], cuts: [], between: 1 }, "end", "none", 2],
        ],
      },
    )
    // The listening one, and none that a client is at the other end of.
    await expect.poll(() => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length, { timeout: 5_000 }).toBe(0)
  })
})
