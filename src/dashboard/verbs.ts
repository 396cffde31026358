import { type Signal, signal } from "@preact/signals"
import type { OperationKind, OperationName } from "../contract/names.ts"
import type { Role } from "../core/entry.ts"
import { permits } from "../core/role.ts"
import type { Deed } from "./act.ts"
import type { Given } from "./palette-call.ts"
import { failureText } from "./failure.ts"

/** One field of a verb's form. `list`: texts, one a line. `json`: whatever is no plain value. */
export type Field = {
  name: string
  kind: "text" | "lines" | "number" | "choice" | "flag" | "list" | "json"
  isRequired: boolean
  about: string
  /** What holds where nothing is given; null: nothing does. */
  otherwise: string | null
  choices: readonly string[]
  min: number | null
  max: number | null
}

/** An operation that changes something, as the hub's own OpenAPI document has it: a new one of the contract appears here by itself. */
export type Verb = { name: Deed; summary: string; text: string; least: Role; fields: readonly Field[] }

/** The verb whose form is open; null: none. */
export const openVerb: Signal<{ verb: Verb; given: Given } | null> = signal(null)

type Schema = {
  type?: string | readonly string[]
  properties?: Record<string, Schema>
  required?: readonly string[]
  anyOf?: readonly Schema[]
  items?: Schema
  enum?: readonly unknown[]
  const?: unknown
  default?: unknown
  description?: string
  minimum?: number
  maximum?: number
  maxLength?: number
}
type Described = {
  operationId: OperationName
  summary: string
  description: string
  "x-skein": { least: Role; kind: OperationKind }
  requestBody?: { content: { "application/json": { schema: Schema } } }
}

/** Texts of which more than a line may be meant. */
const LINE_MAX = 400

let verbs: Promise<readonly Verb[]> | null = null

/** All verbs of the contract, asked of the hub once. Rejects with `Error` where they cannot be had. */
export function allVerbs(): Promise<readonly Verb[]> {
  verbs ??= fetchVerbs().catch((error: unknown) => {
    verbs = null
    throw error
  })
  return verbs
}

/** Those that this role may use. */
export function verbsFor(all: readonly Verb[], role: string): readonly Verb[] {
  return all.filter(({ least }) => permits(least, role as Role))
}

/** One verb, or null where the hub does not have it. */
export async function verbNamed(name: Deed): Promise<Verb | null> {
  return (await allVerbs()).find((one) => one.name === name) ?? null
}

async function fetchVerbs(): Promise<readonly Verb[]> {
  const response = await fetch("/api/openapi.json")
  if (!response.ok) throw new Error(`the hub answered ${response.status} when asked for its operations`)
  const { paths } = (await response.json()) as { paths: Record<string, { post: Described }> }
  return verbsOf(Object.values(paths).map(({ post }) => post))
}

/** The verbs among described operations. */
export function verbsOf(described: readonly Described[]): readonly Verb[] {
  return described.flatMap(({ operationId, summary, description, requestBody, "x-skein": { least, kind } }) => {
    if (kind !== "command" && kind !== "action") return []
    const schema = requestBody?.content["application/json"].schema ?? {}
    return [{ name: operationId as Deed, summary, text: description, least, fields: fieldsOf(schema) }]
  })
}

function fieldsOf(schema: Schema): readonly Field[] {
  const required = new Set(schema.required)
  const fields = Object.entries(schema.properties ?? {}).map(([name, one]) => fieldOf(name, one, required.has(name)))
  return [...fields.filter(({ isRequired }) => isRequired), ...fields.filter(({ isRequired }) => !isRequired)]
}

function fieldOf(name: string, schema: Schema, isRequired: boolean): Field {
  const one = plain(schema)
  return {
    name,
    kind: kindOf(name, one),
    isRequired,
    about: schema.description ?? one.description ?? "",
    otherwise: schema.default === undefined || schema.default === null ? null : JSON.stringify(schema.default),
    choices: (one.enum ?? (one.const === undefined ? [] : [one.const])).map(String),
    min: one.minimum ?? null,
    max: one.maximum ?? null,
  }
}

/** A schema less the null that it allows besides. */
function plain(schema: Schema): Schema {
  const others = schema.anyOf?.filter(({ type }) => type !== "null") ?? []
  const [only] = others
  return others.length === 1 && only !== undefined ? only : schema
}

function kindOf(name: string, { type, enum: choices, items, maxLength, const: constant }: Schema): Field["kind"] {
  if ((choices !== undefined && choices.every((choice) => typeof choice === "string")) || typeof constant === "string") return "choice"
  if (type === "string") return name === "body" || name === "prompt" || name === "reason" || (maxLength ?? 0) > LINE_MAX ? "lines" : "text"
  if (type === "integer" || type === "number") return "number"
  if (type === "boolean") return "flag"
  return type === "array" && items?.type === "string" ? "list" : "json"
}

/** The input that a filled form says; a text that is no JSON where JSON is asked for throws `SyntaxError` naming the field. What is left empty is left out. */
export function inputOf(fields: readonly Field[], filled: Given): Record<string, unknown> {
  const input: Record<string, unknown> = {}
  for (const { name, kind, isRequired } of fields) {
    const text = filled[name] ?? ""
    if (text === "" && !(isRequired && (kind === "text" || kind === "lines"))) continue
    input[name] = valueOf(name, kind, text)
  }
  return input
}

function valueOf(name: string, kind: Field["kind"], text: string): unknown {
  if (kind === "number") return Number(text)
  if (kind === "flag") return text === "true"
  if (kind === "list") return text.split("\n").filter((line) => line !== "")
  if (kind !== "json") return text
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new SyntaxError(`${name} is no JSON: ${failureText(error)}`)
  }
}
