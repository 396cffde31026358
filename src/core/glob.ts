import { automaton, ANY_CHAR, type Atom, type Ranges, complement, ordered, witness } from "./glob-automaton.ts"

/**
 * A set of paths, as agents name the files that they will edit. Paths are relative to the repository's top, with `/` between their segments.
 * `*` is any text within a segment, `?` any one character, `[a-z]` one of a class (`[!a-z]` one outside it), `{a,b}` one of several, `**` as a whole
 * segment any number of segments, none included. A slash at the end means all that lies below. There is no escape: what is special goes into a class, `[*]`.
 * Letters with marks are compared composed (NFC), in whichever form they are written: some disks do not tell the forms apart. Capitals are told from small letters.
 */
export type Glob = {
  readonly text: string
  /** The path is in the set when one of these matches it. */
  readonly alternatives: readonly Alternative[]
}
export type Alternative = {
  readonly segments: readonly Segment[]
  /** How many leading segments are literal: all of them where the alternative names one path. */
  readonly literals: number
}
export type Segment =
  | { readonly kind: "any" }
  | { readonly kind: "literal"; readonly text: string }
  /** `prefix*suffix`: by far the most common, and told apart without an automaton. */
  | { readonly kind: "star"; readonly prefix: string; readonly suffix: string }
  /** Between `prefix` and `suffix`, which may be empty, more than a star. `example`: a name that it matches. */
  | { readonly kind: "pattern"; readonly atoms: readonly Atom[]; readonly prefix: string; readonly suffix: string; readonly example: string }

/** Why a text is no glob. `at`: the character, 0-based, that it fails at. `outside`: it would reach out of the repository. */
export type GlobFault = { fault: "syntax" | "outside"; at: number; message: string; remedy: string }

/** The longest glob in characters, and the longest path. */
export const GLOB_MAX = 512
export const PATH_MAX = 4_096
/**
 * Segments of a glob, wildcards in it, globs that its braces with a slash or `**` in them stand for, and characters of all the segments of those that differ, at the
 * most: they bound what a comparison costs.
 */
const SEGMENTS_MAX = 64
const WILDCARDS_MAX = 64
const ALTERNATIVES_MAX = 64
const WRITTEN_MAX = 4 * GLOB_MAX
const BRACES_DEEP_MAX = 4

type Node = Atom | { kind: "slash"; at: number } | { kind: "globstar"; at: number } | { kind: "choice"; at: number; options: Node[][] }

class Fault extends Error {
  readonly found: GlobFault
  constructor(found: GlobFault) {
    super(found.message)
    this.found = found
  }
}

/** Reads a glob. Never throws: what is wrong with the text is the answer. */
export function parseGlob(text: string): Glob | GlobFault {
  try {
    if (text === "") throw wrong(0, "a glob cannot be empty", "Name a file, or a folder with a slash at its end.")
    if (text.length > GLOB_MAX) throw wrong(GLOB_MAX, `a glob has at most ${GLOB_MAX} characters`, "Shorten it, or give several.")
    if (/^[/\\~]|^[A-Za-z]:[/\\]/.test(text)) throw outside(0, "a path from the root of the machine")
    if (text.startsWith("!")) throw wrong(0, "a glob cannot take paths away", "Leave the `!` out, and name what is to be covered.")
    const nodes = new Reader(composed(text)).read()
    const known: KnownSegments = { byPlaces: new Map(), written: 0 }
    const alternatives = expand(nodes).map((alternative) => toAlternative(alternative, known))
    return { text, alternatives }
  } catch (error) {
    if (error instanceof Fault) return error.found
    throw error
  }
}

/** The form in which texts are compared: Unicode's NFC. */
export function composed(text: string): string {
  return text.normalize("NFC")
}

export function isGlobFault(glob: Glob | GlobFault): glob is GlobFault {
  return "fault" in glob
}

