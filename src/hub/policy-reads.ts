import type { Cedar } from "./cedar-library.ts"

/**
 * What a policy set may look at of one of the three: the names of its attributes (null: any), whether who or what it is, whether its tags, and whether the plan that it
 * is, or is in: of thousands of tasks of one plan that is one answer, where their names would make it thousands.
 */
export type Reading = { attributes: Set<string> | null; uid: boolean; tags: boolean; plan: boolean }
/**
 * All that a decision can depend on besides the action, the caller's role and the type of the resource. It MUST never be too little: a decision is kept and
 * given again to whatever looks the same in this.
 */
export type Reads = Record<"principal" | "resource" | "context", Reading>

type Parsed = Extract<ReturnType<Cedar["policyToJson"]>, { type: "success" }>["json"]
type Json = Readonly<Record<string, unknown>>

const everything = (): Reading => ({ attributes: null, uid: true, tags: true, plan: true })

/** What these policies read. An expression of a form that is not known here reads everything. */
export function readsOf(policies: readonly Parsed[]): Reads {
  const nothing = (): Reading => ({ attributes: new Set(), uid: false, tags: false, plan: false })
  const reads: Reads = { principal: nothing(), resource: nothing(), context: nothing() }
  try {
    for (const { principal, resource, conditions } of policies) {
      // The caller's roles, and the type, are known of every request.
      if (!isOfRole(principal as Json) && !isOfAny(principal as Json)) reads.principal.uid = true
      if (isInPlan(resource as Json)) reads.resource.plan = true
      else if (!isOfAny(resource as Json)) reads.resource.uid = true
      for (const { body } of conditions) walk(body, reads)
    }
    return reads
  } catch (error) {
    if (!(error instanceof UnknownForm)) throw error
    return { principal: everything(), resource: everything(), context: everything() }
  }
}

class UnknownForm extends Error {}

function isOfAny(scope: Json): boolean {
  return scope["op"] === "All" || (scope["op"] === "is" && scope["in"] === undefined)
}

function isOfRole({ op, entity }: Json): boolean {
  return op === "in" && (entity as Json | undefined)?.["type"] === "Role"
}

/** `resource in Plan::"p"`, or `resource is Task in Plan::"p"`. */
function isInPlan({ op, entity, in: within }: Json): boolean {
  const of = (op === "in" ? entity : op === "is" ? (within as Json | undefined)?.["entity"] : undefined) as Json | undefined
  return of?.["type"] === "Plan"
}

type Variable = keyof Reads

/** The variable that an expression is, if it is one and nothing more. */
function variableOf(expression: unknown): Variable | null {
  const name = (expression as Json)["Var"]
  return name === "principal" || name === "resource" || name === "context" ? name : null
}

const UNARY = new Set(["!", "neg", "isEmpty"])
const BINARY = new Set(["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "contains", "containsAll", "containsAny", "in"])

function walk(expression: Json, reads: Reads): void {
  const [form, ...more] = Object.keys(expression)
  if (form === undefined || more.length > 0) throw new UnknownForm()
  const of = expression[form]
  const parts = of as Record<string, Json>
  if (form === "Value") return
  if (form === "Var") return bare(of as string, reads)
  if (UNARY.has(form)) return walk(parts["arg"] as Json, reads)
  if (form === "." || form === "has") return attribute(parts["left"] as Json, of as Json, reads)
  if (form === "hasTag" || form === "getTag") {
    const variable = variableOf(parts["left"])
    if (variable === null) throw new UnknownForm()
    reads[variable].tags = true
    return walk(parts["right"] as Json, reads)
  }
  if (form === "in" && variableOf(parts["left"]) === "principal" && typeOf(parts["right"]) === "Role") return
  if (form === "in" && variableOf(parts["left"]) === "resource" && typeOf(parts["right"]) === "Plan") {
    reads.resource.plan = true
    return
  }
  if (BINARY.has(form)) {
    walk(parts["left"] as Json, reads)
    return walk(parts["right"] as Json, reads)
  }
  if (form === "like") return walk(parts["left"] as Json, reads)
  if (form === "is" && parts["in"] === undefined && variableOf(parts["left"]) !== null) return
  if (form === "if-then-else") return ["if", "then", "else"].forEach((part) => walk(parts[part] as Json, reads))
  if (form === "Set") return (of as Json[]).forEach((item) => walk(item, reads))
  // Calls of extensions have their arguments in a list; what is anything else is not known here.
  if (!Array.isArray(of)) throw new UnknownForm()
  for (const argument of of as Json[]) walk(argument, reads)
}

/** Of the entity that an expression names, if it is one and nothing more. */
function typeOf(expression: unknown): string | undefined {
  const value = (expression as { Value?: { __entity?: { type: string } } })["Value"]
  return value?.__entity?.type
}

/** A variable as such: compared, or looked for in a group. */
function bare(name: string, reads: Reads): void {
  if (name === "principal" || name === "resource") reads[name].uid = true
  else if (name === "context") throw new UnknownForm()
}

/** `left.attr`, or `left has attr`, which may name a path. */
function attribute(left: Json, { attr }: Json, reads: Reads): void {
  const names = Array.isArray(attr) ? (attr as string[]) : [attr as string]
  const variable = variableOf(left)
  // No attribute of ours has attributes itself: whatever this is, it is not known here.
  if (variable === null || names.length > 1) throw new UnknownForm()
  for (const name of names) reads[variable].attributes?.add(name)
}
