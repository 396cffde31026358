import { isUtf8 } from "node:buffer"
import type { Input, Output } from "../contract/operations.ts"
import { readBounded } from "./bounded-file.ts"
import { UsageError } from "./failure.ts"
import { printableLines } from "./printable.ts"
import { readYaml } from "./yaml-document.ts"

type Cases = NonNullable<Input<"policy.test">["cases"]>
type Fault = Output<"policy.check">["faults"][number]

const FILE_MAX_BYTES = 262_144

/** The text of a policy file. Throws `UsageError` where it is no text. */
export function readPolicy(path: string): string {
  const bytes = readBounded(path, FILE_MAX_BYTES)
  if (bytes.length > FILE_MAX_BYTES)
    throw new UsageError(`${JSON.stringify(path)} is over ${FILE_MAX_BYTES} bytes long`, "A policy is a few pages of rules: leave out what is not one.")
  if (!isUtf8(bytes)) throw new UsageError(`${JSON.stringify(path)} is no text`, "Name a file of Cedar policies, in UTF-8.")
  return bytes.toString("utf8")
}

/** A policy as it is printed. Line ends of Windows become plain ones: shown as escapes they would be no Cedar, and what is shown is what a file is begun with. */
export function shownPolicy(text: string): string {
  return printableLines(text.replaceAll("\r\n", "\n").trimEnd())
}

/** The cases of a file: a list, or a map with the list under `cases`. What is in each of them is the hub's to check. */
export function readCases(path: string): Cases {
  const bytes = readBounded(path, FILE_MAX_BYTES)
  if (!isUtf8(bytes) || bytes.length > FILE_MAX_BYTES) throw new UsageError(`${JSON.stringify(path)} is no list of cases`, CASES_REMEDY)
  const { value } = readYaml(bytes.toString("utf8"), path)
  const cases = Array.isArray(value) ? value : (value as { cases?: unknown } | null)?.cases
  if (!Array.isArray(cases) || cases.length === 0) throw new UsageError(`${JSON.stringify(path)} is no list of cases`, CASES_REMEDY)
  return cases as Cases
}

const CASES_REMEDY = "Write YAML: - { principal: ann, action: task.claim, resource: task/ID, expect: allow }"

/** A fault as an editor finds its place: file, line and column. */
export function faultLines(path: string, { line, column, rule, message, remedy }: Fault): string {
  const place = line === null ? path : `${path}:${line}:${column}`
  return `${place}: ${rule === null ? "" : `${rule}: `}${message}\n    ${remedy}`
}
