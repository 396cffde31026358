import { setTimeout as sleep } from "node:timers/promises"
import { ERRORS } from "../../src/contract/errors.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { checkErrorBody, FuzzedHub } from "./fuzzed-hub.ts"
import { type Json, mutateBytes, mutateText, mutateValue, oddJson, oddText, oddValue } from "./mutation.ts"
import { exchange, type RawAnswer } from "./raw-http.ts"
import { someCall } from "./requests.ts"

/** Requests as bytes on a socket, so that nothing between us and the hub puts them right. */
export const httpTarget: Target = {
  name: "http",
  entrance: "HTTP: paths, headers, cookies and bodies of /rpc, /api/orpc, /token, /events, /snapshots, /otlp, the page's and the rest",
  casesPerSubject: 400,
  open: async () => new HttpSubject(await FuzzedHub.open()),
}

/** `framed`: length and kind of the body are said as they are, so that an answer is due without a word more. */
type Draft = { method: string; path: string; headers: [string, string][]; body: Buffer; may: "answer" | "wait"; framed: boolean }

const PATIENCE_MS = 3_000
const WAITS_MS = 120
const METHODS = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "POST ", "X", "PRI", ""]

class HttpSubject implements Subject {
  readonly #hub: FuzzedHub
  #sent = ""

  constructor(hub: FuzzedHub) {
    this.#hub = hub
  }

  describe(): string {
    return this.#sent.length > 1_500 ? `${this.#sent.slice(0, 1_500)}… (${this.#sent.length} characters)` : this.#sent
  }

  async attempt(choices: Choices): Promise<string> {
    const draft = this.#draft(choices)
    const tampered = choices.chance(25)
    let bytes = write(draft)
    if (tampered) bytes = mutateBytes(bytes, choices, 2)
    this.#sent = bytes.toString("latin1")
    const pieces = choices.chance(15) ? split(bytes, choices) : [bytes]
    const before = choices.chance(40) ? Array.from({ length: choices.between(1, 2) }, () => this.#read()) : []
    const { head } = this.#hub.loop
    const patienceMs = draft.may === "wait" ? WAITS_MS : PATIENCE_MS
    const answer = await exchange({
      port: this.#hub.port,
      before,
      pieces,
      whole: draft.framed && !tampered,
      patienceMs,
      noBody: this.#sent.startsWith("HEAD "),
    })
    const came = await this.#judge(answer, draft, tampered, head.seq)
    this.#hub.checkSound()
    return came
  }

  async close(): Promise<void> {
    // What was parked died with its connection.
    for (let tries = 0; tries < 100 && this.#hub.loop.stats()["parked"] !== 0; tries += 1) await sleep(10)
    if (this.#hub.loop.stats()["parked"] !== 0) throw new Broken("a claim is still parked though its connection is gone")
    await this.#hub.close()
  }

  async #judge(answer: RawAnswer, draft: Draft, tampered: boolean, seq: number): Promise<string> {
    if (answer.status === null) {
      if (draft.may === "wait") return "parked"
      if (answer.bytes > 0) throw new Broken(`an answer that is no HTTP, or is not whole, of ${answer.bytes} bytes`)
      if (!answer.closed) throw new Broken(`no answer within ${PATIENCE_MS} ms`)
      // Whoever closes its way out before the answer is there may go without: where the end of a body is guessed, we may do that.
      if (draft.framed && !tampered) throw new Broken("the connection was closed without an answer")
      return "closed"
    }
    if (answer.status < 400) return String(answer.status)
    // What is refused on the way in has no request id; a request before it on the same bytes may have been a good one.
    if (answer.headers.has("x-request-id")) await this.#hub.checkUnwritten(seq)
    return `${answer.status} ${checkAnswer(answer)}`
  }

  /** What changes nothing, as a client asks it over and over. */
  #read(): Buffer {
    const { bearers, port } = this.#hub
    const headers: [string, string][] = [
      ["Host", `127.0.0.1:${port}`],
      ["Authorization", `Bearer ${bearers.operator}`],
      ["Content-Type", "application/json"],
      ["Content-Length", "2"],
    ]
    return write({ method: "POST", path: "/api/orpc/ledger/head", headers, body: Buffer.from("{}"), may: "answer", framed: true })
  }

  #draft(choices: Choices): Draft {
    const draft = this.#valid(choices)
    for (let changes = choices.chance(45) ? choices.between(1, 2) : 0; changes > 0; changes -= 1) this.#spoil(draft, choices)
    return draft
  }

