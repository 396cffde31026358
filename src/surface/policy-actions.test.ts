import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { DEFAULT_POLICY } from "../contract/default-policy.ts"
import { ERRORS, type ErrorCode } from "../contract/errors.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { type Answer, ask } from "./wire.contract.ts"

let hub: Instance
const secrets = { ann: "", olga: "", sup: "" }

beforeAll(async () => {
  hub = await startInstance({ limits: { checkpointMs: 3_600_000, checkpointEntries: 1_000_000 } })
  secrets.ann = await hub.agent("ann")
  secrets.olga = await hub.agent("olga", { role: "orchestrator" })
  secrets.sup = await hub.agent("sup", { role: "supervisor" })
  for (const [id, labels] of [
    ["ship", ["prod"]],
    ["test", []],
  ] as const)
    await run("task.add", { id, title: id, labels })
})
afterAll(() => hub.close())

function call(operation: string, input: unknown, credential = hub.operator): Promise<Answer> {
  const headers = { authorization: `Bearer ${credential}` }
  return ask(hub.url, `/api/orpc/${operation.replace(".", "/")}`, { headers, body: JSON.stringify(input) })
}

async function run(operation: string, input: unknown, credential = hub.operator): Promise<Record<string, unknown>> {
  const answer = await call(operation, input, credential)
  if (answer.status !== 200) throw new Error(`${operation}: ${answer.text}`)
  return answer.body
}

async function refused(operation: string, input: unknown, credential = hub.operator): Promise<Record<string, unknown>> {
  const { status, body } = await call(operation, input, credential)
  expect(status).toBe(ERRORS[body["code"] as ErrorCode]?.http)
  return body
}

const NO_SHIPPING = `${DEFAULT_POLICY}\n@id("no-prod") forbid (principal, action in Action::"claim", resource is Task) when { resource.labels.contains("prod") };`

describe("only the operator", () => {
  test.for(["policy.show", "policy.set", "policy.check", "policy.test", "policy.log"])("may %s", async (operation) => {
    for (const secret of Object.values(secrets))
      expect(
        await refused(operation, operation === "policy.set" ? { text: null, reason: "r" } : operation === "policy.check" ? { text: "" } : {}, secret),
      ).toMatchObject({ code: "forbidden" })
  })
})

