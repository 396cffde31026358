import { groupsOf, GOVERNED, policySchema } from "../contract/policy-schema.ts"
import type { TaskId } from "../core/ids.ts"
import type { Task, TaskSpec } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Cedar } from "./cedar-library.ts"
import { tooDeep } from "./policy-depth.ts"
import { type Reads, readsOf } from "./policy-reads.ts"
import { amountKey, byKey, type CedarEntityJson, keysOf, ofKey, readsAmount, type Request, seenBy } from "./policy-request.ts"

/** `by`, `verdict`: the last that was answered about it, where it follows from `by` and `of`; whoever looks next is mostly the same, or looks the same. */
type Seen = { task: Task | undefined; spec: TaskSpec | undefined; of: string; by: string | null; verdict: Verdict | null }

/** What is wrong with a text, and where: 1-based, null where Cedar does not say. */
export type PolicyFault = { line: number | null; column: number | null; rule: string | null; message: string; remedy: string }
/** A rule by its `@id`, or `policyN` in the order of the text where it has none. `remedy`: its `@remedy`, for whoever it denies. */
export type Rule = { rule: string; effect: "permit" | "forbid"; line: number; remedy: string | null }
export type Checked = { faults: PolicyFault[]; warnings: PolicyFault[]; rules: Rule[] }

/** `by`: a rule, that no rule permits it, or a fault: a rule failed, or the engine did. */
export type Verdict = { allowed: boolean; by: "rule" | "no_rule" | "fault"; rule: string | null; remedy: string | null; fault: string | null }

type Answer<Name extends "policyToJson" | "validate"> = Extract<ReturnType<Cedar[Name]>, { type: "success" }>
type Detailed = Answer<"validate">["validationErrors"][number]["error"]

const SEE_SCHEMA = "What there is: skein policy show --schema."
/**
 * Decisions that are kept, of each policy set, or two for each task where there are many: a queue of which each task is asked by name must fit beside what else is asked,
 * or every look through it would ask Cedar anew, and a claim in pieces come to no end.
 */
const KEPT_MAX = 131_072

/** The entity of each action with the groups that it is in. */
const ACTIONS = new Map<string, CedarEntityJson>(
  GOVERNED.map((name) => [name, { uid: { type: "Action", id: name }, attrs: {}, parents: groupsOf(name).map((id) => ({ type: "Action", id })) }]),
)

/** Parses a text and validates it against the schema, without keeping anything of it. */
export function checkPolicy(cedar: Cedar, text: string): Checked {
  const deep = tooDeep(text)
  if (deep !== null) return { faults: [{ ...deep, rule: null }], warnings: [], rules: [] }
  const answer = cedar.validate({ schema: policySchema(), policies: { staticPolicies: text } })
  if (answer.type === "failure") return { faults: answer.errors.flatMap((error) => faultsOf(text, error, null)), warnings: [], rules: [] }
  const { rules, faults } = rulesOf(cedar, text)
  const named = (id: string): string | null => rules[Number(id.slice("policy".length))]?.rule ?? null
  const all = (errors: Answer<"validate">["validationErrors"]): PolicyFault[] =>
    errors.flatMap(({ policyId, error }) => faultsOf(text, error, named(policyId), policyId))
  const wrong = all(answer.validationErrors)
  // Of a rule that is wrong Cedar also says that it can never apply.
  const idle = all(answer.validationWarnings).filter(({ rule }) => !wrong.some((fault) => fault.rule === rule))
  const warnings = [...idle, ...answer.otherWarnings.flatMap((error) => faultsOf(text, error, null))]
  if (rules.length === 0)
    faults.push(faultAt(null, "there is no rule in it: it would forbid everything to everybody", "Begin with the shipped one: skein policy show --shipped."))
  else if (rules.every(({ effect }) => effect === "forbid"))
    warnings.push(
      faultAt(null, "no rule permits anything: what no rule permits is denied", "Keep the shipped rules, and add to them: skein policy show --shipped."),
    )
  return { faults: [...wrong, ...faults], warnings, rules }
}

/** One policy set, ready to decide. What looks the same to it is decided once. */
export class PolicySet {
  readonly rules: readonly Rule[]
  readonly #cedar: Cedar
  readonly #id: string
  readonly #reads: Reads
  readonly #readsAmount: boolean
  /** By who asks, then by what is asked. Tasks look the same to all who ask: one text stands for all of them. */
  readonly #kept = new Map<string, Map<string, Verdict>>()
  #size = 0
  /** By rule and what it says: of thousands of tasks that one rule denies there is one. */
  readonly #verdicts = new Map<string, Verdict>()
  /** What a task looks like as long as its records are these: records are never changed in place. */
  readonly #seen = new Map<TaskId, Seen>()
  #evaluated = 0
  #keptMax: number

