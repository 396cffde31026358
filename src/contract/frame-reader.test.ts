import type { Writable } from "node:stream"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import * as library from "ws"
import { FrameReader, type Sender } from "./frame-reader.ts"

/** Its types do not tell of it. */
const { Receiver } = library as unknown as { Receiver: new (options: object) => Writable }

const TEXT = 1
const BINARY = 2
const MESSAGE_MAX_BYTES = 75_000
const PIECES_MAX = 5

/** A frame: RFC 6455, 5.2; masked, as a client's is. */
function frame(payload: Buffer, opcode: number, { final = true, mask = Buffer.from([7, 77, 177, 0]), reserved = 0, masked = true } = {}): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = (final ? 0x80 : 0) | reserved | opcode
  head[1] = (masked ? 0x80 : 0) | (head.length === 2 ? length : head.length === 4 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  else if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  if (!masked) return Buffer.concat([head, payload])
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at % 4] as number))])
}

/** A client takes what a hub sends for UTF-8; a hub looks at a client's bytes. */
function asHeard(sender: Sender, bytes: Buffer): string {
  return bytes.toString(sender === "hub" ? "utf8" : "latin1")
}

/** `ws`, as it reads by itself: what it heard, in order. */
function receiver(sender: Sender, heard: string[]): Writable {
  const own = new Receiver({
    isServer: sender === "client",
    maxPayload: MESSAGE_MAX_BYTES,
    maxFragments: PIECES_MAX,
    skipUTF8Validation: true,
    allowSynchronousEvents: true,
  })
  own.on("message", (data: Buffer, isBinary: boolean) => heard.push(`${isBinary ? "binary" : "text"} ${asHeard(sender, data)}`))
  own.on("ping", (data: Buffer) => heard.push(`ping ${data.toString("latin1")}`))
  own.on("pong", (data: Buffer) => heard.push(`pong ${data.toString("latin1")}`))
  own.on("conclude", (code: number) => heard.push(`close ${code}`))
  own.on("error", (error: Error) => heard.push(`error ${error.message}`))
  return own
}

