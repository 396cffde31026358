import type * as z from "zod"
import type { Role } from "../core/entry.ts"
import { permits, ROLES } from "../core/role.ts"
import { KINDS, type OperationName } from "./names.ts"
import { operations } from "./operations.ts"
import { type AttributeType, CONTEXT_ATTRIBUTES, ENTITY_ATTRIBUTES, type EntityType, TAGGED } from "./policy-attributes.ts"

/** Cedar's schema in its JSON form, as far as it is used here. */
export type CedarType =
  | { type: "String" | "Long" | "Boolean" }
  | { type: "Set"; element: CedarType }
  | { type: "Record"; attributes: Record<string, CedarType> }
type CedarEntity = { enum: string[] } | { memberOfTypes?: string[]; shape?: CedarType; tags?: CedarType }
type CedarAction = { memberOf?: { id: string }[]; appliesTo?: { principalTypes: string[]; resourceTypes: string[]; context: CedarType } }
export type CedarSchema = Record<string, { entityTypes: Record<string, CedarEntity>; actions: Record<string, CedarAction> }>

/** Fields of an input that name what it acts on, and what that is; the first that an input must have counts. */
const NAMING: readonly [field: string, type: EntityType][] = [
  ["target", "Agent"],
  ["task", "Task"],
  ["thread", "Thread"],
  ["plan", "Plan"],
  ["scope", "Budget"],
  ["agent", "Agent"],
  ["session", "Agent"],
  ["job", "Agent"],
]

/** What an operation acts on, and the field of its input that says which; a whole input where it makes the thing. */
export type Subject = { type: EntityType; field: string | null }

const WHOLE: Subject = { type: "Workspace", field: null }
const governed = (Object.keys(operations) as OperationName[]).filter((name) => !name.startsWith("policy.") && KINDS[name] !== "presence")
const subjects = new Map<string, Subject>(governed.map((name) => [name, subjectFrom(name)]))

/** Every operation that a policy decides: all but those about the policy itself, and signs of life. */
export const GOVERNED: readonly OperationName[] = governed

/** What an operation acts on; null where no policy decides it. */
export function subjectOf(name: string): Subject | null {
  return subjects.get(name) ?? null
}

function subjectFrom(name: OperationName): Subject {
  const shape = operations[name].input.shape as Readonly<Record<string, z.ZodType>>
  const noun = name.slice(0, name.indexOf("."))
  if (name === "task.add") return { type: "Task", field: "id" }
  if (name === "plan.add") return { type: "Plan", field: "name" }
  for (const [field, type] of NAMING) if (isNeeded(shape[field])) return { type, field }
  return noun === "agent" && isNeeded(shape["name"]) ? { type: "Agent", field: "name" } : WHOLE
}

function isNeeded(field: z.ZodType | undefined): boolean {
  return field !== undefined && !field.safeParse(undefined).success && !field.safeParse(null).success
}

/** The groups that an action is in: its noun, its kind, the role that it needs at the least, and its purposes. */
export function groupsOf(name: OperationName): string[] {
  const { least, purposes = [] } = operations[name] as { least: Role; purposes?: readonly string[] }
  return [`${name.slice(0, name.indexOf("."))}.*`, `kind/${KINDS[name]}`, `least/${least}`, ...purposes]
}

/** Every role whose work a role may do: an agent of the role is in all of them. */
export function rolesOf(role: Role): Role[] {
  return ROLES.filter((least) => permits(least, role))
}

/** Cedar's schema, from the table of operations. */
export function policySchema(): CedarSchema {
  const entityTypes: Record<string, CedarEntity> = { Role: { enum: [...ROLES] } }
  for (const [type, attributes] of Object.entries(ENTITY_ATTRIBUTES)) {
    const memberOfTypes = type === "Agent" ? ["Role"] : type === "Task" ? ["Plan"] : []
    entityTypes[type] = { memberOfTypes, shape: record(attributes), ...(TAGGED.has(type) ? { tags: { type: "Long" } } : {}) }
  }
  const actions: Record<string, CedarAction> = {}
  for (const least of ROLES) actions[`least/${least}`] = {}
  for (const name of governed) {
    const groups = groupsOf(name)
    for (const group of groups) actions[group] ??= {}
    const { type } = subjects.get(name) as Subject
    const context = record(CONTEXT_ATTRIBUTES)
    actions[name] = { memberOf: groups.map((id) => ({ id })), appliesTo: { principalTypes: ["Agent"], resourceTypes: [type], context } }
  }
  return { "": { entityTypes, actions } }
}

function record(attributes: Readonly<Record<string, AttributeType>>): CedarType {
  return { type: "Record", attributes: Object.fromEntries(Object.entries(attributes).map(([name, type]) => [name, cedarType(type)])) }
}

function cedarType(type: AttributeType): CedarType {
  return type === "Strings" ? { type: "Set", element: { type: "String" } } : { type }
}
