import type * as z from "zod"
import { SkeinError } from "../contract/errors.ts"

/** Faults that one answer names; a broken plan may have thousands. */
const NAMED_MAX = 20

/** What does not fit its schema, each fault with its path: `tasks[3].title: ...`. */
export function invalidInput(operation: string, error: z.ZodError, root = "input"): SkeinError {
  const issues = error.issues.flatMap(flat).slice(0, NAMED_MAX)
  const first = issues[0] ?? { path: "", message: "it does not fit" }
  const more = error.issues.length > 1 ? ` (and ${error.issues.length - 1} more)` : ""
  const where = first.path === "" ? root : first.path
  return new SkeinError("invalid_input", `${operation}: ${where}: ${first.message}${more}`, `See what ${operation} takes: /api#${operation}`, {
    operation,
    issues,
  })
}

type Named = { path: string; message: string }

function flat(issue: z.core.$ZodIssue): Named[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.slice(0, NAMED_MAX).map((key) => ({ path: pathOf([...issue.path, key]), message: "there is no such field" }))
  // Of a key that is none, what is wrong with it.
  if (issue.code === "invalid_key") return issue.issues.flatMap((fault) => flat({ ...fault, path: [...issue.path, ...fault.path] }))
  const isEmpty = issue.code === "too_small" && issue.origin === "string" && issue.minimum === 1
  return [{ path: pathOf(issue.path), message: isEmpty ? "it is empty" : issue.message }]
}

function pathOf(path: readonly PropertyKey[]): string {
  let text = ""
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? String(step) : `.${String(step)}`
  return text.slice(0, 300)
}