describe("a policy", () => {
  test("with a fault is refused with every fault and its place, and nothing is written", async () => {
    const before = hub.loop.head
    const text = `permit (principal, action == Action::"task.clam", resource);\npermit (principal, action, resource) when { principal.mood > 2 };`
    const { code, message, details } = await refused("policy.set", { text, reason: "r" })
    expect({ code, message }).toMatchObject({ code: "invalid", message: expect.stringContaining("in line 1, column 30") as string })
    expect((details as { faults: unknown[] }).faults).toMatchObject([
      { line: 1, rule: "policy0" },
      { line: 2, column: 45, rule: "policy1", remedy: "Did you mean `kind`?" },
    ])
    expect(await refused("policy.set", { text: "x".repeat(32_769), reason: "r" })).toMatchObject({ code: "invalid_input" })
    expect(await refused("policy.set", { text: " \n", reason: "r" })).toMatchObject({ code: "invalid" })
    expect(hub.loop.head).toEqual(before)
    expect(await run("policy.check", { text })).toMatchObject({ ok: false, faults: [{ line: 1 }, { line: 2 }], warnings: [] })
  })

  test("that is only tried decides nothing, and says of cases and of the ledger what it would", async () => {
    await run("task.claim", { task: "ship" }, secrets.ann)
    const head = hub.loop.head
    const cases = [
      { principal: "ann", action: "task.claim", resource: "task/ship", expect: "deny" },
      { principal: "ann", action: "task.claim", resource: "task/test", expect: "allow" },
      { principal: { role: "worker" }, action: "budget.topUp", resource: "budget/workspace" },
      { principal: "operator", action: "task.claim", resource: { type: "Task", labels: ["ui"] }, expect: "deny" },
    ]
    const answer = await run("policy.test", { text: NO_SHIPPING, cases, last: 1_000 })
    expect(answer["cases"]).toEqual([
      { decision: "deny", by: "rule", rule: "no-prod", fault: null, expect: "deny", ok: true },
      { decision: "allow", by: "rule", rule: "workers-work", fault: null, expect: "allow", ok: true },
      { decision: "deny", by: "role", rule: null, fault: null, expect: null, ok: true },
      { decision: "allow", by: "rule", rule: "workers-work", fault: null, expect: "deny", ok: false },
    ])
    expect(answer["replayed"]).toMatchObject({
      denied: [{ action: "task.claim", resource: "task/ship", principal: "ann", rule: "no-prod", seq: head.seq }],
      more: false,
    })
    // Under the shipped one everything was allowed that was done.
    expect(await run("policy.test", { last: 1_000 })).toMatchObject({ replayed: { denied: [] } })
    expect(hub.loop.head).toEqual(head)
    expect(await run("policy.log", {})).toEqual({ decisions: [], allowed: 0, denied: 0 })
  })

  test("is tried with what a claim is expected to cost, of an agent and a task that are there", async () => {
    await hub.agent("dora")
    await run("agent.edit", { name: "dora", reason: "r", costPerHourMicroUsd: 10_000_000 })
    await run("task.add", { id: "dear", title: "Dear", estimateMs: 3 * 3_600_000 })
    const text = `${DEFAULT_POLICY}\n@id("dear") forbid (principal, action in Action::"claim", resource is Task) when { context.amountMicroUsd > 5000000 };`
    const one = { principal: "dora", action: "task.claim", resource: "task/dear" }
    expect(await run("policy.test", { text, cases: [one, { ...one, context: { amountMicroUsd: 5 } }] })).toMatchObject({
      cases: [{ decision: "deny", rule: "dear" }, { decision: "allow" }],
    })
  })

  const WRONG: [what: string, one: object, complaint: RegExp][] = [
    ["an operation that there is not", { principal: "ann", action: "task.explode" }, /case 1: no policy decides task\.explode/],
    ["an operation that no policy decides", { principal: "ann", action: "policy.set" }, /no policy decides/],
    ["an agent that there is not", { principal: "bob", action: "task.list" }, /there is no agent bob/],
    ["a resource of another type", { principal: "ann", action: "task.claim", resource: "plan/p" }, /acts on a Task/],
    ["no resource where one is needed", { principal: "ann", action: "task.claim" }, /acts on a Task/],
    ["an attribute that there is not", { principal: { role: "worker", mood: 1 }, action: "task.list" }, /no attribute mood/],
    ["an attribute of another type", { principal: "ann", action: "task.claim", resource: { type: "Task", labels: "ui" } }, /labels is a Strings/],
    ["tags that are no levels", { principal: { role: "worker", tags: "ts" }, action: "task.list" }, /tags are levels/],
    ["context that there is not", { principal: "ann", action: "task.list", context: { ip: "x" } }, /no attribute ip/],
  ]
  test.for(WRONG)("is not tried on a case with %s", async ([, one, complaint]) => {
    const { code, message, remedy } = await refused("policy.test", { cases: [one] })
    expect({ code, message, remedy }).toEqual({
      code: "invalid",
      message: expect.stringMatching(complaint) as string,
      remedy: expect.stringMatching(/\S/) as string,
    })
  })

  test("that was set denies reads and commands alike over the wire, is logged with its rule, counted in the alerts, and shown with its history", async () => {
    const text = `${NO_SHIPPING}\n@id("quiet") @remedy("Ask olga.") forbid (principal == Agent::"ann", action == Action::"agent.list", resource);`
    const { seq } = await run("policy.set", { text, reason: "no shipping" })
    await run("lease.end", { task: "ship", reason: "r" })
    const against = hub.loop.head.seq
    expect(await refused("task.claim", { task: "ship" }, secrets.ann)).toMatchObject({ code: "policy_denied", details: { rule: "no-prod" } })
    expect(await refused("agent.list", {}, secrets.ann)).toMatchObject({ code: "policy_denied", remedy: "Ask olga.", details: { rule: "quiet" } })
    await run("agent.list", {}, secrets.olga)
    const log = await run("policy.log", { decision: "deny" })
    expect(log["decisions"]).toMatchObject([
      { decision: "deny", by: "rule", rule: "quiet", principal: "ann", role: "worker", action: "agent.list", resource: "workspace" },
      { decision: "deny", by: "rule", rule: "no-prod", principal: "ann", action: "task.claim", resource: "task/ship", seq: against },
    ])
    expect((await run("hub.status", {}))["alerts"]).toContainEqual(
      expect.objectContaining({
        kind: "policy_denied",
        agent: "ann",
        about: "task.claim no-prod",
        text: "ann was denied task.claim once lately by rule no-prod of the policy",
      }),
    )
    expect(hub.lines.filter((line) => line.includes("denied by the policy"))).toHaveLength(2)
    await run("policy.set", { text: null, reason: "back" })
    expect(await run("policy.show", {})).toMatchObject({
      shipped: true,
      text: DEFAULT_POLICY,
      history: [
        { seq, reason: "no shipping", shipped: false },
        { reason: "back", shipped: true },
      ],
    })
    expect(await run("policy.show", { seq })).toMatchObject({ shipped: false, text })
    expect(await refused("policy.show", { seq: 1 })).toMatchObject({ code: "not_found" })
    expect((await run("policy.show", { schema: true }))["schema"]).toContain(
      'action "task.claim" in [Action::"task.*", Action::"kind/command", Action::"least/worker", Action::"claim", Action::"spend"]',
    )
  })
})

test("a policy that was set is ready before the next batch asks it", async () => {
  const { policy } = hub.loop
  const prepare = policy.prepare.bind(policy)
  let prepared = 0
  policy.prepare = () => {
    prepared += 1
    prepare()
  }
  await run("policy.set", { text: NO_SHIPPING, reason: "r" })
  expect(prepared).toBe(1)
  policy.prepare = prepare
  await run("policy.set", { text: null, reason: "r" })
})
