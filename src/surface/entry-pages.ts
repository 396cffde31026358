import type { ServerResponse } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { SkeinError } from "../contract/errors.ts"
import type { AgentId, Seq } from "../core/ids.ts"
import type { Ladder } from "../hub/ladder.ts"
import type { Loop } from "../hub/loop.ts"
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

/** Sends the stored entries from `from` to `to`, as far as the ledger holds them: each line is a JSON array of 512 at the most, as they were hashed. */
export async function sendEntries(loop: Loop, from: Seq, to: Seq, of: AgentId, response: ServerResponse): Promise<void> {
  // Of what is in flight nothing may be read; what the head says is durable.
  const last = Math.min(to, loop.head.seq)
  response.writeHead(200, { "Content-Type": "application/x-ndjson; charset=utf-8", ...SECURE_HEADERS })
  await pipeline(Readable.from(linesOf(loop, from, last, of), { objectMode: false }), response)
}

/** Sends the fewest steps that lead from rung `to` back to rung `from`, in the order in which they are gone: nothing where none are kept. */
export async function sendBack(ladder: Ladder | null, from: Seq, to: Seq, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "Content-Type": "application/x-ndjson; charset=utf-8", ...SECURE_HEADERS })
  await pipeline(Readable.from(ladder?.lines(from, to) ?? [], { objectMode: false }), response)
}

async function* linesOf(loop: Loop, from: Seq, last: Seq, of: AgentId): AsyncIterable<string> {
  for (let next = from; next <= last;) {
    const line: string[] = []
    while (line.length < PAGE && next <= last) {
      const part = await loop.entries(next, Math.min(AT_ONCE, PAGE - line.length, last - next + 1), of)
      if (part.length === 0) return
      line.push(...part.map(({ bytes }) => bytes))
      next += part.length
    }
    yield `[${line.join(",")}]\n`
  }
}
