import { type FileHandle, open, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Command } from "commander"
import type { Entry } from "../core/entry.ts"
import { evolve, Workspace } from "../core/workspace.ts"
import type { HubConnection } from "./connection.ts"
import { act, examples, type Context } from "./context.ts"
import { makeFolder } from "./folder.ts"
import { untilInterrupted } from "./interrupt.ts"
import { named } from "./named-file.ts"
import { agentStates, taskGraph } from "./projection.ts"
import { printable } from "./printable.ts"

/** The files follow the ledger within 100 ms; they are written at most this often, so that a burst costs one write. */
const WRITE_EVERY_MS = 50

/** `skein export`: plain files of the state, for tools that know nothing of Skein. */
export function register(program: Command): void {
  program
    .command("export")
    .description("Write agent_state.json, task_graph.json and coordination_events.jsonl, each replaced whole so that a reader never sees half a file.")
    .requiredOption("--dir <folder>", "where to; made if it is missing")
    .option("--follow", "stay, and keep them true within 100 ms")
    .addHelpText("after", examples(["skein export --dir data", "once"], ["skein export --dir data --follow", "until Ctrl-C"]))
    .action(act(exportFiles))
}

async function exportFiles(context: Context, { dir, follow = false }: { dir: string; follow?: boolean }): Promise<void> {
  const hub = await context.hub()
  makeFolder(dir)
  const { seq: head } = await hub.call("ledger.head", {})
  const projection = new Projection(dir, context.workspace)
  if (!follow) {
    await projection.fold(entriesTo(hub, head))
    await projection.write()
  } else {
    context.terminal.notice(`following entry ${head} on into ${printable(dir)}; Ctrl-C ends it`)
    await projection.follow(hub, head, untilInterrupted(context.terminal))
    // Nothing was written: it was ended before it had what was there.
    if (projection.seq < head) return
  }
  context.terminal.answer({ dir, seq: projection.seq }, `${printable(dir)} shows entry ${projection.seq}`)
}

async function* entriesTo(hub: HubConnection, head: number): AsyncGenerator<Entry> {
  for (let from: number | null = 1; from !== null && from <= head;) {
    const page: { entries: { seq: number; bytes: string }[]; next: number | null } = await hub.call("ledger.read", { from, limit: 1_000 })
    for (const { seq, bytes } of page.entries) if (seq <= head) yield JSON.parse(bytes) as Entry
    from = page.next
  }
}

/** Milliseconds until an entry that comes now is written: none after a quiet spell, never more than `WRITE_EVERY_MS`. */
export function untilWrite(lastWriteMs: number, nowMs: number): number {
  return Math.max(0, lastWriteMs + WRITE_EVERY_MS - nowMs)
}

/** The three files and the state that they show. */
class Projection {
  readonly #dir: string
  readonly #workspace: string
  readonly #state = new Workspace()
  /** Lines of the event stream that its file does not have yet. */
  #lines: string[] = []
  #stream: FileHandle | null = null
  #streamBytes = 0
  #writing: Promise<void> = Promise.resolve()
  #lastWriteMs = 0

  constructor(dir: string, workspace: string) {
    this.#dir = dir
    this.#workspace = workspace
  }

  get seq(): number {
    return this.#state.seq
  }

  async fold(entries: AsyncIterable<Entry>): Promise<void> {
    for await (const entry of entries) this.#take(entry)
  }

  /** Folds and writes until the signal. Up to `head` it only folds: a reader has no use for the past as a film. */
  async follow(hub: HubConnection, head: number, signal: AbortSignal): Promise<void> {
    let timer: NodeJS.Timeout | null = null
    // A folder that is gone, or a full disk: it is told once the stream has ended.
    const failed = new AbortController()
    const due = (): void => {
      timer = null
      this.#writing = this.#writing.then(() => this.write()).catch((error: unknown) => failed.abort(error))
    }
    const ends = AbortSignal.any([signal, failed.signal])
    if (head === 0) due()
    for await (const entry of hub.events({ from: 1, signal: ends })) {
      this.#take(entry)
      if (this.seq >= head) timer ??= setTimeout(due, untilWrite(this.#lastWriteMs, performance.now()))
    }
    if (timer !== null) clearTimeout(timer)
    await this.#writing
    failed.signal.throwIfAborted()
    if (this.seq >= head) await this.write()
    await this.#stream?.close()
  }

  #take(entry: Entry): void {
    evolve(this.#state, entry)
    this.#state.journal.drain()
    const { seq, atMs, type, actor, causedBy, data } = entry
    this.#lines.push(
      `${JSON.stringify({ seq, atMs, at: new Date(atMs).toISOString(), type, agent: actor.agent, session: actor.session, role: actor.role, causedBy, data })}\n`,
    )
  }

  /** Brings the files up to the state. The stream of events is begun anew once and only appended to after that. */
  async write(): Promise<void> {
    const head = { workspace: this.#workspace, seq: this.#state.seq, atMs: this.#state.atMs }
    this.#lastWriteMs = performance.now()
    const lines = this.#lines.join("")
    this.#lines = []
    await Promise.all([
      this.#replace("agent_state.json", { ...head, agents: agentStates(this.#state) }),
      this.#replace("task_graph.json", { ...head, tasks: taskGraph(this.#state) }),
      this.#append(lines),
    ])
  }

  async #replace(name: string, value: object): Promise<void> {
    await replaceWhole(join(this.#dir, name), join(this.#dir, `.${name}.${process.pid}`), `${JSON.stringify(value, null, 1)}\n`)
  }

  async #append(lines: string): Promise<void> {
    const path = join(this.#dir, "coordination_events.jsonl")
    if (this.#stream === null) {
      await replaceWhole(path, `${path}.${process.pid}`, lines)
      this.#stream = await open(path, "a")
      this.#streamBytes = Buffer.byteLength(lines)
      return
    }
    if (lines === "") return
    try {
      // One write for whole lines: a reader sees each of them entire.
      await this.#stream.appendFile(lines)
      this.#streamBytes += Buffer.byteLength(lines)
    } catch (error) {
      // The disk had room for a part of them.
      await this.#stream.truncate(this.#streamBytes).catch(() => undefined)
      throw named(path, error)
    }
  }
}

/** Puts a text in a file's place, by way of a draft that does not stay where that fails. */
async function replaceWhole(path: string, draft: string, text: string): Promise<void> {
  try {
    await writeFile(draft, text)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw named(path, error)
  }
}
