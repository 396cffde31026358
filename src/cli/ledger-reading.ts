import { decodeEntry, type Entry } from "../core/entry.ts"
import { type EntryFilter, fits, isEmptyFilter } from "../core/entry-filter.ts"
import { SkeinError } from "../contract/errors.ts"
import type { Stored } from "../ledger/ledger.ts"
import type { Context } from "./context.ts"
import { widthOf, wrap } from "./text-width.ts"
import { UsageError } from "./failure.ts"
import { auditLedger, ledgerFile, ledgerOfHub, lostLedger, openLedgerFile, type LedgerSource } from "./ledger-source.ts"
import { untilInterrupted } from "./interrupt.ts"
import { printable } from "./printable.ts"
import { auditText } from "./run-report.ts"
import { showTime } from "./local-time.ts"

const PAGE = 2_048
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const

export type FileOption = { file?: string }

/** The ledger that is meant: a file by name, another machine's through its hub, else the instance's own file. */
export async function withLedger<T>(context: Context, { file }: FileOption, use: (source: LedgerSource) => Promise<T>): Promise<T> {
  const remote = file === undefined && context.options.url !== undefined
  const lost = file === undefined && !remote ? lostLedger(context.instance(), context.workspace) : null
  if (lost !== null) throw lost
  const source = remote ? ledgerOfHub(await context.hub()) : await openLedgerFile(file ?? ledgerFile(context.instance(), context.workspace))
  try {
    return await use(source)
  } finally {
    await source.close()
  }
}

/** A stored entry, with all that is shown of any. A file may come from anybody, and only verifying checks every entry of it. Throws `SkeinError` on another. */
function entryIn({ seq, bytes }: Pick<Stored, "seq" | "bytes">): Entry {
  try {
    const entry = decodeEntry(bytes)
    const { atMs, actor, causedBy, data } = entry
    const isWhole = typeof atMs === "number" && typeof actor.agent === "string" && typeof data === "object" && data !== null
    if (isWhole && (causedBy === null || Number.isSafeInteger(causedBy))) return entry
  } catch {
    // Said below.
  }
  throw new SkeinError("invalid", `entry ${seq} is no entry of Skein's`, "skein ledger verify tells what is wrong with the ledger.", { seq })
}

async function* entriesOf(source: LedgerSource, from: number, to = Infinity): AsyncGenerator<{ seq: number; bytes: string }> {
  for (let next = from; next <= to;) {
    const page = await source.read(next, Math.min(PAGE, to - next + 1))
    if (page.length === 0) return
    yield* page
    next = (page.at(-1)?.seq ?? next) + 1
  }
}

async function headOf(source: LedgerSource): Promise<number> {
  // A store has no other way to tell its end to a reader than to give nothing.
  const isThere = async (seq: number): Promise<boolean> => (await source.read(seq, 1)).length > 0
  let [low, high] = [1, 1]
  while (await isThere(high)) [low, high] = [high + 1, high * 2]
  return (await firstNot(low, high, isThere)) - 1
}

/** The first from `low` to `high` that is not so, where all before it are, and `high` is not: found in the steps of a binary search. */
async function firstNot(low: number, high: number, isSo: (seq: number) => Promise<boolean>): Promise<number> {
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (await isSo(middle)) low = middle + 1
    else high = middle
  }
  return low
}

/** What of the ledger is shown. `since`, `until`: in ms since 1970, both within. */
export type TailOptions = FileOption & EntryFilter & { lines?: number; from?: number; since?: number; until?: number; follow?: boolean }

export async function tail(context: Context, { lines, from, since, until, follow = false, file, ...filter }: TailOptions): Promise<void> {
  const { terminal } = context
  if (follow && file !== undefined) throw new UsageError("a file that nobody writes to has nothing to follow", "Leave --file out to follow the hub's ledger.")
  const begins = from !== undefined || since !== undefined
  if (follow && ((begins && lines !== undefined) || until !== undefined))
    throw new UsageError("what follows has no end to be cut at", "Leave out --lines and --until to see all from there on, or --follow to see the first ones.")
  const tell = (entry: Entry): void => terminal.answer(entry, entryLine(context, entry))
  const last = await withLedger(context, { ...(file === undefined ? {} : { file }) }, async (source) => {
    const head = await headOf(source)
    const first = Math.max(from ?? 1, since === undefined ? 1 : await firstFrom(source, since, head))
    // A time is told to the second.
    const end = until === undefined ? head : (await firstFrom(source, Math.floor(until / 1_000) * 1_000 + 1_000, head)) - 1
    const most = lines ?? (begins ? Infinity : 20)
    let told = 0
    const start = begins ? first : await lastThatFit(source, filter, most, end)
    for await (const stored of entriesOf(source, start, end)) {
      if (told >= most) break
      const entry = entryIn(stored)
      if (!fits(entry, stored.bytes, filter)) continue
      told += 1
      tell(entry)
    }
    if (first > head) terminal.notice(`the ledger ends at entry ${head}`)
    else if (!follow && told === 0 && lines !== 0) terminal.notice("no entry is like that")
    return head
  })
  if (!follow) return
  const signal = untilInterrupted(terminal)
  for await (const entry of (await context.hub()).events({ from: last + 1, signal })) if (fits(entry, JSON.stringify(entry), filter)) tell(entry)
}

/** The first entry that is not before a time; the one after the head where all are. Times never decrease. */
async function firstFrom(source: LedgerSource, atMs: number, head: number): Promise<number> {
  return firstNot(1, head + 1, async (seq) => {
    const [stored] = await source.read(seq, 1)
    return stored !== undefined && entryIn(stored).atMs < atMs
  })
}

