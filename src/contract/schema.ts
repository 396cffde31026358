import * as z from "zod"
import { isGlobFault, parseGlob } from "../core/glob.ts"
import { isOneLine } from "../core/one-line.ts"
import { ROLES } from "../core/role.ts"

/** Bodies, deliverables and messages: at most this many bytes of UTF-8. */
export const BODY_MAX_BYTES = 32_768
const TITLE_MAX = 300
const REASON_MAX_BYTES = 4_096

const encoder = new TextEncoder()

function fits(text: string, maxBytes: number): boolean {
  return text.length * 3 <= maxBytes || (text.length <= maxBytes && encoder.encode(text).length <= maxBytes)
}

function allBytes(maxBytes: number): z.ZodString {
  return z
    .string()
    .refine((text) => fits(text, maxBytes), `Too big: at most ${maxBytes} bytes of UTF-8`)
    .describe(`text of ${maxBytes} bytes of UTF-8 at most`)
}

/** Text of many lines; may hold any character, so whoever shows it on a terminal escapes it. */
export const body = allBytes(BODY_MAX_BYTES)
/** Why something is done: at least one character. */
export const reason = allBytes(REASON_MAX_BYTES).min(1)
export const note = allBytes(REASON_MAX_BYTES)

const CONTROLS = "Control characters and bidirectional overrides are not allowed here"
const HALF = "Half of a character stands here, without its other half: write the whole character, or leave it out"

/** One line without control characters, and of whole characters: nobody can type half of one, and it reaches no terminal, file or policy. */
export function line(max: number): z.ZodString {
  return z
    .string()
    .min(1)
    .max(max)
    .refine(isOneLine, { error: ({ input }) => (String(input).isWellFormed() ? CONTROLS : HALF) })
    .describe(`one line of ${max} characters at most`)
}

/** Text of one form; `what` is what it is, for the documents. */
export function pattern(form: RegExp, what: string, remedy: string): z.ZodString {
  return z.string().regex(form, remedy).describe(what)
}

export const title = line(TITLE_MAX)
export const label = line(64)
export const name = pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "name", "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
export const taskId = pattern(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,71}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$/,
  "id of a task",
  "Use a task's id: a name, or plan/name, of A-Z a-z 0-9 . _ -",
)
export const threadId = pattern(
  /^([A-Za-z0-9][A-Za-z0-9._-]{0,63}|task\/[A-Za-z0-9][A-Za-z0-9._-]{0,71}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?|(agent|role)\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})$/,
  "id of a thread",
  "Use a thread's id: a name, task/ID, agent/NAME, role/ROLE or team",
)
/** Id of one run of a plan: the plan's name, a dot, the number of the run. */
export const planId = pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,71}$/, "id of a plan", "Use a plan's id, such as release.2")
export const sessionId = pattern(/^s_[A-Za-z0-9]{1,40}$/, "id of a session", "Use a session's id, such as session.start answers it")
export const credentialId = pattern(/^[A-Za-z0-9]{1,32}$/, "id of a credential", "Use a credential's id, such as agent.show lists it")
export const seq = z.int().min(0)
export const fence = z.int().min(1)
export const timeMs = z.int()
export const microUsd = z.int().min(0).max(1_000_000_000_000)
export const priority = z.enum(["critical", "high", "normal", "low"])
export const role = z.enum(ROLES as ["observer", "plugin", "worker", "supervisor", "orchestrator", "operator"])
export const skills = z.record(label, z.int().min(1).max(5)).refine((given) => Object.keys(given).length <= 64, "At most 64 capabilities")
export const hex = pattern(/^[0-9a-f]{1,128}$/, "hex digits", "Use hex digits in lower case")
export const commit = pattern(/^[0-9a-f]{7,64}$/, "hash of a commit", "Use a commit's hash: 7 to 64 hex digits")

/** A shell command or an argument of one: whatever the system takes, so no NUL. */
export function command(max: number): z.ZodString {
  return z
    .string()
    .max(max)
    .refine((text) => !text.includes("\0"), "NUL is not allowed here")
}

/** A glob under the repository's root: never absolute, never above the root. */
export const glob = line(400)
  .refine(
    (path) => !/^[/\\~]|^[A-Za-z]:|\\/.test(path) && !path.split("/").includes(".."),
    "Use a path relative to the repository's root, without `..` or backslashes",
  )
  .refine((text) => globFault(text) === null, { error: ({ input }) => globFault(String(input)) ?? "" })
  .describe("glob under the repository's root")

function globFault(text: string): string | null {
  const glob = parseGlob(text)
  return isGlobFault(glob) ? `At character ${glob.at + 1}: ${glob.message}. ${glob.remedy}` : null
}

/** Id of a lease on files. */
export const leaseId = pattern(/^f[0-9]{1,16}$/, "id of a lease on files", "Use a lease's id, such as files.reserve answers it")

/** Any JSON object, such as an event's payload. Its depth is bounded, so that nobody's stack is. */
export const payload = z.record(z.string().max(200), z.unknown()).refine((value) => shallow(value, 16), "At most 16 levels deep")

/** Whether a JSON value nests at most so many levels. */
export function shallow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true
  return levels > 0 && Object.values(value).every((inner) => shallow(inner, levels - 1))
}
