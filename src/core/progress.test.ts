import { expect, test } from "vitest"
import { delivery, OPERATOR, Scenario } from "../../test/scenario.ts"
import { instant } from "./instant.ts"
import { THROTTLES_MAX } from "./progress.ts"
import { evolve } from "./workspace.ts"

test("an attempt that was throttled is not counted, also where it is the last, unless its agent says that a further one is no use", () => {
  const scenario = new Scenario()
  const ann = scenario.agent("ann")
  for (const id of ["t", "u"]) scenario.task(id, { maxAttempts: 1 })
  const usage = { costMicroUsd: 7, inputTokens: 0, outputTokens: 0 }
  const fail = (told: object, retry = true): void => {
    scenario.must("task.fail", ann, { task: "t", fence: scenario.claim(ann, "t"), reason: "later", retry, usage, ...told })
  }
  fail({ reason: "HTTP 429" })
  expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 0 })
  fail({ throttled: { untilMs: null } })
  expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 0, usage: { costMicroUsd: 14 } })
  fail({ throttled: { untilMs: null } }, false)
  expect(scenario.at("t").status).toBe("failed")
  // An entry of a ledger of before: it counted one.
  const causedBy = scenario.claim(ann, "u")
  const data = { id: "u", reason: "HTTP 429", usage, throttled: { untilMs: null } }
  const at = { seq: scenario.state.seq + 1, atMs: scenario.nowMs, v: 1, actor: ann, commandId: null, commandHash: null }
  evolve(scenario.state, { ...at, type: "task.retried", causedBy, data })
  expect(scenario.at("u").attempts).toBe(1)
})

test.each(["task.fail", "task.release"] as const)(
  "%s: what is throttled every time without a word until when fails in the end, each tenth time one attempt",
  (how) => {
    const scenario = new Scenario()
    scenario.must("breaker.setPolicy", OPERATOR, { changes: { throttleMs: 100, openMaxMs: 100 }, reason: "r" })
    const ann = scenario.agent("ann")
    scenario.task("t", { maxAttempts: 2 })
    const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
    const ends = (throttled?: { untilMs: number }): void => {
      scenario.wait(100)
      const input = { task: "t", fence: scenario.claim(ann, "t"), reason: "it exited with 1: rate limited", ...(throttled === undefined ? {} : { throttled }) }
      if (how === "task.fail") scenario.must(how, ann, { ...input, retry: true, usage })
      else scenario.must(how, ann, input)
    }
    for (let times = 1; times < THROTTLES_MAX; times += 1) ends()
    expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 0 })
    // A provider that names its reset is believed, and the count begins anew.
    ends({ untilMs: scenario.nowMs + 150 })
    scenario.wait(100)
    for (let times = 1; times < THROTTLES_MAX; times += 1) ends()
    expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 0 })
    ends()
    expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 1, reason: "it exited with 1: rate limited" })
    for (let times = 1; times < THROTTLES_MAX; times += 1) ends()
    expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 1 })
    // A time that has passed is no word of when.
    ends({ untilMs: 1 })
    expect(scenario.at("t").status).toBe("failed")
  },
)

test("a review that asks for changes says until when work is to be handed over that used more money than it had: with its delivery nobody was told", () => {
  const scenario = new Scenario()
  const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
  const rules = { perClaimMicroUsd: 50, warnPercent: [80], graceMs: 300_000, absorb: false, reason: "money" }
  scenario.must("budget.set", OPERATOR, { scope: "workspace", windowMs: null, limitMicroUsd: 100, ...rules })
  scenario.task("t", { review: true })
  const fence = scenario.claim(ann, "t")
  scenario.must("task.complete", ann, { task: "t", fence, ...delivery(), usage: { costMicroUsd: 60, inputTokens: 0, outputTokens: 0 } })
  const { entries } = scenario.must("task.review", bob, { task: "t", approve: false, reason: "mend it" })
  const until = instant(scenario.state.reservations.get("t")?.stopAtMs ?? 0)
  // First: an agent's hook shows 1,500 characters of a message, and the reason may be longer.
  const text = expect.stringMatching(new RegExp(`^t has used more than it had: hand it over before ${until}\\. .*\nchanges requested on t: mend it$`)) as string
  expect(entries.at(-1)?.data).toMatchObject({ directive: "resume", to: { agent: "ann" }, text })
})
