import { createHash, hash as digest } from "node:crypto"
import type { OperationName } from "../contract/names.ts"

/** What a call asks, as its schema left it. */
export type Payload = Readonly<Record<string, unknown>>

/** A longer text hardly comes twice in a row, and would be kept until the next call. */
const KEPT_MAX_CHARS = 256

/**
 * By what an idempotency key knows the payloads of one operation. Often it is the same again, as that of `task.claimNext` without a filter is for everybody: then
 * it is not hashed anew.
 */
export class PayloadHash {
  readonly #operation: OperationName
  /** The last that could be the same again. */
  #last: { payload: Payload; hash: string } | null = null

  constructor(operation: OperationName) {
    this.#operation = operation
  }

  /** The first 128 bits of the SHA-256 of the operation and the payload's JSON, in hex. */
  of(payload: Payload): string {
    if (this.#last !== null && isSame(this.#last.payload, payload)) return this.#last.hash
    const hash = sha256Hex(`${this.#operation}\n${JSON.stringify(payload)}`).slice(0, 32)
    // What can never be the same is let go: a plan is megabytes.
    if (Object.values(payload).every(isComparable)) this.#last = { payload: { ...payload }, hash }
    return hash
  }
}

/** Whether two payloads are one text for certain: the same fields in the same order, and in them the same numbers, texts and the like, or empty lists. */
function isSame(one: Payload, other: Payload): boolean {
  const fields = Object.keys(one)
  const others = Object.keys(other)
  if (fields.length !== others.length) return false
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] as string
    if (field !== others[at] || !isEqual(one[field], other[field])) return false
  }
  return true
}

function isEqual(one: unknown, other: unknown): boolean {
  return typeof one === "object" && one !== null ? isEmptyList(one) && isEmptyList(other) : one === other
}

/** Whether `isEqual` can ever hold of it. */
function isComparable(value: unknown): boolean {
  if (typeof value === "string") return value.length <= KEPT_MAX_CHARS
  return typeof value !== "object" || value === null || isEmptyList(value)
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

const sha256Hex: (text: string) => string =
  typeof digest === "function" ? (text) => digest("sha256", text) : (text) => createHash("sha256").update(text).digest("hex")
