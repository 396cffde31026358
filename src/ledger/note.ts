import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto"
import { sha256 } from "./sha256.ts"

/**
 * Signed notes, checkpoints and cosignatures as transparency logs exchange them.
 * Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature (Ed25519, `cosignature/v1`).
 */

/** `log` signs the note's text (type 0x01); `witness` cosigns a checkpoint together with the time (type 0x04). */
export type KeyKind = "log" | "witness"

const TYPE_OF = { log: 0x01, witness: 0x04 } as const satisfies Record<KeyKind, number>

/** A key to verify with; two keys are told apart by name and id together. */
export type Verifier = { kind: KeyKind; name: string; id: string; vkey: string; key: KeyObject }

/** A key to sign with. */
export type Signer = { verifier: Verifier; key: KeyObject }

/** One signature line: the key's name, its id in hex, and the bytes after the id. */
export type Signature = { name: string; id: string; bytes: Buffer }

export type Note = { text: string; signatures: Signature[] }

/** The root of the log's tree at a size. */
export type TreeHead = { origin: string; size: number; root: Uint8Array }

/** A note that cannot be trusted. `unsigned`: by none of the given keys. `forged`: in the name of one of them, but not by it. */
export class NoteInvalid extends Error {
  readonly reason: "malformed" | "unsigned" | "forged"
  readonly remedy: string
  constructor(reason: NoteInvalid["reason"], message: string) {
    super(message)
    this.name = "NoteInvalid"
    this.reason = reason
    this.remedy = REMEDY[reason]
  }
}

const REMEDY = {
  malformed: "Give the note or key as it was written, whole: a key is name+id+key.",
  unsigned: "Trust it only with the key of whoever signed it: give that key.",
  forged: "Do not trust it. Get it again from where it was signed, and compare.",
} as const

/** A note longer than this is not parsed: 16 signatures of any kind that we know fit many times. */
const NOTE_MAX_CHARS = 64 * 1024
const SIGNATURE_BYTES = 64
const SEED_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex")
const PUBLIC_PREFIX = Buffer.from("302a300506032b6570032100", "hex")

/** A key pair from 32 random bytes, in the text forms that are stored: `skey` is secret, `vkey` is what others are given. */
export function makeKey(kind: KeyKind, name: string, seed: Uint8Array): { skey: string; vkey: string } {
  if (!isKeyName(name)) throw new RangeError(`a key's name has no spaces and no plus sign: ${JSON.stringify(name)}`)
  if (seed.length !== 32) throw new RangeError("a seed is 32 random bytes")
  const key = createPrivateKey({ key: Buffer.concat([SEED_PREFIX, seed]), format: "der", type: "pkcs8" })
  const typed = Buffer.concat([Buffer.of(TYPE_OF[kind]), rawPublicKey(createPublicKey(key))])
  const id = keyId(name, typed)
  const secret = Buffer.concat([typed.subarray(0, 1), seed]).toString("base64")
  return { skey: `PRIVATE+KEY+${name}+${id}+${secret}`, vkey: `${name}+${id}+${typed.toString("base64")}` }
}

/** Reads a secret key as `makeKey` (or Go's `note.GenerateKey`) wrote it. Throws `NoteInvalid`, without the key in its message. */
export function parseSigner(skey: string): Signer {
  const parts = /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([^\s]+)$/.exec(skey.trim())
  const typed = parts && decodeBase64(parts[3]!)
  const kind = typed && kindOf(typed)
  if (!parts || !isKeyName(parts[1]!) || !kind || typed.length !== 33) throw new NoteInvalid("malformed", "this is no signing key")
  const { skey: again, vkey } = makeKey(kind, parts[1]!, typed.subarray(1))
  if (again !== skey.trim()) throw new NoteInvalid("malformed", `the signing key of ${parts[1]} does not fit its id`)
  const key = createPrivateKey({ key: Buffer.concat([SEED_PREFIX, typed.subarray(1)]), format: "der", type: "pkcs8" })
  return { verifier: parseVerifier(vkey), key }
}

/** Reads a verifier key (`name+id+key`). Throws `NoteInvalid`. */
export function parseVerifier(vkey: string): Verifier {
  const parts = /^([^+]+)\+([0-9a-f]{8})\+([^\s]+)$/.exec(vkey.trim())
  const typed = parts && decodeBase64(parts[3]!)
  const kind = typed && kindOf(typed)
  if (!parts || !isKeyName(parts[1]!) || !kind || typed.length !== 33) {
    throw new NoteInvalid("malformed", `no verifier key (name+id+key, Ed25519) that this program knows: ${vkey.slice(0, 120)}`)
  }
  const [, name = "", id = ""] = parts
  if (keyId(name, typed) !== id) throw new NoteInvalid("malformed", `the verifier key of ${name} does not fit its id ${id}`)
  const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, typed.subarray(1)]), format: "der", type: "spki" })
  return { kind, name, id, vkey: vkey.trim(), key }
}

/** Splits a note into its text and signatures, and verifies nothing. Throws `NoteInvalid`. */
export function parseNote(note: string): Note {
  const at = note.lastIndexOf("\n\n")
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (note.length > NOTE_MAX_CHARS || at < 0 || /[\u0000-\u0009\u000b-\u001f]/.test(note) || !note.endsWith("\n")) {
    throw new NoteInvalid("malformed", "this is no signed note")
  }
  const signatures = note
    .slice(at + 2)
    .split("\n")
    .slice(0, -1)
    .map(parseSignature)
  if (signatures.length === 0) throw new NoteInvalid("malformed", "the note has no signature")
  return { text: note.slice(0, at + 1), signatures }
}

