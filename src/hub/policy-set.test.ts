import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { DEFAULT_POLICY } from "../contract/default-policy.ts"
import { operations } from "../contract/operations.ts"
import { type EntityType, ENTITY_ATTRIBUTES } from "../contract/policy-attributes.ts"
import { GOVERNED, groupsOf, policySchema, subjectOf } from "../contract/policy-schema.ts"
import { DEFAULT_PROFILE } from "../core/agent.ts"
import type { Role } from "../core/entry.ts"
import { permits, ROLES } from "../core/role.ts"
import { DEFAULT_SPEC } from "../core/task.ts"
import { evolve, Workspace } from "../core/workspace.ts"
import { loadCedar } from "./cedar-library.ts"
import { agentThing, contextAt, type Request, requestOf, seenBy, thingOf } from "./policy-request.ts"
import type { Reading } from "./policy-reads.ts"
import { checkPolicy, PolicySet } from "./policy-set.ts"

const cedar = loadCedar()
const NOW = Date.UTC(2026, 10, 21, 3, 0, 0)

function workspace(): Workspace {
  const state = new Workspace()
  state.agents.put("ann", { ...DEFAULT_PROFILE, name: "ann", kind: "claude", capabilities: { ts: 3 }, status: "present", addedAtMs: 0, credentials: {} })
  return state
}

function request(action: (typeof GOVERNED)[number], role: Role, id = "x"): Request {
  const state = workspace()
  const { type } = subjectOf(action) as { type: EntityType }
  return { action, role, principal: agentThing(state, "ann", role), resource: thingOf(state, type, id), context: contextAt(NOW, () => 5) }
}

const shipped = new PolicySet(cedar, "shipped", DEFAULT_POLICY)
/** What one rule, or several, say of a call of ann's. */
function decide(text: string, action: (typeof GOVERNED)[number], input: unknown, role: Role = "worker", state = workspace(), atMs = NOW) {
  return new PolicySet(cedar, "one", text).decide(requestOf(state, action, { agent: "ann", role }, input, atMs) as Request)
}

describe("the shipped policy", () => {
  test("permits exactly what the roles do, for every operation and role", () => {
    expect(GOVERNED.length).toBeGreaterThan(80)
    for (const action of GOVERNED)
      for (const role of ROLES)
        expect({ action, role, is: shipped.decide(request(action, role)).allowed }).toEqual({ action, role, is: permits(operations[action].least, role) })
  })

  test("does so whatever it is asked of", () => {
    fc.assert(
      fc.property(fc.constantFrom(...GOVERNED), fc.constantFrom(...ROLES), fc.string(), (action, role, id) => {
        expect(shipped.decide(request(action, role, id)).allowed).toBe(permits(operations[action].least, role))
      }),
    )
  })

  test("has no fault, and looks at nothing but roles: one answer a role and action is all that is ever kept", () => {
    expect(checkPolicy(cedar, DEFAULT_POLICY)).toMatchObject({ faults: [], warnings: [] })
    expect(shipped.kept).toBeLessThanOrEqual(GOVERNED.length * ROLES.length)
  })
})

describe("the schema", () => {
  test("has every operation that a policy decides, in its groups, and none of those that keep everybody out", () => {
    const { actions } = policySchema()[""] as { actions: Record<string, { memberOf?: { id: string }[] }> }
    expect(Object.keys(actions)).toEqual(expect.arrayContaining([...GOVERNED, "claim", "spend", "spawn", "wake", "override", "merge", "task.*", "kind/read"]))
    expect(actions["task.claim"]?.memberOf?.map(({ id }) => id)).toEqual(["task.*", "kind/command", "least/worker", "claim", "spend"])
    for (const name of ["policy.set", "policy.show", "session.beat"]) expect(actions).not.toHaveProperty([name])
  })

  test("names what an operation acts on by the field of its input that says so", () => {
    expect(subjectOf("task.claim")).toEqual({ type: "Task", field: "task" })
    expect(subjectOf("task.add")).toEqual({ type: "Task", field: "id" })
    expect(subjectOf("task.claimNext")).toEqual({ type: "Workspace", field: null })
    expect(subjectOf("budget.topUp")).toEqual({ type: "Budget", field: "scope" })
    expect(subjectOf("trigger.participant")).toEqual({ type: "Agent", field: "target" })
    expect(subjectOf("agent.retire")).toEqual({ type: "Agent", field: "name" })
    expect(subjectOf("message.post")).toEqual({ type: "Thread", field: "thread" })
    expect(subjectOf("policy.set")).toBeNull()
  })

  test("lets every attribute be read that there is, each by its type", () => {
    const of = { String: '== ""', Long: "> 0", Boolean: "== true", Strings: '.contains("")' }
    for (const [type, attributes] of Object.entries(ENTITY_ATTRIBUTES)) {
      const tests = Object.entries(attributes).map(([name, kind]) => `resource.${name}${kind === "Strings" ? "" : " "}${of[kind]}`)
      const { faults } = checkPolicy(cedar, `permit (principal, action, resource is ${type}) when { ${tests.join(" || ")} };`)
      expect(faults).toEqual([])
    }
  })
})

