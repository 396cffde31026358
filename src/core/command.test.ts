import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { delivery, OPERATOR, Scenario, fold } from "../../test/scenario.ts"
import { type CommandName, type Commands, commands } from "./command.ts"
import { DIRECTIVES, EVENT_KINDS } from "./directive.ts"
import { type Actor, HUB } from "./entry.ts"
import { SEVERITIES } from "./message.ts"
import { isRefusal } from "./refusal.ts"
import { REASON_CODES } from "./trigger.ts"
import { RECORD_STEPS } from "./trigger-claim.ts"
import { ROLES } from "./role.ts"
import { PRIORITIES, type TaskSpec } from "./task.ts"
import { THREAD_STATUSES, THREAD_TYPES } from "./thread.ts"
import { takeSnapshot } from "./workspace.ts"

/** Names that are allowed and that every object has already, beside ordinary ones. */
const word = fc.constantFrom("a", "b", "constructor", "toString", "hasOwnProperty", "__proto__")
const name = word.filter((text) => text !== "__proto__")
const taskId = fc.oneof(name, fc.constantFrom("p.1/a", "p.1/constructor", "p.1/b"))
const text = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("\u0000\u001b[31m", "\ud83e\udebf", "\ud800", "null"))
const count = fc.constantFrom(0, 1, 2, 3, 7, Number.MAX_SAFE_INTEGER)
const usage = fc.record({ costMicroUsd: count, inputTokens: count, outputTokens: count })
const session = fc.constantFrom("s_1", "s_2", "s_constructor")
/** As a body's JSON makes it: `__proto__` is then a key like others. */
const record = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Record<string, Value>> =>
  fc
    .array(fc.tuple(word, value), { maxLength: 3 })
    .map((pairs) => JSON.parse(`{${pairs.map(([key, given]) => `${JSON.stringify(key)}:${JSON.stringify(given)}`).join(",")}}`) as Record<string, Value>)
const skills = record(fc.integer({ min: 1, max: 5 }))
const glob = fc.oneof(fc.constantFrom("src/**", "src/*.ts", "lib/a", "**", "x/{a,b/**}", "..", "[", "constructor/__proto__"), fc.string({ maxLength: 6 }))
const leaseId = fc.nat(60).map((seq) => `f${seq}`)
const spec: fc.Arbitrary<Partial<Omit<TaskSpec, "title">>> = fc.record(
  {
    body: text,
    priority: fc.constantFrom(...PRIORITIES),
    dependsOn: fc.array(taskId, { maxLength: 3 }),
    requires: skills,
    budgetMicroUsd: fc.option(count),
    touches: fc.array(fc.oneof(text, glob), { maxLength: 2 }),
    run: fc.constantFrom(null, { command: "true" }, { argv: ["true"] }, { standIn: { ms: 0, costMicroUsd: 0 } }),
    env: record(text),
    estimateMs: fc.option(fc.nat(1_000)),
    prefers: fc.option(name),
    model: fc.option(text),
    account: fc.option(text),
    gates: fc.array(text, { maxLength: 1 }),
    filler: fc.boolean(),
    review: fc.boolean(),
    leaseMs: fc.option(fc.constantFrom(1_000, 3_600_000)),
    maxAttempts: fc.constantFrom(1, 2, 1_000),
    labels: fc.array(word, { maxLength: 2 }),
  },
  { requiredKeys: [] },
)
const profile = fc.record(
  {
    kind: name,
    role: fc.constantFrom(...ROLES),
    capabilities: skills,
    maxActive: fc.constantFrom(1, 2, 1_000_000),
    heartbeatMs: fc.constantFrom(200, 300_000),
  },
  { requiredKeys: [] },
)
const written = { task: taskId, fence: fc.nat(60) }
const target = fc.oneof(fc.record({ agent: name }), fc.record({ role: fc.constantFrom(...ROLES) }), fc.constant({ everyone: true as const }))
const thread = fc.oneof(name, fc.constantFrom("team", "role/worker", "role/constructor", "agent/a", "agent/constructor", "task/a", "task/p.1/a"))
const job = fc.constantFrom("r000000000000000000000000", "r111111111111111111111111", "u1.0.a", "constructor")
const account = fc.constantFrom("agent/a", "agent/constructor", "constructor", "none")
const deliverable = fc.record({
  text,
  evidence: fc.record({ testsPass: fc.constantFrom(true, false, null), commit: fc.constant(null), links: fc.array(text, { maxLength: 1 }) }),
})

