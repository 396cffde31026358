import type { CommandName } from "../core/command.ts"
import type { ClaimNext } from "../core/claim.ts"
import type { Forbids } from "../core/claim-gate.ts"
import { type Actor, HUB } from "../core/entry.ts"
import { EFFORT_MAX } from "../core/glob-automaton.ts"
import { newEffort } from "../core/glob-match.ts"
import type { TaskId } from "../core/ids.ts"
import { policyText, type PolicyText } from "../core/policy-text.ts"
import { refuse, type Refusal } from "../core/refusal.ts"
import { Unfinished } from "../core/unfinished.ts"
import type { Workspace } from "../core/workspace.ts"
import type { OperationName } from "../contract/names.ts"
import { type Cedar, loadCedar } from "./cedar-library.ts"
import type { LoopLog } from "./loop-options.ts"
import { type Judged, judgedAs, PolicyLog } from "./policy-log.ts"
import { claimsOf, type Request, requestOf } from "./policy-request.ts"
import { failed, PolicySet, type Verdict } from "./policy-set.ts"

type PolicyOptions = {
  workspace: string
  /** The replica's own, which moves with each entry. */
  state: Workspace
  log: Pick<LoopLog, "warn" | "error">
  /** The engine; Cedar's WASM by default, loaded when the first decision asks for it. */
  load?: () => Cedar
}

/** What it costs to have one task judged, in the steps of a claim's effort. */
const EVALUATION_STEPS = EFFORT_MAX / 200

/** Cedar keeps parsed sets by name, for the whole process. */
let sets = 0

/**
 * The policy of one workspace, evaluated. Every question is asked of the state that the command is decided against, in the loop's own turn: nothing comes
 * between. Where nobody set a policy the roles alone decide, and this costs one look into an empty table.
 */
export class Policy {
  readonly log = new PolicyLog()
  readonly #o: PolicyOptions
  readonly #id = `live-${(sets += 1)}`
  /** The record that `#set` was made of: a batch that was undone brings back the very record of before. */
  #of: PolicyText | null = null
  #set: PolicySet | string = "no policy was loaded"

  constructor(options: PolicyOptions) {
    this.#o = options
  }

  /** Whether anybody ever set one: while nobody did, there is nothing to ask. */
  get isSet(): boolean {
    return this.#o.state.policyTexts.size > 0
  }

  /** Has the engine loaded, and its code compiled by a first question, where a policy is set that needs it: else the first batch that asks it waits for that, 150 to 200 ms. */
  prepare(): void {
    const set = this.isSet ? this.#current() : null
    const { state } = this.#o
    const request = set === null ? null : requestOf(state, "task.claim", { agent: "", role: "worker" }, { task: "" }, state.atMs)
    if (set !== null && request !== null) decided(set, request)
  }

  /** Why the policy does not allow a call; null where it does. What was decided is added to `judged`. */
  refusal(name: CommandName | OperationName, actor: Actor, input: unknown, nowMs: number, judged: Judged[]): Refusal | null {
    if (!this.isSet || actor === HUB) return null
    const set = this.#current()
    if (set === null) return null
    const { state } = this.#o
    const request = requestOf(state, name as OperationName, actor, input, nowMs)
    if (request === null) return null
    const verdict = decided(set, request)
    judged.push(judgedAs(request, verdict, state.seq, nowMs))
    return verdict.allowed ? null : denied(request, verdict)
  }

  /**
   * A claim of the next task passes over those that the policy keeps from its caller: each is judged as a claim of that very task. Throws `Unfinished` where of many
   * tasks each has to be judged anew.
   */
  guarded(actor: Actor, input: ClaimNext, nowMs: number, judged: Judged[]): ClaimNext {
    if (!this.isSet) return input
    const set = this.#current()
    if (set === null) return input
    const { state } = this.#o
    const { effort = newEffort(input.steps) } = input
    const evaluated = (): number => (typeof set === "string" ? 0 : set.evaluated)
    const asked = claimsOf(state, actor, nowMs)
    const verdictOf = claimsBy(set, state, asked, () => {
      if (effort.left <= 0) throw new Unfinished()
    })
    // There may be thousands of tasks that one rule keeps from the caller: each rule is told of once, and the first refusal stands for all.
    const met = new Set<Verdict>()
    const told = new Set<string>()
    let refusal: Refusal | null = null
    const forbids: Forbids = (task: TaskId) => {
      const before = evaluated()
      const verdict = verdictOf(task)
      effort.left -= (evaluated() - before) * EVALUATION_STEPS
      if (!met.has(verdict)) {
        met.add(verdict)
        const kind = `${verdict.allowed} ${verdict.rule}`
        if (!told.has(kind)) judged.push(judgedAs(asked(task), verdict, state.seq, nowMs))
        told.add(kind)
      }
      return verdict.allowed ? null : (refusal ??= passedOver(asked(task), verdict))
    }
    return { ...input, forbids, effort }
  }

