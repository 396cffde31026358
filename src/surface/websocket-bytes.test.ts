import { connect, type Socket } from "node:net"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { frame, readFrames } from "../../test/fuzz/frames.ts"
import { type Instance, startInstance } from "./served.contract.ts"

/** What a client may send byte for byte, and what ends its connection: RFC 6455, on a bare socket. */

/** Of characters of one to four bytes. */
const TEXT = "böb \u2028\u0000 🪿"
const PING = 9
const CLOSE = 8

let hub: Instance
const open: Socket[] = []
beforeAll(async () => {
  hub = await startInstance()
})
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})
afterAll(() => hub.close())

type Heard = { texts: string[]; pongs: string[]; closed: number | null; ended: boolean }
type Line = { heard: Heard; write(bytes: Buffer): void; until(holds: (heard: Heard) => boolean): Promise<void> }

/** A connection that is upgraded. */
async function upgraded(): Promise<Line> {
  const socket = connect(Number(new URL(hub.url).port), "127.0.0.1")
  open.push(socket)
  socket.setNoDelay(true)
  const heard: Heard = { texts: [], pongs: [], closed: null, ended: false }
  let wake = (): void => undefined
  let rest: Buffer = Buffer.alloc(0)
  let isUpgraded = false
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    const end = isUpgraded ? -4 : rest.indexOf("\r\n\r\n")
    if (!isUpgraded && end < 0) return
    isUpgraded = true
    const read = readFrames(rest.subarray(end + 4))
    rest = read.rest
    for (const { opcode, payload } of read.frames) {
      if (opcode === CLOSE) heard.closed = payload.length < 2 ? 1005 : payload.readUInt16BE(0)
      else (opcode === 10 ? heard.pongs : heard.texts).push(payload.toString("utf8"))
    }
    wake()
  })
  socket.on("error", () => undefined)
  socket.on("close", () => {
    heard.ended = true
    wake()
  })
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  )
  const until = async (holds: (heard: Heard) => boolean): Promise<void> => {
    while (!holds(heard)) await new Promise<void>((resolve) => (wake = resolve))
  }
  return { heard, write: (bytes) => void socket.write(bytes), until }
}

const text = (message: unknown): Buffer => frame(Buffer.from(JSON.stringify(message)))
const hello = (): { hello: object } => ({ hello: { token: hub.operator } })
const add = (id: string, more: object = {}, call = 1): object => ({ id: call, op: "task.add", in: { id, title: "T", ...more } })
const hasTask = (id: string): Promise<boolean> => hub.loop.read((state) => state.tasks.has(id))

async function greeted(): Promise<Line> {
  const line = await upgraded()
  line.write(text(hello()))
  await line.until(({ texts }) => texts.length > 0)
  return line
}

const closing = (...bytes: number[]): Buffer => frame(Buffer.from(bytes), { opcode: CLOSE })
const long = (length: bigint): Buffer => {
  const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])
  head.writeBigUInt64BE(length, 2)
  return head
}
const half = Buffer.from('"ü"')

const wrong: [rule: string, code: number, bytes: Buffer][] = [
  ["a frame that is not masked", 1002, frame(Buffer.from("{}"), { masked: false })],
  ["a ping that is not masked", 1002, frame(Buffer.from("x"), { opcode: PING, masked: false })],
  ["the first reserved bit", 1002, frame(Buffer.from("{}"), { reserved: 4 })],
  ["the second reserved bit", 1002, frame(Buffer.from("{}"), { reserved: 2 })],
  ["the third reserved bit, of a ping", 1002, frame(Buffer.from("{}"), { opcode: PING, reserved: 1 })],
  ["an opcode of no data frame", 1002, frame(Buffer.from("{}"), { opcode: 3 })],
  ["an opcode of no control frame", 1002, frame(Buffer.from("{}"), { opcode: 11 })],
  ["a ping of 126 bytes", 1002, frame(Buffer.alloc(126), { opcode: PING })],
  ["a ping in pieces", 1002, frame(Buffer.from("x"), { opcode: PING, final: false })],
  ["a rest of nothing", 1002, frame(Buffer.from("{}"), { opcode: 0 })],
  ["a message within another's pieces", 1002, Buffer.concat([frame(Buffer.from("{"), { final: false }), frame(Buffer.from("{}"))])],
  ["a close of one byte", 1002, closing(3)],
  ["a close with a code that nobody may send", 1002, closing(3, 237)],
  ["a message over 8 MiB by its head", 1009, long(8_388_609n)],
  ["a message of 2^63 bytes", 1009, long(2n ** 63n)],
  [
    "a message of too many pieces",
    1008,
    Buffer.concat([
      frame(Buffer.from("{"), { final: false }),
      ...Array.from({ length: 16_384 }, (_, at) => frame(Buffer.from(" "), { opcode: 0, final: at === 16_383 })),
    ]),
  ],
  ["bytes that are no text", 4400, frame(Buffer.from("{}"), { opcode: 2 })],
  ["text that is no UTF-8", 1007, frame(Buffer.from([0x22, 0xff, 0x22]))],
  ["a surrogate in UTF-8", 1007, frame(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))],
  ["an overlong form of UTF-8", 1007, frame(Buffer.from([0x22, 0xc0, 0xaf, 0x22]))],
  ["text that breaks off within a character", 1007, frame(half.subarray(0, 2))],
  ["text in pieces that is no UTF-8", 1007, Buffer.concat([frame(half.subarray(0, 2), { final: false }), frame(half.subarray(0, 1), { opcode: 0 })])],
]