const scope = fc.constantFrom(
  "workspace",
  "plan/p.1",
  "plan/constructor.1",
  "task/a",
  "task/p.1/a",
  "agent/a",
  "agent/constructor",
  "account/agent/a",
  "account/constructor",
)
const windowMs = fc.constantFrom(null, null, 60_000)
const breaker = fc.constantFrom("agent/a", "agent/constructor", "account/agent/a", "account/constructor", "model/a", "kind/constructor")

/** Whatever the contract lets through, command by command. */
const INPUTS: { [Name in CommandName]: fc.Arbitrary<Commands[Name]["input"]> } = {
  "agent.add": fc.tuple(fc.record({ name }), profile).map(([a, b]) => ({ ...b, ...a })),
  "agent.edit": fc.tuple(fc.record({ name, reason: text }), profile).map(([a, { role: _, ...b }]) => ({ ...b, ...a })),
  "agent.retire": fc.record({ name, reason: text }),
  "agent.handled": fc.record({ agent: name, untilMs: fc.nat() }),
  "credential.issue": fc.record({ agent: name, id: name, hash: text }),
  "credential.revoke": fc.record({ agent: name, id: name, reason: text }),
  "session.start": fc.record({ id: session, agent: name, runtime: text, resumeId: fc.option(text), owned: fc.boolean() }),
  "permission.ask": fc.record({
    agent: name,
    session: fc.option(session),
    title: text,
    kind: fc.option(text),
    options: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }).map((ids) => ids.map((id) => ({ id, name: id, kind: "allow_once" }))),
    rule: fc.option(fc.record({ name: text, option: fc.option(name) })),
  }),
  "permission.answer": fc.record({ permission: fc.nat(60), option: fc.option(name), reason: text }),
  "permission.withdraw": fc.record({ permission: fc.nat(60), reason: text }),
  "session.end": fc.record({ session, reason: text }),
  "policy.set": fc.record({ text: fc.option(text), reason: text }),
  "task.add": fc.tuple(fc.record({ id: taskId, title: text }), spec).map(([a, b]) => ({ ...a, ...b })),
  "task.edit": fc.record({ task: taskId, reason: text, changes: spec }),
  "task.reset": fc.record({ task: taskId, reason: text }),
  "task.cancel": fc.record({ task: taskId, reason: text }),
  "task.claim": fc.record({ task: taskId }),
  "task.claimNext": fc.record({
    plan: fc.option(fc.constantFrom("p.1", "constructor")),
    labels: fc.array(word, { maxLength: 2 }),
    filler: fc.constantFrom(null, true, false),
    max: fc.integer({ min: 1, max: 100 }),
  }),
  "task.update": fc.record({ ...written, progress: fc.option(fc.double({ min: 0, max: 1, noNaN: true })), note: fc.option(text) }),
  "task.block": fc.record({ ...written, on: fc.record({ kind: fc.constantFrom("task", "agent", "external"), ref: taskId }), reason: text }),
  "task.unblock": fc.record({ task: taskId, reason: text }),
  "task.complete": fc.record({ ...written, deliverable, usage }),
  "task.fail": fc.record({ ...written, reason: text, retry: fc.boolean(), usage }),
  "task.release": fc.record({ ...written, reason: text }),
  "task.review": fc.record({ task: taskId, approve: fc.boolean(), reason: text }),
  "lease.renew": fc.record(written),
  "lease.end": fc.record({ task: taskId, reason: text }),
  "files.reserve": fc.record({
    globs: fc.array(glob, { minLength: 1, maxLength: 3 }),
    mode: fc.constantFrom("exclusive", "shared"),
    ttlMs: fc.constantFrom(1_000, 900_000, 3_600_000),
    reason: text,
    task: fc.option(taskId),
    fence: fc.option(fc.nat(60)),
  }),
  "files.release": fc.record({ lease: fc.option(leaseId), globs: fc.option(fc.array(glob, { minLength: 1, maxLength: 2 })), reason: text }),
  "files.renew": fc.record({ lease: leaseId }),
  "help.want": fc.record({ ...written, reason: text }),
  "help.answer": fc.record({ task: taskId }),
  "event.send": fc.record({
    kind: fc.constantFrom(...EVENT_KINDS),
    directive: fc.constantFrom(null, ...DIRECTIVES),
    to: target,
    task: fc.option(taskId),
    priority: fc.constantFrom(...PRIORITIES),
    text,
    payload: record(fc.jsonValue()),
    requiresAck: fc.boolean(),
  }),
  "event.ack": fc.record({ seq: fc.nat(60) }),
  "thread.create": fc.record({ thread: name, title: text, type: fc.constantFrom(...THREAD_TYPES), participants: fc.array(name, { maxLength: 2 }) }),
  "thread.join": fc.record({ thread }),
  "thread.leave": fc.record({ thread }),
  "thread.invite": fc.record({ thread, agents: fc.array(name, { minLength: 1, maxLength: 2 }) }),
  "thread.setStatus": fc.record({ thread, status: fc.constantFrom(...THREAD_STATUSES), reason: text }),
  "session.adopt": fc.record({ session, resumeId: fc.constantFrom(null, "conversation") }),
  "thread.escalate": fc.record({ thread, reason: text }),
  "thread.unblock": fc.record({ thread, reason: text }),
  "thread.overrideClose": fc.record({ thread, reason: text }),
  "trigger.participant": fc.record({ job, request: text, thread, target: name, reason: text, prompt: text }),
  "trigger.claim": fc.record({ agents: fc.array(name, { maxLength: 3 }), max: fc.nat(3), busy: fc.array(name, { maxLength: 1 }) }),
  "trigger.record": fc.record({
    job,
    fence: fc.nat(60),
    step: fc.constantFrom(...RECORD_STEPS),
    channel: fc.option(text),
    code: fc.constantFrom(null, ...REASON_CODES),
    detail: text,
    session: fc.option(session),
    beside: fc.boolean(),
    untilMs: fc.option(fc.nat()),
    bits: fc.nat(0xffffffff),
  }),
  "trigger.retry": fc.record({ job, reason: text, force: fc.boolean() }),
  "trigger.cancel": fc.record({ job, reason: text }),
  "trigger.confirm": fc.record({ job, evidence: fc.constantFrom("turn", "nonce") }),
  "account.exhausted": fc.record({ account, untilMs: fc.nat(), reason: text }),
  "account.restored": fc.record({ account, reason: text }),
  "wake.setPolicy": fc.record({ changes: fc.constantFrom({}, { ackMs: 600 }, { turnsMax: 0 }, { retries: 3, resumes: 0 }), reason: text }),
  "message.post": fc.record({
    thread,
    body: text,
    kind: fc.constantFrom("chat", "event"),
    inReplyTo: fc.option(fc.integer({ min: 1, max: 5 })),
    metadata: fc.record({
      eventType: fc.constantFrom(null, "finding", "resolution", "decision", "constructor"),
      severity: fc.constantFrom(null, ...SEVERITIES),
      file: fc.option(text),
      line: fc.option(fc.nat(9)),
      endLine: fc.option(fc.nat(9)),
      task: fc.option(taskId),
    }),
  }),
  "message.ack": fc.record({ thread, lastReadSeq: fc.nat(5) }),
  "plan.add": fc.record({
    name: fc.constantFrom("p", "constructor"),
    title: text,
    digest: fc.constantFrom("d", "e"),
    commit: fc.option(fc.constant("c")),
    worktrees: fc.boolean(),
    maxActiveAgents: fc.option(fc.constant(1)),
    budgetMicroUsd: fc.option(count),
    agents: fc.array(
      fc.tuple(fc.record({ name, start: fc.boolean() }), profile).map(([a, b]) => ({ ...b, ...a })),
      { maxLength: 2 },
    ),
    tasks: fc.array(
      fc.tuple(fc.record({ id: name, title: text }), spec).map(([a, b]) => ({ ...a, ...b })),
      { maxLength: 4 },
    ),
  }),
  "budget.set": fc.record({
    scope,
    windowMs,
    limitMicroUsd: fc.option(count),
    perClaimMicroUsd: fc.option(count),
    warnPercent: fc.constantFrom([], [50, 80]),
    graceMs: fc.constantFrom(0, 60_000),
    absorb: fc.boolean(),
    reason: text,
  }),
  "budget.topUp": fc.record({ scope, windowMs, amountMicroUsd: fc.integer({ min: 1, max: 1_000 }), reason: text }),
  "usage.refund": fc.record({ agent: name, task: fc.option(taskId), costMicroUsd: fc.integer({ min: 1, max: 1_000 }), reason: text }),
  "breaker.trip": fc.record({ breaker, untilMs: fc.option(fc.nat()), reason: text }),
  "breaker.reset": fc.record({ breaker, reason: text }),
  "breaker.setPolicy": fc.record({ changes: fc.constantFrom({}, { consecutive: 2 }, { ratePercent: 101 }, { openMs: 100, outcomes: 2 }), reason: text }),
  "plan.cancel": fc.record({ plan: fc.constantFrom("p.1", "p.2", "constructor.1"), reason: text }),
  "usage.report": fc.record({
    agent: fc.option(name),
    session: fc.option(session),
    task: fc.option(taskId),
    model: fc.option(word),
    requests: fc.integer({ min: 1, max: 3 }),
    inputTokens: count,
    outputTokens: count,
    cacheReadTokens: count,
    cacheWriteTokens: count,
    costMicroUsd: fc.option(count),
  }),
  "workspace.create": fc.record({ name }),
  "hub.start": fc.record({ graceMs: fc.constantFrom(0, 60_000) }),
  "hub.sweep": fc.record({
    beats: fc.array(session, { maxLength: 3 }),
    silent: fc.array(fc.record({ id: session, silentMs: fc.constantFrom(0, 1_000_000_000) }), { maxLength: 3 }),
  }),
  "hub.checkpoint": fc.record({ size: fc.nat(60), root: text, digest: text }),
}

