import { isMap, isScalar, isSeq, type Node } from "yaml"
import { isName } from "../core/ids.ts"
import type { FaultCode, PlanDocument } from "./plan-document.ts"
import { isPrintable, isPrintableLines } from "./printable.ts"
import { DURATION_REMEDY, parseDuration, parseUsd } from "./quantity.ts"
import { didYouMean } from "./spelling.ts"

const NAME_REMEDY = "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit."

/** What a text may be: its length in bytes of UTF-8, and whether it may have several lines, or be empty. */
export type TextLimits = { max: number; lines?: boolean; empty?: boolean }

/**
 * One value of a plan file and how it is reached. Each reading either gives the value or records the fault and gives null, so that a check goes
 * on to the next value and one run tells everything.
 */
export class PlanValue {
  readonly at: string
  readonly node: Node
  readonly #document: PlanDocument
  /** What the node stands for, where it is an alias; null where that cannot be said. */
  readonly #target: Node | null
  /** Whether it was reached through an alias: what lies under it counts as expanded. */
  readonly #aliased: boolean

  constructor(document: PlanDocument, node: Node, at: string, aliased = false) {
    this.#document = document
    this.node = node
    this.at = at
    this.#target = document.resolve(node, at)
    this.#aliased = aliased || this.#target !== node
  }

  /** Records a fault here; gives null, which is what a reading that failed gives. */
  fault(code: FaultCode, message: string, remedy: string): null {
    this.#document.fault(this.node, code, this.at, `${this.at === "" ? "the plan" : this.at} ${message}`, remedy)
    return null
  }

  /** Says that this is allowed and yet hardly meant. */
  warn(code: FaultCode, message: string, remedy: string): void {
    this.#document.warn(this.node, code, this.at, `${this.at} ${message}`, remedy)
  }