describe("a rule", () => {
  test("that forbids wins over all that permit, and is named with its remedy", () => {
    const text = `${DEFAULT_POLICY}\n@id("night") @remedy("Come back at six.")\nforbid (principal, action in Action::"claim", resource) when { context.hourUtc < 6 };`
    expect(decide(text, "task.claim", { task: "a" })).toEqual({ allowed: false, by: "rule", rule: "night", remedy: "Come back at six.", fault: null })
    expect(decide(text, "task.claim", { task: "a" }, "worker", workspace(), NOW + 3 * 3_600_000)).toMatchObject({ allowed: true, rule: "workers-work" })
    expect(decide(text, "task.update", { task: "a" })).toMatchObject({ allowed: true })
  })

  test("that is not there denies", () => {
    expect(decide(`permit (principal, action == Action::"task.show", resource);`, "task.claim", { task: "a" })).toMatchObject({
      allowed: false,
      by: "no_rule",
      rule: null,
    })
  })

  test("that fails denies, also where another permits", () => {
    const text = `permit (principal, action, resource);\n@id("bad") forbid (principal, action, resource) when { 9223372036854775807 + context.hourUtc < 0 };`
    expect(decide(text, "task.claim", { task: "a" })).toMatchObject({ allowed: false, by: "fault", rule: "bad", fault: expect.stringContaining("overflow") })
  })

  test("may look at the skills of an agent, the labels of a task, and whom it is about", () => {
    const state = workspace()
    const skilled = `permit (principal, action, resource is Task) when { principal.hasTag("ts") && principal.getTag("ts") >= 3 && resource.labels.contains("ui") };`
    expect(decide(skilled, "task.add", { id: "a", title: "A", labels: ["ui"] }, "worker", state).allowed).toBe(true)
    expect(decide(skilled, "task.add", { id: "a", title: "A", labels: [] }, "worker", state).allowed).toBe(false)
    const own = `permit (principal, action, resource is Agent) when { principal == resource };`
    expect(decide(own, "agent.show", { name: "ann" }, "worker", state).allowed).toBe(true)
    expect(decide(own, "agent.show", { name: "bob" }, "worker", state).allowed).toBe(false)
    const named = `permit (principal, action, resource is Agent) when { principal.name == "ann" && resource.kind == "claude" };`
    expect(decide(named, "agent.show", { name: "ann" }, "worker", state).allowed).toBe(true)
  })

  test("may look at the plan that a task is in, and at money", () => {
    const state = workspace()
    const dear = `permit (principal, action, resource) unless { context.amountMicroUsd > 5000000 };`
    expect(decide(dear, "budget.topUp", { scope: "workspace", amountMicroUsd: 5_000_000 }, "operator", state).allowed).toBe(true)
    expect(decide(dear, "budget.topUp", { scope: "workspace", amountMicroUsd: 5_000_001 }, "operator", state).allowed).toBe(false)
  })
})

