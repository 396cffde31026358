/** Writes docs/reference/operations.md and errors.md from the contract. A test says when they are stale. */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { pathToFileURL } from "node:url"
import * as z from "zod"
import { ERRORS } from "../src/contract/errors.ts"
import { KINDS, type OperationName } from "../src/contract/names.ts"
import { EVERY_COMMAND, EVERYWHERE } from "../src/contract/operation.ts"
import { operations } from "../src/contract/operations.ts"

type Schema = {
  description?: string
  type?: string | string[]
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: Schema | boolean
  default?: unknown
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
}

const MADE = "Made from the contract by `node scripts/reference.ts`.\n"

/** Each page's path with its text. */
export function referencePages(): Record<string, string> {
  return { "docs/reference/operations.md": operationsPage(), "docs/reference/errors.md": errorsPage() }
}

function operationsPage(): string {
  const names = Object.keys(operations) as OperationName[]
  const nouns = [...new Set(names.map((name) => name.slice(0, name.indexOf("."))))]
  const list = (codes: readonly string[]): string => codes.map((code) => `\`${code}\``).join(", ")
  return [
    "# Operations\n",
    MADE,
    "Each is a POST of one JSON object to `/api/orpc/NOUN/VERB` (and a frame on the [WebSocket](wire.md), a call of the typed client, a verb of the command line).",
    "Unknown fields are refused. `agent`, `session`, `role` and `workspace` may be repeated in any payload; where they disagree with the token the call is refused (`claim_mismatch`).",
    "A *command* takes an idempotency key and is then safe to send again for 24 hours; an *action* has an effect and takes none; a *read* has none; *presence* is kept in memory.\n",
    `Every operation may answer ${list(EVERYWHERE)}; every command also ${list(EVERY_COMMAND)}. What each means: [errors](errors.md).\n`,
    ...nouns.map(
      (noun) =>
        `## ${noun}\n\n${names
          .filter((name) => name.startsWith(`${noun}.`))
          .map(operationSection)
          .join("\n")}`,
    ),
  ].join("\n")
}

function operationSection(name: OperationName): string {
  const { least, summary, text, errors, input, output } = operations[name]
  const own = errors.length === 0 ? "" : `Errors of its own: ${errors.map((code) => `\`${code}\``).join(", ")}.\n\n`
  return `### ${name}\n\n${summary} *${KINDS[name]}, role: ${least}*\n\n${text}\n\n${fieldsOf("field", schemaOf(input, "input"))}${own}Answers ${shape(schemaOf(output, "output"))}\n`
}

function errorsPage(): string {
  const advice = { never: "no, not as it is", later: "later", when_changed: "when the reason is gone" }
  const rows = Object.entries(ERRORS).map(([code, { http, exit, retry, meaning }]) => [`\`${code}\``, String(http), String(exit), advice[retry], meaning])
  return [
    "# Errors\n",
    MADE,
    "An error is `{code, message, remedy, details, retryAfterMs}`: what went wrong, what to do about it as a sentence, what the message names for programs, and how long to wait where waiting helps (over HTTP also as `Retry-After`).\n",
    table(["code", "HTTP", "exit status", "send it again", "meaning"], rows),
  ].join("\n")
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Schema {
  return z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Schema
}

function fieldsOf(title: string, { properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const need = required.includes(name) ? "needed" : schema.default === undefined ? "may be left out" : `\`${JSON.stringify(schema.default)}\``
    return [`\`${name}\``, typeOf(schema), need]
  })
  return rows.length === 0 ? "Takes `{}`.\n\n" : `${table([title, "type", "default"], rows)}\n`
}

/** A type in a few words: `text, at most 300 characters`. */
function typeOf(schema: Schema): string {
  if (schema.description !== undefined) return schema.description
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(" or ")
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(" ")
  switch (schema.type) {
    case "string":
      return schema.maxLength === undefined ? "text" : `text of ${schema.maxLength} characters at most`
    case "integer":
    case "number":
      return `${schema.type === "integer" ? "integer" : "number"}${range(schema)}`
    case "array":
      return `list of ${typeOf(schema.items ?? {})}${schema.maxItems === undefined ? "" : `, ${schema.maxItems} at most`}`
    case "object":
      return schema.properties === undefined ? "object" : shape(schema)
    case "null":
      return "null"
    case "boolean":
      return "true or false"
    default:
      return "any value"
  }
}

function range({ minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER }: Schema): string {
  const from = minimum === Number.MIN_SAFE_INTEGER ? null : minimum
  const to = maximum === Number.MAX_SAFE_INTEGER ? null : maximum
  if (from === null && to === null) return ""
  return to === null ? ` from ${from}` : ` ${from ?? ""} to ${to}`
}

function shape({ properties = {}, required = [] }: Schema): string {
  const names = Object.keys(properties).map((name) => (required.includes(name) ? name : `${name}?`))
  return names.length === 0 ? "an object." : `\`{${names.join(", ")}}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("")
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const [path, text] of Object.entries(referencePages())) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}