type Call = { name: CommandName; input: Commands[CommandName]["input"]; actor: Actor; waitMs: number }
const call: fc.Arbitrary<Call> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(INPUTS) as CommandName[])),
    fc.constantFrom("a", "b", "constructor", "olga"),
    fc.option(session),
    fc.constantFrom(...ROLES),
    fc.constantFrom(0, 0, 0, 0, 0, 1, 1, 120_000, 90_000_000),
  )
  .chain(([called, agent, of, role, waitMs]) => INPUTS[called].map((input): Call => ({ name: called, input, actor: { agent, session: of, role }, waitMs })))

/** A workspace in which most of what is called finds something. */
function peopled(): Scenario {
  const scenario = new Scenario()
  for (const agent of ["a", "b", "constructor"]) scenario.must("agent.add", OPERATOR, { name: agent, maxActive: 2 })
  scenario.must("session.start", OPERATOR, { id: "s_1", agent: "a", runtime: "r", resumeId: null, owned: true })
  for (const id of ["a", "b", "constructor"]) scenario.task(id)
  scenario.claim({ agent: "a", session: "s_1", role: "worker" }, "a")
  return scenario
}

/** The same call by whoever holds the task that it names, with its fence. */
function fitting(scenario: Scenario, input: Call["input"], actor: Actor): Pick<Call, "input" | "actor"> {
  const task = "task" in input && input.task !== null ? scenario.state.tasks.get(input.task) : undefined
  if (task === undefined || task.fence === null || task.owner === null || !("fence" in input)) return { input, actor }
  return { input: { ...input, fence: task.fence }, actor: { agent: task.owner, session: task.session, role: "worker" } }
}

