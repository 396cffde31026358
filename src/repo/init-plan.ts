import { createHash } from "node:crypto"
import { agentKind, type AgentKind, settingsOf } from "./agent-kinds.ts"
import { RepositoryError } from "./git.ts"
import { PARAGRAPH, PARAGRAPH_MARKS } from "./init-paragraph.ts"
import type { FileRecord, InitEdit } from "./init-record.ts"
import { putBlock, takeBlock } from "./settings-block.ts"
import { type FileChange, type Place, readPlace } from "./settings-files.ts"
import { isBlankJson, type JsonEdit, putJson, takeJson } from "./settings-json.ts"
import { putToml, takeToml, type TomlEdit } from "./settings-toml.ts"
import { sameValue } from "./settings-value.ts"

/** An agent that is to be plugged in: its kind, and the name that it has in Skein. */
export type Joining = { kind: AgentKind; agent: string }

/** What is to be written, and what the record says of the worktree's files once it is. */
export type Plan = { changes: FileChange[]; files: FileRecord[] }

/** The first words of a file that is wholly Skein's. */
const OWN_HEAD = "// Written by `skein init`"

/**
 * What `init` has to write in the worktree at `top` so that these agents are plugged in: nothing where they are. Every file is read and every edit made
 * before anything is written. `files`: the record of what it wrote there before. Throws `RepositoryError`.
 */
export function planInit({
  top,
  joining,
  command,
  files,
}: {
  top: string
  joining: readonly Joining[]
  command: readonly string[]
  files: readonly FileRecord[]
}): Plan {
  const edits = joining.flatMap(({ kind, agent }): InitEdit[] => [
    ...(settingsOf(kind, { agent, command }) as InitEdit[]),
    { do: "paragraph", file: agentKind(kind).instructionFile, format: "text", text: PARAGRAPH },
  ])
  const changes: FileChange[] = []
  const records = new Map(files.map((record) => [record.file, record]))
  for (const [place, wanted] of byPlace(top, edits)) {
    const recorded = files.find(({ file }) => file === place.file)
    const after = put(place, wanted, recorded?.edits ?? [])
    if (after === place.text) continue
    changes.push({ ...place, after })
    const before = recorded === undefined ? place.text : textBefore(place, recorded)
    const kept = (recorded?.edits ?? []).filter((one) => !wanted.some((edit) => replaces(edit, one)))
    // What was there already is the user's, and stays at an undo.
    const fresh = wanted.filter((edit) => recorded?.edits.some((one) => replaces(edit, one)) === true || put({ ...place, text: before }, [edit], []) !== before)
    records.set(place.file, { file: place.file, before, after: digest(after), edits: [...kept, ...fresh] })
  }
  return { changes, files: [...records.values()] }
}

/** What has to be written so that nothing of `init` is left; a file that is as `init` left it becomes what it was, byte by byte. Throws `RepositoryError`. */
export function planUndo(top: string, files: readonly FileRecord[]): FileChange[] {
  return files.flatMap((record) => {
    const place = readPlace(top, record.file)
    const after = textBefore(place, record)
    return after === place.text ? [] : [{ ...place, after }]
  })
}

/** Files by where they lie: CLAUDE.md may be a link to AGENTS.md. */
function byPlace(top: string, edits: readonly InitEdit[]): Map<Place, InitEdit[]> {
  const places = new Map<string, Place>()
  const found = new Map<Place, InitEdit[]>()
  for (const edit of edits) {
    const read = readPlace(top, edit.file)
    const place = places.get(read.path) ?? read
    places.set(read.path, place)
    const known = found.get(place) ?? []
    if (!known.some((one) => sameValue({ ...one, file: "" }, { ...edit, file: "" }))) found.set(place, [...known, edit])
  }
  return found
}

function put({ file, text }: Place, edits: readonly InitEdit[], earlier: readonly InitEdit[]): string {
  const toml = edits.filter((edit): edit is TomlEdit => edit.format === "toml")
  if (toml.length > 0) {
    // One block holds the tables of all agents, also of those that this call does not name.
    const others = earlier.filter((edit): edit is TomlEdit => edit.format === "toml" && !toml.some((one) => replaces(one, edit)))
    return putToml(file, text ?? "", [...others, ...toml])
  }
  return edits.reduce<string>((so, edit) => {
    if (edit.do === "write") return putWhole(file, text, edit.text)
    if (edit.do === "paragraph") return putBlock(file, so, PARAGRAPH_MARKS, edit.text)
    return putJson(file, so, edit as JsonEdit, earlier.filter(isJson))
  }, text ?? "")
}

function putWhole(file: string, text: string | null, wanted: string): string {
  if (text === null || text === wanted || text.startsWith(OWN_HEAD)) return wanted
  throw new RepositoryError(
    "settings_taken",
    `${file} is there already, and \`skein init\` did not write it`,
    "Move it away, or leave that agent out: skein init --agents …",
  )
}

/** What there was before `init`: as recorded while the file is as `init` left it, else what is there without Skein's part. */
function textBefore({ file, text }: Place, { before, after, edits }: FileRecord): string | null {
  if (text === null || text === before) return text
  if (digest(text) === after) return before
  if (edits.some((edit) => edit.do === "write")) return before
  let left = text
  for (const edit of [...edits].reverse()) {
    if (edit.do === "paragraph") left = takeBlock(file, left, PARAGRAPH_MARKS)
    else if (edit.format === "toml") left = takeToml(file, left)
    else if (isJson(edit)) left = takeJson(file, left, edit, before)
  }
  const empty = edits.some(isJson) ? isBlankJson(left) : left.trim() === ""
  return before === null && empty ? null : left
}

function isJson(edit: InitEdit): edit is JsonEdit {
  return edit.format === "json"
}

/** Whether an edit stands in the place of one that was made before. */
function replaces(edit: InitEdit, before: InitEdit): boolean {
  if (edit.do !== before.do || edit.format !== before.format) return false
  if (edit.do === "write" || edit.do === "paragraph") return true
  const at = "at" in before ? before.at : []
  return sameValue(edit.at, at) && (edit.do === "set" || typeof edit.value === "object" || ("value" in before && sameValue(edit.value, before.value)))
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}
