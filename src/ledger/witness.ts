import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs"
import { dirname } from "node:path"
import { toHex } from "../core/hash.ts"
import { LedgerFailure } from "./ledger.ts"
import {
  NoteInvalid,
  addSignatures,
  cosign,
  formatSignature,
  openNote,
  parseNote,
  parseTreeHead,
  parseVerifier,
  type Signer,
  type TreeHead,
  type Verifier,
} from "./note.ts"
import { readPrivately, replacePrivately } from "./private-file.ts"
import { isConsistent } from "./proof.ts"
import { sha256 } from "./sha256.ts"
import { WriterLock, readOwner } from "./writer-lock.ts"

/** The last checkpoint of a log that the witness cosigned, with that cosignature. */
export type Witnessed = { size: number; root: string; note: string }

/**
 * A log caught with two histories: two checkpoints of one size with two roots, both signed by it. Kept as evidence for everybody;
 * the witness goes on with the history that it cosigned, and never with the other.
 */
export type Conviction = { atMs: number; cosigned: string; presented: string }

/** One log that the witness watches: its keys, what it saw last, and what it caught the log at. */
export type Watched = { vkeys: string[]; last: Witnessed | null; convictions: Conviction[] }

/** All that a witness knows, by origin. */
export type WitnessState = { logs: Record<string, Watched> }

/** What a witness answers to a checkpoint; `status` is the HTTP status of c2sp.org/tlog-witness. */
export type Answer =
  | { status: 200; signature: string }
  /** The witness's last checkpoint has another size than the request's `old`: ask again with a proof from this one. */
  | { status: 409; size: number }
  | { status: 400 | 403 | 404 | 422; reason: string; offence: Offence | null }

/** Why a checkpoint that its log signed is refused for ever: another history than the one seen before, or less of it. */
export type Offence = "fork" | "rollback"

/** Convictions kept a log; more add nothing to the first. */
const CONVICTIONS_KEPT = 16

/**
 * Decides on a checkpoint as c2sp.org/tlog-witness says, and changes `state` when it is to be cosigned or is evidence. Pure but for that:
 * the caller MUST persist a changed state before it answers.
 */
function addCheckpoint(
  state: WitnessState,
  signer: Signer,
  old: number,
  proof: readonly Uint8Array[],
  note: string,
  nowMs: number,
): { answer: Answer; changed: boolean } {
  let changed = false
  const refuse = (status: 400 | 403 | 404 | 422, reason: string, offence: Offence | null = null): { answer: Answer; changed: boolean } => ({
    answer: { status, reason: offence ? `${offence}: ${reason}` : reason, offence },
    changed,
  })
  let head: TreeHead
  let text: string
  try {
    text = parseNote(note).text
    head = parseTreeHead(text)
  } catch (error) {
    if (error instanceof NoteInvalid) return refuse(400, error.message)
    throw error
  }
  const log = Object.hasOwn(state.logs, head.origin) ? state.logs[head.origin] : undefined
  if (!log) return refuse(404, `this witness does not watch ${JSON.stringify(head.origin)}`)
  try {
    openNote(note, log.vkeys.map(parseVerifier))
  } catch (error) {
    if (error instanceof NoteInvalid) return refuse(403, error.message)
    throw error
  }
  const last = log.last ?? { size: 0, root: toHex(sha256(new Uint8Array(0))), note: "" }
  const forked = head.size === last.size && head.size > 0 && toHex(head.root) !== last.root
  if (forked && log.convictions.length < CONVICTIONS_KEPT && !log.convictions.some(({ presented }) => presented === note)) {
    log.convictions.push({ atMs: nowMs, cosigned: last.note, presented: note })
    changed = true
  }
  if (old > head.size) {
    if (old !== last.size) return refuse(400, `the old size ${old} is larger than the checkpoint's, ${head.size}`)
    return refuse(400, `${last.size} entries were seen before, and now ${head.size} are presented`, "rollback")
  }
  if (old !== last.size) return { answer: { status: 409, size: last.size }, changed }
  if (forked) return refuse(422, `another root was signed for ${head.size} entries before`, "fork")
  const lastHead = { size: last.size, root: Buffer.from(last.root, "hex") }
  if (!isConsistent(lastHead, head, proof)) {
    if (old === 0) return refuse(422, "from nothing no proof is needed, and the empty tree has one root")
    // Anybody can send a wrong proof with a log's checkpoint: it is refused, and convicts nobody.
    return refuse(422, `nothing proves that these ${head.size} entries begin with the ${last.size} seen before (or the proof is wrong)`, "fork")
  }
  const signature = cosign(text, signer, nowMs)
  log.last = { size: head.size, root: toHex(head.root), note: addSignatures(note, [signature]) }
  return { answer: { status: 200, signature: formatSignature(signature) }, changed: true }
}