  /** Keeps the parsed set in Cedar under `id`, in place of what it kept there. Throws `Error` where the text cannot be parsed. */
  constructor(cedar: Cedar, id: string, text: string, keptMax = KEPT_MAX) {
    const deep = tooDeep(text)
    if (deep !== null) throw new Error(deep.message)
    const { rules, parsed } = rulesOf(cedar, text)
    const answer = cedar.preparsePolicySet(id, { staticPolicies: text })
    if (answer.type === "failure") throw new Error(answer.errors[0]?.message ?? "it cannot be parsed")
    this.#cedar = cedar
    this.#id = id
    this.#keptMax = keptMax
    this.rules = rules
    this.#reads = readsOf(parsed)
    this.#readsAmount = readsAmount(this.#reads)
  }

  /** How many different questions are answered already. */
  get kept(): number {
    return this.#size
  }

  /** How often Cedar was asked, which takes 0.1 to 0.2 ms, and its answer was kept. */
  get evaluated(): number {
    return this.#evaluated
  }

  /** Whether the policies allow it. Whatever goes wrong denies; that the engine failed is not kept. */
  decide(request: Request): Verdict {
    const [by, of] = keysOf(request, this.#reads)
    return this.#kept.get(by)?.get(of) ?? this.#ask(request, by, of)
  }

  /**
   * As `decide`, for the questions of one caller's claim of the next task, which MUST end before the state moves on. A task that this set has seen before, whoever asked,
   * is not written out again: a claim that is put off looks anew at all that it was denied. `beforeAsked` is called, and may throw, where Cedar has to be asked.
   */
  claims(
    { tasks, specs }: Pick<Workspace, "tasks" | "specs">,
    asked: (task: TaskId) => Request,
    beforeAsked: () => void = () => undefined,
  ): (task: TaskId) => Verdict {
    let by: string | null = null
    this.#keptMax = Math.max(this.#keptMax, 2 * tasks.size)
    return (id) => {
      const task = tasks.get(id)
      const spec = specs.get(id)
      let seen = this.#seen.get(id)
      if (seen === undefined || seen.task !== task || seen.spec !== spec)
        seen = this.#see(id, { task, spec, of: ofKey(asked(id).resource, this.#reads), by: null, verdict: null })
      by ??= byKey(asked(id), this.#reads)
      if (seen.verdict !== null && seen.by === by) return seen.verdict
      const of = this.#readsAmount ? seen.of + amountKey(asked(id), this.#reads) : seen.of
      let verdict = this.#kept.get(by)?.get(of)
      if (verdict === undefined) {
        beforeAsked()
        const evaluated = this.#evaluated
        verdict = this.#ask(asked(id), by, of)
        if (evaluated === this.#evaluated) return verdict
      }
      if (!this.#readsAmount) {
        seen.by = by
        seen.verdict = verdict
      }
      return verdict
    }
  }

  #see(id: TaskId, seen: Seen): Seen {
    if (this.#seen.size >= this.#keptMax) this.#seen.clear()
    this.#seen.set(id, seen)
    return seen
  }

  #ask(request: Request, by: string, of: string): Verdict {
    const { action } = request
    const { principal, resource, context } = seenBy(request, this.#reads)
    const isSame = principal.uid.id === resource.uid.id && principal.uid.type === resource.uid.type
    // An agent that acts on itself is one entity, with what is read of it in either place.
    const entities = isSame ? [{ ...resource, ...principal, attrs: { ...resource.attrs, ...principal.attrs } }] : [principal, resource]
    const answer = this.#cedar.statefulIsAuthorized({
      principal: principal.uid,
      action: { type: "Action", id: action },
      resource: resource.uid,
      context: context as never,
      validateRequest: false,
      preparsedPolicySetId: this.#id,
      entities: [...entities, ACTIONS.get(action)] as never,
    })
    if (answer.type === "failure") return failed(answer.errors[0]?.message ?? "Cedar does not say why", null)
    const { decision, diagnostics } = answer.response
    const [error] = diagnostics.errors
    // Cedar passes over a rule that fails, also one that forbids: that would permit what was to be forbidden.
    if (error !== undefined) return this.#keep(by, of, failed(error.error.message, this.#ruleOf(error.policyId)?.rule ?? null))
    const places = diagnostics.reason.map((id) => Number(id.slice("policy".length)))
    const rule = places.length === 0 ? null : (this.rules[Math.min(...places)] ?? null)
    const allowed = decision === "allow"
    return this.#keep(by, of, { allowed, by: rule === null ? "no_rule" : "rule", rule: rule?.rule ?? null, remedy: rule?.remedy ?? null, fault: null })
  }

  #keep(by: string, of: string, verdict: Verdict): Verdict {
    this.#evaluated += 1
    if (this.#size >= this.#keptMax) {
      this.#kept.clear()
      this.#verdicts.clear()
      this.#size = 0
    }
    const name = `${verdict.allowed} ${verdict.by} ${verdict.rule} ${verdict.fault} ${verdict.remedy}`
    const same = this.#verdicts.get(name) ?? verdict
    if (same === verdict) this.#verdicts.set(name, verdict)
    const kept = this.#kept.get(by)
    if (kept === undefined) this.#kept.set(by, new Map([[of, same]]))
    else kept.set(of, same)
    this.#size += 1
    return same
  }

