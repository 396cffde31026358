import { createScanner, getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser"
import type { JsonValue, SettingsEdit } from "./agent-kinds.ts"
import { RepositoryError } from "./git.ts"
import { lineEndOf, placeIn } from "./settings-text.ts"
import { isOurElement, isOurServer, sameValue } from "./settings-value.ts"

export type JsonEdit = (Extract<SettingsEdit, { do: "set" }> & { format: "json" }) | Extract<SettingsEdit, { do: "include" }>
/** Deeper than any agent's settings. */
const DEPTH_MAX = 200
type Path = readonly string[]
type Splice = { offset: number; length: number; text: string }

const BOM = "\ufeff"
/** As agents themselves read these files: comments and trailing commas are the user's to write. */
const TOLERANT = { allowTrailingComma: true, disallowComments: false }

/**
 * The text with the edit in it; the same text where it is there already. Nothing else of it changes, comments and formatting included. Blank text counts
 * as an empty object. `earlier`: what `init` wrote here before, which it may replace. Throws `RepositoryError` with line and column where the text is no
 * JSON, where something else stands in the edit's place, or a key on the way to it is there twice.
 */
export function putJson(file: string, given: string, edit: JsonEdit, earlier: readonly JsonEdit[] = []): string {
  const bom = given.startsWith(BOM) ? BOM : ""
  const text = given.slice(bom.length)
  const source = new JsonText(file, text.trim() === "" ? "{}\n" : text)
  const found = source.find(edit.at)
  const splices = edit.do === "set" ? putValue(source, edit, found, earlier) : putElement(source, edit, found)
  return splices.length === 0 ? given : bom + source.spliced(splices)
}

/**
 * The text without the edit, as far as what stands there is Skein's; objects and lists that are empty then go as well, but those that `before` had.
 * For a file that its user changed since: whoever has the text from before puts that back instead.
 */
export function takeJson(file: string, given: string, edit: JsonEdit, before: string | null): string {
  const bom = given.startsWith(BOM) ? BOM : ""
  const text = given.slice(bom.length)
  if (text.trim() === "") return given
  let source = new JsonText(file, text)
  const found = source.find(edit.at)
  if (found === null) return given
  if (edit.do === "set") {
    if (!sameValue(getNodeValue(found), edit.value) && !isOurServer(getNodeValue(found))) return given
    source = new JsonText(file, source.without(found))
  } else {
    const ours = found.children?.findLast((item) => isOurElement(getNodeValue(item), edit.value))
    if (ours === undefined) return given
    source = new JsonText(file, source.without(ours))
  }
  const old = before === null || before.trim() === "" ? null : new JsonText(file, before.replace(BOM, ""))
  for (let depth = edit.do === "set" ? edit.at.length - 1 : edit.at.length; depth > 0; depth -= 1) {
    const path = edit.at.slice(0, depth)
    const empty = source.find(path)
    if (empty === null || (empty.children ?? []).length > 0 || (old !== null && old.find(path) !== null)) break
    source = new JsonText(file, source.without(empty))
  }
  return bom + source.text
}

/** Whether nothing of anybody's is left in it: no key, no comment. `$schema` counts for nothing: agents put it there by themselves, opencode does. */
export function isBlankJson(text: string): boolean {
  return /^(\{("\$schema":"[^"]*",?)?\})?$/.test(text.replace(BOM, "").replace(/\s/g, ""))
}

function putValue(source: JsonText, edit: JsonEdit, found: Node | null, earlier: readonly JsonEdit[]): Splice[] {
  if (found === null) return source.inserted(edit.at, edit.value)
  const value: unknown = getNodeValue(found)
  if (sameValue(value, edit.value)) return []
  const ours = isOurServer(value) || earlier.some((one) => one.do === "set" && sameValue(one.at, edit.at) && sameValue(one.value, edit.value))
  if (ours) return [source.replaced(found, edit.value)]
  throw new RepositoryError(
    "settings_taken",
    `${source.place(found.offset)}: ${edit.at.join(".")} is there already, and \`skein init\` did not write it`,
    "Take it out or give it another name, or leave that agent out: skein init --agents …",
  )
}

function putElement(source: JsonText, edit: JsonEdit, found: Node | null): Splice[] {
  if (found === null) return source.inserted(edit.at, [edit.value])
  if (found.type !== "array") throw source.fault(found.offset, `${edit.at.join(".")} is no list`)
  const ours = (found.children ?? []).filter((item) => isOurElement(getNodeValue(item), edit.value))
  const [first, ...others] = ours
  if (first === undefined) return source.added(found, null, edit.value)
  if (others.length === 0) return sameValue(getNodeValue(first), edit.value) ? [] : [source.replaced(first, edit.value)]
  const cleared = others.reverse().reduce((left) => {
    const list = left.find(edit.at) as Node
    return new JsonText(left.file, left.without((list.children ?? []).findLast((item) => isOurElement(getNodeValue(item), edit.value)) as Node))
  }, source)
  const [only] = (cleared.find(edit.at) as Node).children?.filter((item) => isOurElement(getNodeValue(item), edit.value)) ?? []
  const text = cleared.spliced([cleared.replaced(only as Node, edit.value)])
  return [{ offset: 0, length: source.text.length, text }]
}

/** A text that is JSON, with where everything in it stands. */
class JsonText {
  readonly file: string
  readonly text: string
  readonly #root: Node

  constructor(file: string, text: string) {
    this.file = file
    this.text = text
    const deep = tooDeepAt(text)
    if (deep !== null) throw this.fault(deep, `this is nested more than ${DEPTH_MAX} deep`)
    const errors: ParseError[] = []
    const root = parseTree(text, errors, TOLERANT)
    const [error] = errors
    if (error !== undefined || root === undefined) {
      const what = error === undefined ? "nothing is in it" : (printParseErrorCode(error.error).match(/[A-Z][a-z]*/g) ?? []).join(" ").toLowerCase()
      throw this.fault(error?.offset ?? 0, `this is no JSON: ${what}`)
    }
    if (root.type !== "object") throw this.fault(root.offset, "this is no JSON object")
    this.#root = root
  }

  place(offset: number): string {
    return placeIn(this.file, this.text, offset)
  }

  fault(offset: number, what: string): RepositoryError {
    return new RepositoryError("settings_unreadable", `${this.place(offset)}: ${what}`, "Mend it there, then run skein init again. Nothing was changed.")
  }

  /** What stands at the path, null where nothing does. */
  find(path: Path): Node | null {
    let node: Node = this.#root
    for (const key of path) {
      if (node.type !== "object") throw this.fault(node.offset, `${path.join(".")} cannot be put here: this is no object`)
      const [first, second] = (node.children ?? []).filter((property) => property.children?.[0]?.value === key)
      if (second !== undefined) throw this.fault(second.offset, `the key ${JSON.stringify(key)} is here a second time`)
      const value = first?.children?.[1]
      if (value === undefined) return null
      node = value
    }
    return node
  }

  spliced(splices: readonly Splice[]): string {
    return [...splices]
      .sort((a, b) => b.offset - a.offset)
      .reduce((text, { offset, length, text: put }) => text.slice(0, offset) + put + text.slice(offset + length), this.text)
  }

  replaced(node: Node, value: JsonValue): Splice {
    const margin = this.#marginOf(node.offset)
    const inline = !this.text.includes("\n")
    return { offset: node.offset, length: node.length, text: this.#shown(value, margin, inline) }
  }

  /** A value put at a path where there is none; objects on the way are made. */
  inserted(path: Path, value: JsonValue): Splice[] {
    let depth = path.length - 1
    while (depth > 0 && this.find(path.slice(0, depth)) === null) depth -= 1
    const parent = this.find(path.slice(0, depth)) as Node
    if (parent.type !== "object") throw this.fault(parent.offset, `${path.join(".")} cannot be put here: this is no object`)
    const whole = path.slice(depth + 1).reduceRight<JsonValue>((inner, key) => ({ [key]: inner }), value)
    return this.added(parent, path[depth] as string, whole)
  }

  /** A last member of an object (with its key) or of a list: after whatever comments stand at its end. */
  added(parent: Node, key: string | null, value: JsonValue): Splice[] {
    const end = parent.offset + parent.length - 1
    const last = parent.children?.at(-1)
    const from = last === undefined ? parent.offset + 1 : last.offset + last.length
    const { end: at, comma, commented } = this.#tail(from, end)
    const inline = !this.text.slice(parent.offset, end).includes("\n") && !this.text.trimEnd().includes("\n") && last !== undefined
    const margin = this.#marginOf(parent.offset)
    const inner = last !== undefined && this.#startsLine(last.offset) ? this.#marginOf(last.offset) : margin + this.#unit()
    const eol = lineEndOf(this.text)
    const shown = (key === null ? "" : `${JSON.stringify(key)}: `) + this.#shown(value, inner, inline)
    const lead = inline ? " " : eol + inner
    const splices: Splice[] = []
    if (last !== undefined && !comma) splices.push({ offset: from, length: 0, text: "," })
    const rest = this.text.slice(at, end)
    // The closing bracket goes on a line of its own, unless it has one.
    const close = inline || rest.includes("\n") ? "" : eol + margin
    const swallow = close !== "" || (last === undefined && !commented) ? rest.length : 0
    const tail = swallow > 0 && close === "" ? eol + margin : close
    splices.push({ offset: at, length: swallow, text: `${lead}${shown}${comma ? "," : ""}${tail}` })
    return merged(splices)
  }

  /** Without a property's value (and its key) or a list's element, its comma and its line. */
  without(node: Node): string {
    const member = node.parent?.type === "property" ? node.parent : node
    const siblings = member.parent?.children ?? []
    const index = siblings.indexOf(member)
    const end = member.offset + member.length
    const parent = member.parent as Node
    const { comma } = this.#tail(end, siblings[index + 1]?.offset ?? parent.offset + parent.length - 1)
    const splices: Splice[] = []
    let stop = end
    if (comma) {
      const at = this.#commaAfter(end)
      // Directly behind, as nearly always: gone with it.
      if (at === end) stop = at + 1
      else splices.push({ offset: at, length: 1, text: "" })
    } else if (index > 0) {
      const previous = siblings[index - 1] as Node
      splices.push({ offset: this.#commaAfter(previous.offset + previous.length), length: 1, text: "" })
    }
    let start = member.offset
    while (start > 0 && /[ \t]/.test(this.text.charAt(start - 1))) start -= 1
    const lineRest = /^[ \t]*(?=\r?\n|$)/.exec(this.text.slice(stop))
    // A line that held nothing else goes whole; otherwise what follows might end up inside a comment before it.
    if (lineRest !== null && this.text.charAt(start - 1) === "\n") {
      start -= this.text.charAt(start - 2) === "\r" ? 2 : 1
      stop += lineRest[0].length
    } else if (index === 0 && comma) stop += (/^[ \t]*/.exec(this.text.slice(stop)) as RegExpExecArray)[0].length
    return this.#closed(this.spliced([...splices, { offset: start, length: stop - start, text: "" }]), parent, siblings.length === 1)
  }

  /** An object or list that lost its last member closes where it opens, as it did before there was one; comments in it keep their lines. */
  #closed(text: string, parent: Node, emptied: boolean): string {
    if (!emptied) return text
    const open = parent.offset + 1
    const gap = (/^\s*/.exec(text.slice(open)) as RegExpExecArray)[0].length
    return /[}\]]/.test(text.charAt(open + gap)) ? text.slice(0, open) + text.slice(open + gap) : text
  }

  /** What stands between the last member and the closing bracket: where its last comment or comma ends. */
  #tail(from: number, to: number): { end: number; comma: boolean; commented: boolean } {
    const scanner = createScanner(this.text, false)
    scanner.setPosition(from)
    let end = from
    let comma = false
    let commented = false
    for (scanner.scan(); scanner.getTokenLength() > 0 && scanner.getTokenOffset() < to; scanner.scan()) {
      const token = this.text.slice(scanner.getTokenOffset(), scanner.getTokenOffset() + 1)
      if (token === ",") comma = true
      else if (token === "/") commented = true
      else continue
      end = scanner.getTokenOffset() + scanner.getTokenLength()
    }
    return { end, comma, commented }
  }

  #commaAfter(from: number): number {
    const scanner = createScanner(this.text, true)
    scanner.setPosition(from)
    scanner.scan()
    return scanner.getTokenOffset()
  }

  #shown(value: JsonValue, margin: string, inline: boolean): string {
    if (inline) return JSON.stringify(value)
    return JSON.stringify(value, null, this.#unit()).replaceAll("\n", lineEndOf(this.text) + margin)
  }

  #lineStart(offset: number): number {
    return this.text.lastIndexOf("\n", offset - 1) + 1
  }

  /** The white space that the line of an offset begins with. */
  #marginOf(offset: number): string {
    return (/^[ \t]*/.exec(this.text.slice(this.#lineStart(offset))) as RegExpExecArray)[0]
  }

  #startsLine(offset: number): boolean {
    return this.text.slice(this.#lineStart(offset), offset).trim() === ""
  }

  #unit(): string {
    const found = /^(\t| {1,8})(?=["/])/m.exec(this.text)?.[1]
    return found ?? "  "
  }
}

/** Where the text is nested deeper than whoever walks through it could go; null: nowhere. */
function tooDeepAt(text: string): number | null {
  const scanner = createScanner(text, true)
  let depth = 0
  // At the end of a text that breaks off, the last token still has a length.
  for (scanner.scan(); scanner.getTokenOffset() < text.length; scanner.scan()) {
    const mark = text.charAt(scanner.getTokenOffset())
    if (mark === "}" || mark === "]") depth -= 1
    if (mark !== "{" && mark !== "[") continue
    depth += 1
    if (depth > DEPTH_MAX) return scanner.getTokenOffset()
  }
  return null
}

/** Two splices at one offset would be put in either order. */
function merged(splices: readonly Splice[]): Splice[] {
  const [first, second] = splices
  if (first === undefined || second === undefined || first.offset !== second.offset) return [...splices]
  return [{ offset: first.offset, length: first.length + second.length, text: first.text + second.text }]
}
