import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, test } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { asciiFrame, maskedFrame, textFrame } from "./frame.ts"

/** Lengths in bytes at which the head of a frame changes its form. */
const LENGTHS = [0, 1, 125, 126, 127, 128, 255, 256, 32_767, 32_768, 32_896, 65_535, 65_536, 65_537]
const texts = [...LENGTHS.map((length) => "x".repeat(length)), "ü".repeat(62), "ü".repeat(63), `${"🪿".repeat(16_384)}x`]

let server: WebSocketServer

beforeAll(async () => {
  server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
  await once(server, "listening")
})

afterAll(() => {
  server.close()
})

test("a frame of ours reads as its text, at every form of head, between messages that ws itself sends", async () => {
  server.once("connection", (ws, { socket }) => {
    for (const text of texts) {
      socket.write(textFrame(text))
      ws.send("by ws")
    }
    ws.close(1000)
  })
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const heard: string[] = []
  client.on("message", (data, isBinary) => heard.push(isBinary ? "binary" : (data as Buffer).toString("utf8")))
  const [code] = (await once(client, "close")) as [number]
  expect(code).toBe(1000)
  expect(heard).toEqual(texts.flatMap((text) => [text, "by ws"]))
})

test("a masked frame of ours reads as its text, at every form of head, between messages that ws itself sends, and no two keys are alike", async () => {
  const heard: string[] = []
  server.once("connection", (ws) => ws.on("message", (data, isBinary) => heard.push(isBinary ? "binary" : (data as Buffer).toString("utf8"))))
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  client.once("upgrade", ({ socket }) => {
    client.once("open", () => {
      for (const text of texts) {
        socket.write(maskedFrame(text))
        client.send("by ws")
      }
      client.close(1000)
    })
  })
  const [code] = (await once(client, "close")) as [number]
  expect(code).toBe(1000)
  expect(heard).toEqual(texts.flatMap((text) => [text, "by ws"]))
  // More than are drawn at once.
  const keys = Array.from({ length: 5_000 }, () => maskedFrame("x").toString("hex", 2, 6))
  expect(new Set(keys).size).toBeGreaterThan(4_990)
})

test("a frame of ASCII as characters is the same bytes; of anything else there is none", () => {
  for (const text of texts) {
    const frame = asciiFrame(text)
    if (/^[\x00-\x7f]*$/.test(text) && text.length < 65_536) expect(Buffer.from(frame ?? "", "latin1")).toEqual(textFrame(text))
    else expect(frame).toBeNull()
  }
})
