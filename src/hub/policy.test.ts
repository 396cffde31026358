import { describe, expect, test } from "vitest"
import { CLAIM_ANY, OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { DEFAULT_POLICY } from "../contract/default-policy.ts"
import { SkeinError } from "../contract/errors.ts"
import { DEFAULT_PROFILE } from "../core/agent.ts"
import type { Actor } from "../core/entry.ts"
import { Workspace } from "../core/workspace.ts"
import { MemoryStore } from "../ledger/memory.ts"
import { sha256 } from "../ledger/sha256.ts"
import { loadCedar } from "./cedar-library.ts"
import { Policy } from "./policy.ts"
import type { Judged } from "./policy-log.ts"
import { replay } from "./replay.ts"

const LOCKED = `${DEFAULT_POLICY}
@id("no-prod") @remedy("Ask olga to do it.")
forbid (principal, action in Action::"claim", resource is Task) when { resource.labels.contains("prod") };`

async function withPolicy(text: string, rig?: Rig): Promise<{ rig: Rig; ann: Actor }> {
  const opened = rig ?? (await openRig())
  const [ann] = (await opened.agents("ann")) as [Actor]
  await opened.execute("policy.set", OPERATOR, { text, reason: "r" })
  return { rig: opened, ann }
}

async function refusal(rig: Rig, call: Promise<unknown>): Promise<SkeinError> {
  const answer = await rig.run(call.catch((error: unknown) => error))
  expect(answer).toBeInstanceOf(SkeinError)
  return answer as SkeinError
}

const addTask = (rig: Rig, id: string, labels: string[] = []) => rig.execute("task.add", OPERATOR, { id, title: id, labels })

describe("a policy that was set", () => {
  test("denies a claim, with the rule and its remedy, and nothing is written", async () => {
    const { rig, ann } = await withPolicy(LOCKED)
    await addTask(rig, "ship", ["prod"])
    const head = rig.store.entries.length
    const { code, message, remedy, details } = await refusal(rig, rig.loop.execute("task.claim", ann, { task: "ship" }))
    expect({ code, message, remedy }).toEqual({
      code: "policy_denied",
      message: "rule no-prod of the policy denies: task.claim on task ship by ann",
      remedy: "Ask olga to do it.",
    })
    expect(details).toMatchObject({ rule: "no-prod", action: "task.claim", principal: "ann", resource: "ship" })
    expect(rig.store.entries.length).toBe(head)
  })

  test("bounds what an agent may say that it used: beyond that no report of its own, nor the end of an attempt, closes a budget", async () => {
    const dear = `@id("dear") forbid (principal, action in [Action::"usage.report", Action::"task.complete", Action::"task.fail"], resource)
      when { principal.role == "worker" && context.amountMicroUsd > 500 };`
    const { rig, ann } = await withPolicy(`${DEFAULT_POLICY}\n${dear}`)
    const rules = { windowMs: null, perClaimMicroUsd: 100, warnPercent: [], graceMs: 0, absorb: false, reason: "r" }
    await rig.execute("budget.set", OPERATOR, { ...rules, scope: "workspace", limitMicroUsd: 1_000 })
    await addTask(rig, "t")
    const { fence } = await rig.execute("task.claim", ann, { task: "t" })
    const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
    const report = (costMicroUsd: number) => ({ agent: null, session: null, task: null, model: null, requests: 1, costMicroUsd, ...tokens })
    const usage = { costMicroUsd: 501, inputTokens: 0, outputTokens: 0 }
    const delivery = { deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } }, usage }
    for (const call of [
      () => rig.loop.execute("usage.report", ann, report(501)),
      () => rig.loop.execute("task.complete", ann, { task: "t", fence, ...delivery }),
      () => rig.loop.execute("task.fail", ann, { task: "t", fence, reason: "r", retry: true, usage }),
    ])
      expect((await refusal(rig, call())).details).toMatchObject({ rule: "dear" })
    await rig.execute("usage.report", ann, report(60))
    expect((await rig.execute("task.complete", ann, { task: "t", fence, ...delivery, usage: { ...usage, costMicroUsd: 50 } })).status).toBe("completed")
  })

  test("is passed over by a claim of the next task, which takes what is allowed", async () => {
    const { rig, ann } = await withPolicy(LOCKED)
    await addTask(rig, "ship", ["prod"])
    await addTask(rig, "test")
    const { claims } = await rig.execute("task.claimNext", ann, CLAIM_ANY)
    expect(claims.map(({ task }) => task.id)).toEqual(["test"])
  })

  test("leaves nothing ready for whoever may have none of what is, and says why; whoever waits gets the first that it may have", async () => {
    const { rig, ann } = await withPolicy(LOCKED)
    for (let at = 0; at < 50; at += 1) await addTask(rig, `ship-${at}`, ["prod"])
    const { code, message, remedy } = await refusal(rig, rig.loop.execute("task.claimNext", ann, CLAIM_ANY))
    expect({ code, message }).toEqual({
      code: "nothing_ready",
      message: "no task that fits is ready for ann: of task ship-0, rule no-prod of the policy denies",
    })
    expect(remedy).toContain("Ask olga to do it.")
    // Fifty tasks, one rule: one line, not fifty.
    expect([...rig.loop.policy.log.newest()].filter(({ decision }) => decision === "deny")).toHaveLength(1)
    const waiting = rig.loop.execute("task.claimNext", ann, CLAIM_ANY, { waitMs: 60_000 })
    await addTask(rig, "test")
    expect((await rig.run(waiting)).claims.map(({ task }) => task.id)).toEqual(["test"])
  })

  test("reads U+FFFD where a task of an older ledger has half of a character: Cedar would throw at it, for each task anew", async () => {
    const { rig, ann } = await withPolicy(LOCKED)
    const half = "\ud83d"
    await rig.execute("task.add", OPERATOR, {
      id: "a",
      title: "A",
      labels: ["prod", half],
      touches: [half],
      requires: { [half]: 1 },
      model: half,
      account: half,
    })
    await rig.execute("task.add", OPERATOR, { id: "b", title: "B", labels: [half] })
    const reads = `resource.touches.contains("x") || resource.account == "x" || resource.model == "x" || resource.hasTag("x")`
    await rig.execute("policy.set", OPERATOR, { text: `${LOCKED}\nforbid (principal, action, resource is Task) when { ${reads} };`, reason: "r" })
    expect((await rig.execute("task.claimNext", ann, CLAIM_ANY)).claims.map(({ task }) => task.id)).toEqual(["b"])
    expect(await refusal(rig, rig.loop.execute("task.claim", ann, { task: "a" }))).toMatchObject({ code: "policy_denied", details: { rule: "no-prod" } })
  })

  test("holds for many tasks of one claim, and for the task that a waiter is meant to have", async () => {
    const { rig, ann } = await withPolicy(LOCKED)
    await rig.execute("agent.edit", OPERATOR, { name: "ann", reason: "r", maxActive: 9 })
    for (const id of ["a", "b", "c", "d"]) await addTask(rig, id, id < "c" ? ["prod"] : [])
    const { claims } = await rig.execute("task.claimNext", ann, { ...CLAIM_ANY, max: 9 })
    expect(claims.map(({ task }) => task.id)).toEqual(["c", "d"])
  })

  test("is decided against the state of the command's own turn: what came before in the same batch counts", async () => {
    const once = `${DEFAULT_POLICY}\n@id("one-each") forbid (principal, action in Action::"claim", resource is Task) when { principal.active >= 1 };`
    const { rig, ann } = await withPolicy(once)
    await rig.execute("agent.edit", OPERATOR, { name: "ann", reason: "r", maxActive: 9 })
    await rig.tasks("a", "b", "c")
    const answers = await rig.run(Promise.allSettled(["a", "b", "c"].map((task) => rig.loop.execute("task.claim", ann, { task }))))
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"])
    expect(rig.types().filter((type) => type === "task.claimed")).toHaveLength(1)
  })

  test("holds from its entry on, also within one batch, and again when another is set or the shipped one is back", async () => {
    const rig = await openRig()
    const [ann] = (await rig.agents("ann")) as [Actor]
    await addTask(rig, "ship", ["prod"])
    const claim = (): Promise<unknown> => rig.loop.execute("task.claim", ann, { task: "ship" })
    const set = (text: string | null): Promise<unknown> => rig.loop.execute("policy.set", OPERATOR, { text, reason: "r" })
    const both = await rig.run(Promise.allSettled([set(LOCKED), claim()]))
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"])
    await rig.run(set(LOCKED.replace('"prod"', '"none"')))
    expect(await rig.refused(claim())).toBeNull()
    await rig.execute("task.release", ann, { task: "ship", fence: rig.store.entries.length, reason: "r" })
    await rig.run(set(LOCKED))
    expect(await rig.refused(claim())).toBe("policy_denied")
    await rig.run(set(null))
    expect(await rig.refused(claim())).toBeNull()
  })

  test("never keeps the operator from changing it, nor the hub from what is its own, nor a sign of life from being heard", async () => {
    const { rig, ann } = await withPolicy("forbid (principal, action, resource);")
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "a", title: "A" }))).toBe("policy_denied")
    expect(rig.loop.beat(ann.session as string)).toBe(true)
    await rig.clock.advance(120_000)
    expect(rig.types()).toContain("session.lost")
    await rig.execute("policy.set", OPERATOR, { text: null, reason: "r" })
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "a", title: "A" }))).toBeNull()
  })

  test("answers what was done before it with what was done: the same key again is no new question", async () => {
    const rig = await openRig()
    const [ann] = (await rig.agents("ann")) as [Actor]
    await addTask(rig, "ship", ["prod"])
    const key = { id: "k", hash: "00" }
    const first = await rig.execute("task.claim", ann, { task: "ship" }, { key })
    await rig.execute("policy.set", OPERATOR, { text: LOCKED, reason: "r" })
    expect((await rig.execute("task.claim", ann, { task: "ship" }, { key })).fence).toBe(first.fence)
  })

  test("is on the ledger with its reason: a restart and a replay come to the same policy and the same decision", async () => {
    const { rig, ann } = await withPolicy(LOCKED)
    await addTask(rig, "ship", ["prod"])
    await rig.close()
    const { store, clock } = rig
    const again = await openRig({ store, clock })
    expect(await again.refused(again.loop.execute("task.claim", ann, { task: "ship" }))).toBe("policy_denied")
    const { state, compared } = await replay({ read: (from, limit) => Promise.resolve(store.entries.slice(from - 1, from - 1 + limit)) }, sha256)
    expect(compared.length).toBeGreaterThan(0)
    expect(compared.every(({ ok }) => ok)).toBe(true)
    expect(state.policyTexts.get("policy")).toMatchObject({ text: LOCKED, history: [{ by: "director", reason: "r", shipped: false }] })
  })

  test("that another hub set holds here from the entry on", async () => {
    const clock = new VirtualClock()
    const store = new MemoryStore({ manyWriters: true })
    const one = await openRig({ clock, store })
    const other = await openRig({ clock, store })
    const { ann } = await withPolicy(LOCKED, one)
    await addTask(one, "ship", ["prod"])
    expect(await other.refused(other.loop.execute("task.claim", ann, { task: "ship" }))).toBe("policy_denied")
    await one.execute("policy.set", OPERATOR, { text: null, reason: "r" })
    expect(await other.refused(other.loop.execute("task.claim", ann, { task: "ship" }))).toBeNull()
  })
})

