import { ERRORS, type ErrorBody, type ErrorCode, SkeinError } from "../contract/errors.ts"
import { withRetryAt } from "../core/instant.ts"
import { showTime } from "./local-time.ts"
import { printable, printableLines } from "./printable.ts"

/** A fault of the command line itself: exit status 2. */
export class UsageError extends SkeinError {
  constructor(message: string, remedy: string) {
    super("invalid_input", message, remedy)
  }
}

/** What a failed verb tells, and the exit status that it ends with. */
type Told = { body: ErrorBody; exit: number }

/** Gives every error its body and exit status: 1 refused, 2 usage, 69 no hub, 75 try again later. */
function explain(error: unknown): Told {
  if (!(error instanceof Error)) return told("internal", String(error), BUG)
  const { code, remedy, details, retryAfterMs, syscall } = error as Error & Partial<ErrorBody> & { code?: string; syscall?: string }
  if (code !== undefined && Object.hasOwn(ERRORS, code)) {
    const known: ErrorCode = code
    const body = {
      code: known,
      message: error.message,
      remedy: remedyOf(error, ERRORS[known].meaning),
      details: details ?? {},
      retryAfterMs: retryAfterMs ?? null,
    }
    return { body, exit: ERRORS[known].exit }
  }
  // Failures of ledger, repository and processes have codes of their own and a remedy: nothing of theirs is tried again by itself.
  if (remedy !== undefined) return { body: { code: "invalid", message: error.message, remedy, details: { code }, retryAfterMs: null }, exit: 1 }
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) {
    const { code: fault, path, dest = path } = error as NodeJS.ErrnoException & { dest?: string }
    if (fault === "EISDIR" && dest !== undefined)
      return told("invalid", `${dest} is a folder, and a file belongs there`, "Move it away, or name another.", { code })
    return told(
      "invalid",
      error.message,
      syscall === "mkdtemp" ? TEMPORARY : (FILE_REMEDIES[code] ?? "Look whether the file is there, and whether you may use it."),
      { code },
    )
  }
  return told("internal", error.message, BUG)
}

/** The hub speaks to programs of any kind; whoever stands at a command line is told the verb. */
function remedyOf({ remedy, details }: Partial<ErrorBody>, meaning: string): string {
  const workspace = details?.["workspace"]
  if (typeof workspace === "string" && remedy?.includes("workspace.list"))
    return `Make it: skein workspace create ${workspace}. skein workspace list shows those that are there.`
  // A stranger in a hub's place may give none.
  return remedy || meaning
}

const FILE_REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "The disk is full: make room, and do it again.",
  EDQUOT: "Your quota is used up: make room, and do it again.",
  EFBIG: "It has the greatest size that a file may have here: see ulimit -f, and do it again.",
  EROFS: "It lies on a file system that is read-only: name a place that can be written to, or mount it for writing.",
  EACCES: "You may not use it: make it yours, or name another.",
  EPERM: "You may not use it: make it yours, or name another.",
  ENOENT: "Nothing is there: look at the name.",
  EISDIR: "That is a folder: name a file.",
  EEXIST: "Something else has that name: name another place, or move it away.",
  E2BIG: "An argument or a variable of the environment is too long for another program: shorten it.",
  ENOTDIR: "A part of that path is a file: look at the name.",
}

const TEMPORARY = "Temporary files go there: set TMPDIR to a folder that you may write to and that has room."

const BUG = "This is a fault in Skein. Run it again with SKEIN_DEBUG=1 for the whole story, and report it."

function told(code: ErrorCode, message: string, remedy: string, details: Readonly<Record<string, unknown>> = {}): Told {
  return { body: { code, message, remedy, details, retryAfterMs: null }, exit: ERRORS[code].exit }
}

/** What else is wrong with an input, beside the fault that its message names. */
function furtherOf({ issues }: Readonly<Record<string, unknown>>): string[] {
  if (!Array.isArray(issues)) return []
  return (issues as Partial<{ path: unknown; message: unknown }>[])
    .slice(1)
    .flatMap(({ path, message }) => (typeof path === "string" && typeof message === "string" ? [`  ${printable(`${path}: ${message}`)}\n`] : []))
}

/** Details that came from elsewhere may be nested deeper than can be written: they are left out then. */
function lineOf(body: ErrorBody): string {
  try {
    return JSON.stringify({ error: body })
  } catch {
    return JSON.stringify({ error: { ...body, details: {} } })
  }
}

/** Writes the error to standard error: two lines for people, one object with `--json`. Gives the exit status. */
export function report(error: unknown, json: boolean): number {
  const { body, exit } = explain(error)
  if (json) process.stderr.write(`${lineOf(body)}\n`)
  else {
    process.stderr.write(`skein: ${printableLines(withRetryAt(body.message, body.details, showTime))}\n${furtherOf(body.details).join("")}`)
    if (body.remedy !== "") process.stderr.write(`remedy: ${printable(withRetryAt(body.remedy, body.details, showTime))}\n`)
  }
  if (process.env["SKEIN_DEBUG"] !== undefined && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`)
  return exit
}
