import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { frame, type Received, readFrames, textFrames, wrongFrame } from "./frames.ts"
import { checkErrorBody, FuzzedHub } from "./fuzzed-hub.ts"
import { type Json, mutateBytes, mutateText, mutateValue, oddJson, oddValue, writeJson } from "./mutation.ts"
import { someCall } from "./requests.ts"

/** WebSocket connections by hand: the upgrade, the frames, the messages in them, and bytes that are none of these. */
export const websocketTarget: Target = {
  name: "websocket",
  entrance: "WebSocket: upgrade, frames (text, binary, fragmented, oversized, broken) and the messages in them",
  casesPerSubject: 300,
  open: async () => new WebSocketSubject(await FuzzedHub.open()),
}

const PATIENCE_MS = 4_000
const SILENCE_MS = 30
/** The id of the call that is sent last: once it is answered, the hub is through with what came before. */
const LAST = 4_000_000
/** Codes with which the hub, or the protocol, ends a connection. */
const CLOSE_CODES = new Set([1_000, 1_001, 1_002, 1_003, 1_005, 1_007, 1_008, 1_009, 1_013, 4_400, 4_401, 999, 3_000])

class WebSocketSubject implements Subject {
  readonly #hub: FuzzedHub
  #sent: string[] = []

  constructor(hub: FuzzedHub) {
    this.#hub = hub
  }

  describe(): string {
    return this.#sent.map((one) => (one.length > 600 ? `${one.slice(0, 600)}… (${one.length})` : one)).join("\n")
  }

