import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { stringify } from "smol-toml"
import type { JsonValue, SettingsEdit } from "../../src/repo/agent-kinds.ts"

type Fields = Record<string, JsonValue>

/** Writes settings into a fresh repository, where there is nothing yet to be careful about. */
export function plugIn(folder: string, edits: readonly SettingsEdit[]): void {
  for (const edit of edits) {
    const path = join(folder, edit.file)
    mkdirSync(dirname(path), { recursive: true })
    if (edit.do === "write") writeFileSync(path, edit.text)
    else if (edit.format === "toml") writeFileSync(path, stringify(nested(edit.at, edit.value)))
    else writeFileSync(path, JSON.stringify(merged(existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Fields) : {}, edit), null, 2))
  }
}

function nested(at: readonly string[], value: JsonValue): Fields {
  const [key = "", ...rest] = at
  return { [key]: rest.length === 0 ? value : nested(rest, value) }
}

function merged(fields: Fields, edit: Exclude<SettingsEdit, { do: "write" }>, at = edit.at): Fields {
  const [key = "", ...rest] = at
  const found = fields[key]
  if (rest.length > 0) return { ...fields, [key]: merged((found ?? {}) as Fields, edit, rest) }
  return { ...fields, [key]: edit.do === "include" ? [...((found ?? []) as JsonValue[]), edit.value] : edit.value }
}
