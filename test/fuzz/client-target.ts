import { createHash } from "node:crypto"
import { createServer, type Server, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import { connect } from "../../src/client/client.ts"
import { httpClient } from "../../src/client/http.ts"
import { ERRORS, SkeinError } from "../../src/contract/errors.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { frame, readFrames, textFrames, wrongFrame } from "./frames.ts"
import { type Json, mutateBytes, mutateValue, oddJson, oddValue, writeJson } from "./mutation.ts"

/** The client against a hub that is none: whatever comes back, calls end in time, with an answer or an error that says what to do. */
export const clientTarget: Target = {
  name: "client",
  entrance: "what a hub, or something else on its port, answers to our client",
  casesPerSubject: 200,
  open: () => ClientSubject.open(),
}

const CALL_MS = 60
const PATIENCE_MS = 3_000
const FILLER = Buffer.from("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

class ClientSubject implements Subject {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What the case has decided to answer with, in order; the last is said again and again. */
  #script: Answers = { http: [FILLER], frames: [] }
  #sent: string[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on("connection", (socket) => this.#serve(socket))
  }

  static async open(): Promise<ClientSubject> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return new ClientSubject(server)
  }

  describe(): string {
    return this.#sent.map((one) => one.slice(0, 1_500)).join("\n---\n")
  }

  async attempt(choices: Choices): Promise<string> {
    this.#script = this.#write(choices)
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    const live = choices.chance(60)
    try {
      const came = await within(live ? this.#overWebSocket(url, choices) : this.#overHttp(url))
      return `${live ? "websocket" : "http"} ${came}`
    } finally {
      for (const socket of this.#sockets) socket.destroy()
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async #overHttp(url: string): Promise<string> {
    const client = httpClient({ url, credential: "skc_ann_1_x", timeoutMs: CALL_MS })
    try {
      await client.call("task.show", { task: "a" })
      return "answered"
    } catch (error) {
      return checkError(error)
    } finally {
      client.close()
    }
  }

  async #overWebSocket(url: string, choices: Choices): Promise<string> {
    const token = choices.chance(70) ? "x.y.z" : `x.${Buffer.from(writeJson(mutateValue({ exp: 1_900_000_000 }, choices))).toString("base64url")}.z`
    let client
    try {
      client = await connect({
        url,
        ...(choices.chance(30) ? { credential: "skc_ann_1_x" } : { token }),
        timeoutMs: CALL_MS,
        reconnect: { baseMs: 1, capMs: 5 },
      })
    } catch (error) {
      return `not connected: ${checkError(error)}`
    }
    try {
      const reading = new AbortController()
      const events = readSome(client.events({ from: 1, signal: reading.signal }))
      const call = client.call("task.claim", { task: "a" }).then(
        () => "answered",
        (error: unknown) => checkError(error),
      )
      const came = await call
      reading.abort()
      return `${came}, events ${await events}`
    } finally {
      await client.close()
    }
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on("close", () => this.#sockets.delete(socket))
    socket.on("error", () => socket.destroy())
    let asked: Buffer = Buffer.alloc(0)
    let upgraded = false
    socket.on("data", (bytes: Buffer) => {
      asked = Buffer.concat([asked, bytes])
      if (!upgraded) {
        const end = asked.indexOf("\r\n\r\n")
        if (end < 0) return
        const key = /sec-websocket-key: (\S+)/i.exec(asked.toString("latin1"))?.[1]
        if (key === undefined) {
          asked = Buffer.alloc(0)
          socket.write(this.#script.http.length > 1 ? (this.#script.http.shift() as Buffer) : (this.#script.http[0] as Buffer))
          return
        }
        upgraded = true
        asked = Buffer.from(asked.subarray(end + 4))
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
      }
      const { frames, rest } = readFrames(asked)
      asked = Buffer.from(rest)
      for (const { opcode } of frames) {
        if (opcode === 8) socket.destroy()
        const answer = this.#script.frames.shift()
        if (answer !== undefined) socket.write(answer)
      }
    })
  }

  #write(choices: Choices): Answers {
    this.#sent = []
    const http = Array.from({ length: choices.between(1, 3) }, () => this.#httpAnswer(choices))
    const frames = [
      this.#frames(
        { welcome: { version: "0", workspace: "main", agent: "ann", role: "worker", session: null, head: 3, nowMs: 1, expiresAtMs: 1_900_000_000_000 } },
        choices,
        choices.chance(25),
      ),
    ]
    for (let count = choices.between(1, 6); count > 0; count -= 1) frames.push(this.#frames(someMessage(choices), choices, choices.chance(50)))
    return { http, frames }
  }

  #frames(message: Json, choices: Choices, spoilt: boolean): Buffer {
    if (spoilt && choices.chance(15)) return wrongFrame(choices).bytes
    const bytes = spoilt ? oddJson(mutateValue(message, choices), choices) : Buffer.from(writeJson(message))
    this.#sent.push(bytes.toString("utf8"))
    return choices.chance(80) ? frame(bytes, { masked: false }) : textFrames(bytes, choices)
  }

  #httpAnswer(choices: Choices): Buffer {
    const bodies: Json[] = [
      { json: { task: { id: "a" } } },
      { token: "x.y.z", lastsMs: 900_000, expiresAtMs: 1 },
      someError(choices),
      { json: { code: "not_found", data: someError(choices) } },
    ]
    let body: Json = choices.pick(bodies)
    if (choices.chance(60)) body = mutateValue(body, choices)
    const bytes = oddJson(body, choices)
    const status = choices.pick([
      "200 OK",
      "404 Not Found",
      "429 Slow",
      "401 No",
      "503 Later",
      "302 Found\r\nLocation: http://127.0.0.1:1/",
      "204 None",
      "999 Odd",
      "100 Continue",
    ])
    const answer = Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n`), framed(bytes, choices)])
    const said = choices.chance(30) ? mutateBytes(answer, choices, 2) : answer
    this.#sent.push(said.toString("latin1"))
    return said
  }
}

type Answers = { http: Buffer[]; frames: Buffer[] }

/** The rest of an answer: by its length, in chunks, or up to an end that never comes; or by lengths that are none. */
function framed(body: Buffer, choices: Choices): Buffer {
  const odd = (length: number, radix: number): string =>
    choices.chance(15) ? choices.pick(["-1", "-2", "-6", "-9", "0x1", "", "x", "1e9", "99999999999999999999", "1,1"]) : length.toString(radix)
  if (choices.chance(60)) return Buffer.concat([Buffer.from(choices.chance(90) ? `Content-Length: ${odd(body.length, 10)}\r\n\r\n` : "\r\n"), body])
  const at = choices.below(body.length + 1)
  const chunks = [body.subarray(0, at), body.subarray(at), Buffer.alloc(0)].filter(({ length }, place) => length > 0 || place === 2)
  const parts = chunks.flatMap((chunk) => [Buffer.from(`${odd(chunk.length, 16)}${choices.pick(["", "", ";a=b", " "])}\r\n`), chunk, Buffer.from("\r\n")])
  return Buffer.concat([Buffer.from("Transfer-Encoding: chunked\r\n\r\n"), ...parts])
}

function someMessage(choices: Choices): Json {
  const entry = (seq: number): Json => ({
    seq,
    atMs: 1,
    type: "task.added",
    v: 1,
    actor: { agent: "ann", session: null, role: "worker" },
    commandId: null,
    commandHash: null,
    causedBy: null,
    data: {},
  })
  const id = choices.between(1, 3)
  switch (choices.below(7)) {
    case 0:
      return { id, ok: { fence: 1, leaseEndsAtMs: 1, leaseMs: 1, task: {} } }
    case 1:
      return { id, error: someError(choices) }
    case 2:
      return { error: someError(choices) }
    case 3:
      return { events: [entry(1), entry(2)], from: 1, to: 2 }
    case 4:
      return { resync: choices.pick([1, 3, 100]) }
    case 5:
      return [
        { id, ok: {} },
        { events: [entry(1)], from: 1, to: 1 },
      ]
    default:
      return oddValue(choices)
  }
}

function someError(choices: Choices): Json {
  const code = choices.pick([...Object.keys(ERRORS), "constructor", "none"])
  return {
    code,
    message: choices.chance(70) ? "no" : oddValue(choices),
    remedy: choices.chance(70) ? "Do so." : oddValue(choices),
    details: choices.chance(70) ? {} : oddValue(choices),
    retryAfterMs: choices.pick<Json>([null, 0, 5, 1e300, -1, "x"]),
  }
}

async function readSome(events: AsyncIterable<unknown>): Promise<string> {
  let count = 0
  try {
    for await (const _ of events) if ((count += 1) > 1_000) break
    return String(Math.min(count, 3))
  } catch (error) {
    return checkError(error)
  }
}

/** Throws unless it is an error of ours, whole: a caller prints its words and looks its code up. */
function checkError(error: unknown): string {
  if (!(error instanceof SkeinError)) throw new Broken(`no SkeinError: ${error instanceof Error ? error.stack : String(error)}`)
  const { code, message, remedy, details, retryAfterMs } = error
  if (!Object.hasOwn(ERRORS, code)) throw new Broken(`an error of no known code: ${JSON.stringify(code)}`)
  if (typeof message !== "string" || typeof remedy !== "string")
    throw new Broken(`an error whose words are none: ${JSON.stringify({ message, remedy }).slice(0, 300)}`)
  if (typeof details !== "object" || details === null) throw new Broken(`an error whose details are none: ${JSON.stringify(details)}`)
  if (retryAfterMs !== null && !Number.isFinite(retryAfterMs)) throw new Broken(`an error with a time that is none: ${String(retryAfterMs)}`)
  return code
}

async function within(work: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Broken(`a call of ${CALL_MS} ms did not end within ${PATIENCE_MS} ms`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
