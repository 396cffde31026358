import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { toHex } from "../core/hash.ts"
import { KeptTree } from "./kept-tree.ts"
import type { Ledger } from "./ledger.ts"
import { NoteInvalid, parseNote, parseTreeHead, type Verifier } from "./note.ts"
import { proveConsistency } from "./proof.ts"
import { sha256 } from "./sha256.ts"
import { acceptCosignature, type Offence, type Witness } from "./witness.ts"

// Not by `import`, which would load Node's fetch and HTTP/2 with it: 14 MB.
const { createServer } = process.getBuiltinModule("node:http")

/** The longest request: 63 proof lines and a note with room for many signatures. */
const REQUEST_MAX_BYTES = 80 * 1024
const DRAIN_MAX_BYTES = 16 * 1024 * 1024
const TIMEOUT_MS = 10_000

export type ServedWitness = { url: string; close(): Promise<void> }

/**
 * Serves a witness as c2sp.org/tlog-witness says: `POST /add-checkpoint` and `GET /<sha256 of origin>/checkpoint`. On loopback unless told
 * otherwise; the protocol needs no login, the log's signature is what counts.
 */
export async function serveWitness({ witness, port = 0, host = "127.0.0.1" }: { witness: Witness; port?: number; host?: string }): Promise<ServedWitness> {
  const server = createServer({ requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS }, (request, response) => {
    void respond(witness, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, host, resolve))
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`
  witness.announce(url)
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function respond(witness: Witness, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [pathname = "/"] = (request.url ?? "/").split("?", 1)
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, { "content-type": type, "x-content-type-options": "nosniff" }).end(body)
  }
  if (request.method === "GET") {
    const hash = /^\/([0-9a-f]{64})\/checkpoint$/.exec(pathname)?.[1]
    const [, log] = Object.entries(witness.state.logs).find(([origin]) => toHex(sha256(Buffer.from(origin))) === hash) ?? []
    return log?.last ? send(200, "text/plain; charset=utf-8", log.last.note) : send(404, "text/plain", "no such checkpoint\n")
  }
  if (request.method !== "POST" || pathname !== "/add-checkpoint") return send(404, "text/plain", "POST /add-checkpoint, GET /<origin hash>/checkpoint\n")
  const body = await readBody(request)
  if (body === null) return send(413, "text/plain", `a request is at most ${REQUEST_MAX_BYTES} bytes long\n`)
  const parsed = parseRequest(body)
  if (!parsed) return send(400, "text/plain", "malformed request\n")
  const answer = witness.add(parsed.old, parsed.proof, parsed.note)
  if (answer.status === 200) return send(200, "text/plain; charset=utf-8", `${answer.signature}\n`)
  if (answer.status === 409) return send(409, "text/x.tlog.size", `${answer.size}\n`)
  return send(answer.status, "text/plain; charset=utf-8", `${answer.reason}\n`)
}

/** Null where it is too long. The rest is read away, up to a bound: a connection that is closed with bytes unread is reset, and the answer lost. */
function readBody(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let bytes = 0
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= REQUEST_MAX_BYTES) chunks.push(chunk)
      else {
        chunks = []
        resolve(null)
        if (bytes > DRAIN_MAX_BYTES) request.destroy()
      }
    })
    request.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")))
    request.on("error", reject)
  })
}

/** `old N`, proof lines, an empty line and the checkpoint; null when it is none of that. */
export function parseRequest(body: string): { old: number; proof: Buffer[]; note: string } | null {
  const at = body.indexOf("\n\n")
  if (at < 0) return null
  const [first = "", ...lines] = body.slice(0, at).split("\n")
  const old = /^old (0|[1-9][0-9]{0,15})$/.exec(first)
  const proof = lines.map((line) => Buffer.from(line, "base64"))
  if (!old || proof.length > 63 || proof.some((hash, i) => hash.length !== 32 || hash.toString("base64") !== lines[i])) return null
  return Number.isSafeInteger(Number(old[1])) ? { old: Number(old[1]), proof, note: body.slice(at + 2) } : null
}

export function formatRequest(old: number, proof: readonly Uint8Array[], note: string): string {
  return `old ${old}\n${proof.map((hash) => `${Buffer.from(hash).toString("base64")}\n`).join("")}\n${note}`
}

/** What became of asking a witness. `overtaken` and `unreachable` may be tried again with a later checkpoint; `refused` may not, without a human. */
export type Requested =
  | { outcome: "cosigned"; note: string }
  /** The witness has seen a later checkpoint of this ledger, which somebody else sent: the next one shows whether of the same history. */
  | { outcome: "overtaken"; reason: string }
  | { outcome: "refused"; offence: Offence | null; reason: string }
  | { outcome: "unreachable"; reason: string }

/** Posts a text; the network comes in as an argument. */
export type Post = (url: string, body: string) => Promise<{ status: number; body: string }>

export type CosignatureRequest = {
  /** The witness's submission prefix. */
  url: string
  /** The witness's own key: an answer that it did not sign is refused. */
  witness: Verifier
  /** The signed checkpoint. */
  note: string
  /** Read for the consistency proof; one that reaches what the witness has seen was not rolled back. */
  ledger: Pick<Ledger, "read">
  /** The size that the witness saw last, as far as is known; 0 to ask. */
  old?: number
  /** What to take proofs from, where more of them are made: it reads the ledger once. */
  tree?: KeptTree
  post?: Post
}

/** Asks a witness to cosign a checkpoint, with the proof from whatever it saw last. */
export async function requestCosignature({
  url,
  witness,
  note,
  ledger,
  old = 0,
  tree = new KeptTree(ledger),
  post = postByFetch,
}: CosignatureRequest): Promise<Requested> {
  const head = parseTreeHead(parseNote(note).text)
  // Another request may move the witness on between its answer and ours; it cannot happen often.
  for (let tries = 0; tries < 4; tries++) {
    if (old > head.size) {
      if ((await ledger.read(old, 1)).length > 0) return { outcome: "overtaken", reason: `a later checkpoint, of ${old} entries, was there before this one` }
      return {
        outcome: "refused",
        offence: "rollback",
        reason: `the witness has seen ${old} entries of this log, and the checkpoint has ${head.size}: was an old copy restored?`,
      }
    }
    const proof = await proveConsistency(ledger, old, head.size, tree)
    let answer: { status: number; body: string }
    try {
      answer = await post(`${url.replace(/\/$/, "")}/add-checkpoint`, formatRequest(old, proof, note))
    } catch (error) {
      return { outcome: "unreachable", reason: `${url} does not answer: ${reasonOf(error)}` }
    }
    if (answer.status === 200) return accept(note, answer.body, witness)
    if (answer.status !== 409) {
      const reason = printable(answer.body) || `status ${answer.status}`
      if (answer.status >= 500 || answer.status === 429) return { outcome: "unreachable", reason }
      return { outcome: "refused", offence: offenceOf(answer.status, reason), reason }
    }
    const size = /^(0|[1-9][0-9]{0,15})\n$/.exec(answer.body)
    if (!size) return { outcome: "unreachable", reason: `${url} answered with a conflict, but not with the size it knows` }
    old = Number(size[1])
  }
  return { outcome: "unreachable", reason: `${url} knew another size each time it was asked` }
}

function accept(note: string, line: string, witness: Verifier): Requested {
  try {
    return { outcome: "cosigned", note: acceptCosignature(note, line, witness) }
  } catch (error) {
    if (error instanceof NoteInvalid) return { outcome: "refused", offence: null, reason: `the answer is not signed by ${witness.name}: ${error.message}` }
    throw error
  }
}

function offenceOf(status: number, reason: string): Offence | null {
  if (status === 422) return "fork"
  return status === 400 && reason.startsWith("rollback") ? "rollback" : null
}

/** A stranger's text for our terminal: one line, no control characters, not long. */
function printable(text: string): string {
  return text
    .replace(/\p{C}+/gu, " ")
    .trim()
    .slice(0, 300)
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? cause.message : message
}

async function postByFetch(url: string, body: string): Promise<{ status: number; body: string }> {
  const response = await fetch(url, { method: "POST", body, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) })
  return { status: response.status, body: await beginningOf(response) }
}

/** What a stranger answers may have no end: no more of it is read than an answer can be long. */
async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ""
  for await (const piece of body ?? []) {
    text += decoder.decode(piece as Uint8Array, { stream: true })
    if (text.length >= REQUEST_MAX_BYTES) break
  }
  return text.slice(0, REQUEST_MAX_BYTES)
}