/** A witness with its state in a file, for one process at a time. */
export class Witness {
  readonly signer: Signer
  readonly #path: string
  readonly #lock: WriterLock
  readonly #clock: () => number
  #state: WitnessState

  /** Opens the state at `path` or starts one. `clock`: milliseconds since 1970. Throws `LedgerFailure` `locked` or `damaged`. */
  constructor(path: string, signer: Signer, clock: () => number, address: string | null = null) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    this.#path = path
    this.signer = signer
    this.#clock = clock
    this.#lock = WriterLock.take(path, { pid: process.pid, address })
    try {
      this.#state = readWitnessState(path)
    } catch (error) {
      this.#lock.release()
      throw error
    }
  }

  get state(): WitnessState {
    return this.#state
  }

  /** Says where the witness listens, for whoever finds its state locked. */
  announce(address: string): void {
    this.#lock.announce(address)
  }

  /** Watches a log from now on, by its verifier key; the key's name is the log's origin unless another is given. A log may have several keys. */
  watch(vkey: string, origin = parseVerifier(vkey).name): void {
    const verifier = parseVerifier(vkey)
    if (verifier.kind !== "log") throw new RangeError("a witness watches logs: give the log's verifier key")
    const logs = { ...this.#state.logs }
    const log = Object.hasOwn(logs, origin) ? logs[origin]! : { vkeys: [], last: null, convictions: [] }
    logs[origin] = { ...log, vkeys: [...new Set([...log.vkeys, verifier.vkey])] }
    this.#persist({ logs })
  }

  /**
   * Decides on a checkpoint as c2sp.org/tlog-witness says; the state is on disk before this returns. Without an `await` on the way, two requests
   * cannot overtake each other.
   */
  add(old: number, proof: readonly Uint8Array[], note: string): Answer {
    const draft = structuredClone(this.#state)
    const { answer, changed } = addCheckpoint(draft, this.signer, old, proof, note, this.#clock())
    if (changed) this.#persist(draft)
    return answer
  }

  close(): void {
    this.#lock.release()
  }

  #persist(state: WitnessState): void {
    writeDurably(this.#path, `${JSON.stringify(state, null, 2)}\n`)
    this.#state = state
  }
}

/** What a witness knows, read from its file, also while it runs (`skein witness status`). No file: nothing. Throws `LedgerFailure("damaged")`. */
export function readWitnessState(path: string): WitnessState {
  let text: string
  try {
    text = readPrivately(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { logs: {} }
    throw error
  }
  try {
    const { logs } = JSON.parse(text) as WitnessState
    if (!isRecord(logs)) throw new TypeError("no logs")
    return { logs: Object.fromEntries(Object.entries(logs).map(([origin, log]) => [origin, readWatched(origin, log)])) }
  } catch (error) {
    throw new LedgerFailure(
      "damaged",
      `the witness's state in ${path} cannot be read`,
      "restore it from a backup: a witness that forgets can be deceived",
      null,
      error,
    )
  }
}

/** Takes what we wrote and nothing else. What was cosigned last is what its note says: a witness that remembers less than it saw can be deceived. */
function readWatched(origin: string, { vkeys, last, convictions }: Watched): Watched {
  if (!Array.isArray(vkeys) || vkeys.length === 0 || !Array.isArray(convictions)) throw new TypeError("a log without keys or convictions")
  for (const vkey of vkeys) parseVerifier(vkey)
  const kept = convictions.map(({ atMs, cosigned, presented }) => ({ atMs, cosigned, presented }))
  if (kept.some(({ atMs, cosigned, presented }) => !Number.isSafeInteger(atMs) || typeof cosigned !== "string" || typeof presented !== "string"))
    throw new TypeError("a conviction without evidence")
  if (last === null) return { vkeys, last, convictions: kept }
  const head = parseTreeHead(parseNote(last.note).text)
  if (head.origin !== origin || head.size !== last.size || toHex(head.root) !== last.root)
    throw new TypeError("what was cosigned last is not what its note says")
  return { vkeys, last: { size: last.size, root: last.root, note: last.note }, convictions: kept }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** The process that serves the state at `path` and where, or null. */
export function witnessOwner(path: string): { pid: number; address: string | null } | null {
  return readOwner(path)
}

/** What `log` verifies of the answer to its checkpoint: the witness's cosignature, added to the note. Throws `NoteInvalid` when it does not hold. */
export function acceptCosignature(note: string, line: string, witness: Verifier): string {
  const { text } = parseNote(note)
  const { signatures } = parseNote(`${text}\n${line.trimEnd()}\n`)
  openNote(`${text}\n${line.trimEnd()}\n`, [witness])
  return addSignatures(
    note,
    signatures.filter(({ name, id }) => name === witness.name && id === witness.id),
  )
}

/** Replaces a file so that after a crash the old or the new text is there, and once this returns, the new one. */
function writeDurably(path: string, text: string): void {
  replacePrivately(path, text)
  const folder = openSync(dirname(path), "r")
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
