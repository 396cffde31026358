/** What a policy's decision costs, beside CASL, which takes the same decisions in the same run. In one process: nothing but deciding is measured. */
import { isAuthorized } from "@cedar-policy/cedar-wasm/web"
import { DEFAULT_POLICY } from "../src/contract/default-policy.ts"
import type { ClaimNext } from "../src/core/claim.ts"
import { commands } from "../src/core/command.ts"
import type { Actor, Role } from "../src/core/entry.ts"
import { DEFAULT_PROFILE } from "../src/core/agent.ts"
import { isRefusal } from "../src/core/refusal.ts"
import { permits } from "../src/core/role.ts"
import type { Priority } from "../src/core/task.ts"
import { mark, undoTo, Workspace, evolve } from "../src/core/workspace.ts"
import { loadCedar } from "../src/hub/cedar-library.ts"
import { Policy } from "../src/hub/policy.ts"
import { requestOf, seenBy } from "../src/hub/policy-request.ts"
import type { Reading } from "../src/hub/policy-reads.ts"
import type { Verdict } from "./claims.ts"
import { Skipped } from "./engine.ts"
import { median, percentile, round, show, table } from "./figure.ts"
import { chanceFrom } from "./governor-world.ts"
import { installClients, load } from "./peer.ts"
import { breathe } from "./scratch.ts"

export type PolicyOptions = { directory: string; rounds: number; decisions: number; agents: number; tasks: number; peer: boolean }
export const POLICY: Omit<PolicyOptions, "directory"> = { rounds: 7, decisions: 4_000, agents: 200, tasks: 2_000, peer: true }

type Kind = "skein" | "skeinFresh" | "cedarPreparsed" | "cedarPlain" | "roles" | "casl" | "caslRebuilt"
type Spread = { p50Us: number; p99Us: number }
export type PolicyReport = {
  agents: number
  tasks: number
  decisions: number
  denied: number
  timings: Partial<Record<Kind, Spread>>
  /** Deciding a claim of the next task: under the shipped policy, under the one of this bench, and where it keeps a thousand tasks from the caller first. */
  claim: { shippedP50Us: number; setP50Us: number; pastThousandP50Us: number }
  loadMs: number
  skipped: string | null
  gate: Record<string, Verdict>
}

const RULES = `${DEFAULT_POLICY}
@id("prod") forbid (principal, action in Action::"claim", resource is Task) when { resource.labels.contains("prod") && principal.role == "worker" };
@id("critical") forbid (principal, action in Action::"claim", resource is Task) when { resource.priority == "critical" && principal.kind == "script" };
@id("dear") forbid (principal, action in Action::"claim", resource is Task) when { context.amountMicroUsd > 5000000 && principal.role != "orchestrator" };
@id("own") forbid (principal, action in Action::"merge", resource is Task) when { resource.labels.contains("audit") };`
/** As above, and asks each task and agent its name: no decision is like another. */
const NAMING = `${RULES}\n@id("named") forbid (principal, action in Action::"claim", resource is Task) when { principal.name == resource.name };`

const NOW = 1_700_000_000_000
const LABELS = ["ui", "api", "docs", "prod", "audit"]

type Question = { actor: Actor; task: string; kind: string; labels: string[]; priority: Priority; amount: number }

function world(agents: number, tasks: number): { state: Workspace; questions(count: number): Question[] } {
  const state = new Workspace()
  const chance = chanceFrom(11)
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(chance() * items.length)] as Item
  const actors = Array.from({ length: agents }, (_, at): Actor => ({ agent: `agent-${at}`, session: null, role: at % 10 === 0 ? "orchestrator" : "worker" }))
  for (const { agent, role } of actors) {
    const kind = pick(["claude", "codex", "script"])
    const costPerHourMicroUsd = 3_600_000 * Math.floor(chance() * 4)
    state.agents.put(agent, {
      ...DEFAULT_PROFILE,
      name: agent,
      role,
      kind,
      costPerHourMicroUsd,
      maxActive: 1_000_000,
      status: "present",
      addedAtMs: 0,
      credentials: {},
    })
  }
  const ids = Array.from({ length: tasks }, (_, at) => `task-${at}`)
  for (const id of ids) {
    const labels = LABELS.filter(() => chance() < 0.2)
    add(state, { id, title: id, labels, priority: pick(["critical", "high", "normal", "low"]), estimateMs: 600_000 * Math.ceil(chance() * 6) })
  }
  const questions = (count: number): Question[] =>
    Array.from({ length: count }, () => {
      const actor = pick(actors)
      const task = pick(ids)
      const { labels, priority, estimateMs } = state.specs.get(task)!
      const { kind, costPerHourMicroUsd } = state.agents.get(actor.agent)!
      return { actor, task, kind, labels, priority, amount: Math.ceil(((estimateMs ?? 0) * costPerHourMicroUsd) / 3_600_000) }
    })
  return { state, questions }
}