async function settled(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** What is heard of bytes that come in these pieces, read by `ws` alone, and by the reader before it. */
async function both(sender: Sender, pieces: readonly Buffer[]): Promise<{ alone: string[]; before: string[]; passed: number }> {
  const alone: string[] = []
  const before: string[] = []
  const own = receiver(sender, alone)
  const rest = receiver(sender, before)
  let passed = 0
  let left = false
  const pass = (bytes: Buffer): void => {
    passed += bytes.length
    rest.write(bytes)
  }
  const reader = new FrameReader(
    sender,
    (message) => before.push(`text ${typeof message === "string" ? message : asHeard(sender, message)}`),
    pass,
    () => (left = true),
  )
  rest.on("error", () => reader.end())
  // As `ws` does with its socket: nothing is read after a close or an error.
  const over = new Set<Writable>()
  for (const one of [own, rest]) {
    one.on("error", () => over.add(one))
    one.on("conclude", () => over.add(one))
  }
  for (const piece of pieces) {
    if (!over.has(own)) own.write(Buffer.from(piece))
    if (!left) reader.push(Buffer.from(piece))
    else if (!over.has(rest)) pass(Buffer.from(piece))
    await settled()
  }
  return { alone, before, passed }
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 20, size: "max" }),
  fc.uint8Array({ minLength: 120, maxLength: 130, size: "max" }),
  fc.constantFrom(65_535, 65_536, 70_000).map((length) => new Uint8Array(length).fill(65)),
)
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes))
/** What a client, or a hub, may send, and what not. */
function sentBy(sender: Sender) {
  const framed: typeof frame = (bytes, opcode, options) => frame(bytes, opcode, { masked: sender === "client", ...options })
  const whole = fc
    .tuple(payload, fc.constantFrom(TEXT, TEXT, TEXT, BINARY), mask)
    .map(([bytes, opcode, key]) => [framed(Buffer.from(bytes), opcode, { mask: key })])
  const control = fc
    .tuple(fc.uint8Array({ maxLength: 125, size: "max" }), fc.constantFrom(9, 10))
    .map(([bytes, opcode]) => [framed(Buffer.from(bytes), opcode)])
  const pieces = fc
    .tuple(fc.array(fc.uint8Array({ maxLength: 200, size: "max" }), { minLength: 2, maxLength: 4 }), fc.constantFrom(TEXT, BINARY), fc.boolean())
    .map(([parts, opcode, pinged]) =>
      parts.flatMap((part, at) => [
        framed(Buffer.from(part), at === 0 ? opcode : 0, { final: at === parts.length - 1 }),
        ...(pinged && at === 0 ? [framed(Buffer.from("between"), 9)] : []),
      ]),
    )
  /** What no client may send, or bytes that are no frames at all. */
  const wrong = fc.oneof(
    fc.tuple(payload, fc.constantFrom(0, 3, 7, 11, 15)).map(([bytes, opcode]) => [framed(Buffer.from(bytes), opcode)]),
    fc.tuple(payload, fc.constantFrom(0x40, 0x20, 0x10)).map(([bytes, reserved]) => [framed(Buffer.from(bytes), TEXT, { reserved })]),
    payload.map((bytes) => [framed(Buffer.from(bytes), TEXT, { masked: sender === "hub" })]),
    fc.uint8Array({ minLength: 126, maxLength: 140, size: "max" }).map((bytes) => [framed(Buffer.from(bytes), 9)]),
    fc.uint8Array({ maxLength: 40, size: "max" }).map((bytes) => [framed(Buffer.from(bytes), TEXT, { final: false }), framed(Buffer.from(bytes), TEXT)]),
    fc.uint8Array({ minLength: 2, maxLength: 40, size: "max" }).map((bytes) => [Buffer.from(bytes)]),
    // Too long, and in too many pieces, with what came after the last of them in the same bytes.
    fc
      .constantFrom(
        [70_000, 10_000],
        Array.from({ length: PIECES_MAX + 1 }, () => 1),
      )
      .map((lengths) => lengths.map((length, at) => framed(Buffer.alloc(length, 65), at === 0 ? TEXT : 0, { final: at === lengths.length - 1 }))),
  )
  const close = fc.constantFrom(1000, 1001, 4000).map((code) => [framed(Buffer.from([code >> 8, code & 255]), 8)])
  return { whole, control, pieces, wrong, close }
}

describe.each(["client", "hub"] as const)("a reader before ws, of what a %s sends", (sender) => {
  const { whole, control, pieces, wrong, close } = sentBy(sender)

  test("hears of any frames, in any pieces, what ws alone hears, in the same order", async () => {
    const frames = fc.array(fc.oneof({ weight: 6, arbitrary: whole }, control, pieces), { maxLength: 12, size: "max" })
    await fc.assert(
      fc.asyncProperty(frames, fc.array(fc.nat(100_000), { maxLength: 8 }), async (sent, places) => {
        const { alone, before } = await both(sender, cut(Buffer.concat(sent.flat()), places))
        expect(before).toEqual(alone)
      }),
      { numRuns: 200 },
    )
  })

  test("hears of what is wrong what ws says of it, and of nothing that came after it or after a close", async () => {
    const some = fc.array(fc.oneof(whole, control), { maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(some, fc.oneof(wrong, close), some, fc.array(fc.nat(1_000), { maxLength: 4 }), async (first, last, after, places) => {
        const { alone, before } = await both(sender, cut(Buffer.concat([...first, last, ...after].flat()), places))
        expect(before).toEqual(alone)
      }),
      { numRuns: 300 },
    )
  })

  test("leaves nothing to ws of whole text messages, ASCII or not", async () => {
    const texts = ['{"id":1}', "x".repeat(126), "ü", "🪿".repeat(1_000), "", "x".repeat(65_536)]
    const { before, passed } = await both(sender, [Buffer.concat(texts.map((text) => frame(Buffer.from(text), TEXT, { masked: sender === "client" })))])
    expect(passed).toBe(0)
    expect(before).toEqual(texts.map((text) => `text ${asHeard(sender, Buffer.from(text))}`))
  })
})
