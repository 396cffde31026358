import { ask, heldStands, workspaceOfPage } from "./live.ts"
import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { fetchSnapshot, readSteps } from "./fold.ts"
import type { PastSource, Step } from "./past.ts"

/** Entries of a page: what the hub sends as one line. */
const PAGE = 512
/** Pages that are kept, the newest of use: 32,768 entries. */
const PAGES_KEPT = 64
/** The list of snapshots grows slowly: so long it is not asked for again, in ms. */
const LADDER_MS = 10_000

/** The ledger's past as the hub serves it, in pages that are fetched once. */
class EntrySource implements PastSource {
  readonly #pages = new Map<number, readonly Entry[]>()
  #ladder: ReturnType<PastSource["ladder"]> | null = null
  #ladderAtMs = 0

  /** Entries `from` to `to` in order, page by page, as far as they are there. Throws `Error` where the hub does not give them. */
  async *entries(from: Seq, to: Seq, signal?: AbortSignal): AsyncGenerator<readonly Entry[], void> {
    for (let next = from; next <= to;) {
      const at = pageOf(next)
      const kept = this.#kept(at, Math.min(to, lastOf(at)))
      if (kept === null) {
        // All that is missing in one go: it comes faster than it can be folded.
        let end = at
        while (end < pageOf(to) && this.#kept(end + 1, Math.min(to, lastOf(end + 1))) === null) end += 1
        for await (const page of fetchEntries(firstOf(at), lastOf(end), signal)) {
          const first = page[0]
          if (first === undefined) return
          this.#keep(pageOf(first.seq), page)
          const part = page.filter(({ seq }) => seq >= next && seq <= to)
          next = Math.max(next, (part.at(-1)?.seq ?? 0) + 1)
          if (part.length > 0) yield part
        }
        if (next <= Math.min(to, lastOf(end))) return
      } else {
        const part = kept.filter(({ seq }) => seq >= next && seq <= to)
        next = Math.min(to, lastOf(at)) + 1
        yield part
      }
    }
  }

  /** One entry; null where it is not there. */
  async entry(seq: Seq): Promise<Entry | null> {
    for await (const [entry] of this.entries(seq, seq)) return entry ?? null
    return null
  }

  snapshot(atOrBefore: Seq, signal?: AbortSignal): ReturnType<PastSource["snapshot"]> {
    return fetchSnapshot(workspaceOfPage(), atOrBefore, signal)
  }

  stands(): ReturnType<PastSource["stands"]> {
    return heldStands()
  }

  /** The steps from one rung back to another. Throws `SyntaxError` on one that is cut off. */
  async *steps(from: Seq, to: Seq, signal?: AbortSignal): AsyncGenerator<Step, void> {
    yield* readSteps(fetchLines(`/back/${encodeURIComponent(workspaceOfPage())}/${from}/${to}`, signal))
  }

  /** Where the hub keeps the state, and where the steps of the past end, ascending. */
  ladder(): ReturnType<PastSource["ladder"]> {
    const nowMs = performance.now()
    if (this.#ladder === null || nowMs - this.#ladderAtMs > LADDER_MS) {
      this.#ladderAtMs = nowMs
      this.#ladder = ask("ledger.snapshots", {}).then(({ snapshots, rungs }) => ({
        snapshots: snapshots.map(({ seq }) => seq),
        rungs: rungs.map(({ seq }) => seq),
      }))
      this.#ladder.catch(() => (this.#ladder = null))
    }
    return this.#ladder
  }

  /** Of another ledger nothing that was kept is true. */
  forget(): void {
    this.#pages.clear()
    this.#ladder = null
  }

  /** A page that reaches to `to`, or null. */
  #kept(at: number, to: Seq): readonly Entry[] | null {
    const page = this.#pages.get(at)
    if (page === undefined || (page.at(-1)?.seq ?? 0) < to) return null
    this.#pages.delete(at)
    this.#pages.set(at, page)
    return page
  }

  #keep(at: number, page: readonly Entry[]): void {
    this.#pages.delete(at)
    this.#pages.set(at, page)
    const [oldest] = this.#pages.keys()
    if (this.#pages.size > PAGES_KEPT && oldest !== undefined) this.#pages.delete(oldest)
  }
}

/** The page's one source: what one view has fetched the other need not. */
export const ledger = new EntrySource()

function pageOf(seq: Seq): number {
  return Math.floor((seq - 1) / PAGE)
}

function firstOf(page: number): Seq {
  return page * PAGE + 1
}

function lastOf(page: number): Seq {
  return (page + 1) * PAGE
}

async function* fetchEntries(from: Seq, to: Seq, signal?: AbortSignal): AsyncGenerator<Entry[], void> {
  for await (const line of fetchLines(`/entries/${encodeURIComponent(workspaceOfPage())}/${from}/${to}`, signal)) yield JSON.parse(line) as Entry[]
}

async function* fetchLines(path: string, signal?: AbortSignal): AsyncGenerator<string, void> {
  const response = await fetch(path, { signal: signal ?? null })
  // Nothing of it is kept: whoever asked says what that means.
  if (response.status === 404) return
  if (!response.ok || response.body === null) throw new Error(`the hub answered ${response.status} when asked for the past`)
  const pieces = response.body.pipeThrough(new TextDecoderStream()).getReader()
  try {
    let rest: string[] = []
    for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) {
      const [first = "", ...more] = piece.value.split("\n")
      rest.push(first)
      for (const next of more) {
        yield rest.join("")
        rest = [next]
      }
    }
    if (rest.some((part) => part !== "")) throw new SyntaxError("the past is cut off")
  } finally {
    // Whoever looks no further must not leave the rest on its way.
    await pieces.cancel().catch(() => undefined)
  }
}
