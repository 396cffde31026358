import * as z from "zod"
import type { OperationName } from "../contract/names.ts"
import { operations } from "../contract/operations.ts"

/** What others wrote, marked as data, so that a model that reads it can tell it from what it was told. */

type Schema = {
  type?: string
  enum?: unknown[]
  const?: unknown
  pattern?: string
  description?: string
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
}

/** Controls but newline and tab, what turns or hides text, and the tag characters in which prompts are smuggled. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu
/** What could be taken for one of our own marks, however it is spaced or written. */
const MARK = /<(?=[\s/\\]*data\b)/giu

/** One text of somebody else's between marks that it cannot contain. `from`: who wrote it, or where it comes from. */
export function asData(text: string, from: string): string {
  return `<data from="${from.replace(/[^A-Za-z0-9._/ -]/g, "")}">${clean(text).replace(MARK, "&lt;")}</data>`
}

/** Without what no reader would see. */
export function clean(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(HIDDEN, "\ufffd")
}

const schemas = new Map<OperationName, Schema>()

function outputSchema(name: OperationName): Schema {
  const known = schemas.get(name) ?? (z.toJSONSchema(operations[name].output, { io: "output", unrepresentable: "any" }) as Schema)
  schemas.set(name, known)
  return known
}

/**
 * An answer as a model gets it: every text that its schema leaves free is marked as data; ids, words of a fixed list and numbers stay as they are, since
 * their form leaves no room. What is null or empty is left out.
 */
export function markAnswer(name: OperationName, answer: unknown): Record<string, unknown> {
  return (mark(answer, [outputSchema(name)], "workspace") ?? {}) as Record<string, unknown>
}

/** An error's details: they have no schema, so that only what cannot be a sentence stays as it is. */
export function markDetails(details: Readonly<Record<string, unknown>>): unknown {
  return mark(details, [], "hub")
}

const TOKEN = /^[\w.:/@+*?{},[\]-]{1,120}$/

/** Fields that hold one word or path each, and that some rows leave free: marked only where there is room for a sentence. */
const OWN_WORDS = new Set(["status", "session", "to", "groups", "glob", "globs", "path"])
const WORD: Schema = { pattern: TOKEN.source, items: { pattern: TOKEN.source } }

function mark(value: unknown, given: readonly Schema[], from: string): unknown {
  const known = given.length > 0
  if (typeof value === "string") {
    if (value === "") return undefined
    return (known ? isFixed(value, flatten(given)) : TOKEN.test(value)) ? value : asData(value, from)
  }
  if (typeof value !== "object" || value === null) return value ?? undefined
  const schemas = flatten(given)
  if (Array.isArray(value)) {
    const items = schemas.flatMap(({ items }) => (items === undefined ? [] : [items]))
    const marked = value.map((item) => mark(item, items, from)).filter((item) => item !== undefined)
    return marked.length === 0 ? undefined : marked
  }
  const record = value as Record<string, unknown>
  if (Object.keys(record).length === 0) return undefined
  const shapes = schemas.flatMap(({ properties }) => (properties === undefined ? [] : [properties]))
  // Its very keys are the writer's own: a payload, or settings by name.
  if (known && shapes.length === 0 && !isTally(record)) return asData(JSON.stringify(record, cleaned), writerOf(record, from))
  const writer = writerOf(record, from)
  const marked: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(record)) {
    const fields = shapes.flatMap((shape) => (shape[key] === undefined ? [] : [shape[key]]))
    const item = mark(inner, OWN_WORDS.has(key) ? [...fields, WORD] : known && fields.length === 0 ? [{}] : fields, writer)
    if (item !== undefined) marked[key] = item
  }
  return Object.keys(marked).length === 0 ? undefined : marked
}

/** Before it is written as JSON: that would hide a control in an escape. */
function cleaned(_key: string, value: unknown): unknown {
  return typeof value === "string" ? clean(value) : value
}

/** Numbers by the hub's own words, such as tasks by status. */
function isTally(record: Record<string, unknown>): boolean {
  return Object.entries(record).every(([key, value]) => typeof value === "number" && /^[A-Za-z_]{1,32}$/.test(key))
}

function writerOf(record: Record<string, unknown>, from: string): string {
  const named = record["sender"] ?? record["from"]
  return typeof named === "string" ? named : from
}

function flatten(schemas: readonly Schema[]): Schema[] {
  return schemas.flatMap((schema) => (schema.anyOf === undefined ? [schema] : flatten(schema.anyOf)))
}

/** Whether the schema leaves the text no freedom: a word of a list, or of a fixed form. */
function isFixed(text: string, schemas: readonly Schema[]): boolean {
  return schemas.some((schema) => {
    if (schema.const !== undefined) return schema.const === text
    if (schema.enum !== undefined) return schema.enum.includes(text)
    if (schema.description?.startsWith("glob ") === true) return TOKEN.test(text)
    return schema.pattern !== undefined && new RegExp(schema.pattern, "u").test(text)
  })
}
