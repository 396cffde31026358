import { constants } from "node:fs"
import { open, readdir } from "node:fs/promises"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import type { Evidence } from "../core/task.ts"

/** The longest deliverable's text in bytes of UTF-8, and so of a message's body. */
export const DELIVERABLE_MAX_BYTES = 32_768
/** The same as JSON, where a quote or a line's end takes two bytes: an entry of the ledger has 65,535 for everything. */
const DELIVERABLE_MAX_JSON_BYTES = 49_152
const EVIDENCE_MAX_BYTES = 65_536
const LINKS_MAX = 32
const LINK_MAX_LENGTH = 1_000
const FILES_MAX = 100

/** Something that a command left in `SKEIN_OUT` and that cannot be taken as it is: its message says what to mend. */
export class DeliverableError extends Error {
  override readonly name = "DeliverableError"
}

/**
 * Text that is safe to store and to show: terminal sequences and control characters are taken out (a deliverable is read on terminals), line
 * ends are `\n`. Cut after whole characters at 32 KiB, or earlier where it would not fit an entry, with a last line that says so.
 * `wholeBytes` is how much there was, where `text` is only the beginning.
 */
export function deliverableText(text: string, wholeBytes?: { bytes: number; atLeast: boolean }): string {
  const clean = withoutControls(text)
  const isWhole = wholeBytes === undefined || (!wholeBytes.atLeast && wholeBytes.bytes <= Buffer.byteLength(text))
  if (isWhole && fits(clean, 0)) return clean
  const whole = `${wholeBytes?.atLeast === true ? "more than " : ""}${wholeBytes?.bytes ?? Buffer.byteLength(text)}`
  const notice = (keptBytes: number): string => `\n[cut at ${keptBytes} bytes of ${whole}]\n`
  // Two bytes more as JSON for each line end of the notice, hence 64 rather than its length.
  const kept = longestFitting(clean, 64)
  return kept + notice(Buffer.byteLength(kept))
}

/** Without terminal sequences and control characters, except line ends and tabs. */
export function withoutControls(text: string): string {
  return (
    stripVTControlCharacters(text)
      .replace(/\r\n?/g, "\n")
      // oxlint-disable-next-line no-control-regex -- they are what is looked for
      .replace(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, "")
      .toWellFormed()
  )
}

function fits(text: string, reserveBytes: number): boolean {
  return Buffer.byteLength(text) + reserveBytes <= DELIVERABLE_MAX_BYTES && Buffer.byteLength(JSON.stringify(text)) + reserveBytes <= DELIVERABLE_MAX_JSON_BYTES
}

function longestFitting(text: string, reserveBytes: number): string {
  let [low, high] = [0, Math.min(text.length, DELIVERABLE_MAX_BYTES)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(text.slice(0, middle), reserveBytes)) low = middle
    else high = middle - 1
  }
  const splitsPair = /[\uD800-\uDBFF]$/.test(text.slice(0, low))
  return text.slice(0, splitsPair ? low - 1 : low)
}

/** `deliverable.md` as the command wrote it, ready to store; null where there is none. Throws `DeliverableError`. */
export async function readDeliverable(outDir: string): Promise<string | null> {
  // Twice the limit, because what is taken out of it does not count.
  const file = await readStart(join(outDir, "deliverable.md"), 2 * DELIVERABLE_MAX_BYTES)
  if (file === null) return null
  const isCut = file.bytes > file.start.length
  // A character split where the reading stopped is left out.
  const text = new TextDecoder().decode(file.start, { stream: isCut })
  return isCut ? deliverableText(text, { bytes: file.bytes, atLeast: false }) : deliverableText(text)
}

/** `evidence.json`: `{ "testsPass"?: boolean, "commit"?: string, "links"?: string[] }`; what is null or left out is not claimed. Throws `DeliverableError`. */
export async function readEvidence(outDir: string): Promise<Evidence> {
  const evidence: Evidence = { testsPass: null, commit: null, links: [] }
  const file = await readStart(join(outDir, "evidence.json"), EVIDENCE_MAX_BYTES)
  if (file === null) return evidence
  if (file.bytes > EVIDENCE_MAX_BYTES) throw new DeliverableError(`evidence.json is longer than ${EVIDENCE_MAX_BYTES} bytes`)
  for (const [key, value] of Object.entries(parseObject(file.start))) {
    if (value === null && Object.hasOwn(evidence, key)) continue
    if (key === "testsPass" && typeof value === "boolean") evidence.testsPass = value
    else if (key === "commit" && typeof value === "string" && /^[0-9a-f]{7,64}$/.test(value)) evidence.commit = value
    else if (key === "links" && isLinks(value)) evidence.links = value
    else
      throw new DeliverableError(
        `evidence.json: ${JSON.stringify(withoutControls(key).slice(0, 40))} is not one of testsPass (true or false), commit (7 to 64 hex digits), links (up to ${LINKS_MAX} http or https addresses)`,
      )
  }
  return evidence
}

/** Paths in `outDir` of the files that were produced besides the deliverable and its evidence: sorted, at most 100. */
export async function producedFiles(outDir: string): Promise<string[]> {
  const entries = await readdir(outDir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(outDir.length + 1))
  return files
    .filter((file) => file !== "deliverable.md" && file !== "evidence.json")
    .sort()
    .slice(0, FILES_MAX)
}

function parseObject(bytes: Buffer): object {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    throw new DeliverableError("evidence.json is not JSON in UTF-8")
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new DeliverableError("evidence.json is not an object")
  return value
}

function isLinks(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= LINKS_MAX &&
    value.every((link) => typeof link === "string" && link.length <= LINK_MAX_LENGTH && /^https?:\/\/[!-~]+$/.test(link))
  )
}

async function readStart(path: string, maxBytes: number): Promise<{ start: Buffer; bytes: number } | null> {
  // Neither followed where it is a link nor waited for where it is a pipe: the file is the command's, and the reader is not.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null
    throw new DeliverableError(`${path.slice(path.lastIndexOf("/") + 1)} cannot be read (${error.code === "ELOOP" ? "a symbolic link" : String(error.code)})`)
  })
  if (file === null) return null
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new DeliverableError(`${path.slice(path.lastIndexOf("/") + 1)} is not a regular file`)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(stat.size, maxBytes)), 0)
    return { start: buffer.subarray(0, bytesRead), bytes: stat.size }
  } finally {
    await file.close()
  }
}
