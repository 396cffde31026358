import { isAlias, isNode, LineCounter, visit, type Alias, type Node } from "yaml"
import { composeYaml, FLATTER, MEND, TOO_DEEP } from "./yaml-document.ts"

export type FaultCode =
  | "not_utf8"
  | "too_large"
  | "empty"
  | "syntax"
  | "too_deep"
  | "many_documents"
  | "tag"
  | "alias"
  | "alias_expansion"
  | "unknown_key"
  | "missing_key"
  | "duplicate_key"
  | "wrong_type"
  | "wrong_value"
  | "wrong_name"
  | "wrong_unit"
  | "out_of_range"
  | "control_character"
  | "path_traversal"
  | "duplicate_id"
  | "unknown_dependency"
  | "cycle"
  | "too_many"
  | "nobody_fits"
  | "unknown_agent"

/** One thing wrong with a plan file: where (lines and columns count from 1), what, and what to do about it. */
export type Fault = { code: FaultCode; line: number; column: number; at: string; message: string; remedy: string }

/** The longest plan file, in bytes. */
export const PLAN_FILE_MAX_BYTES = 8 * 1024 * 1024
/** Nodes that may be reached through aliases: far more than any plan needs, and far less than a YAML bomb has. */
const ALIASED_NODES_MAX = 100_000

/** Characters of a fault's texts at the most. */
const SHOWN_MAX = 500

/** The syntax of a plan file: its nodes, where each stands, and the faults found so far. YAML 1.2, of which JSON is a part. */
export class PlanDocument {
  readonly faults: Fault[] = []
  /** What is allowed and yet hardly meant. */
  readonly warnings: Fault[] = []
  readonly root: Node | null
  readonly #lines = new LineCounter()
  readonly #targets = new Map<Alias, Node>()
  #aliased = 0

  constructor(bytes: Uint8Array) {
    const text = this.#decode(bytes)
    this.root = text === null ? null : this.#parse(text)
  }

  /** Records a fault at an offset, or at a node. */
  fault(where: Node | number, code: FaultCode, at: string, message: string, remedy: string): void {
    this.faults.push({ code, ...this.#place(where), at: shown(at), message: shown(message), remedy: shown(remedy) })
  }

  warn(where: Node, code: FaultCode, at: string, message: string, remedy: string): void {
    this.warnings.push({ code, ...this.#place(where), at: shown(at), message: shown(message), remedy: shown(remedy) })
  }

  #place(where: Node | number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(typeof where === "number" ? where : (where.range?.[0] ?? 0))
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  /** What an alias stands for, or the node itself; null where it stands for nothing, which is recorded. */
  resolve(node: Node, at: string): Node | null {
    if (!isAlias(node)) return node
    const target = this.#targets.get(node)
    if (target === undefined) {
      this.fault(node, "alias", at, `*${node.source} names no anchor before it`, `Set the anchor earlier in the file: &${node.source}`)
      return null
    }
    return this.expand(node, at, 1) ? target : null
  }

  /** Counts nodes that are read through an alias. False when they are too many: recorded once, and nothing more is to be read. */
  expand(node: Node, at: string, nodes: number): boolean {
    const before = this.#aliased
    this.#aliased += nodes
    if (this.#aliased <= ALIASED_NODES_MAX) return true
    if (before <= ALIASED_NODES_MAX)
      this.fault(node, "alias_expansion", at, `aliases expand to more than ${ALIASED_NODES_MAX} values`, "Write the values out, or use fewer aliases.")
    return false
  }

  #decode(bytes: Uint8Array): string | null {
    if (bytes.length > PLAN_FILE_MAX_BYTES) {
      this.fault(0, "too_large", "", `the file is ${bytes.length} bytes long`, `Keep a plan under ${PLAN_FILE_MAX_BYTES} bytes: make several plans of it.`)
      return null
    }
    if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
      this.fault(0, "not_utf8", "", "the file is UTF-16", "Save it as UTF-8.")
      return null
    }
    try {
      // A byte order mark before UTF-8 is dropped: some editors write it, and it says nothing.
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    } catch {
      const before = validPrefix(bytes)
      this.#lines.addNewLine(0)
      for (let at = before.indexOf("\n"); at !== -1; at = before.indexOf("\n", at + 1)) this.#lines.addNewLine(at + 1)
      this.fault(before.length, "not_utf8", "", `byte ${Buffer.byteLength(before)} is no UTF-8`, "Save the file as UTF-8.")
      return null
    }
  }

  #parse(text: string): Node | null {
    if (text.trim() === "") {
      this.fault(0, "empty", "", "the file is empty", "Begin with `plan: NAME` and a list of `tasks`.")
      return null
    }
    // Keys are compared by whoever reads the map.
    const { document, secondAt, tooDeepAt } = composeYaml(text, this.#lines)
    if (tooDeepAt !== null) this.fault(tooDeepAt, "too_deep", "", TOO_DEEP, FLATTER)
    if (document === undefined || tooDeepAt !== null) return null
    for (const { pos, message } of document.errors) this.fault(pos[0], "syntax", "", `this is no YAML: ${firstLine(message)}`, MEND)
    // The first document is sound when the only complaint is that others follow it; after any other, what the nodes say is guesswork.
    if (secondAt !== null) this.fault(secondAt, "many_documents", "", "a second document begins here", "Keep one plan in one file, without `---` between.")
    for (const { pos, message } of document.warnings)
      this.fault(pos[0], "tag", "", firstLine(message), "Leave the tag out: a plan has plain text, numbers, lists and maps.")
    if (document.errors.length > 0) return null
    const { contents } = document
    if (!isNode(contents)) {
      this.fault(0, "empty", "", "the file holds nothing but comments", "Begin with `plan: NAME` and a list of `tasks`.")
      return null
    }
    this.#collectAliases(contents)
    return contents
  }

  /** An alias means the last anchor of its name before it. One pass: asking the library for each would be quadratic. */
  #collectAliases(root: Node): void {
    const anchors = new Map<string, Node>()
    visit(root, {
      Node: (_, node) => {
        if (isAlias(node)) {
          const target = anchors.get(node.source)
          if (target !== undefined) this.#targets.set(node, target)
        } else if (node.anchor !== undefined) anchors.set(node.anchor, node)
      },
    })
  }
}

/** A fault quotes the file, which may hold a key of a megabyte. */
function shown(text: string): string {
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? ""
}

/** The text before the first byte that is no UTF-8. */
function validPrefix(bytes: Uint8Array): string {
  let low = 0
  let high = bytes.length
  // `stream` leaves an unfinished character at the end open, so that the question has one answer up to the first wrong byte and another after it.
  const isValid = (length: number): boolean => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true })
      return true
    } catch {
      return false
    }
  }
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (isValid(middle)) low = middle
    else high = middle - 1
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, low), { stream: true })
}
