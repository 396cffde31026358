import type { Tool } from "@modelcontextprotocol/server"
import * as z from "zod"
import { SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { operations } from "../contract/operations.ts"
import { CORE, MORE_TOOLS, TOOLS } from "../contract/tools.ts"
import type { Role } from "../core/entry.ts"

/** The tools as models see them, derived from the contract: names and tiers from `tools.ts`, everything else from the rows. */

export type JsonSchema = {
  type?: string | string[]
  description?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  anyOf?: JsonSchema[]
  items?: JsonSchema
  default?: unknown
  [more: string]: unknown
}
export type ObjectSchema = JsonSchema & { type: "object"; properties: Record<string, JsonSchema> }

export type ToolRow = {
  tool: string
  /** What it may mean: the first of which all needed fields are given is meant. */
  operations: readonly OperationName[]
  text: string
  inputSchema: ObjectSchema
  core: boolean
  least: Role
  /** Never an effect on the workspace. */
  readOnly: boolean
}

/** Words that a model needs no schema for. */
const DROPPED = new Set(["$schema", "additionalProperties", "pattern", "propertyNames", "format", "minLength", "maxLength", "maxItems", "minItems"])
const FAR = 1e12

/** Short enough to be read at every start; the hub checks every call against the whole of it anyway. */
function slim(schema: JsonSchema): JsonSchema {
  const { anyOf, type } = schema
  const given = anyOf?.filter((inner) => inner.type !== "null")
  // Null means the same as leaving it out.
  if (given?.length === 1) return slim({ ...schema, anyOf: undefined, ...given[0] } as JsonSchema)
  const kept: JsonSchema = {}
  for (const [key, value] of Object.entries(schema)) {
    if (value === undefined || DROPPED.has(key)) continue
    if (key === "default" && (value === null || value === "" || (typeof value === "object" && value !== null))) continue
    if ((key === "minimum" || key === "maximum") && Math.abs(value as number) > FAR) continue
    if (key === "properties") kept.properties = mapValues(value as Record<string, JsonSchema>, slim)
    else if (key === "items") kept.items = slim(value as JsonSchema)
    else if (key === "anyOf") kept.anyOf = given?.map(slim) ?? []
    else if (key === "type") kept.type = Array.isArray(type) ? (type.find((one) => one !== "null") ?? "string") : (value as string)
    else if (key === "description") {
      const said = worthSaying(value as string)
      if (said !== null) kept.description = said
    } else kept[key] = value
  }
  return kept
}

/** Only what says more than the name of the field does. */
function worthSaying(description: string): string | null {
  return /^(?:text of|one line of|name$|id of)/.test(description) ? null : description
}

function mapValues<In, Out>(record: Record<string, In>, map: (value: In) => Out): Record<string, Out> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))
}

function inputSchema(name: OperationName): ObjectSchema {
  const schema = slim(z.toJSONSchema(operations[name].input, { io: "input", unrepresentable: "any" }) as JsonSchema)
  return { ...schema, type: "object", properties: schema.properties ?? {} }
}

function rowOf(tool: string, names: readonly OperationName[]): ToolRow {
  const core = CORE.find((row) => row.tool === tool)
  const schemas = names.map(inputSchema)
  const without = new Set(core?.without)
  const properties = Object.fromEntries(schemas.flatMap((schema) => Object.entries(schema.properties)).filter(([field]) => !without.has(field)))
  const required = Object.keys(properties).filter((field) => schemas.every((schema) => schema.required?.includes(field) === true))
  const [first] = names as [OperationName]
  return {
    tool,
    operations: names,
    text: core?.text ?? `${operations[first].summary} ${operations[first].text}`,
    inputSchema: { type: "object", properties, ...(required.length === 0 ? {} : { required }) },
    core: core !== undefined,
    least: operations[first].least,
    readOnly: names.every((name) => KINDS[name] === "read"),
  }
}

function derive(): ReadonlyMap<string, ToolRow> {
  const named = new Map<string, OperationName[]>()
  for (const [name, tool] of Object.entries(TOOLS) as [OperationName, string | null][]) if (tool !== null) named.set(tool, [...(named.get(tool) ?? []), name])
  const order = [...CORE.map(({ tool }) => tool), ...[...named.keys()].sort()]
  return new Map([...new Set(order)].map((tool) => [tool, rowOf(tool, named.get(tool) ?? [])]))
}

let derived: ReadonlyMap<string, ToolRow> | null = null
/** Every tool but `more_tools`, the core tier first. Made at the first use. */
export function toolRows(): ReadonlyMap<string, ToolRow> {
  return (derived ??= derive())
}

/** Claude puts off every tool that does not ask for this. */
const ALWAYS = { "anthropic/alwaysLoad": true } as const

/** What `tools/list` answers: the core tier, and the way to all others. */
export function coreTools(): Tool[] {
  const core = [...toolRows().values()].filter((row) => row.core)
  return [
    ...core.map(({ tool, text, inputSchema: schema }) => ({ name: tool, description: text, inputSchema: schema as Tool["inputSchema"], _meta: ALWAYS })),
    {
      name: MORE_TOOLS.tool,
      description: MORE_TOOLS.text,
      inputSchema: { type: "object", properties: { tool: { type: "string" }, arguments: { type: "object" } } },
      _meta: ALWAYS,
    },
  ]
}

/** Which operation a call of a tool means, with what it is given; fields that belong to another of the tool's operations are left out. */
export function operationMeant({ tool, operations: names }: ToolRow, given: Record<string, unknown>): { name: OperationName; input: Record<string, unknown> } {
  const needs = (name: OperationName): string[] => inputSchemaOf(name).required ?? []
  const name = names.find((candidate) => needs(candidate).every((field) => given[field] !== undefined && given[field] !== null)) ?? names[0]
  if (name === undefined) throw new SkeinError("unknown_operation", `there is no tool ${tool}`, "more_tools lists the tools.")
  const own = inputSchemaOf(name).properties
  const elsewhere = (field: string): boolean => !Object.hasOwn(own, field) && names.some((other) => Object.hasOwn(inputSchemaOf(other).properties, field))
  return { name, input: Object.fromEntries(Object.entries(given).filter(([field]) => !elsewhere(field))) }
}

const inputs = new Map<OperationName, ObjectSchema>()
function inputSchemaOf(name: OperationName): ObjectSchema {
  const known = inputs.get(name) ?? inputSchema(name)
  inputs.set(name, known)
  return known
}