  /** What was decided counts from here on: the batch is durable, or nothing had to be. */
  keep(judged: readonly Judged[]): void {
    for (const one of judged) {
      if (this.log.add(one)) this.#o.log.warn({ workspace: this.#o.workspace, ...one }, "denied by the policy")
    }
  }

  /** The set in force, or why there is none to be asked; null where the shipped policy holds. */
  #current(): PolicySet | string | null {
    const record = policyText(this.#o.state)
    if (record === null || record.text === null) return null
    if (record === this.#of) return this.#set
    this.#of = record
    try {
      this.#set = new PolicySet((this.#o.load ?? loadCedar)(), this.#id, record.text)
    } catch (error) {
      this.#set = `the policy cannot be evaluated: ${error instanceof Error ? error.message : String(error)}`
      this.#o.log.error({ err: error, workspace: this.#o.workspace }, "the policy cannot be evaluated: all that it governs is denied")
    }
    return this.#set
  }
}

/** Whatever fails, denies. */
export function decided(set: PolicySet | string, request: Request): Verdict {
  if (typeof set === "string") return failed(set, null)
  try {
    return set.decide(request)
  } catch (error) {
    return engineFailed(error)
  }
}

/** The verdict on each task that a claim of the next one looks at. Whatever fails, denies. `beforeAsked` may throw `Unfinished`. */
function claimsBy(set: PolicySet | string, state: Workspace, asked: (task: TaskId) => Request, beforeAsked: () => void): (task: TaskId) => Verdict {
  if (typeof set === "string") {
    const verdict = failed(set, null)
    return () => verdict
  }
  const verdictOf = set.claims(state, asked, beforeAsked)
  return (task) => {
    try {
      return verdictOf(task)
    } catch (error) {
      if (error instanceof Unfinished) throw error
      return engineFailed(error)
    }
  }
}

function engineFailed(error: unknown): Verdict {
  return failed(error instanceof Error ? error.message : String(error), null)
}

function denied(request: Request, verdict: Verdict): Refusal {
  const { action, principal, resource } = request
  const on = resource.type === "Workspace" ? "" : ` on ${resource.type.toLowerCase()} ${resource.id}`
  return refuse("policy_denied", `${reasonOf(verdict)}: ${action}${on} by ${principal.id}`, remedyOf(verdict), {
    rule: verdict.rule,
    by: verdict.by,
    action,
    principal: principal.id,
    resource: resource.id,
    ...(verdict.fault === null ? {} : { fault: verdict.fault }),
  })
}

function passedOver({ principal, resource }: Request, verdict: Verdict): Refusal {
  return refuse(
    "nothing_ready",
    `no task that fits is ready for ${principal.id}: of task ${resource.id}, ${reasonOf(verdict)}`,
    `Wait for another with \`wait\`. ${remedyOf(verdict)}`,
    { task: resource.id, rule: verdict.rule, by: verdict.by },
  )
}

function reasonOf({ by, rule, fault }: Verdict): string {
  if (by === "fault") return `the policy failed${rule === null ? "" : ` in rule ${rule}`} (${fault}), and so denies`
  return by === "rule" ? `rule ${rule} of the policy denies` : "no rule of the policy permits"
}

function remedyOf({ by, remedy }: Verdict): string {
  if (remedy !== null) return remedy
  if (by === "fault") return "Tell the operator: skein policy check finds faults, skein policy set --shipped --reason … goes back to the shipped policy."
  return "Leave it, or ask the operator: skein policy show tells the rules."
}