describe("whatever the contract lets through", () => {
  it("is decided and answered without an exception, is folded, and folds again from its bytes", () => {
    const decided = new Set<string>()
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 100, size: "max" }), (calls) => {
        const scenario = peopled()
        for (const { name: called, input: given, actor: caller, waitMs } of calls) {
          scenario.wait(waitMs)
          const { input, actor } = waitMs === 0 ? fitting(scenario, given, caller) : { input: given, actor: caller }
          const outcome = scenario.attempt(called, actor, input, { id: `k${scenario.state.seq}`, hash: "h" })
          decided.add(`${called} ${isRefusal(outcome) ? "refused" : "accepted"}`)
          if (isRefusal(outcome)) expect(Object.keys(outcome)).toEqual(["refused", "message", "remedy", "details"])
          else expect(JSON.stringify(outcome.answer)).toBeDefined()
        }
        expect(JSON.stringify(takeSnapshot(fold(scenario.bytes)))).toBe(JSON.stringify(takeSnapshot(scenario.state)))
      }),
      { numRuns: 300 },
    )
    expect([...decided].filter((outcome) => outcome.endsWith("accepted")).length).toBeGreaterThan(25)
  })
})

describe("the hub's own commands", () => {
  it("create a workspace once, and record a checkpoint only of the state that it was taken of", () => {
    const scenario = new Scenario()
    expect(scenario.must("workspace.create", HUB, { name: "again" }).entries).toEqual([])
    expect(scenario.state.meta.get("workspace")?.name).toBe("main")
    const checkpoint = { size: 1, root: "aa", digest: "bb" }
    expect(scenario.must("hub.checkpoint", HUB, checkpoint).entries).toHaveLength(1)
    expect(scenario.must("hub.checkpoint", HUB, checkpoint).entries).toEqual([])
    expect(scenario.state.meta.get("workspace")?.checkpoint).toEqual(checkpoint)
  })

  it("start by counting the start", () => {
    const scenario = new Scenario()
    for (let start = 1; start <= 2; start++) {
      scenario.must("hub.start", HUB, { graceMs: 0 })
      expect(scenario.state.meta.get("workspace")?.hubStarts).toBe(start)
    }
  })
})

