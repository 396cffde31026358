import { connect } from "node:net"

/** What came back on a connection, as far as it can be read as HTTP. */
export type RawAnswer =
  | { closed: boolean; status: number; headers: Map<string, string>; body: Buffer; bytes: number }
  | { closed: boolean; status: null; bytes: number }

export type RawRequest = {
  port: number
  /** Whole requests that go before, each once the one before it was answered: what the connection carries then is read as on one that is kept. */
  before?: readonly Buffer[]
  /** Written one after the other, each in a turn of its own. */
  pieces: readonly Buffer[]
  /** Whether an answer is due without a word more: else the way out is closed after a while of silence. */
  whole: boolean
  /** How long to wait for an answer. */
  patienceMs: number
  noBody?: boolean
}

const SILENCE_MS = 25

/** Writes bytes to a connection of their own, and reads the first answer to what is asked: to its end, or of an event stream the head and what came with it. */
export function exchange({ port, before = [], pieces, whole, patienceMs, noBody = false }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    socket.setNoDelay(true)
    let chunks: Buffer[] = []
    let bytes = 0
    let greeted = 0
    const timers: NodeJS.Timeout[] = []
    const finish = (closed: boolean): void => {
      for (const timer of timers) clearTimeout(timer)
      socket.destroy()
      const heard = Buffer.concat(chunks)
      const answer = readAnswer(heard, noBody)
      // "Go on" is no part of an answer: whoever closes its way out behind it may go without one.
      const interim = answer === null ? (/^(?:HTTP\/1\.1 100 Continue\r\n\r\n)*/.exec(heard.toString("latin1"))?.[0].length ?? 0) : 0
      resolve(answer === null ? { closed, status: null, bytes: bytes - interim } : { closed, ...answer, bytes })
    }
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      chunks.push(chunk)
      if (greeted < before.length) {
        if (isWhole(Buffer.concat(chunks), false)) greet()
      } else if (isWhole(Buffer.concat(chunks), noBody)) finish(false)
    })
    socket.on("end", () => finish(true))
    socket.on("error", () => finish(true))
    socket.on("close", () => finish(true))
    const greet = (): void => {
      if (chunks.length > 0) greeted += 1
      chunks = []
      bytes = 0
      const greeting = before[greeted]
      if (greeting === undefined) ask()
      else socket.write(greeting)
    }
    const ask = (): void => {
      let at = 0
      const next = (): void => {
        const piece = pieces[at]
        at += 1
        if (socket.destroyed) return
        if (piece === undefined) {
          if (!whole) timers.push(setTimeout(() => socket.end(), SILENCE_MS))
          return
        }
        socket.write(piece)
        setImmediate(next)
      }
      next()
    }
    socket.on("connect", greet)
    timers.push(setTimeout(() => finish(false), patienceMs))
  })
}

type Head = { status: number; headers: Map<string, string>; bodyAt: number }

/** The first head that is no interim (1xx) one. */
function readHead(bytes: Buffer): Head | null {
  for (let at = 0; ;) {
    const end = bytes.indexOf("\r\n\r\n", at)
    if (end < 0) return null
    const [first = "", ...lines] = bytes.subarray(at, end).toString("latin1").split("\r\n")
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? Number.NaN)
    if (Number.isNaN(status)) return null
    if (status < 200 && status !== 101) {
      at = end + 4
      continue
    }
    const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]))
    return { status, headers, bodyAt: end + 4 }
  }
}

function isWhole(bytes: Buffer, noBody: boolean): boolean {
  const head = readHead(bytes)
  if (head === null) return false
  const { status, headers, bodyAt } = head
  if (noBody || status === 101 || status === 204 || status === 304) return true
  if (headers.get("content-type")?.startsWith("text/event-stream") === true) return true
  if (headers.get("transfer-encoding") === "chunked") return bytes.subarray(bodyAt).toString("latin1").endsWith("0\r\n\r\n")
  const length = headers.get("content-length")
  return length !== undefined && bytes.length >= bodyAt + Number(length)
}

function readAnswer(bytes: Buffer, noBody: boolean): { status: number; headers: Map<string, string>; body: Buffer } | null {
  const head = readHead(bytes)
  if (head === null) return null
  const { status, headers, bodyAt } = head
  const rest = bytes.subarray(bodyAt)
  if (noBody) return { status, headers, body: Buffer.alloc(0) }
  if (headers.get("transfer-encoding") === "chunked") return { status, headers, body: unchunk(rest) }
  return { status, headers, body: rest.subarray(0, Number(headers.get("content-length") ?? rest.length)) }
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const end = bytes.indexOf("\r\n", at)
    const length = end < 0 ? 0 : Number.parseInt(bytes.subarray(at, end).toString("latin1"), 16)
    if (!(length > 0)) return Buffer.concat(parts)
    parts.push(bytes.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
}