function add(state: Workspace, input: Parameters<(typeof commands)["task.add"]["decide"]>[2]): void {
  const decision = commands["task.add"].decide(state, { agent: "operator", session: null, role: "operator" }, input, NOW)
  if (isRefusal(decision)) throw new Error(decision.message)
  for (const { type, data } of decision)
    evolve(state, {
      seq: state.seq + 1,
      atMs: NOW,
      type,
      v: 1,
      actor: { agent: "operator", session: null, role: "operator" },
      commandId: null,
      commandHash: null,
      causedBy: null,
      data,
    })
  state.journal.drain()
}

function policyOver(state: Workspace, text: string): Policy {
  state.policyTexts.put("policy", { text, history: [] })
  return new Policy({ workspace: "bench", state, log: { warn: () => undefined, error: () => undefined } })
}

/** CASL binds who asks when it is set up: one ability for each agent, made once, as its guide recommends; or anew for each question, as many do. */
function caslOf(): (question: Pick<Question, "actor" | "kind">) => (question: Question) => boolean {
  const { AbilityBuilder, createMongoAbility, subject } = load("@casl/ability")
  return ({ actor, kind }) => {
    const { can, cannot, build } = new AbilityBuilder(createMongoAbility)
    for (const action of ["claim", "complete", "show"]) can(action, "Task")
    if (actor.role === "worker") cannot("claim", "Task", { labels: "prod" })
    if (kind === "script") cannot("claim", "Task", { priority: "critical" })
    if (actor.role !== "orchestrator") cannot("claim", "Task", { amount: { $gt: 5_000_000 } })
    cannot("merge", "Task", { labels: "audit" })
    const ability = build()
    return ({ labels, priority, amount }) => ability.can("claim", subject("Task", { labels, priority, amount }))
  }
}

type Decide = (question: Question) => boolean

export async function benchPolicy({ rounds, decisions, agents, tasks, peer }: PolicyOptions): Promise<PolicyReport> {
  const startMs = performance.now()
  const cedar = loadCedar()
  const loadMs = performance.now() - startMs
  const { state, questions } = world(agents, tasks)
  const asked = questions(decisions)
  const deciders = new Map<Kind, Decide>()
  const warm = policyOver(state, RULES)
  const other = world(agents, tasks)
  const naming = policyOver(other.state, NAMING)
  const ask =
    (policy: Policy): Decide =>
    ({ actor, task }) =>
      policy.refusal("task.claim", actor, { task }, NOW, []) === null
  deciders.set("skein", ask(warm)).set("skeinFresh", ask(naming))
  deciders.set("cedarPreparsed", cedarOf(cedar, state, true)).set("cedarPlain", cedarOf(cedar, state, false))
  deciders.set("roles", ({ actor }) => permits("worker", actor.role))
  let skipped: string | null = null
  try {
    if (!peer) throw new Skipped("the peer was not asked for", "")
    installClients()
    const make = caslOf()
    const kept = new Map(asked.map((question) => [question.actor.agent, make(question)]))
    deciders.set("casl", (question) => kept.get(question.actor.agent)!(question)).set("caslRebuilt", (question) => make(question)(question))
  } catch (error) {
    if (!(error instanceof Skipped)) throw error
    skipped = error.message
  }
  const denied = agree(asked, deciders)
  const spreads = new Map<Kind, Spread[]>([...deciders.keys()].map((kind) => [kind, []]))
  for (let at = 0; at < rounds; at += 1) {
    for (const [kind, decide] of deciders) {
      // Other questions each time: what is distinct stays distinct, and what is alike is known from before.
      const fresh = kind === "skeinFresh" || kind === "skein" ? questions(decisions) : asked.slice(0, kind === "cedarPlain" ? decisions / 8 : decisions)
      ;(spreads.get(kind) as Spread[]).push(timed(decide, fresh))
      await breathe()
    }
  }
  const timings = Object.fromEntries(
    [...spreads].map(([kind, all]) => [kind, { p50Us: round(median(all.map(({ p50Us }) => p50Us))), p99Us: round(median(all.map(({ p99Us }) => p99Us))) }]),
  ) as PolicyReport["timings"]
  const p50 = timings.skein?.p50Us ?? Number.NaN
  const gate = { "a decision, warm, p50 in µs": { value: p50, limit: 50, ok: p50 < 50 } }
  return { agents, tasks, decisions, denied, timings, claim: claims(), loadMs: round(loadMs), skipped, gate }
}

