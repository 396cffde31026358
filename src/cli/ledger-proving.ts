import { SkeinError } from "../contract/errors.ts"
import { readBounded } from "./bounded-file.ts"
import type { Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { withLedger } from "./ledger-reading.ts"
import { writeWhole } from "./named-file.ts"
import { cosignedNote, keptNote, ownVerifier, ownVerifierKey } from "./ledger-source.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"
import { cosignNow } from "./witness-list.ts"

/** A proof is an entry, some hashes and a note: far less than this. */
const PROOF_MAX_BYTES = 1024 * 1024

export async function makeCheckpoint(context: Context): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const signed = async () => {
    const made = await hub.call("ledger.checkpoint", {})
    return {
      ...made,
      asked:
        context.options.url === undefined
          ? await withLedger(context, {}, (source) => cosignNow(context.instance(), context.workspace, made.note, source))
          : { note: made.note, answers: [] },
    }
  }
  let made = await signed()
  // The hub sends its checkpoints too, and was faster with a later one: what is made now is no older than that.
  if (made.asked.answers.some(({ outcome }) => outcome === "overtaken")) made = await signed()
  const { size, root, digest, asked } = made
  terminal.answer({ size, root, digest, note: asked.note, witnesses: asked.answers }, asked.note.trimEnd())
  for (const { url, outcome, reason } of asked.answers)
    if (outcome !== "cosigned") terminal.notice(`witness ${printable(url)}: ${outcome}: ${printable(reason ?? "")}`)
}

export async function proveEntry(context: Context, seq: number, { out, file }: { out?: string; file?: string }): Promise<void> {
  const { prove } = await import("../ledger/proof.ts")
  const note = await noteFor(context, seq)
  const proof = await withLedger(context, { ...(file === undefined ? {} : { file }) }, (source) => prove(source, seq, note))
  if (out === undefined) context.terminal.stored(JSON.stringify(proof))
  else {
    writeWhole(out, `${JSON.stringify(proof, null, 2)}\n`)
    context.terminal.answer(
      { seq, out },
      `${printable(out)} proves entry ${seq}; give it away together with your public key, which skein ledger check needs:\n${ownVerifierKey(context.instance(), context.workspace) ?? ""}`,
    )
  }
}

/** A checkpoint that covers the entry: one that witnesses cosigned where there is one, else the last, else a fresh one. */
async function noteFor(context: Context, seq: number): Promise<string> {
  const { NoteInvalid, parseNote, parseTreeHead } = await import("../ledger/note.ts")
  const covers = (note: string | null, path = ""): note is string => {
    try {
      return note !== null && parseTreeHead(parseNote(note).text).size >= seq
    } catch (error) {
      if (path === "" || !(error instanceof NoteInvalid)) throw error
      // The ledger itself still has the entry, and a fresh checkpoint proves it.
      context.terminal.notice(`${path} cannot be read as a checkpoint (${error.message}), and is passed over. See what that means: skein ledger verify`)
      return false
    }
  }
  if (context.options.url === undefined) {
    const instance = context.instance()
    const cosigned = cosignedNote(instance, context.workspace)
    if (covers(cosigned, `.skein/checkpoint/${context.workspace}.cosigned`)) return cosigned
    const kept = keptNote(instance, context.workspace)
    if (covers(kept, `.skein/checkpoint/${context.workspace}`)) return kept
  }
  const hub = await context.hub()
  const { note } = await hub.call("ledger.checkpoint", {})
  if (covers(note)) return note
  const { seq: head } = await hub.call("ledger.head", {})
  if (seq <= head)
    throw new SkeinError(
      "not_found",
      `entry ${seq} is the last checkpoint itself: no other covers it yet`,
      "The next one does, which is made once something else was done.",
      { seq },
    )
  throw new SkeinError("not_found", `there is no entry ${seq}`, "skein ledger tail shows the last ones.", { seq })
}

export async function checkProof(
  context: Context,
  file: string,
  { key = [], witness = [], quorum }: { key?: string[]; witness?: string[]; quorum: number },
): Promise<void> {
  const { terminal } = context
  const [{ check }, { parseVerifier }] = await Promise.all([import("../ledger/proof.ts"), import("../ledger/note.ts")])
  const own = key.length > 0 ? null : await ownVerifier(context.instance(), context.workspace)
  const log = [...key.map(parseVerifier), ...(own === null ? [] : [own])]
  if (log.length === 0) throw new UsageError("there is no key to check the proof with", 'Give the log\'s public key: --key "$(cat log.pub)"')
  const checked = check(readProof(file), { log, witnesses: witness.map(parseVerifier), quorum })
  if (!checked.ok)
    throw new SkeinError(
      "invalid",
      `the proof shows nothing: ${checked.reason}`,
      "Do not trust it: ask for another, and look whether the key is the right one.",
    )
  const { seq, entry, head, signedBy, cosignedBy } = checked
  terminal.record({ ok: true, seq, entry, size: head.size, origin: head.origin, signedBy, cosignedBy })
  const by = cosignedBy.map(({ name, atMs }) => `${printable(name)} at ${showTime(atMs)}`)
  terminal.print(
    `${terminal.colours.green("ok")}  entry ${seq} is one of the first ${head.size} of ${printable(head.origin)}\n    signed by ${signedBy.map(printable).join(", ")}${by.length > 0 ? `, cosigned by ${by.join(", ")}` : ""}\n    ${printable(JSON.stringify(entry))}`,
  )
}

function readProof(file: string): unknown {
  const bytes = readBounded(file, PROOF_MAX_BYTES)
  if (bytes.length > PROOF_MAX_BYTES) throw new UsageError(`${JSON.stringify(file)} is too long to be a proof`, "Name a file that skein ledger prove wrote.")
  try {
    return JSON.parse(bytes.toString("utf8"))
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new SkeinError("invalid", `${JSON.stringify(file)} is no JSON, and so no proof`, "Name a file that skein ledger prove wrote.")
    throw error
  }
}
