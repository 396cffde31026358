import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import { operations, type Parsed } from "../contract/operations.ts"
import { type AttributeType, CONTEXT_ATTRIBUTES, ENTITY_ATTRIBUTES, type EntityType } from "../contract/policy-attributes.ts"
import { GOVERNED, subjectOf } from "../contract/policy-schema.ts"
import { permits } from "../core/role.ts"
import type { Workspace } from "../core/workspace.ts"
import { decided } from "./policy.ts"
import type { Asked } from "./policy-history.ts"
import { type Judged, judgedAs } from "./policy-log.ts"
import { agentThing, amountOf, contextAt, type Request, requestOf, type Thing, thingOf, type Value } from "./policy-request.ts"
import type { PolicySet } from "./policy-set.ts"

type Case = Parsed<"policy.test">["cases"][number]
type Given = Readonly<Record<string, unknown>>
type Outcome = Pick<Judged, "decision" | "by" | "rule" | "fault"> & { expect: "allow" | "deny" | null; ok: boolean }

/** Decides one case as it would be decided now: by the caller's role, then by the policy. Throws `SkeinError` `invalid` where the case makes no sense. */
export function judgeCase(state: Workspace, set: PolicySet, { principal, action, resource, context, expect }: Case, nowMs: number, at: number): Outcome {
  const place = `case ${at + 1}`
  const name = GOVERNED.find((each) => each === action)
  if (name === undefined) throw wrong(place, `no policy decides ${action}`, "Name an operation: skein policy show --schema lists them.")
  const isNamed = typeof principal === "string"
  const role = isNamed ? (state.agents.get(principal)?.role ?? (principal === "operator" ? "operator" : null)) : principal.role
  if (role === null)
    throw wrong(
      place,
      `there is no agent ${isNamed ? principal : "of that name"}`,
      "`skein agent list` lists them; or give attributes: { role: worker, kind: claude }.",
    )
  const who = isNamed ? agentThing(state, principal, role) : given("Agent", principal, place)
  const what = resourceOf(state, name, resource, place)
  check(context, CONTEXT_ATTRIBUTES, `${place}, context`)
  // Of an agent and a task that are there a claim costs in a trial what it costs in earnest.
  const now = contextAt(nowMs, () => (isNamed && typeof resource === "string" ? amountOf(state, name, principal, { task: what.id }) : 0))
  const request: Request = {
    action: name,
    role,
    principal: who,
    resource: what,
    context: (attribute) => (context[attribute] as Value | undefined) ?? now(attribute),
  }
  const { decision, by, rule, fault } = judge(state, set, request, nowMs)
  return { decision, by, rule, fault, expect, ok: expect === null || expect === decision }
}

/** Decides what an entry tells of as if it were asked for now. */
export function judgeAsked(state: Workspace, set: PolicySet, { seq, atMs, actor, action, input }: Asked): Judged | null {
  const request = requestOf(state, action, actor, input, atMs)
  return request === null ? null : { ...judge(state, set, request, atMs), seq }
}

function judge(state: Workspace, set: PolicySet, request: Request, nowMs: number): Judged {
  const { action, role } = request
  const judged = judgedAs(request, decided(set, request), state.seq, nowMs)
  // Whatever the policy says: it takes away, and gives nothing that the role does not have.
  if (permits(operations[action].least, role)) return judged
  return { ...judged, decision: "deny", by: "role", rule: null, fault: null }
}

function resourceOf(state: Workspace, action: OperationName, resource: Case["resource"], place: string): Thing {
  const wanted = subjectOf(action)?.type ?? "Workspace"
  const words = typeof resource === "string" ? resource : resource.type
  const [type = "", ...rest] = typeof resource === "string" ? resource.split("/") : [resource.type]
  const found = (Object.keys(ENTITY_ATTRIBUTES) as EntityType[]).find((each) => each.toLowerCase() === type.toLowerCase())
  if (found !== wanted) throw wrong(place, `${action} acts on a ${wanted}, not on ${words}`, `Write ${wanted.toLowerCase()}/NAME, or { type: ${wanted}, … }.`)
  if (typeof resource !== "string") return given(found, resource, place)
  return thingOf(state, found, found === "Workspace" ? (state.meta.get("workspace")?.name ?? "") : rest.join("/"))
}

/** Somebody or something that is only made up: what is not said of it is empty. */
function given(type: EntityType, { type: _, tags = {}, ...attributes }: Given, place: string): Thing {
  const known: Readonly<Record<string, AttributeType>> = ENTITY_ATTRIBUTES[type]
  check(attributes, known, place)
  if (!areLevels(tags)) throw wrong(place, "tags are levels by skill", "Give { ts: 3 }.")
  const levels = tags as Readonly<Record<string, number>>
  const id = typeof attributes["name"] === "string" ? attributes["name"] : "somebody"
  const parent = type === "Task" && typeof attributes["plan"] === "string" && attributes["plan"] !== "" ? attributes["plan"] : null
  return { type, id, parent, attribute: (name) => (attributes[name] as Value | undefined) ?? emptyOf(known[name] as AttributeType), tags: () => levels }
}

function areLevels(tags: unknown): boolean {
  return typeof tags === "object" && tags !== null && !Array.isArray(tags)
}

function emptyOf(type: AttributeType): Value {
  return { String: "", Long: 0, Boolean: false, Strings: [] }[type]
}

function check(attributes: Given, known: Readonly<Record<string, AttributeType>>, place: string): void {
  for (const [name, value] of Object.entries(attributes)) {
    const type = Object.hasOwn(known, name) ? known[name] : undefined
    if (type === undefined) throw wrong(place, `there is no attribute ${name}`, `There are ${Object.keys(known).join(", ")}.`)
    const is = typeof value === "string" ? "String" : typeof value === "boolean" ? "Boolean" : typeof value === "number" ? "Long" : "Strings"
    if (is !== type || (type === "Strings" && !Array.isArray(value))) throw wrong(place, `${name} is a ${type}`, `Give ${WORDS[type]}.`)
  }
}

const WORDS: Readonly<Record<AttributeType, string>> = { String: "a text", Long: "a whole number", Boolean: "true or false", Strings: "a list of texts" }

function wrong(place: string, message: string, remedy: string): SkeinError {
  return new SkeinError("invalid", `${place}: ${message}`, remedy, { place })
}