/** Cedar as it comes: all that there is to know of both goes with each question. */
function cedarOf(cedar: ReturnType<typeof loadCedar>, state: Workspace, preparsed: boolean): Decide {
  const all: Reading = { attributes: null, uid: true, tags: true, plan: true }
  cedar.preparsePolicySet("bench", { staticPolicies: RULES })
  const groups = ["task.*", "kind/command", "least/worker", "claim", "spend"].map((id) => ({ type: "Action", id }))
  const action = { uid: { type: "Action", id: "task.claim" }, attrs: {}, parents: groups }
  return ({ actor, task }) => {
    const request = requestOf(state, "task.claim", actor, { task }, NOW)!
    const { principal, resource, context } = seenBy(request, { principal: all, resource: all, context: all })
    const call = {
      principal: principal.uid,
      action: action.uid,
      resource: resource.uid,
      context,
      validateRequest: false,
      entities: [principal, resource, action],
    }
    const answer = preparsed
      ? cedar.statefulIsAuthorized({ ...call, preparsedPolicySetId: "bench" } as never)
      : isAuthorized({ ...call, policies: { staticPolicies: RULES } } as never)
    if (answer.type === "failure") throw new Error(answer.errors[0]?.message)
    return answer.response.decision === "allow"
  }
}

/** All must decide alike, or they do not do the same work. Answers how many were denied. */
function agree(asked: readonly Question[], deciders: ReadonlyMap<Kind, Decide>): number {
  let denied = 0
  for (const question of asked.slice(0, 1_000)) {
    const allowed = (deciders.get("skein") as Decide)(question)
    if (!allowed) denied += 1
    for (const [kind, decide] of deciders)
      if (kind !== "roles" && decide(question) !== allowed) throw new Error(`${kind} decides otherwise: ${JSON.stringify(question)}`)
  }
  return denied
}

function timed(decide: Decide, asked: readonly Question[]): Spread {
  const taken = asked.map((question) => {
    const startMs = performance.now()
    decide(question)
    return (performance.now() - startMs) * 1_000
  })
  return { p50Us: percentile(taken, 0.5), p99Us: percentile(taken, 0.99) }
}

const ANY: ClaimNext = { plan: null, labels: [], filler: null, max: 1 }

function claims(): PolicyReport["claim"] {
  const plain = world(20, 2_000)
  const set = world(20, 2_000)
  const past = world(1, 0)
  for (let at = 0; at < 1_001; at += 1)
    add(past.state, { id: `t-${at}`, title: "T", labels: at < 1_000 ? ["prod"] : [], priority: at < 1_000 ? "high" : "low" })
  const shipped = new Policy({ workspace: "bench", state: plain.state, log: { warn: () => undefined, error: () => undefined } })
  return {
    shippedP50Us: claimed(plain.state, shipped, 2_000),
    setP50Us: claimed(set.state, policyOver(set.state, RULES), 2_000),
    pastThousandP50Us: claimed(past.state, policyOver(past.state, RULES), 200),
  }
}

/** As the hub decides it: the policy first, then the command; nothing is taken, so that each claim meets the same tasks. */
function claimed(state: Workspace, policy: Policy, count: number): number {
  const taken: number[] = []
  const workers = [...state.agents.values()].filter(({ role }) => role === ("worker" satisfies Role))
  const before = mark(state)
  for (let at = 0; at < count; at += 1) {
    const actor: Actor = { agent: workers[at % workers.length]?.name ?? "agent-0", session: null, role: "worker" }
    const startMs = performance.now()
    const denied = policy.refusal("task.claimNext", actor, ANY, NOW, [])
    const decision = denied ?? commands["task.claimNext"].decide(state, actor, policy.guarded(actor, ANY, NOW, []), NOW)
    taken.push((performance.now() - startMs) * 1_000)
    if (isRefusal(decision)) throw new Error(decision.message)
  }
  undoTo(state, before)
  return round(percentile(taken.slice(count / 4), 0.5))
}

const WORDS: Record<Kind, string> = {
  skein: "Skein, a policy is set (what looks alike is decided once)",
  skeinFresh: "Skein, no two questions alike",
  cedarPreparsed: "Cedar as it comes, preparsed",
  cedarPlain: "Cedar as it comes, not preparsed",
  roles: "the roles alone (no policy was set)",
  casl: "CASL, an ability kept for each agent",
  caslRebuilt: "CASL, an ability made for each question",
}

export function describePolicy({ timings, claim, denied, loadMs, skipped, agents, tasks, gate }: PolicyReport): string {
  const rows = Object.entries(timings).map(([kind, { p50Us, p99Us }]) => [WORDS[kind as Kind], show(p50Us), show(p99Us)])
  return [
    `one decision about a claim, ${agents} agents and ${tasks} tasks; of the first 1,000 all deny the same ${denied}`,
    table(["µs", "p50", "p99"], rows),
    ...(skipped === null ? [] : [`CASL was left out: ${skipped}`]),
    "",
    `claim of the next task, decided in the core, p50 in µs: ${show(claim.shippedP50Us)} under the shipped policy, ${show(claim.setP50Us)} under one that was set, ${show(claim.pastThousandP50Us)} past a thousand tasks that it forbids`,
    `Cedar was loaded in ${show(loadMs)} ms`,
    ...Object.entries(gate).map(([name, { ok }]) => `${ok ? "ok  " : "MISS"} ${name}`),
  ].join("\n")
}
