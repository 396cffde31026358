import { hash } from "node:crypto"
import type { OperationName } from "../contract/names.ts"
import { CONTEXT_ATTRIBUTES, ENTITY_ATTRIBUTES, type EntityType } from "../contract/policy-attributes.ts"
import { rolesOf, subjectOf } from "../contract/policy-schema.ts"
import type { Agent } from "../core/agent.ts"
import { limitOf } from "../core/budget.ts"
import { expectedCost } from "../core/claim-gate.ts"
import type { Role } from "../core/entry.ts"
import type { TaskId } from "../core/ids.ts"
import { DEFAULT_SPEC, type Task, type TaskSpec } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Reading, Reads } from "./policy-reads.ts"

export type Value = string | number | boolean | readonly string[]
/** A principal or resource: all that a policy may read of it, made where it is read. */
export type Thing = { type: EntityType; id: string; parent: string | null; attribute(name: string): Value; tags(): Readonly<Record<string, number>> }

/** One question to a policy. */
export type Request = { action: OperationName; role: Role; principal: Thing; resource: Thing; context(name: string): Value }

const AMOUNT = "amountMicroUsd" satisfies keyof typeof CONTEXT_ATTRIBUTES
/** Characters of a key; of one that is longer only the hash is kept. */
const KEY_MAX = 256
const NO_TAGS = {}
const NO_AGENT = { kind: "", model: null, account: null, capabilities: {}, maxActive: 0, costPerHourMicroUsd: 0 }

type Getters<Type extends EntityType, Rec> = { [Name in keyof (typeof ENTITY_ATTRIBUTES)[Type]]: (record: Rec, state: Workspace, id: string) => Value }

const AGENT: Getters<"Agent", { agent: Omit<Agent, "name" | "role"> | typeof NO_AGENT; role: string }> = {
  name: (_, __, id) => id,
  role: ({ role }) => role,
  kind: ({ agent }) => agent.kind,
  model: ({ agent }) => agent.model ?? "",
  account: ({ agent }) => agent.account ?? "",
  skills: ({ agent }) => Object.keys(agent.capabilities).sort(),
  maxActive: ({ agent }) => agent.maxActive,
  active: (_, state, id) => state.board.activeOf(id),
  costPerHourMicroUsd: ({ agent }) => agent.costPerHourMicroUsd,
}

type TaskRecord = { task: Task | null; spec: Omit<TaskSpec, "title"> }
const TASK: Getters<"Task", TaskRecord> = {
  name: (_, __, id) => id,
  plan: ({ task }) => task?.plan ?? "",
  priority: ({ spec }) => spec.priority,
  status: ({ task }) => task?.status ?? "",
  owner: ({ task }) => task?.owner ?? "",
  prefers: ({ spec }) => spec.prefers ?? "",
  model: ({ spec }) => spec.model ?? "",
  account: ({ spec }) => spec.account ?? "",
  labels: ({ spec }) => spec.labels,
  requires: ({ spec }) => Object.keys(spec.requires).sort(),
  touches: ({ spec }) => spec.touches,
  filler: ({ spec }) => spec.filler,
  review: ({ spec }) => spec.review,
  attempts: ({ task }) => task?.attempts ?? 0,
  estimateMs: ({ spec }) => spec.estimateMs ?? 0,
  budgetMicroUsd: ({ spec }) => spec.budgetMicroUsd ?? 0,
  costMicroUsd: ({ task }) => task?.usage.costMicroUsd ?? 0,
}

const PLAN: Getters<"Plan", null> = {
  name: (_, __, id) => id,
  budgetMicroUsd: (_, state, id) => state.plans.get(id)?.budgetMicroUsd ?? 0,
  tasks: (_, state, id) => state.plans.get(id)?.taskCount ?? 0,
}

const THREAD: Getters<"Thread", null> = {
  name: (_, __, id) => id,
  type: (_, state, id) => state.threads.get(id)?.type ?? "",
  status: (_, state, id) => state.threads.get(id)?.status ?? "",
  task: (_, state, id) => state.threads.get(id)?.task ?? "",
  messages: (_, state, id) => state.threads.get(id)?.head ?? 0,
}

const BUDGET: Getters<"Budget", null> = {
  name: (_, __, id) => id,
  kind: (_, __, id) => id.split("/", 1)[0] as string,
  limitMicroUsd: (_, state, id) => {
    const budget = state.budgets.get(id)
    return budget === undefined ? 0 : (limitOf(state, budget) ?? 0)
  },
}

const WORKSPACE: Getters<"Workspace", null> = { name: (_, __, id) => id }

/** An agent, or whoever acts under a name that no agent has: the operator. */
export function agentThing(state: Workspace, name: string, role?: Role): Thing {
  const agent = state.agents.get(name) ?? NO_AGENT
  const record = { agent, role: role ?? state.agents.get(name)?.role ?? "" }
  return thing("Agent", name, null, AGENT, record, state, () => agent.capabilities)
}