/** What Cedar says when it is told all that there is to know, and asked every time. */
function plainly(id: string, asked: Request): boolean {
  const all: Reading = { attributes: null, uid: true, tags: true, plan: true }
  const { principal, resource, context } = seenBy(asked, { principal: all, resource: all, context: all })
  const action = { uid: { type: "Action", id: asked.action }, attrs: {}, parents: groupsOf(asked.action).map((group) => ({ type: "Action", id: group })) }
  const isSame = principal.uid.id === resource.uid.id && principal.uid.type === resource.uid.type
  const answer = cedar.statefulIsAuthorized({
    principal: principal.uid,
    action: action.uid,
    resource: resource.uid,
    context: context as never,
    validateRequest: false,
    preparsedPolicySetId: id,
    entities: [principal, ...(isSame ? [] : [resource]), action] as never,
  })
  if (answer.type === "failure") throw new Error(answer.errors[0]?.message)
  return answer.response.decision === "allow" && answer.response.diagnostics.errors.length === 0
}

/** One asks who and what it is, the other only how both look: agents that differ in their names, or in a level, alone. */
const LOOKING: [asks: string, text: string][] = [
  [
    "names",
    `permit (principal in Role::"worker", action, resource);
    forbid (principal, action, resource in Plan::"p") when { context.hourUtc > 3 };
    forbid (principal == Agent::"bob", action in [Action::"merge", Action::"claim"], resource);
    forbid (principal, action, resource is Task) when { if resource.filler then principal.kind == "script" else resource.labels.containsAny(["x", "y"]) };
    forbid (principal, action == Action::"agent.show", resource) when { principal == resource };`,
  ],
  [
    "looks",
    `permit (principal in Role::"worker", action, resource);
    forbid (principal, action in Action::"claim", resource) when { principal.hasTag("ts") && principal.getTag("ts") >= 3 };
    forbid (principal, action == Action::"budget.set", resource) unless { [1, 2].contains(context.weekdayUtc) || principal.skills.isEmpty() };
    forbid (principal, action == Action::"agent.show", resource) when { resource.hasTag("ts") && resource.getTag("ts") < 3 };
    forbid (principal, action, resource is Budget) when { context.amountMicroUsd > 5 && resource.name like "a*" };`,
  ],
  [
    "plans",
    `permit (principal in Role::"worker", action, resource);
    forbid (principal, action in Action::"claim", resource in Plan::"p");
    forbid (principal, action == Action::"task.complete", resource is Task in Plan::"p.1");
    forbid (principal, action, resource) when { resource in Plan::"p.2" || (context.weekdayUtc == 7 && resource is Task) };
    forbid (principal, action == Action::"plan.cancel", resource) unless { resource in Plan::"p.1" };`,
  ],
]

test.for(LOOKING)(
  "what is kept never answers for what looks different, where rules ask for %s: every answer is Cedar's, told everything and asked anew",
  ([, text]) => {
    expect(checkPolicy(cedar, text).faults).toEqual([])
    const kept = new PolicySet(cedar, "kept", text)
    const state = workspace()
    for (const [name, ts] of Object.entries({ bob: 3, cat: 1 }))
      state.agents.put(name, { ...DEFAULT_PROFILE, name, kind: "claude", capabilities: { ts }, status: "present", addedAtMs: 0, credentials: {} })
    for (const id of ["p.1/a", "p/a"]) {
      const spec = { ...DEFAULT_SPEC, title: id, labels: id === "p/a" ? [] : ["x"] }
      const data = { id, plan: id.split("/")[0] ?? null, spec }
      const actor = { agent: "ann", session: null, role: "worker" } as const
      evolve(state, { seq: state.seq + 1, atMs: 0, type: "task.added", v: 1, actor, commandId: null, commandHash: null, causedBy: null, data })
    }
    const call = fc.record({
      action: fc.constantFrom<(typeof GOVERNED)[number]>("task.claim", "task.add", "task.complete", "budget.set", "agent.show", "plan.cancel"),
      agent: fc.constantFrom("ann", "bob", "cat", "operator"),
      role: fc.constantFrom<Role>("observer", "worker", "operator"),
      atMs: fc.constantFrom(0, 2, 24, 50, 72).map((hours) => NOW + hours * 3_600_000),
      input: fc.record({
        id: fc.constantFrom("a1", "b1"),
        name: fc.constantFrom("ann", "bob", "cat"),
        plan: fc.constantFrom("p", "p.1", "p.2"),
        task: fc.constantFrom("p.1/a", "p/a", "b1"),
        scope: fc.constantFrom("workspace", "agent/a"),
        limitMicroUsd: fc.constantFrom(5, 6),
        filler: fc.boolean(),
        labels: fc.subarray(["x", "y", "z"]),
      }),
    })
    const answers = { allowed: 0, denied: 0 }
    fc.assert(
      fc.property(call, ({ action, agent, role, input, atMs }) => {
        const asked = requestOf(state, action, { agent, role }, input, atMs) as Request
        const { allowed } = kept.decide(asked)
        expect(allowed).toBe(plainly("kept", asked))
        answers[allowed ? "allowed" : "denied"] += 1
      }),
      { numRuns: 600 },
    )
    expect(Math.min(answers.allowed, answers.denied)).toBeGreaterThan(60)
    expect(kept.kept).toBeLessThan(590)
  },
)