/** From which entry on, up to `end`, so many fit; 1 where there are not that many. */
async function lastThatFit(source: LedgerSource, filter: EntryFilter, count: number, end: number): Promise<number> {
  if (isEmptyFilter(filter)) return Math.max(1, end - count + 1)
  let left = count
  for (let after = end + 1; after > 1;) {
    const low = Math.max(1, after - PAGE)
    const page = await source.read(low, after - low)
    for (const stored of page.toReversed()) {
      if (left <= 0) return stored.seq + 1
      if (fits(entryIn(stored), stored.bytes, filter)) left -= 1
    }
    after = low
  }
  return 1
}

/** So much of an entry's data is shown where it goes to no terminal. */
const SHOWN_CHARACTERS = 400
/** With less room on its line an entry's data stands below, in characters. */
const LEAST_ROOM = 20

/** Where what happened begins on the line: below it stands what has no room there. */
const INDENT = 19

/** One entry on one line: what happened, by whom, to what, because of what. On a terminal without room for them, to what and why stand below. */
function entryLine({ terminal }: Context, { seq, atMs, type, actor, causedBy, data }: Entry): string {
  const { dim, cyan } = terminal.colours
  const begin = `${dim(String(seq).padStart(7))}  ${showTime(atMs)}  ${cyan(printable(type).padEnd(24))} ${printable(actor.agent).padEnd(12)} `
  const end = causedBy === null ? "" : dim(`because of ${causedBy}`)
  const json = JSON.stringify(data)
  const oneLine = (shown: string): string => `${begin}${shown}${end === "" ? "" : `  ${end}`}`
  if (!terminal.isLive) return oneLine(terminal.clip(json, SHOWN_CHARACTERS))
  const room = terminal.columns - widthOf(oneLine(""))
  const shown = terminal.clip(json, room < LEAST_ROOM ? terminal.columns - INDENT : room)
  const { reason } = data as { reason?: unknown }
  const why = typeof reason !== "string" || shown.includes(printable(JSON.stringify(reason))) ? [] : wrap(printable(reason), terminal.columns - INDENT)
  return [...(room < LEAST_ROOM ? [`${begin}${end}`, below(shown)] : [oneLine(shown)]), ...why.map(below)].join("\n")
}

function below(text: string): string {
  return `${" ".repeat(INDENT)}${text}`
}

/** The stored bytes, one entry a line: a JSON entry holds no line break. */
export async function exportEntries(context: Context, { from, to, file }: FileOption & { from: number; to?: number }): Promise<void> {
  if (to !== undefined && to < from) throw new UsageError(`entry ${to} comes before entry ${from}`, "Give the first entry with --from, and the last with --to.")
  await withLedger(context, { ...(file === undefined ? {} : { file }) }, async (source) => {
    const head = await headOf(source)
    // A script that asks for what is new hears of nothing, and that is right; a person may have meant another number.
    if (Math.max(from, to ?? 1) > head) context.terminal.notice(`the ledger ends at entry ${head}`)
    for await (const { bytes } of entriesOf(source, from, to)) {
      if (!context.terminal.stored(bytes)) await new Promise((resolve) => process.stdout.once("drain", resolve))
    }
  })
}

export async function why(context: Context, seq: number, options: FileOption): Promise<void> {
  await withLedger(context, options, async (source) => {
    for (let at: number | null = seq; at !== null;) {
      const [stored] = await source.read(at, 1)
      if (stored === undefined) throw new SkeinError("not_found", `there is no entry ${at}`, "skein ledger tail shows the last ones.", { seq: at })
      const entry = entryIn(stored)
      context.terminal.answer(entry, entryLine(context, entry))
      // A cause is always earlier: a ledger that says otherwise must not send us in circles.
      at = entry.causedBy !== null && entry.causedBy < at ? entry.causedBy : null
    }
  })
}

export async function backup(context: Context, path: string, options: FileOption): Promise<void> {
  if (path === "") throw new UsageError("the backup has no path", "Name the file that it is to be, such as ledger-today.sqlite.")
  await withLedger(context, options, async (source) => {
    await endingAfter((isEnding) => source.backup(path, isEnding))
    const { verified } = await auditCopy(path)
    context.terminal.answer({ path, entries: verified.entries, hash: verified.head.hash }, `${printable(path)} holds ${verified.entries} entries, verified`)
  })
}

/** A signal ends the process as it always does, but once the work has broken off and tidied up: SQLite writes in a thread, and would make anew what is removed under it. */
async function endingAfter(work: (isEnding: () => boolean) => Promise<void>): Promise<void> {
  let ending: NodeJS.Signals | null = null
  const note = (signal: NodeJS.Signals): void => void (ending = signal)
  for (const signal of ENDING) process.once(signal, note)
  try {
    await work(() => ending !== null)
  } finally {
    for (const signal of ENDING) process.off(signal, note)
    if (ending !== null) process.kill(process.pid, ending)
  }
}

async function auditCopy(path: string): Promise<Awaited<ReturnType<typeof auditLedger>>> {
  const copy = await openLedgerFile(path)
  try {
    const audit = await auditLedger(copy, [])
    if (!audit.verified.ok) throw new SkeinError("storage_refused", `the copy is not sound: ${auditText(audit)}`, "Verify the ledger itself, then try again.")
    return audit
  } finally {
    await copy.close()
  }
}
