import { parse, stringify, TomlError } from "smol-toml"
import type { JsonValue, SettingsEdit } from "./agent-kinds.ts"
import { RepositoryError } from "./git.ts"
import { type Marks, putBlock, takeBlock } from "./settings-block.ts"
import { isRecord, sameValue } from "./settings-value.ts"

export type TomlEdit = Extract<SettingsEdit, { do: "set" }> & { format: "toml" }
type Fields = { [key: string]: JsonValue }

const MARKS: Marks = { begin: "# skein:begin, written by `skein init`; `skein init --undo` takes it away", end: "# skein:end" }

/**
 * The text with the tables of these edits in one marked block, at the end or where it stands already; nothing else changes. The result is parsed, and is
 * what was there and the tables, or `RepositoryError` is thrown: with line and column where the text is no TOML, or a table is there already.
 */
export function putToml(file: string, text: string, edits: readonly TomlEdit[]): string {
  const others = parsed(file, takeBlock(file, text, MARKS), text)
  const missing = edits.filter(({ at, value }) => !sameValue(valueAt(others, at), value))
  for (const { at } of missing) if (valueAt(others, at) !== undefined) throw taken(file, text, at)
  if (missing.length === 0) return text === "" ? text : takeBlock(file, text, MARKS)
  const tables = missing.reduce<Fields>((whole, { at, value }) => withValue(whole, at, value), {})
  const written = putBlock(file, text, MARKS, stringify(tables).trimEnd())
  const wanted = missing.reduce<Fields>((whole, { at, value }) => withValue(whole, at, value), others as Fields)
  try {
    if (sameValue(parsed(file, written, written), wanted)) return written
  } catch {
    // Told below: the text alone was good.
  }
  throw taken(file, text, missing[0]?.at ?? [])
}

export function takeToml(file: string, text: string): string {
  return takeBlock(file, text, MARKS)
}

function taken(file: string, text: string, at: readonly string[]): RepositoryError {
  // The table itself, or what holds it and cannot be added to.
  const heads = at.map((_, index) => at.slice(0, at.length - index).join("\\s*\\.\\s*"))
  const line = text.split("\n").findIndex((one) => heads.some((head) => new RegExp(`^\\s*\\[?\\s*${head}\\b`).test(one)))
  return new RepositoryError(
    "settings_taken",
    `${file}${line === -1 ? "" : `:${line + 1}`}: [${at.join(".")}] is there already or cannot be added, and \`skein init\` did not write it`,
    "Take it out, give it another name, or write its tables under headers of their own; or leave that agent out: skein init --agents …",
  )
}

/** `whole`: the file that the text is of, in which a fault is placed. */
function parsed(file: string, text: string, whole: string): Record<string, unknown> {
  const fault = faultIn(text)
  if (fault === null) return parse(text.replace(/^\ufeff/, ""), { integersAsBigInt: "asNeeded" })
  const { line, column, message } = faultIn(whole) ?? fault
  const [, what = ""] = /^Invalid TOML document: (.*)/.exec(message) ?? []
  throw new RepositoryError(
    "settings_unreadable",
    `${file}:${line}:${column}: this is no TOML: ${what}`,
    "Mend it there, then run skein init again. Nothing was changed.",
  )
}

function faultIn(text: string): TomlError | null {
  try {
    parse(text.replace(/^\ufeff/, ""), { integersAsBigInt: "asNeeded" })
    return null
  } catch (error) {
    if (error instanceof TomlError) return error
    throw error
  }
}

function valueAt(fields: Record<string, unknown>, at: readonly string[]): unknown {
  return at.reduce<unknown>((value, key) => (isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined), fields)
}

function withValue(fields: Fields, at: readonly string[], value: JsonValue): Fields {
  const [key = "", ...rest] = at
  if (rest.length === 0) return { ...fields, [key]: value }
  const inner = Object.hasOwn(fields, key) ? fields[key] : {}
  return { ...fields, [key]: withValue(isRecord(inner) ? inner : {}, rest, value) }
}