  #ruleOf(id: string): Rule | undefined {
    return this.rules[Number(id.slice("policy".length))]
  }
}

export function failed(fault: string, rule: string | null): Verdict {
  return { allowed: false, by: "fault", rule, remedy: null, fault }
}

type Parsed = Answer<"policyToJson">["json"]

/** The rules in the order of the text. Cedar names them `policy0`, `policy1` and so on, and hands them out in the order of these names. */
function rulesOf(cedar: Cedar, text: string): { rules: Rule[]; parsed: Parsed[]; faults: PolicyFault[] } {
  const parts = cedar.policySetTextToParts(text)
  if (parts.type === "failure") throw new Error(parts.errors[0]?.message ?? "it cannot be parsed")
  const order = parts.policies.map((_, at) => `policy${at}`).sort()
  const inOrder = parts.policies.map((part, at) => ({ part, place: Number((order[at] as string).slice("policy".length)) })).sort((a, b) => a.place - b.place)
  const rules: Rule[] = []
  const parsed: Parsed[] = []
  const faults: PolicyFault[] = []
  let from = 0
  for (const { part, place } of inOrder) {
    const answer = cedar.policyToJson(part)
    if (answer.type === "failure") throw new Error(answer.errors[0]?.message ?? "it cannot be parsed")
    const { effect, annotations = {} } = answer.json
    const start = text.indexOf(part, from)
    from = Math.max(from, start + part.length)
    const line = text.slice(0, Math.max(0, start)).split("\n").length
    const rule = annotations["id"] ?? `policy${place}`
    if (rules.some((other) => other.rule === rule))
      faults.push({ line, column: 1, rule, message: `a second rule is called ${rule}`, remedy: "Give each rule an @id of its own." })
    rules.push({ rule, effect, line, remedy: annotations["remedy"] ?? null })
    parsed.push(answer.json)
  }
  return { rules, parsed, faults }
}

/** A fault as Cedar tells it, and those that it tells along with it. */
function faultsOf(text: string, { message, help, sourceLocations, related = [] }: Detailed, rule: string | null, policyId = ""): PolicyFault[] {
  const [location] = sourceLocations ?? []
  const label = location?.label ?? null
  const says = policyId === "" ? message : message.replace(`for policy \`${policyId}\`: `, "").replace(`for policy \`${policyId}\`, `, "")
  const helps = policyId === "" ? help : (help?.replace(`for policy \`${policyId}\`, `, "") ?? null)
  const whole = label === null || says.includes(label) ? says : `${says}: ${label}`
  const own: PolicyFault = { ...placeIn(text, location?.start), rule, message: whole, remedy: helps === null ? SEE_SCHEMA : sentence(helps) }
  return [own, ...related.flatMap((error) => faultsOf(text, error, rule, policyId))]
}

function faultAt(rule: string | null, message: string, remedy: string): PolicyFault {
  return { line: null, column: null, rule, message, remedy }
}

function sentence(words: string): string {
  const first = words.charAt(0).toUpperCase() + words.slice(1)
  return /[.?!]$/.test(first) ? first : `${first}.`
}

/** Cedar counts bytes of UTF-8. */
function placeIn(text: string, byte: number | undefined): { line: number | null; column: number | null } {
  if (byte === undefined) return { line: null, column: null }
  const before = Buffer.from(text).subarray(0, byte).toString().split("\n")
  return { line: before.length, column: [...(before.at(-1) as string)].length + 1 }
}