describe("whatever fails", () => {
  const policy = (text: string, load = loadCedar) => {
    const state = new Workspace()
    state.agents.put("ann", { ...DEFAULT_PROFILE, name: "ann", status: "present", addedAtMs: 0, credentials: {} })
    state.policyTexts.put("policy", { text, history: [] })
    const logged: string[] = []
    const note = (_: object, words: string): void => void logged.push(words)
    return { policy: new Policy({ workspace: "main", state, log: { warn: note, error: note }, load }), logged }
  }
  const ann: Actor = { agent: "ann", session: null, role: "worker" }

  test("denies all that is governed: an engine that cannot be loaded", () => {
    const { policy: one, logged } = policy(LOCKED, () => {
      throw new Error("no such file")
    })
    const judged: Judged[] = []
    expect(one.refusal("task.show", ann, { task: "a" }, 0, judged)).toMatchObject({
      refused: "policy_denied",
      details: { by: "fault" },
      message: expect.stringContaining("no such file"),
    })
    expect(one.refusal("policy.show", ann, {}, 0, judged)).toBeNull()
    expect(judged).toHaveLength(1)
    expect(logged).toEqual(["the policy cannot be evaluated: all that it governs is denied"])
  })

  test("denies all that is governed: a text that this version of Cedar cannot parse", () => {
    expect(policy("permit (").policy.refusal("task.show", ann, { task: "a" }, 0, [])).toMatchObject({ refused: "policy_denied", details: { by: "fault" } })
  })

  test("denies: an engine that traps while it decides", () => {
    const trapping = {
      ...loadCedar(),
      statefulIsAuthorized: () => {
        throw new Error("unreachable")
      },
    }
    expect(policy(LOCKED, () => trapping).policy.refusal("task.show", ann, { task: "a" }, 0, [])).toMatchObject({
      message: expect.stringContaining("unreachable"),
    })
  })

  test("denies: an engine that answers with a failure", () => {
    const failing = { ...loadCedar(), statefulIsAuthorized: () => ({ type: "failure", errors: [{ message: "no such set" }], warnings: [] }) as never }
    expect(policy(LOCKED, () => failing).policy.refusal("task.show", ann, { task: "a" }, 0, [])).toMatchObject({
      details: { by: "fault" },
      message: expect.stringContaining("no such set"),
    })
  })

  test("denies: a rule that fails", () => {
    const text = `permit (principal, action, resource);\n@id("bad") forbid (principal, action, resource) when { 9223372036854775807 + context.hourUtc + 1 < 0 };`
    const { policy: one, logged } = policy(text)
    const judged: Judged[] = []
    expect(one.refusal("task.show", ann, { task: "a" }, 0, judged)).toMatchObject({ details: { by: "fault", rule: "bad" } })
    one.keep(judged)
    expect(one.log.counts).toEqual({ allowed: 0, denied: 1 })
    expect(logged).toEqual(["denied by the policy"])
  })
})

