import type { Workspace } from "../core/workspace.ts"
import { SkeinError } from "../contract/errors.ts"
import { readBounded } from "./bounded-file.ts"
import type { Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { type FileOption, withLedger } from "./ledger-reading.ts"
import { outsideCheckpoint, ownCheckpoints, ownVerifier, type LedgerSource } from "./ledger-source.ts"
import { printable } from "./printable.ts"
import { showCount, showDuration } from "./quantity.ts"
import { renderTable } from "./table.ts"

/** A note is a head and some signatures: far less than this. */
const NOTE_MAX_BYTES = 1024 * 1024

export async function verifyLedger(
  context: Context,
  { file, checkpoint = [], key = [] }: FileOption & { checkpoint?: string[]; key?: string[] },
): Promise<void> {
  const { terminal } = context
  const isOwn = file === undefined && context.options.url === undefined
  if (key.length > 0 && checkpoint.length === 0)
    throw new UsageError("a key is for a checkpoint that is named", "Name it: --checkpoint FILE. The kept one is held to the instance's own key.")
  const { outside, unreadable } = isOwn ? await ownCheckpoints(context.instance(), context.workspace) : { outside: [], unreadable: null }
  if (checkpoint.length > 0) {
    const { parseVerifier } = await import("../ledger/note.ts")
    const own = key.length > 0 ? null : await ownVerifier(context.instance(), context.workspace)
    const keys = [...key.map(parseVerifier), ...(own === null ? [] : [own])]
    if (keys.length === 0) throw new UsageError("there is no key to verify the checkpoint with", 'Give the log\'s public key: --key "$(cat log.pub)"')
    for (const path of checkpoint) outside.push(await outsideCheckpoint(readNote(path), keys, path))
  }
  const { verify } = await import("../ledger/audit.ts")
  const startedMs = performance.now()
  const report = await withLedger(context, { ...(file === undefined ? {} : { file }) }, (source) => verify(source, outside))
  const tookMs = Math.round(performance.now() - startedMs)
  terminal.record({ ...report, tookMs })
  const { green, red } = terminal.colours
  if (report.finding !== null) {
    if (terminal.json) process.exitCode = 1
    else terminal.print(`${red("damaged")}  the first ${report.finding.seq - 1} entries are good; then: ${report.finding.damage}`)
    throw new SkeinError("invalid", report.finding.message, report.finding.remedy, { ...report.finding })
  }
  const { head, entries, checkpoints, coveredTo } = report
  const uncovered = entries - coveredTo
  terminal.print(
    `${green("ok")}  ${entries} entries and ${showCount(checkpoints, "checkpoint")} in ${showDuration(tookMs)}\n    head ${head.seq} ${head.hash}\n    root ${head.root}`,
  )
  terminal.print(
    coveredTo === 0
      ? "    nothing was kept outside the file to compare its length with"
      : `    as the checkpoint of ${coveredTo} entries that is kept outside the file${uncovered > 0 ? `; the last ${uncovered} came after it` : ""}`,
  )
  if (unreadable !== null) throw unreadable
}

function readNote(path: string): string {
  const bytes = readBounded(path, NOTE_MAX_BYTES)
  if (bytes.length > NOTE_MAX_BYTES) throw new UsageError(`${path} is too long to be a checkpoint`, "Name a file like .skein/checkpoint/main.")
  return bytes.toString("utf8")
}

export async function replayLedger(context: Context, { to, epoch, diff, file }: FileOption & { to?: number; epoch?: number; diff?: number }): Promise<void> {
  const { terminal } = context
  if (to !== undefined && epoch !== undefined) throw new UsageError("--to and --epoch both say where the replay ends", "Give one of them.")
  const [{ replay }, { replayOnTwoCores }, { sha256 }] = await Promise.all([
    import("../hub/replay.ts"),
    import("../hub/replay-apart.ts"),
    import("../ledger/sha256.ts"),
  ])
  await withLedger(context, { ...(file === undefined ? {} : { file }) }, async (source) => {
    const end = epoch === undefined ? to : await endOfEpoch(source, epoch)
    const startedMs = performance.now()
    const replayed = await replayOnTwoCores(source, sha256, { ...(end === undefined ? {} : { to: end }), keys: diff !== undefined })
    if (end !== undefined && replayed.entries < end)
      throw new UsageError(`the ledger ends at entry ${replayed.entries}, before ${end}`, "Name an entry that is there.")
    if (diff !== undefined && diff > replayed.entries)
      throw new UsageError(`what changed since entry ${diff} is not there: the replay ends at ${replayed.entries}`, "Name an entry before that.")
    const tookMs = Math.round(performance.now() - startedMs)
    const wrong = replayed.compared.find(({ ok }) => !ok)
    const changes = diff === undefined ? null : differences((await replay(source, sha256, { to: diff, compare: false })).state, replayed.state)
    terminal.record({
      ok: wrong === undefined,
      entries: replayed.entries,
      hash: replayed.chain.hash,
      digest: replayed.digest,
      compared: replayed.compared.length,
      mismatch: wrong ?? null,
      tookMs,
      counts: countsOf(replayed.state),
      ...(changes === null ? {} : { changes }),
    })
    const { green, red } = terminal.colours
    terminal.print(
      `${wrong === undefined ? green("ok") : red("NO")}  ${replayed.entries} entries replayed in ${showDuration(tookMs)}, compared at ${showCount(replayed.compared.length, "checkpoint")}\n    state  ${replayed.digest}\n    chain  ${replayed.chain.hash}\n    holds  ${holdsText(replayed.state)}`,
    )
    for (const { table, key, change, before, after } of changes ?? []) {
      const paint = { added: green, removed: red, changed: terminal.colours.yellow }[change]
      terminal.print(
        `${paint({ added: "+", removed: "-", changed: "~" }[change])} ${table} ${printable(key)}  ${terminal.clip(change === "changed" ? fieldsText(before, after) : JSON.stringify(after ?? before), Math.max(40, terminal.columns - 30))}`,
      )
    }
    if (wrong !== undefined)
      throw new SkeinError(
        "invalid",
        `the checkpoint in entry ${wrong.seq} recorded another state or root than the entries before it make`,
        "Verify the ledger (skein ledger verify); if it is sound, this version of Skein folds it differently: report it.",
        { ...wrong },
      )
  })
}

/** What the state amounts to: the figures that follow from the bytes alone. */
function countsOf(state: Workspace): Record<string, number> {
  const tasks = Object.entries(state.board.counts).filter(([, count]) => count > 0)
  return { agents: state.agents.size, sessions: state.sessions.size, plans: state.plans.size, tasks: state.tasks.size, ...Object.fromEntries(tasks) }
}

function holdsText(state: Workspace): string {
  const { agents, sessions, plans, tasks, ...byStatus } = countsOf(state)
  const statuses = Object.entries(byStatus).map(([status, count]) => `${count} ${status.replace("_", " ")}`)
  return `agents ${agents}, sessions ${sessions}, plans ${plans}, tasks ${tasks}${statuses.length > 0 ? `: ${statuses.join(", ")}` : ""}`
}

async function endOfEpoch(source: LedgerSource, wanted: number): Promise<number> {
  const { epochs } = await import("../ledger/audit.ts")
  const all = await epochs(source)
  const found = all.find(({ epoch }) => epoch === wanted)
  if (found === undefined) throw new UsageError(`there is no epoch ${wanted}: the ledger has ${all.length}`, "skein ledger epochs lists them.")
  return found.to
}

type Change = { table: string; key: string; change: "added" | "removed" | "changed"; before?: unknown; after?: unknown }

/** What differs between two states, table by table, in the order of keys. */
function differences(before: Workspace, after: Workspace): Change[] {
  const changes: Change[] = []
  for (const [at, table] of after.tables.entries()) {
    const old = new Map(before.tables[at]?.entries())
    const now = new Map(table.entries())
    for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
      const [was, is] = [old.get(key), now.get(key)]
      if (was === undefined) changes.push({ table: table.name, key, change: "added", after: is })
      else if (is === undefined) changes.push({ table: table.name, key, change: "removed", before: was })
      else if (JSON.stringify(was) !== JSON.stringify(is)) changes.push({ table: table.name, key, change: "changed", before: was, after: is })
    }
  }
  return changes
}

function fieldsText(before: unknown, after: unknown): string {
  const [old, now] = [before as Record<string, unknown>, after as Record<string, unknown>]
  const changed = Object.keys(now).filter((field) => JSON.stringify(old[field]) !== JSON.stringify(now[field]))
  return changed.map((field) => `${field}: ${JSON.stringify(old[field])} -> ${JSON.stringify(now[field])}`).join(", ")
}

export async function listEpochs(context: Context, options: FileOption): Promise<void> {
  const { terminal } = context
  const { epochs } = await import("../ledger/audit.ts")
  const found = await withLedger(context, options, (source) => epochs(source))
  for (const epoch of found) terminal.record(epoch)
  if (terminal.json) return
  const rows = found.map(({ epoch, from, to, recorded }) => [
    epoch,
    from,
    to,
    recorded === null ? "still open" : recorded.root.slice(0, 16),
    recorded?.digest.slice(0, 16) ?? "",
  ])
  terminal.print(
    renderTable(
      terminal,
      [{ head: "epoch", right: true }, { head: "from", right: true }, { head: "to", right: true }, { head: "root" }, { head: "state" }],
      rows,
    ),
  )
}