  #valid(choices: Choices): Draft {
    const { bearers, known, loop, port } = this.#hub
    const bearer = choices.pick([bearers.operator, bearers.operator, bearers.worker, bearers.token, bearers.observer])
    const headers: [string, string][] = [
      ["Host", `127.0.0.1:${port}`],
      ["Authorization", `Bearer ${bearer}`],
    ]
    const get = (path: string): Draft => ({ method: "GET", path, headers, body: Buffer.alloc(0), may: "answer", framed: true })
    const post = (path: string, body: Buffer, may: Draft["may"] = "answer"): Draft => {
      headers.push(["Content-Type", "application/json"], ["Content-Length", String(body.length)])
      return { method: "POST", path, headers, body, may, framed: true }
    }
    const seq = choices.pick([0, 1, 64, loop.head.seq, loop.head.seq + 1, 1e15, -1])
    switch (choices.below(15)) {
      case 0:
        return get(
          choices.pick(["/health", "/api", "/api/", "/api/openapi.json", "/ws", "/", "/w/main", "/assets/none.js", "/assets/..%2findex.html", "/enter"]),
        )
      case 1:
        return post("/token", oddJson(choices.chance(60) ? oddValue(choices) : { workspace: "main", session: choices.pick([null, "s_ann", "s_0"]) }, choices))
      case 2:
        headers.push(...(choices.chance(40) ? ([["Last-Event-ID", choices.chance(50) ? String(seq) : oddText(choices)]] as [string, string][]) : []))
        return get(`/events?workspace=main&from=${choices.chance(70) ? seq : encodeURI(oddText(choices).toWellFormed())}`)
      case 3:
        return get(
          `/snapshots/${choices.pick(["main", "none", "..", "%2e%2e", "constructor"])}/${choices.chance(70) ? seq : encodeURI(oddText(choices).toWellFormed())}${choices.chance(30) ? "?records" : ""}`,
        )
      case 4:
        return get(
          `/${choices.pick(["entries", "back"])}/${choices.pick(["main", "none", ".."])}/${seq}/${choices.chance(70) ? seq + choices.below(600) : encodeURI(oddText(choices).toWellFormed())}`,
        )
      case 5:
        return post(`/otlp/v1/${choices.pick(["logs", "logs", "logs", "metrics", "traces", "x"])}`, oddJson(someExport(choices), choices))
      case 6: {
        // What the page sends: its cookie in the place of a bearer, and where it comes from.
        if (choices.chance(70)) headers.splice(1, 1)
        headers.push(choices.chance(50) ? ["Origin", `http://127.0.0.1:${port}`] : ["Sec-Fetch-Site", choices.pick(["same-origin", "cross-site"])])
        const path = choices.pick(["/enter", "/enter", "/enter/link", "/leave", `/entries/main/1/${seq}`, `/snapshots/main/${seq}`])
        // Whoever leaves takes the others' cookie with it, so that only a changed one does.
        const { cookie } = this.#hub
        headers.push(["Cookie", path === "/leave" || choices.chance(40) ? mutateText(cookie, choices).replaceAll(/[\r\n]/g, "") : cookie])
        const body = choices.pick<Json>([{}, { code: "x" }, { code: oddValue(choices) }, oddValue(choices)])
        return path.includes("/main/") ? get(path) : post(path, oddJson(body, choices))
      }
      default: {
        const { operation, input } = someCall(choices, known)
        const rpc = choices.chance(50)
        const body = rpc ? { json: input, ...(choices.chance(30) ? { meta: someMeta(input, choices) } : {}) } : input
        if (choices.chance(40)) headers.push(["Idempotency-Key", choices.chance(70) ? `k${choices.below(20)}` : oddText(choices)])
        if (choices.chance(20)) headers.push(["Skein-Session", choices.pick(["s_ann", "s_0", "constructor"])])
        const waits = operation === "task.claimNext" || operation === "plan.add"
        return post(`${rpc ? "/rpc" : "/api/orpc"}/${operation.replace(".", "/")}`, oddJson(body, choices), waits ? "wait" : "answer")
      }
    }
  }

  /** One fault in the request's frame: its method, address or headers. */
  #spoil(draft: Draft, choices: Choices): void {
    const { headers } = draft
    const fault = choices.below(8)
    draft.framed &&= ![2, 3, 5].includes(fault)
    switch (fault) {
      case 0:
        draft.method = choices.pick(METHODS)
        break
      case 1:
        draft.path = choices.pick([
          mutateText(draft.path, choices),
          `${draft.path}?${oddText(choices)}`,
          `//${draft.path}`,
          `http://127.0.0.1${draft.path}`,
          `${draft.path}/%`,
          `${draft.path}%c3`,
          "*",
          "/".repeat(9_000),
        ])
        break
      case 2:
        headers.splice(choices.below(headers.length), 1)
        break
      case 3:
        headers.push([
          choices.pick(["Content-Length", "Transfer-Encoding", "Expect", "Connection", "Upgrade", "Content-Encoding", "Trailer", "Range", "Cookie"]),
          choices.pick(["chunked", "0", "5", "-1", "1e9", "100-continue", "other", "Upgrade", "websocket", "h2c", "gzip", "99999999999999999999"]),
        ])
        break
      case 4:
        headers.push([
          choices.pick(["Origin", "Host", "Skein-Workspace", "Skein-Session", "Idempotency-Key", "Last-Event-ID", "Content-Type", "Authorization", "X"]),
          choices.pick([
            "null",
            "http://evil.example",
            "main",
            "none",
            `127.0.0.1:${this.#hub.port}`,
            "Bearer skc_a_b_c",
            "Bearer x.y.z",
            "text/plain",
            "application/json;charset=utf-16",
            oddText(choices),
          ]),
        ])
        break
      case 5: {
        const at = choices.below(headers.length)
        const [name, value] = headers[at] as [string, string]
        headers[at] = choices.chance(50) ? [name, mutateText(value, choices)] : [mutateText(name, choices), value]
        break
      }
      case 6:
        headers.push(...Array.from({ length: choices.pick([1, 100, 3_000]) }, (): [string, string] => ["X-Many", "y"]))
        break
      default:
        draft.body = Buffer.concat([
          draft.body,
          choices.pick([Buffer.from(" "), Buffer.from("x"), Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(300_000, 32)]),
        ])
        setLength(draft)
    }
  }
}