  async attempt(choices: Choices): Promise<string> {
    this.#sent = []
    // What an earlier connection asked before it ended is carried out.
    const seq = await this.#settled()
    const upgrade = this.#upgrade(choices)
    const messages: Buffer[] = []
    let stuck = false
    if (choices.chance(92)) messages.push(this.#text(this.#hello(choices), choices))
    for (let count = choices.between(1, 5); count > 0; count -= 1) {
      if (choices.chance(12)) {
        const wrong = wrongFrame(choices)
        this.#sent.push(`frame ${wrong.bytes.subarray(0, 40).toString("hex")}`)
        stuck ||= wrong.stuck
        messages.push(wrong.bytes)
      } else messages.push(this.#text(this.#message(choices), choices))
    }
    messages.push(frame(Buffer.from(`{"id":${LAST},"op":"ledger.head","in":{}}`)))
    let bytes: Buffer = Buffer.concat(messages)
    if (choices.chance(8)) {
      bytes = mutateBytes(bytes, choices, 2)
      stuck = true
    }
    const written = async (): Promise<boolean> => (await this.#settled()) > seq && (await this.#hub.writtenSince(seq)) !== undefined
    const conversation = await converse(this.#hub.port, upgrade, choices.chance(80) ? [bytes] : messages, stuck, written)
    const came = await this.#judge(conversation, stuck, seq)
    this.#hub.checkSound()
    return came
  }

  async close(): Promise<void> {
    const { loop } = this.#hub
    // The hub hears of the last connection's end a moment after we do.
    const left = (): boolean => loop.stats()["parked"] !== 0 || loop.stats()["subscribers"] !== 0
    for (let tries = 0; tries < 100 && left(); tries += 1) await sleep(10)
    if (loop.stats()["parked"] !== 0) throw new Broken("a claim is still parked though its connection is gone")
    if (loop.stats()["subscribers"] !== 0) throw new Broken(`${String(loop.stats()["subscribers"])} subscribers are left though no connection is`)
    await this.#hub.close()
  }

  /** The last seq, once what was asked before is done: it is taken up at the end of the turn, and a read waits for its batch. */
  async #settled(): Promise<number> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    return this.#hub.loop.read((state) => state.seq)
  }

  #upgrade(choices: Choices): Buffer {
    const lines = [
      "GET /ws HTTP/1.1",
      `Host: 127.0.0.1:${this.#hub.port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    ]
    // As the page connects, which says no token.
    if (choices.chance(15))
      lines.push(
        choices.pick([`Origin: http://127.0.0.1:${this.#hub.port}`, "Sec-Fetch-Site: same-origin", "Origin: http://evil.example"]),
        `Cookie: ${choices.chance(60) ? this.#hub.cookie : mutateText(this.#hub.cookie, choices).replaceAll(/[^ -~]/g, "")}`,
      )
    if (choices.chance(6)) lines.splice(choices.below(lines.length), 1)
    if (choices.chance(6))
      lines.push(
        choices.pick([
          "Sec-WebSocket-Version: 8",
          "Sec-WebSocket-Protocol: a, a",
          "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
          "Origin: null",
          "Sec-WebSocket-Key: x",
          "Content-Length: 10",
          "Expect: 100-continue",
          "Transfer-Encoding: chunked",
        ]),
      )
    const bytes = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`)
    return choices.chance(5) ? mutateBytes(bytes, choices, 1) : bytes
  }

  #hello(choices: Choices): Json {
    const { operator, worker, token, observer } = this.#hub.bearers
    const hello: Json = {
      hello: {
        ...(choices.chance(15) ? {} : { token: choices.pick([operator, token, worker, observer]) }),
        ...(choices.chance(40) ? { workspace: "main" } : {}),
        ...(choices.chance(15) ? { session: choices.pick(["s_ann", "s_0"]) } : {}),
      },
    }
    return choices.chance(12) ? mutateValue(hello, choices) : hello
  }

  #message(choices: Choices): Json {
    const id = choices.below(50)
    const head = this.#hub.loop.head.seq
    switch (choices.below(9)) {
      case 0:
        return { subscribe: { from: choices.pick<Json>([1, head + 1, head, 0, -1, head + 2, 1e300, oddValue(choices)]) } }
      case 1:
        return choices.pick<Json>([
          { unsubscribe: true },
          { cancel: id },
          { beat: ["s_ann", "s_0", "constructor"] },
          { beat: [oddValue(choices)] },
          { cancel: oddValue(choices) },
        ])
      case 2:
        return { [choices.pick(["id", "op", "in", "key", "hello", "subscribe", "cancel", "beat", "x", "__proto__"])]: oddValue(choices) }
      case 3:
        return Array.from({ length: choices.pick([0, 1, 3, 60]) }, () => this.#call(choices, choices.below(80)))
      case 4:
        return oddValue(choices)
      default:
        return this.#call(choices, id)
    }
  }

  #call(choices: Choices, id: number): Json {
    const { operation, input } = someCall(choices, this.#hub.known)
    const call: Json = { id, op: operation, in: input, ...(choices.chance(30) ? { key: `k${choices.below(20)}` } : {}) }
    return choices.chance(20) ? mutateValue(call, choices) : call
  }

  #text(message: Json, choices: Choices): Buffer {
    const bytes = choices.chance(12) ? oddJson(message, choices) : Buffer.from(writeJson(message))
    this.#sent.push(bytes.toString("utf8"))
    return textFrames(bytes, choices)
  }

  async #judge({ status, refusal, frames, ended, last }: Conversation, stuck: boolean, seq: number): Promise<string> {
    if (status === null) return `no upgrade: ${ended ? "closed" : "no answer"}`
    if (status !== 101) return `no upgrade: ${status} ${status < 400 ? "" : checkErrorBody(JSON.parse(refusal))}`
    const answers = frames.flatMap(readMessage)
    const codes = answers.flatMap(checkMessage)
    const close = frames.find(({ opcode }) => opcode === 8)
    if (close !== undefined) checkClose(close)
    if (!last && !ended && !stuck) throw new Broken(`neither an answer to the last call nor an end within ${PATIENCE_MS} ms`)
    const done = answers.filter(isDone).length
    if (last && done === 0) {
      await this.#hub.loop.read(() => undefined)
      await this.#hub.checkUnwritten(seq)
    }
    if (close !== undefined) return `closed ${close.payload.length >= 2 ? close.payload.readUInt16BE(0) : ""} ${codes.at(-1) ?? ""}`
    return done > 0 ? "some done" : last ? `all refused: ${codes[0] ?? "nothing"}` : "no more heard"
  }
}

type Conversation = { status: number | null; refusal: string; frames: Received[]; ended: boolean; last: boolean }

/**
 * Upgrades, writes, and reads until the last call is answered, the connection ends, or patience does. The last call is a read, which may be answered
 * before a command that came before it: where something was `written` that nobody was told is done, that is waited for too, as long as patience lasts.
 */
function converse(port: number, upgrade: Buffer, pieces: readonly Buffer[], stuck: boolean, written: () => Promise<boolean>): Promise<Conversation> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, "127.0.0.1")
    socket.setNoDelay(true)
    const heard: Conversation = { status: null, refusal: "", frames: [], ended: false, last: false }
    let rest: Buffer = Buffer.alloc(0)
    let silence: NodeJS.Timeout | undefined
    const finish = (ended: boolean): void => {
      clearTimeout(patience)
      clearTimeout(silence)
      socket.destroy()
      resolve({ ...heard, ended })
    }
    const patience = setTimeout(() => finish(false), PATIENCE_MS)
    const quiet = (): void => {
      clearTimeout(silence)
      silence = setTimeout(() => finish(false), SILENCE_MS)
    }
    const send = (at: number): void => {
      const piece = pieces[at]
      if (socket.destroyed) return
      if (piece === undefined) {
        if (stuck) quiet()
        return
      }
      socket.write(piece)
      setImmediate(() => send(at + 1))
    }
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      if (heard.status === null) {
        const end = rest.indexOf("\r\n\r\n")
        if (end < 0) return
        const head = rest.toString("latin1", 0, end)
        const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0)
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
        if (status !== 101 && rest.length < end + 4 + length) return
        heard.status = status
        rest = rest.subarray(end + 4)
        if (heard.status !== 101) {
          heard.refusal = rest.toString("utf8", 0, length)
          return finish(false)
        }
        send(0)
      }
      const read = readFrames(rest)
      rest = Buffer.from(read.rest)
      heard.frames.push(...read.frames)
      heard.last ||= read.frames.some(({ opcode, payload }) => opcode === 1 && payload.includes(`"id":${LAST},`))
      clearTimeout(silence)
      if (read.frames.some(({ opcode }) => opcode === 8)) finish(true)
      else if (!heard.last) {
        if (stuck) quiet()
      } else if (heard.frames.some(tellsDone)) finish(false)
      else void written().then((isWritten) => isWritten || finish(false))
    })
    socket.on("end", () => finish(true))
    socket.on("error", () => finish(true))
    socket.on("close", () => finish(true))
    socket.write(upgrade)
    // An upgrade that was tampered with may be one that is still to come.
    if (!upgrade.toString("latin1").endsWith("ZWY=\r\n\r\n") && !upgrade.includes("MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"))
      setTimeout(() => heard.status ?? finish(false), 60)
  })
}

/** Whether a frame tells that a call was done, the last one aside: by its bytes, for it is judged later. */
function tellsDone({ opcode, payload }: Received): boolean {
  return opcode === 1 && payload.includes('"ok":') && !payload.includes(`"id":${LAST},`)
}

function isDone(answer: Record<string, unknown>): boolean {
  return "ok" in answer && answer["id"] !== LAST
}

function readMessage({ opcode, final, masked, payload }: Received): Record<string, unknown>[] {
  if (masked || !final) throw new Broken("the hub sent a frame that is masked or in parts")
  if (opcode !== 1) return []
  const message = JSON.parse(payload.toString("utf8")) as Record<string, unknown> | Record<string, unknown>[]
  return Array.isArray(message) ? message : [message]
}

/** Throws unless the message is one of the protocol's; answers the code where it is an error. */
function checkMessage(message: Record<string, unknown>): string[] {
  if ("error" in message) return [checkErrorBody(message["error"])]
  const known = ["welcome", "ok", "events", "resync"].some((key) => key in message)
  if (!known) throw new Broken(`the hub sent a message of no known kind: ${JSON.stringify(message).slice(0, 200)}`)
  return []
}

function checkClose({ payload }: Received): void {
  if (payload.length === 0) return
  const code = payload.readUInt16BE(0)
  // A code that the client itself gave is sent back to it.
  if (!CLOSE_CODES.has(code) && !(code >= 3_000 && code <= 4_999)) throw new Broken(`the hub closed with code ${code}`)
}