/** What an older ledger holds as a glob and is none by today's rules stands for the path that it spells. */
export function lenientGlob(text: string): Glob {
  const glob = parseGlob(text)
  return isGlobFault(glob) ? spelledGlob(text) : glob
}

function spelledGlob(text: string): Glob {
  const segments = composed(text)
    .split("/")
    .filter((segment) => segment !== "")
    .map((segment): Segment => ({ kind: "literal", text: segment }))
  return { text, alternatives: [{ segments, literals: segments.length }] }
}

/** A folder, and all that lies below it, however it is called. */
export function folderGlob(path: string): Glob {
  const { text, alternatives } = spelledGlob(path)
  return { text, alternatives: alternatives.map(({ segments, literals }) => ({ segments: [...segments, { kind: "any" }], literals })) }
}

/** The glob that matches this path: what is special in it is put into a class, or stands as `?` where a class cannot hold it. */
export function globOfPath(path: string): string {
  return path
    .replace(/[*?[{]/g, "[$&]")
    .replace(/\\/g, "?")
    .replace(/^!/, "?")
    .replace(/^~/, "[~]")
}

/** What is wrong with a path of the repository, or null. `at` as in a glob's fault. */
export function pathFault(path: string): GlobFault | null {
  if (path === "") return { fault: "syntax", at: 0, message: "a path cannot be empty", remedy: "Name a file below the repository's top." }
  if (path.length > PATH_MAX) return { fault: "syntax", at: PATH_MAX, message: `a path has at most ${PATH_MAX} characters`, remedy: "Shorten it." }
  if (/^[/\\]|^[A-Za-z]:[/\\]/.test(path)) return outside(0, "a path from the root of the machine").found
  const nul = path.indexOf("\0")
  if (nul >= 0) return { fault: "syntax", at: nul, message: "a path cannot hold NUL", remedy: "Take it out." }
  let at = 0
  for (const segment of path.split("/")) {
    if (segment === "..") return outside(at, "`..`").found
    if (segment === "" || segment === ".") {
      const message = segment === "" ? "an empty segment" : "a segment `.`"
      return { fault: "syntax", at, message: `a path cannot have ${message}`, remedy: "Write it relative to the repository's top, without `./` and `//`." }
    }
    at += segment.length + 1
  }
  return null
}

function wrong(at: number, message: string, remedy: string): Fault {
  return new Fault({ fault: "syntax", at, message, remedy })
}

function outside(at: number, what: string): Fault {
  const remedy = "Write it relative to the repository's top: nothing outside it can be reserved."
  return new Fault({ fault: "outside", at, message: `${what} reaches out of the repository`, remedy })
}

/** Reads the text character by character (as code points); positions are those of the text. */
class Reader {
  readonly #text: string
  #at = 0
  #wildcards = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Node[] {
    return this.#sequence(0)
  }

  /** Up to the end, or within braces to the comma or brace that ends this option. */
  #sequence(depth: number): Node[] {
    const nodes: Node[] = []
    while (this.#at < this.#text.length) {
      const at = this.#at
      const char = String.fromCodePoint(this.#text.codePointAt(at) as number)
      if (depth > 0 && (char === "," || char === "}")) return nodes
      this.#at += char.length
      nodes.push(this.#node(char, at, depth))
    }
    return nodes
  }

  #node(char: string, at: number, depth: number): Node {
    if (char === "/") return { kind: "slash", at }
    if (char === "\\") throw wrong(at, "a backslash means nothing in a glob", "Use `/` between segments, and a class for what is special: `[*]`.")
    if (/[\u0000-\u001f\u007f]/.test(char)) throw wrong(at, "a glob cannot hold a control character", "Use `?` where the path has one.")
    if (!"*?[{".includes(char)) return { kind: "char", at, char }
    this.#wildcards += 1
    if (this.#wildcards > WILDCARDS_MAX) throw wrong(at, `a glob has at most ${WILDCARDS_MAX} wildcards`, "Give several globs that are simpler.")
    if (char === "?") return { kind: "class", at, ranges: ANY_CHAR }
    if (char === "[") return { kind: "class", at, ranges: this.#class(at) }
    if (char === "{") return this.#choice(at, depth)
    const first = this.#at
    while (this.#text[this.#at] === "*") this.#at += 1
    return { kind: this.#at > first ? "globstar" : "star", at }
  }

  #choice(at: number, depth: number): Node {
    if (depth >= BRACES_DEEP_MAX) throw wrong(at, `braces are nested deeper than ${BRACES_DEEP_MAX}`, "Give several globs that are simpler.")
    const options: Node[][] = []
    for (;;) {
      options.push(this.#sequence(depth + 1))
      const end = this.#text[this.#at]
      if (end === undefined) throw wrong(at, "this `{` is never closed", "Close it with `}`; the character itself is `[{]`.")
      this.#at += 1
      if (end === "}") break
    }
    if (options.length === 1) throw wrong(at, "braces need a comma", "Write `{a,b}`; the character itself is `[{]`.")
    return { kind: "choice", at, options }
  }

  #class(at: number): Ranges {
    const negated = this.#text[this.#at] === "!" || this.#text[this.#at] === "^"
    if (negated) this.#at += 1
    const ranges: [number, number][] = []
    const begin = this.#at
    for (;;) {
      const low = this.#text.codePointAt(this.#at)
      if (low === undefined) throw wrong(at, "this `[` is never closed", "Close it with `]`; the character itself is `[[]`.")
      const char = String.fromCodePoint(low)
      if (char === "]" && this.#at > begin) break
      if (char === "[" && /^\[([:.=])[^\]/]+\1\]/.test(this.#text.slice(this.#at)))
        throw wrong(this.#at, "a class has no classes within it, such as `[:alpha:]`", "Write its characters out: `[A-Za-z]`, `[0-9]`.")
      if (char === "/" || char === "\\") throw wrong(this.#at, `a class cannot hold a ${char === "/" ? "slash" : "backslash"}`, "Take it out of the class.")
      this.#at += char.length
      ranges.push([low, this.#rangeEnd(low)])
    }
    this.#at += 1
    const found = ordered(ranges)
    return negated ? complement(found) : found
  }

  /** The end of `a-z` after its `a`; `low` itself where there is no range. */
  #rangeEnd(low: number): number {
    const end = this.#text.codePointAt(this.#at + 1)
    if (this.#text[this.#at] !== "-" || end === undefined || this.#text[this.#at + 1] === "]") return low
    if (end < low) throw wrong(this.#at - 1, "the range runs backwards", "Write the lower end first: `[a-z]`.")
    this.#at += 1 + String.fromCodePoint(end).length
    return end
  }
}

/**
 * Braces stay where they are within one segment; those with a slash or `**` in them or beside them are written out, so that each alternative is a list of
 * segments.
 */
function expand(nodes: readonly Node[], all: Node[][] = [], from: number | null = null): Node[][] {
  const at = nodes.findIndex((node, index) => node.kind === "choice" && (crosses(node.options) || besideGlobstar(nodes, index)))
  const choice = nodes[at]
  if (choice?.kind === "choice") for (const option of choice.options) expand([...nodes.slice(0, at), ...option, ...nodes.slice(at + 1)], all, from ?? choice.at)
  else if (all.push([...nodes]) > ALTERNATIVES_MAX)
    throw wrong(from ?? 0, `braces that reach over segments stand for more than ${ALTERNATIVES_MAX} globs`, "Give several globs that are simpler.")
  return all
}

/** Whether a `**` stands in the same segment. */
function besideGlobstar(nodes: readonly Node[], index: number): boolean {
  const isSlash = ({ kind }: Node): boolean => kind === "slash"
  const start = nodes.slice(0, index).findLastIndex(isSlash) + 1
  const length = nodes.slice(index).findIndex(isSlash)
  return nodes.slice(start, length < 0 ? undefined : index + length).some(({ kind }) => kind === "globstar")
}

function crosses(options: readonly Node[][]): boolean {
  return options.some((option) => option.some((node) => node.kind === "slash" || node.kind === "globstar" || (node.kind === "choice" && crosses(node.options))))
}

/** Segments by the places of their characters: those that braces write out again are the same. */
type KnownSegments = { readonly byPlaces: Map<string, Segment>; written: number }

function toAlternative(nodes: readonly Node[], known: KnownSegments): Alternative {
  const parts: { at: number; nodes: Node[] }[] = [{ at: nodes[0]?.at ?? 0, nodes: [] }]
  for (const node of nodes) {
    if (node.kind === "slash") parts.push({ at: node.at + 1, nodes: [] })
    else parts.at(-1)?.nodes.push(node)
  }
  const segments: Segment[] = []
  for (const [index, part] of parts.entries()) {
    const below = part.nodes.length === 0 && index === parts.length - 1 && index > 0
    const segment: Segment = below ? { kind: "any" } : knownSegment(part.nodes, part.at, known)
    if (segment.kind !== "any" || segments.at(-1)?.kind !== "any") segments.push(segment)
  }
  if (segments.length > SEGMENTS_MAX)
    throw wrong(parts[SEGMENTS_MAX]?.at ?? 0, `a glob has at most ${SEGMENTS_MAX} segments`, "Leave some out: `**/` stands for any number of them.")
  const wild = segments.findIndex(({ kind }) => kind !== "literal")
  return { segments, literals: wild < 0 ? segments.length : wild }
}

function knownSegment(nodes: readonly Node[], at: number, known: KnownSegments): Segment {
  const places = nodes.map((node) => node.at).join(" ")
  const found = known.byPlaces.get(places)
  if (found !== undefined) return found
  known.written += nodes.length
  if (known.written > WRITTEN_MAX)
    throw wrong(at, `braces that reach over segments write out more than ${WRITTEN_MAX} characters`, "Give several globs that are simpler.")
  const segment = toSegment(nodes, at)
  known.byPlaces.set(places, segment)
  return segment
}

function toSegment(nodes: readonly Node[], at: number): Segment {
  if (nodes.length === 0) throw wrong(at, "a segment is empty", "Take the extra `/` out.")
  if (nodes.length === 1 && nodes[0]?.kind === "globstar") return { kind: "any" }
  const atoms = nodes.map(toAtom)
  if (atoms.every((atom) => atom.kind === "char")) {
    const text = spelled(atoms)
    if (text === "..") throw outside(nodes[0]?.at ?? at, "`..`")
    if (text === ".") throw wrong(nodes[0]?.at ?? at, "a segment `.` names nothing", "Leave it out: paths begin at the repository's top.")
    return { kind: "literal", text }
  }
  const isWild = ({ kind }: Atom): boolean => kind !== "char"
  const [first, last] = [atoms.findIndex(isWild), atoms.findLastIndex(isWild)]
  const [prefix, suffix] = [spelled(atoms.slice(0, first)), spelled(atoms.slice(last + 1))]
  if (first === last && atoms[first]?.kind === "star") return { kind: "star", prefix, suffix }
  const example = witness(automaton(atoms))
  if (example === null) throw wrong(at, "no name of a file fits this segment", "Write one that can match.")
  return { kind: "pattern", atoms, prefix, suffix, example }
}

/** Within a segment `**` is no more than `*`. */
function toAtom(node: Node): Atom {
  if (node.kind === "choice") return { kind: "options", at: node.at, options: node.options.map((option) => option.map(toAtom)) }
  if (node.kind === "globstar" || node.kind === "slash") return { kind: "star", at: node.at }
  return node
}

function spelled(atoms: readonly Atom[]): string {
  return atoms.map((atom) => (atom.kind === "char" ? atom.char : "")).join("")
}