const when = (condition: string): string => `permit (principal, action, resource) when { ${condition} };`

/** Each with words of its complaint, its line, and a remedy. */
const BAD: [what: string, text: string, complaint: RegExp, line: number | null][] = [
  ["nothing at all", "", /no rule in it/, null],
  ["only a comment", "// later\n", /no rule in it/, null],
  ["no Cedar", "let everybody in", /unexpected token|expected/, 1],
  ["a rule without its end", "permit (principal, action, resource)", /unexpected end/, 1],
  ["an unclosed condition", "permit (principal, action, resource)\nwhen { principal.role == ", /unexpected end/, 2],
  ["an effect that there is not", "\nallow (principal, action, resource);", /invalid policy effect|allow/, 2],
  ["a scope without a resource", "permit (principal, action);", /resource/, 1],
  ["an operation that there is not", 'permit (principal, action == Action::"task.explode", resource);', /unrecognized action/, 1],
  ["an operation that no policy decides", 'permit (principal, action == Action::"policy.set", resource);', /unrecognized action/, 1],
  ["a group that there is not", 'permit (principal, action in Action::"claims", resource);', /unrecognized action/, 1],
  ["a type that there is not", "permit (principal is Person, action, resource);", /unrecognized entity type/, 1],
  ["a role that there is not", 'permit (principal in Role::"boss", action, resource);', /boss/, 1],
  ["an attribute that there is not", "permit (principal, action, resource)\n  when { principal.mood };", /attribute `mood`/, 2],
  ["an attribute of another type", 'permit (principal, action, resource is Task) when { resource.attempts == "two" };', /not compatible/, 1],
  ["context that there is not", "permit (principal, action, resource) when { context.ip };", /attribute `ip`/, 1],
  ["a condition that is no truth", "permit (principal, action, resource) when { principal.name };", /expected|type/i, 1],
  ["a tag that may not be there", 'permit (principal, action, resource) when { principal.getTag("ts") > 2 };', /tag/, 1],
  ["an extension that there is not", 'permit (principal, action, resource) when { regex("a") };', /regex/, 1],
  ["a template", "permit (principal == ?principal, action, resource);", /template/, null],
  ["brackets that never end", when("(".repeat(15_000) + "true" + ")".repeat(15_000)), /nested more than 32 deep/, 1],
  ["brackets hidden behind a comment", `//\r${when("[".repeat(200) + "]".repeat(200))}`, /nested more than 32 deep/, 1],
  ["a chain that never ends", when(`\n${"true && ".repeat(4_000)}true`), /more than 500 parts/, 2],
  ["ifs within ifs", when(`${"if true then ".repeat(800)}true${" else false".repeat(800)}`), /more than 500 parts/, 1],
  ["two rules of one name", '@id("a") permit (principal, action, resource);\n@id("a") forbid (principal, action, resource);', /second rule is called a/, 2],
  ["an annotation twice", '@id("a") @id("b") permit (principal, action, resource);', /duplicate annotation/, 1],
]