describe("the answers", () => {
  it("to a claim carry the task as it is now, with the fence and the lease of the claim itself", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t", { estimateMs: 7 })
    expect(scenario.must("task.claim", ann, { task: "t" }).answer).toMatchObject({
      leaseMs: 120_000,
      task: { id: "t", state: "claimed", owner: "ann", pathMs: 7, title: "t" },
    })
  })

  it("to a completion name what it made ready, and nothing that was so before or is not yet", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    for (const id of ["a", "b"]) scenario.task(id)
    scenario.task("both", { dependsOn: ["a", "b"] })
    scenario.task("only-a", { dependsOn: ["a"] })
    scenario.task("gone", { dependsOn: ["a"] })
    scenario.must("task.cancel", OPERATOR, { task: "gone", reason: "r" })
    scenario.claim(ann, "a")
    expect(scenario.complete(ann, "a").answer).toMatchObject({ status: "completed", ready: ["only-a"] })
    scenario.claim(ann, "b")
    expect(scenario.complete(ann, "b").answer.ready).toEqual(["both"])
    scenario.task("reviewed", { review: true })
    scenario.task("after", { dependsOn: ["reviewed"] })
    scenario.claim(ann, "reviewed")
    expect(scenario.must("task.complete", ann, { task: "reviewed", fence: scenario.at("reviewed").fence ?? 0, ...delivery() }).answer).toMatchObject({
      status: "review",
      ready: [],
    })
  })

  it("exist for every command", () => {
    expect(Object.keys(commands).sort()).toEqual(Object.keys(INPUTS).sort())
  })
})