describe("the engine", () => {
  test("is loaded, and asked once, before the first decision, and only where a policy is set that needs it", () => {
    const state = new Workspace()
    const count = { loaded: 0, asked: 0 }
    const load = (): ReturnType<typeof loadCedar> => {
      const sound = loadCedar()
      count.loaded += 1
      return { ...sound, statefulIsAuthorized: (...asked) => ((count.asked += 1), sound.statefulIsAuthorized(...asked)) }
    }
    const policy = new Policy({ workspace: "main", state, log: { warn: () => undefined, error: () => undefined }, load })
    policy.prepare()
    state.policyTexts.put("policy", { text: null, history: [] })
    policy.prepare()
    expect(count).toEqual({ loaded: 0, asked: 0 })
    state.policyTexts.put("policy", { text: LOCKED, history: [] })
    policy.prepare()
    expect(count).toEqual({ loaded: 1, asked: 1 })
    policy.refusal("task.claim", { agent: "ann", session: null, role: "worker" }, { task: "t" }, 0, [])
    expect(count.loaded).toBe(1)
    expect([...policy.log.newest()]).toEqual([])
  })

  test("is ready when a hub is that starts with such a policy", async () => {
    const { rig } = await withPolicy("no policy at all")
    await rig.close()
    const again = await openRig({ store: rig.store })
    expect(again.logged).toContain("the policy cannot be evaluated: all that it governs is denied")
    await again.close()
  })
})