function setLength({ headers, body }: Draft): void {
  const length = headers.find(([name]) => name.toLowerCase() === "content-length")
  if (length !== undefined) length[1] = String(body.length)
  else headers.push(["Content-Length", String(body.length)])
}

/** Log records as agents send them of themselves. */
function someExport(choices: Choices): Json {
  const attribute = (key: string, value: Json): Json => ({ key, value })
  const figures = ["input_tokens", "output_tokens", "cache_read_tokens", "cost_usd", "input_token_count", "output_token_count", "thoughts_token_count"]
  const record = (): Json => ({
    eventName: choices.pick(["claude_code.api_request", "codex.sse_event", "gemini_cli.api_response", "constructor"]),
    attributes: [
      attribute("model", { stringValue: choices.pick(["m", oddText(choices)]) }),
      attribute("session.id", { stringValue: choices.pick(["s", oddText(choices)]) }),
      attribute("event.kind", { stringValue: "response.completed" }),
      ...figures.map((name) =>
        attribute(
          name,
          choices.pick<Json>([{ intValue: "7" }, { doubleValue: choices.pick([0.5, 1e300, -1, 2 ** 53]) }, { stringValue: "1e999" }, oddValue(choices)]),
        ),
      ),
    ],
  })
  let sent: Json = { resourceLogs: [{ scopeLogs: [{ logRecords: Array.from({ length: choices.between(1, 3) }, record) }] }] }
  for (let changes = choices.chance(60) ? choices.between(1, 2) : 0; changes > 0; changes -= 1) sent = mutateValue(sent, choices)
  return sent
}

/** oRPC's notes on types that JSON has not: `[type, ...path]`. */
function someMeta(input: Json, choices: Choices): Json {
  const path = (): Json[] => {
    const steps: Json[] = []
    for (let at: Json = input; typeof at === "object" && at !== null && Object.keys(at).length > 0 && (steps.length === 0 || choices.chance(60));) {
      const key: string = choices.pick(Object.keys(at))
      steps.push(Array.isArray(at) ? Number(key) : key)
      at = (at as { [key: string]: Json })[key] as Json
    }
    return choices.chance(20) ? [...steps, choices.pick<Json>(["__proto__", "constructor", "prototype", "length", 0, -1, {}])] : steps
  }
  return Array.from({ length: choices.between(1, 3) }, () => [choices.pick<Json>([0, 1, 2, 3, 4, 5, 6, 7, 99, "x", null]), ...path()])
}

function write({ method, path, headers, body }: Draft): Buffer {
  const head = `${method} ${path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

function split(bytes: Buffer, choices: Choices): Buffer[] {
  const at = choices.below(bytes.length + 1)
  const more = at + choices.below(bytes.length - at + 1)
  return [bytes.subarray(0, at), bytes.subarray(at, more), bytes.subarray(more)].filter((piece) => piece.length > 0)
}

/** Throws unless a refusal is one that the contract documents, under its own status. Answers its code. */
function checkAnswer({ status, body, headers }: Extract<RawAnswer, { status: number }>): string {
  if (headers.get("content-type")?.startsWith("application/json") !== true) {
    if (body.length === 0 && headers.get("content-length") !== undefined && Number(headers.get("content-length")) > 0) return "no body"
    throw new Broken(`status ${status} without an error body: ${body.toString("latin1").slice(0, 200)}`)
  }
  if (body.length === 0) return "no body"
  const parsed = JSON.parse(body.toString("utf8")) as { json?: { data?: unknown } }
  const code = checkErrorBody(parsed.json?.data ?? parsed)
  if (ERRORS[code].http !== status) throw new Broken(`${code} was answered with status ${status}`)
  return code
}