test.for(BAD)("a text with %s has a fault, with place and remedy", ([, text, complaint, line]) => {
  const { faults } = checkPolicy(cedar, text)
  expect(faults.map(({ message }) => message).join("\n")).toMatch(complaint)
  expect(
    faults.some((fault) => fault.line === line),
    JSON.stringify(faults),
  ).toBe(true)
  for (const { remedy, message } of faults) {
    expect(remedy).toMatch(/\S.*[.?!]$/)
    expect(message).not.toMatch(/policy\d/)
  }
})

test("a text that would exhaust the engine's stack leaves it whole: the next text is judged as ever, and what is as deep as it may be is decided", () => {
  const deepest = when(`${"(".repeat(30)}${"true && ".repeat(490)}principal.name != "((((" ${")".repeat(30)}`)
  for (const text of [when("[".repeat(15_000)), when("true && ".repeat(4_000))]) {
    expect(checkPolicy(cedar, text).faults).toHaveLength(1)
    expect(() => new PolicySet(cedar, "deep", text)).toThrow(/nested|parts/)
  }
  expect(checkPolicy(cedar, `${deepest}\n`.repeat(5))).toMatchObject({ faults: [], rules: { length: 5 } })
  expect(new PolicySet(cedar, "deep", deepest).decide(request("task.show", "worker")).allowed).toBe(true)
})

test("a queue of five thousand tasks that a rule asks by name is asked once, and not at every claim that looks through it", () => {
  let asked = 0
  const counting: typeof cedar = { ...cedar, statefulIsAuthorized: (call) => ((asked += 1), cedar.statefulIsAuthorized(call)) }
  const set = new PolicySet(counting, "names", `permit (principal, action, resource);\nforbid (principal, action, resource == Task::"t7");`)
  const state = workspace()
  for (const _ of [1, 2])
    for (let at = 0; at < 5_000; at += 1) set.decide(requestOf(state, "task.claim", { agent: "ann", role: "worker" }, { task: `t${at}` }, NOW) as Request)
  expect(asked).toBe(5_000)
})

test("a rule about a plan is asked once for all of its tasks, and of another plan anew", () => {
  const set = new PolicySet(cedar, "plans", `${DEFAULT_POLICY}\n@id("shut") forbid (principal, action in Action::"claim", resource in Plan::"p.1");`)
  const state = workspace()
  for (let at = 0; at < 40; at += 1) {
    const plan = at < 20 ? "p.1" : "p.2"
    const actor = { agent: "ann", session: null, role: "worker" } as const
    const data = { id: `${plan}/t${at}`, plan, spec: { ...DEFAULT_SPEC, title: "T" } }
    evolve(state, { seq: state.seq + 1, atMs: 0, type: "task.added", v: 1, actor, commandId: null, commandHash: null, causedBy: null, data })
  }
  const asked = [...state.tasks.keys()].map((task) => set.decide(requestOf(state, "task.claim", { agent: "ann", role: "worker" }, { task }, NOW) as Request))
  expect(asked.filter(({ rule }) => rule === "shut")).toHaveLength(20)
  expect(asked.filter(({ allowed }) => allowed)).toHaveLength(20)
  expect(set.kept).toBe(2)
})

test("a text in which no rule permits is let through with a warning", () => {
  const { faults, warnings } = checkPolicy(cedar, "forbid (principal, action, resource);")
  expect(faults).toEqual([])
  expect(warnings.map(({ message }) => message)).toContainEqual(expect.stringContaining("no rule permits anything"))
})

test("rules are told in the order of the text, with their lines, however many there are", () => {
  const text = Array.from({ length: 12 }, (_, at) => `@id("r${at}")\npermit (principal, action, resource);\n`).join("\n")
  expect(checkPolicy(cedar, text).rules.map(({ rule, line }) => [rule, line])).toEqual(Array.from({ length: 12 }, (_, at) => [`r${at}`, 1 + 3 * at]))
  expect(new PolicySet(cedar, "order", text).decide(request("task.show", "worker")).rule).toBe("r0")
})

test("half of a character is a fault at its place, and never reaches Cedar", () => {
  expect(checkPolicy(cedar, "// whole: 🪿\n// \udca5").faults).toMatchObject([{ line: 2, column: 4, message: expect.stringContaining("half") as string }])
})