test.for(wrong)("%s ends the connection with %i, and nothing that came after it is done", async ([rule, code, bytes]) => {
  const line = await greeted()
  const id = `after-${wrong.findIndex(([one]) => one === rule)}`
  line.write(Buffer.concat([bytes, text(add(id)), text(add(id))]))
  await line.until(({ closed }) => closed !== null)
  expect(line.heard.closed).toBe(code)
  line.write(Buffer.concat([text(add(id)), closing(code >> 8, code & 255)]))
  await line.until(({ ended }) => ended)
  expect(await hasTask(id)).toBe(false)
})

test("what is sent byte by byte, in pieces and with pings between is heard as what it says, and so is what comes after it", async () => {
  const line = await upgraded()
  const message = Buffer.from(JSON.stringify(add("pieces", { body: TEXT })))
  const bytes = Buffer.concat([
    text(hello()),
    frame(Buffer.from("one"), { opcode: PING }),
    ...[...message].map((byte, at) => frame(Buffer.from([byte]), { opcode: at === 0 ? 1 : 0, final: at === message.length - 1 })),
    text({ id: 2, op: "ledger.head", in: {} }),
  ])
  const pinged = Buffer.concat([bytes, frame(Buffer.alloc(0), { opcode: 1, final: false }), frame(Buffer.alloc(125, 120), { opcode: PING })])
  for (const byte of pinged) line.write(Buffer.from([byte]))
  line.write(Buffer.concat([frame(Buffer.from('{"id":3,"op":"ledger.head"'), { opcode: 0, final: false }), frame(Buffer.from(',"in":{}}'), { opcode: 0 })]))
  await line.until(({ texts }) => ['"id":1', '"id":3'].every((id) => texts.join("").includes(id)))
  expect(line.heard.pongs).toEqual(["one", "x".repeat(125)])
  expect(await hub.loop.read((state) => state.specs.get("pieces")?.body)).toBe(TEXT)
  line.write(Buffer.concat([closing(3, 232), text(add("late"))]))
  await line.until(({ ended }) => ended)
  expect(line.heard.closed).toBe(1000)
  expect(await hasTask("late")).toBe(false)
})

test("what comes with a hello goes before what comes right after it", async () => {
  const line = await upgraded()
  line.write(Buffer.concat([text([hello(), add("first")]), text(add("second", { dependsOn: ["first"] }, 2))]))
  await line.until(({ texts }) => ["1", "2"].every((id) => texts.join("").includes(`"id":${id}`)))
  expect(line.heard.texts.join("")).not.toContain("error")
  expect(await hasTask("second")).toBe(true)
})

test.for([
  ["in one frame", (size: number) => [long(8_000_000n), Buffer.alloc(size, 32)]],
  ["in pieces", (size: number) => [frame(Buffer.alloc(size), { final: false })]],
] as const)("who has said no hello gets no room for more than one: %s", async ([, bytes]) => {
  const line = await upgraded()
  line.write(Buffer.concat(bytes(400_000)))
  await line.until(({ closed }) => closed !== null)
  expect([line.heard.closed, JSON.parse(line.heard.texts[0] as string)]).toEqual([
    4400,
    { error: expect.objectContaining({ code: "body_too_large" }) as object },
  ])
})

test("a hello may have much right behind it", async () => {
  const line = await upgraded()
  const calls = Array.from({ length: 900 }, (_, id) => text({ id, op: "task.show", in: { task: "x".repeat(60) }, key: "k".repeat(100) }))
  line.write(Buffer.concat([text(hello()), ...calls]))
  await line.until(({ texts }) => texts.join("").includes('"id":899,'))
  expect(line.heard.closed).toBe(null)
})

test("a connection that was refused ends at the client's close, whatever came between", async () => {
  const line = await upgraded()
  line.write(Buffer.concat([text({ hello: { token: "none" } }), text(add("x")), text(add("y"))]))
  await line.until(({ closed }) => closed === 4401)
  line.write(text(add("z")))
  await new Promise((resolve) => setTimeout(resolve, 20))
  line.write(closing(17, 49))
  await line.until(({ ended }) => ended)
})