/** Reads one signature line, without its newline. Throws `NoteInvalid`. */
export function parseSignature(line: string): Signature {
  const parts = /^\u2014 ([^\s+]+) (\S+)$/u.exec(line)
  const bytes = parts && decodeBase64(parts[2]!)
  if (!parts || !bytes || bytes.length < 5) throw new NoteInvalid("malformed", "a signature line of the note is malformed")
  return { name: parts[1]!, id: bytes.subarray(0, 4).toString("hex"), bytes: bytes.subarray(4) }
}

export function formatNote({ text, signatures }: Note): string {
  return `${text}\n${signatures.map((signature) => `${formatSignature(signature)}\n`).join("")}`
}

export function formatSignature({ name, id, bytes }: Signature): string {
  return `\u2014 ${name} ${Buffer.concat([Buffer.from(id, "hex"), bytes]).toString("base64")}`
}

/** The log's signature under a text, as a note. */
export function signNote(text: string, signer: Signer): string {
  if (signer.verifier.kind !== "log") throw new RangeError("a witness key does not sign notes; it cosigns checkpoints")
  if (!text.endsWith("\n")) throw new RangeError("a note's text ends in a newline")
  const { name, id } = signer.verifier
  return formatNote({ text, signatures: [{ name, id, bytes: sign(null, Buffer.from(text), signer.key) }] })
}

/** A witness's statement that, at `atMs` (sent in whole seconds), this was the largest consistent tree that it had seen. */
export function cosign(checkpointText: string, signer: Signer, atMs: number): Signature {
  if (signer.verifier.kind !== "witness") throw new RangeError("only a witness key cosigns")
  const atS = Math.floor(atMs / 1000)
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(atS))
  const { name, id } = signer.verifier
  return { name, id, bytes: Buffer.concat([time, sign(null, cosigned(checkpointText, atS), signer.key)]) }
}

/** Adds signatures to a note; one that is there already (same key, same bytes) is not added twice, an older one of the same key is replaced. */
export function addSignatures(note: string, signatures: readonly Signature[]): string {
  const parsed = parseNote(note)
  const others = parsed.signatures.filter((one) => !signatures.some((added) => added.name === one.name && added.id === one.id))
  return formatNote({ text: parsed.text, signatures: [...others, ...signatures] })
}

/** A signature that held; `atMs` where it says when (a witness's). */
export type Verified = { verifier: Verifier; atMs: number | null }

/**
 * The note's text and who of `verifiers` signed it. Signatures of unknown keys are ignored. Throws `NoteInvalid` when a known key's
 * signature does not hold (`forged`), or when no known key signed (`unsigned`): the text MUST then not be trusted.
 */
export function openNote(note: string, verifiers: readonly Verifier[]): { text: string; verified: Verified[] } {
  const { text, signatures } = parseNote(note)
  const verified: Verified[] = []
  for (const { name, id, bytes } of signatures) {
    const verifier = verifiers.find((known) => known.name === name && known.id === id)
    if (!verifier || verified.some((one) => one.verifier === verifier)) continue
    const atS = verifier.kind === "witness" && bytes.length === 8 + SIGNATURE_BYTES ? Number(bytes.readBigUInt64BE(0)) : null
    const signed = atS === null ? Buffer.from(text) : cosigned(text, atS)
    const signature = atS === null ? bytes : bytes.subarray(8)
    if ((atS === null) !== (verifier.kind === "log") || signature.length !== SIGNATURE_BYTES || !verify(null, signed, verifier.key, signature)) {
      throw new NoteInvalid("forged", `the signature in the name of ${name} does not hold`)
    }
    verified.push({ verifier, atMs: atS === null ? null : atS * 1000 })
  }
  if (verified.length === 0)
    throw new NoteInvalid("unsigned", `none of the known keys signed this (${verifiers.map((one) => one.name).join(", ") || "no key was given"})`)
  return { text, verified }
}

/** A checkpoint's text: origin, size and root, one a line. Throws `RangeError` on an origin that is empty or has a line end. */
export function formatTreeHead({ origin, size, root }: TreeHead): string {
  if (origin === "" || /[\r\n]/.test(origin)) throw new RangeError("an origin is one line that is not empty")
  return `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`
}

/** Reads a checkpoint's text, extension lines allowed. Throws `NoteInvalid`. */
export function parseTreeHead(text: string): TreeHead {
  const [origin = "", size = "", encoded = "", ...rest] = text.split("\n")
  const root = decodeBase64(encoded)
  const wellFormed = origin !== "" && /^(0|[1-9][0-9]*)$/.test(size) && Number.isSafeInteger(Number(size)) && root?.length === 32
  if (!wellFormed || rest.at(-1) !== "" || rest.slice(0, -1).includes("")) throw new NoteInvalid("malformed", "the note is no checkpoint")
  return { origin, size: Number(size), root }
}

function cosigned(text: string, atS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${atS}\n${text}`)
}

function keyId(name: string, typed: Buffer): string {
  return Buffer.from(sha256(Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, 4)).toString("hex")
}

function kindOf(typed: Buffer): KeyKind | null {
  return typed[0] === TYPE_OF.log ? "log" : typed[0] === TYPE_OF.witness ? "witness" : null
}

function isKeyName(name: string): boolean {
  return name !== "" && !/[\s+\p{C}]/u.test(name)
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" }).subarray(PUBLIC_PREFIX.length)
}

/** Strict: only the one encoding that `toString` gives back, so that a note has one form. */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64")
  return bytes.toString("base64") === text ? bytes : null
}