  /** The values of a map by key. Unknown and doubled keys are faults, as is a required one that is missing. Null when it is no map. */
  map(known: readonly string[], required: readonly string[] = []): Map<string, PlanValue> | null {
    const entries = this.entries(`Write a map with the keys ${known.join(", ")}.`)
    if (entries === null) return null
    for (const [key, { keyNode }] of entries) {
      if (known.includes(key)) continue
      entries.delete(key)
      this.#document.fault(
        keyNode,
        "unknown_key",
        this.#under(key),
        `${this.#here()}has no key "${key}"`,
        `${didYouMean(key, known)}The keys here are ${known.join(", ")}.`,
      )
    }
    for (const key of required) if (!entries.has(key)) this.fault("missing_key", `lacks \`${key}\``, `Add \`${key}\`.`)
    return new Map([...entries].map(([key, { value }]) => [key, value]))
  }

  /** The pairs of a map whose keys are the writer's own, such as capabilities. */
  entries(remedy: string): Map<string, { keyNode: Node; value: PlanValue }> | null {
    const node = this.#target
    if (node === null) return null
    if (!isMap(node)) return this.fault("wrong_type", `is ${kindOf(node)}, not a map`, remedy)
    if (!this.#mayExpand(node.items.length)) return null
    const found = new Map<string, { keyNode: Node; value: PlanValue }>()
    for (const { key: keyNode, value } of node.items as { key: Node; value: Node | null }[]) {
      const key = isScalar(keyNode) ? String(keyNode.value) : null
      if (key === null) this.#document.fault(keyNode, "wrong_type", this.at, `${this.#here()}has a key that is no text`, "Write a plain word as key.")
      else if (found.has(key))
        this.#document.fault(keyNode, "duplicate_key", this.#under(key), `${this.#here()}has the key "${key}" twice`, "Keep one of them.")
      // `? key` without a value has no node at all; it stands where its key stands.
      else found.set(key, { keyNode, value: new PlanValue(this.#document, value ?? keyNode, this.#under(key), this.#aliased) })
    }
    return found
  }

  /** The values of a list; null when it is none. */
  items(remedy: string, max = Infinity): PlanValue[] | null {
    const node = this.#target
    if (node === null) return null
    if (!isSeq(node)) return this.fault("wrong_type", `is ${kindOf(node)}, not a list`, remedy)
    if (!this.#mayExpand(node.items.length)) return null
    const items = (node.items as Node[]).map((item, at) => new PlanValue(this.#document, item, `${this.at}[${at}]`, this.#aliased))
    if (items.length <= max) return items
    items[max]?.fault("too_many", `is one more than the ${max} that there may be`, "Take some out.")
    return null
  }

  text({ max, lines = false, empty = false }: TextLimits): string | null {
    const value = this.#scalar("text", "Write text.")
    if (value === null) return null
    if (typeof value !== "string") return this.fault("wrong_type", `is ${nameOf(value)}, not text`, `Put it in quotes: "${String(value)}"`)
    if (!empty && value.trim() === "") return this.fault("wrong_value", "is empty", "Write something, or leave the key out.")
    const bytes = Buffer.byteLength(value)
    if (bytes > max) return this.fault("too_large", `is ${bytes} bytes long`, `Keep to ${max} bytes of UTF-8.`)
    if (!value.isWellFormed())
      return this.fault("control_character", "holds half of a character, without its other half", "Write the whole character, or leave it out.")
    if (!(lines ? isPrintableLines(value) : isPrintable(value))) {
      return this.fault(
        "control_character",
        `holds ${lines ? "a control character" : "a control character or line break"}`,
        "Take it out: it could disturb the terminal of whoever reads it.",
      )
    }
    return value
  }

  name(): string | null {
    const text = this.text({ max: 1_000 })
    if (text === null || isName(text)) return text
    return this.fault("wrong_name", `cannot be "${text.slice(0, 80)}"`, NAME_REMEDY)
  }

  /** One of a few words. */
  word<Word extends string>(words: readonly Word[]): Word | null {
    const text = this.text({ max: 1_000 })
    if (text === null) return null
    const found = words.find((word) => word === text)
    return found ?? this.fault("wrong_value", `cannot be "${text.slice(0, 80)}"`, `${didYouMean(text, words)}Write one of ${words.join(", ")}.`)
  }

  boolean(): boolean | null {
    const value = this.#scalar("true or false", "Write true or false.")
    if (value === null || typeof value === "boolean") return value
    return this.fault("wrong_type", `is ${nameOf(value)}, not true or false`, "Write true or false, without quotes.")
  }

  integer(min: number, max: number): number | null {
    const remedy = `Write a whole number from ${min} to ${max}.`
    const value = this.#scalar("a number", remedy)
    if (value === null) return null
    if (typeof value !== "number") return this.fault("wrong_type", `is ${nameOf(value)}, not a number`, remedy)
    return Number.isInteger(value) && value >= min && value <= max ? value : this.fault("out_of_range", `is ${value}`, remedy)
  }

  number(min: number, max: number): number | null {
    const remedy = `Write a number from ${min} to ${max}.`
    const value = this.#scalar("a number", remedy)
    if (value === null) return null
    if (typeof value !== "number") return this.fault("wrong_type", `is ${nameOf(value)}, not a number`, remedy)
    return value >= min && value <= max ? value : this.fault("out_of_range", `is ${value}`, remedy)
  }

  /** A duration with its unit, in ms. */
  durationMs(min: number, max: number): number | null {
    const value = this.#scalar("a duration", DURATION_REMEDY)
    if (value === null) return null
    if (typeof value === "boolean") return this.fault("wrong_type", `is ${nameOf(value)}, not a duration`, DURATION_REMEDY)
    const ms = parseDuration(String(value))
    if (typeof ms === "object")
      return this.fault(ms.wrong.includes("negative") ? "out_of_range" : "wrong_unit", `"${String(value).slice(0, 40)}" ${ms.wrong}`, ms.remedy)
    return ms >= min && ms <= max ? ms : this.fault("out_of_range", `is ${ms} ms`, `Keep it from ${min} to ${max} ms.`)
  }

  /** An amount of US dollars, in millionths. */
  microUsd(): number | null {
    const value = this.#scalar("an amount", "Write US dollars as a number: 22.5")
    if (value === null) return null
    if (typeof value !== "number")
      return this.fault("wrong_type", `is ${nameOf(value)}, not a number`, "Write US dollars as a number, without $ and quotes: 22.5")
    const micro = parseUsd(value)
    return typeof micro === "number" ? micro : this.fault("out_of_range", micro.wrong, micro.remedy)
  }

  isMap(): boolean {
    return isMap(this.#target)
  }

  #scalar(wanted: string, remedy: string): string | number | boolean | null {
    const node = this.#target
    if (node === null) return null
    if (!isScalar(node)) return this.fault("wrong_type", `is ${kindOf(node)}, not ${wanted}`, remedy)
    const { value } = node
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value
    return this.fault("wrong_type", "is left empty", `${remedy} Or leave the key out.`)
  }

  #mayExpand(nodes: number): boolean {
    return !this.#aliased || this.#document.expand(this.node, this.at, nodes)
  }

  #under(key: string): string {
    return this.at === "" ? key : `${this.at}.${key}`
  }

  #here(): string {
    return `${this.at === "" ? "the plan" : this.at} `
  }
}

function kindOf(node: Node): string {
  if (isMap(node)) return "a map"
  if (isSeq(node)) return "a list"
  return isScalar(node) ? nameOf(node.value) : "an alias"
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return "left empty"
  if (typeof value === "string") return "text"
  return typeof value === "boolean" ? `the truth value ${value}` : "a number"
}