test("the log keeps the last thousand, counts all, and tells of a denial once an hour", () => {
  const state = new Workspace()
  const logged: object[] = []
  const policy = new Policy({ workspace: "main", state, log: { warn: (fields) => void logged.push(fields), error: () => undefined } })
  const judged = (seq: number, atMs: number): Judged => ({
    atMs,
    seq,
    decision: seq % 2 === 0 ? "allow" : "deny",
    by: "rule",
    rule: "r",
    principal: "ann",
    role: "worker",
    action: "task.claim",
    resource: "task/a",
    fault: null,
  })
  for (let seq = 1; seq <= 2_500; seq += 1) policy.keep([judged(seq, seq)])
  const kept = [...policy.log.newest()]
  expect([kept.length, kept[0]?.seq, kept.at(-1)?.seq]).toEqual([1_000, 2_500, 1_501])
  expect(policy.log.counts).toEqual({ allowed: 1_250, denied: 1_250 })
  expect(logged).toHaveLength(1)
  expect(policy.log.denials(2_500)).toMatchObject([{ agent: "ann", rule: "r", count: 1_250, lastAtMs: 2_499 }])
  expect(policy.log.denials(3_600_000 + 2_500)).toEqual([])
  policy.keep([judged(2_501, 3_600_000 + 2_501)])
  expect(logged).toHaveLength(2)
})