/** A task as it is, or as it would be added. */
function taskThing(state: Workspace, id: string, added: Partial<TaskSpec> = {}): Thing {
  const task = state.tasks.get(id) ?? null
  const spec = state.specs.get(id) ?? { ...DEFAULT_SPEC, ...added }
  return thing("Task", id, task?.plan ?? null, TASK, { task, spec }, state, () => spec.requires)
}

/** What is there under a type and a name; of what is not there (yet), nothing but the name is known. */
export function thingOf(state: Workspace, type: EntityType, id: string): Thing {
  if (type === "Agent") return agentThing(state, id)
  if (type === "Task") return taskThing(state, id)
  const getters = type === "Plan" ? PLAN : type === "Thread" ? THREAD : type === "Budget" ? BUDGET : WORKSPACE
  return thing(type, id, null, getters, null, state, () => NO_TAGS)
}

function thing<Rec>(
  type: EntityType,
  id: string,
  parent: string | null,
  getters: Readonly<Record<string, (record: Rec, state: Workspace, id: string) => Value>>,
  record: Rec,
  state: Workspace,
  tags: Thing["tags"],
): Thing {
  return { type, id, parent, attribute: (name) => (getters[name] as (typeof getters)[string])(record, state, id), tags }
}

/** The question that a call is; null where no policy decides it. */
export function requestOf(state: Workspace, action: OperationName, actor: { agent: string; role: Role }, input: unknown, nowMs: number): Request | null {
  const subject = subjectOf(action)
  if (subject === null) return null
  const given = (input ?? {}) as Readonly<Record<string, unknown>>
  const named = subject.field === null ? null : String(given[subject.field])
  const resource =
    named === null
      ? thingOf(state, "Workspace", state.meta.get("workspace")?.name ?? "")
      : action === "task.add"
        ? taskThing(state, named, given)
        : thingOf(state, subject.type, nameOf(state, subject.field as string, named))
  const amount = (): number => amountOf(state, action, actor.agent, given)
  return { action, role: actor.role, principal: agentThing(state, actor.agent, actor.role), resource, context: contextAt(nowMs, amount) }
}

/** Whom a session or a job belongs to; all else is named as it is. */
function nameOf(state: Workspace, field: string, named: string): string {
  if (field === "session") return state.sessions.get(named)?.agent ?? ""
  if (field === "job") return state.triggers.get(named)?.target ?? ""
  return named
}

/** What is set, added, refunded or reported as spent, also with the end of an attempt, or what a claim is expected to cost, in micro-USD. */
export function amountOf(state: Workspace, action: OperationName, agent: string, given: Readonly<Record<string, unknown>>): number {
  for (const field of ["amountMicroUsd", "costMicroUsd", "limitMicroUsd", "budgetMicroUsd"]) if (typeof given[field] === "number") return given[field]
  const { usage } = given as { usage?: { costMicroUsd?: number } }
  if (usage?.costMicroUsd !== undefined) return usage.costMicroUsd
  if (action !== "task.claim") return 0
  const spec = state.specs.get(String(given["task"]))
  return spec === undefined ? 0 : (expectedCost(state.agents.get(agent) ?? NO_AGENT, spec) ?? spec.budgetMicroUsd ?? 0)
}

export function contextAt(nowMs: number, amount: () => number): Request["context"] {
  return (name) => {
    switch (name as keyof typeof CONTEXT_ATTRIBUTES) {
      case "hourUtc":
        return new Date(nowMs).getUTCHours()
      case "weekdayUtc":
        return new Date(nowMs).getUTCDay() || 7
      case "amountMicroUsd":
        return amount()
    }
  }
}

/** The questions that a claim of the next task asks, one for each task that it looks at: whether its caller may claim that very task. */
export function claimsOf(state: Workspace, { agent, role }: { agent: string; role: Role }, nowMs: number): (task: TaskId) => Request {
  const principal = agentThing(state, agent, role)
  return (task) => {
    const context = contextAt(nowMs, () => amountOf(state, "task.claim", agent, { task }))
    return { action: "task.claim", role, principal, resource: taskThing(state, task), context }
  }
}

export type CedarEntityJson = {
  uid: { type: string; id: string }
  attrs: Record<string, Value>
  parents: { type: string; id: string }[]
  tags?: Readonly<Record<string, number>>
}
/** What a policy set is given of a request: only what it reads, so that two requests that look the same to it are the same text. */
export type Seen = { principal: CedarEntityJson; resource: CedarEntityJson; context: Record<string, Value> }

/**
 * Two texts that are the same for two questions only where a policy set sees the same of both: of who asks and when, and of what it asks. Written out, since they are
 * made for each decision, and what Cedar takes only for one that nobody asked before. Together they MUST hold all that `seenBy` gives.
 */
