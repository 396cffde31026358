import type { ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { SkeinError } from "../contract/errors.ts"
import type { AgentId, Seq } from "../core/ids.ts"
import type { Ladder } from "../hub/ladder.ts"
import type { Loop } from "../hub/loop.ts"
import { letGo } from "../hub/snapshots.ts"
import { SECURE_HEADERS } from "./request.ts"

/** Entries of one line. */
const PAGE = 512
/** Entries that are read at once: each may have 64 KiB. */
const AT_ONCE = 128

/** What `GET /entries/WORKSPACE/FROM/TO` and `GET /back/WORKSPACE/FROM/TO` ask for. Throws `invalid_input` on anything else. */
export function rangeAsked(pathname: string): { what: string; workspace: string; from: Seq; to: Seq } {
  const [, what = "", workspace = "", from = "", to = ""] = pathname.split("/", 6)
  if (!/^\d{1,15}$/.test(from) || !/^\d{1,15}$/.test(to) || (what === "entries" && Number(from) < 1))
    throw new SkeinError("invalid_input", `${what} is asked for by workspace, first seq and last seq`, `GET /${what}/WORKSPACE/FROM/TO`)
  return { what, workspace, from: Number(from), to: Number(to) }
}

/** Answers with lines of JSON; who asks by HEAD, or has gone, gets none, and none is made. */
export async function sendLines(response: ServerResponse, lines: AsyncIterable<string>, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  if (response.destroyed) return letGo(lines)
  response.writeHead(200, { "Content-Type": "application/x-ndjson; charset=utf-8", ...headers, ...SECURE_HEADERS })
  if (response.req.method !== "HEAD") return pipeline(Readable.from(lines, { objectMode: false }), response)
  response.end()
  await letGo(lines)
}

/** Sends the stored entries from `from` to `to`, as far as the ledger holds them: each line is a JSON array of 512 at the most, as they were hashed. */
export async function sendEntries(loop: Loop, from: Seq, to: Seq, of: AgentId, response: ServerResponse): Promise<void> {
  // Of what is in flight nothing may be read; what the head says is durable.
  const last = Math.min(to, loop.head.seq)
  await sendLines(response, linesOf(loop, from, last, of))
}

/**
 * Sends the fewest steps that lead from rung `to` back to rung `from`, in the order in which they are gone, as far as they are kept. Throws `not_found` where
 * not even the first of them is, `invalid_input` where none leads that way.
 */
export async function sendBack(ladder: Ladder | null, from: Seq, to: Seq, response: ServerResponse): Promise<void> {
  if (from >= to) throw new SkeinError("invalid_input", `no step leads back from ${to} to ${from}`, "Give the earlier rung first: GET /back/WORKSPACE/FROM/TO")
  const lines = ladder?.lines(from, to)[Symbol.asyncIterator]()
  const first = await lines?.next()
  if (lines === undefined || first === undefined || first.done === true)
    throw new SkeinError("not_found", `no step of the past is kept from ${to} back to ${from}`, "Ask from one rung to another: `ledger.snapshots` lists them.")
  await sendLines(response, restOf(first.value, lines))
}

async function* restOf(first: string, rest: AsyncIterator<string>): AsyncIterable<string> {
  yield first
  yield* { [Symbol.asyncIterator]: () => rest }
}

async function* linesOf(loop: Loop, from: Seq, last: Seq, of: AgentId): AsyncIterable<string> {
  for (let next = from; next <= last;) {
    const end = Math.min(last, next + PAGE - 1)
    for (let mark = "["; next <= end; mark = ",") {
      const part = await loop.entries(next, Math.min(AT_ONCE, end - next + 1), of)
      // A line that breaks off is not there, as whoever reads it sees.
      if (part.length === 0) return
      next += part.length
      yield mark + part.map(({ bytes }) => bytes).join(",")
    }
    yield "]\n"
  }
}
