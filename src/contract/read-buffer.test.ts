import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer, request, type Server } from "node:http"
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { setTimeout as wait } from "node:timers/promises"
import { expect, onTestFinished, test } from "vitest"
import { readingTogether } from "./read-buffer.ts"

const UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

/** Two ends of a connection whose HTTP is over: the server's, as it was given and as it reads now, and a client's. */
async function upgraded(rest = ""): Promise<{ server: Server; given: Duplex; head: Buffer; reading: Duplex; client: Socket }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const taken = once(server, "upgrade") as Promise<[unknown, Duplex, Buffer]>
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1")
  client.write(UPGRADE + rest)
  const [, given, head] = await taken
  const reading = readingTogether(given)
  onTestFinished(() => {
    client.destroy()
    reading.destroy()
    server.close()
  })
  return { server, given, head, reading, client }
}

async function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))))
}

test("all that comes is read, in order, by two connections whose reads alternate; what was read before stays what it was", async () => {
  const sides = [await upgraded(), await upgraded()]
  const sent = sides.map(() => randomBytes(3_000_000))
  const read = await Promise.all(
    sides.map(async ({ given, reading, client }, side) => {
      expect(reading).not.toBe(given)
      const chunks: Buffer[] = []
      let bytes = 0
      const all = new Promise<void>((resolve) => {
        reading.on("data", (chunk: Buffer) => {
          chunks.push(chunk)
          bytes += chunk.length
          if (bytes === 3_000_000) resolve()
        })
      })
      const message = sent[side] as Buffer
      for (let at = 0; at < message.length; at += 70_001) {
        client.write(message.subarray(at, at + 70_001))
        await wait(0)
      }
      await all
      return Buffer.concat(chunks)
    }),
  )
  for (const [side, bytes] of read.entries()) expect(bytes.equals(sent[side] as Buffer)).toBe(true)
})

test("while it is paused nothing comes, and then all that waited, in order", async () => {
  const { reading, client } = await upgraded()
  let text = ""
  reading.on("data", (chunk: Buffer) => {
    text += chunk.toString()
    if (text === "one") reading.pause()
  })
  client.write("one")
  await expect.poll(() => text).toBe("one")
  client.write("two")
  await wait(50)
  expect(text).toBe("one")
  client.write("three")
  reading.resume()
  await expect.poll(() => text).toBe("onetwothree")
})

test("what came with the upgrade can be put back, and goes before what comes then", async () => {
  const { reading, client, head } = await upgraded("head")
  expect(head.toString()).toBe("head")
  reading.unshift(head)
  let text = ""
  reading.on("data", (chunk: Buffer) => (text += chunk.toString()))
  client.write(" and more")
  await expect.poll(() => text).toBe("head and more")
})

test("it writes, ends and closes as before, and its server counts it until then", async () => {
  const { server, given, reading, client } = await upgraded()
  expect(await connections(server)).toBe(1)
  let ended = false
  reading.on("data", () => undefined).on("end", () => (ended = true))
  reading.write("answer")
  const [answer] = (await once(client, "data")) as [Buffer]
  expect(answer.toString()).toBe("answer")
  expect(await connections(server)).toBe(1)
  client.end()
  await once(given, "close")
  expect(ended).toBe(true)
  expect(reading.destroyed).toBe(true)
  expect(await connections(server)).toBe(0)
})

test("a connection that the other side resets says so once", async () => {
  const { reading, client } = await upgraded()
  const errors: string[] = []
  reading.on("data", () => undefined).on("error", ({ code }: NodeJS.ErrnoException) => errors.push(code ?? ""))
  client.resetAndDestroy()
  await new Promise((resolve) => reading.once("close", resolve))
  expect(errors).toEqual(["ECONNRESET"])
})

test("a client's connection can be read so too, and knows who is at its other end", async () => {
  const server = createServer().on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    socket.on("data", (chunk: Buffer) => socket.write(`heard ${chunk.toString()}`))
    socket.on("error", () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const asked = request({ port, host: "127.0.0.1", headers: { connection: "Upgrade", upgrade: "websocket" } }).end()
  const [, socket] = (await once(asked, "upgrade")) as [unknown, Socket]
  const reading = readingTogether(socket) as Socket
  onTestFinished(() => {
    reading.destroy()
    server.close()
  })
  expect(reading).not.toBe(socket)
  expect([reading.remotePort, socket.remoteAddress]).toEqual([port, "127.0.0.1"])
  reading.write("me")
  const [heard] = (await once(reading, "data")) as [Buffer]
  expect(heard.toString()).toBe("heard me")
})

test("what the other side has ended stays as it is: its end would not be told again", async () => {
  const server = createTcpServer({ allowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const accepted = once(server, "connection") as Promise<[Socket]>
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").end()
  const [socket] = await accepted
  onTestFinished(() => {
    client.destroy()
    socket.destroy()
    server.close()
  })
  await once(socket.resume(), "end")
  expect([socket.destroyed, socket.writable]).toEqual([false, true])
  expect(readingTogether(socket)).toBe(socket)
})

test("what still has something to be read or written, is closed, or is no bare connection stays as it is", async () => {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const accepted = once(server, "connection") as Promise<[Socket]>
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1")
  const [socket] = await accepted
  onTestFinished(() => {
    client.destroy()
    socket.destroy()
    server.close()
  })
  client.write("waits")
  await once(socket, "readable")
  expect(socket.readableLength).toBe(5)
  expect(readingTogether(socket)).toBe(socket)
  const full = connect((server.address() as AddressInfo).port, "127.0.0.1")
  onTestFinished(() => void full.destroy())
  full.write("before it is connected")
  expect(readingTogether(full)).toBe(full)
  client.destroy()
  expect(readingTogether(client)).toBe(client)
  const other = new Duplex()
  expect(readingTogether(other)).toBe(other)
})