export function keysOf(request: Request, reads: Reads): [by: string, of: string] {
  return [byKey(request, reads), ofKey(request.resource, reads) + amountKey(request, reads)]
}

/** Of a claim of the next task: the same for each task. */
export function byKey({ action, role, principal, context }: Request, reads: Reads): string {
  let key = `${action} ${role}${thingKey(principal, reads.principal)}`
  for (const name of reads.context.attributes ?? Object.keys(CONTEXT_ATTRIBUTES))
    if (name !== AMOUNT && Object.hasOwn(CONTEXT_ATTRIBUTES, name)) key += textOf(context(name))
  return short(key)
}

/** Follows from the resource alone. */
export function ofKey(resource: Thing, reads: Reads): string {
  const key = thingKey(resource, reads.resource)
  if (!isNamed(resource, reads.resource) && !reads.resource.plan) return short(key)
  return short(key + (resource.type === "Agent" ? textOf(resource.attribute("role")) : textOf(resource.parent ?? "")))
}

/** Follows from both. */
export function amountKey({ context }: Request, reads: Reads): string {
  return readsAmount(reads) ? textOf(context(AMOUNT)) : ""
}

export function readsAmount({ context: { attributes } }: Reads): boolean {
  return attributes === null || attributes.has(AMOUNT)
}

/** A task may name files of many thousand characters, and a hundred thousand keys are kept. As UTF-8 all halves of characters are the same, as they are to a policy. */
function short(key: string): string {
  return key.length <= KEY_MAX ? key : `#${hash("sha256", key, "base64")}`
}

/** Whether its name is read. What is asked for a plan may be that plan; a task can only be in it. */
function isNamed({ type }: Thing, { uid, plan }: Reading): boolean {
  return uid || (plan && type !== "Task")
}

function thingKey(thing: Thing, reading: Reading): string {
  const { attributes, tags } = reading
  const known = ENTITY_ATTRIBUTES[thing.type]
  let key = isNamed(thing, reading) ? textOf(thing.id) : ""
  for (const name of attributes ?? Object.keys(known)) if (Object.hasOwn(known, name)) key += textOf(thing.attribute(name))
  return tags ? key + JSON.stringify(thing.tags()) : key
}

/** Texts carry their length, and lists their number: no text can look like another's end. */
function textOf(value: Value): string {
  if (typeof value === "string") return `"${value.length}:${value}`
  if (typeof value === "number" || typeof value === "boolean") return `,${value}`
  let key = `[${value.length}`
  for (const item of value) key += textOf(item)
  return key
}

export function seenBy({ principal, resource, context, role }: Omit<Request, "action">, reads: Reads): Seen {
  return {
    principal: entityOf(principal, reads.principal, "·", inRole(role)),
    resource: entityOf(resource, reads.resource, "··", isNamed(resource, reads.resource) || reads.resource.plan ? parentsOf(resource) : []),
    context: attributesOf(context, reads.context.attributes ?? Object.keys(CONTEXT_ATTRIBUTES), CONTEXT_ATTRIBUTES),
  }
}

function inRole(role: Role): CedarEntityJson["parents"] {
  return rolesOf(role).map((id) => ({ type: "Role", id }))
}

function parentsOf({ type, parent, attribute }: Thing): CedarEntityJson["parents"] {
  if (type === "Agent") return inRole(attribute("role") as Role)
  return parent === null ? [] : [{ type: "Plan", id: parent.toWellFormed() }]
}

/** `any`: the name of whatever the policy set does not ask the name of. */
function entityOf(thing: Thing, reading: Reading, any: string, parents: CedarEntityJson["parents"]): CedarEntityJson {
  const { type, id, attribute, tags } = thing
  const { attributes, tags: tagged } = reading
  const known = ENTITY_ATTRIBUTES[type]
  const attrs = attributesOf(attribute, attributes ?? Object.keys(known), known)
  return { uid: { type, id: isNamed(thing, reading) ? id.toWellFormed() : any }, attrs, parents, ...(tagged ? { tags: wholeKeys(tags()) } : {}) }
}

function attributesOf(get: (name: string) => Value, names: Iterable<string>, known: object): Record<string, Value> {
  const found: Record<string, Value> = {}
  for (const name of names) if (Object.hasOwn(known, name)) found[name] = whole(get(name))
  return found
}

/** Cedar throws at half of a character, which older ledgers have in labels, files and the like, and a case that is tried may give: it reads U+FFFD instead. */
function whole(value: Value): Value {
  if (typeof value === "string") return value.toWellFormed()
  return typeof value === "object" ? value.map((item) => item.toWellFormed()) : value
}

function wholeKeys(levels: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(levels).map(([key, level]) => [key.toWellFormed(), level]))
}
