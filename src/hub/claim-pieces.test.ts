import { isDeepStrictEqual } from "node:util"
import fc from "fast-check"
import { expect, onTestFinished, test } from "vitest"
import { PLAN } from "../../test/scenario.ts"
import { actor, CLAIM_ANY, OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import type { ClaimNext } from "../core/claim.ts"
import { commands } from "../core/command.ts"
import { EFFORT_MAX } from "../core/glob-automaton.ts"
import { PRIORITIES } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"
import { Policy } from "./policy.ts"

/** Each piece has one task judged. */
const PIECES = { claimSteps: EFFORT_MAX / 200 }
const WISH = { mode: "exclusive", ttlMs: 60_000, reason: "r", task: null, fence: null } as const
const forbidding = (condition: string): string =>
  `permit (principal, action, resource);\nforbid (principal, action == Action::"task.claim", resource is Task) when { ${condition} };`

const sound = commands["task.claimNext"]

/** Answers how often a claim was decided from its beginning. `check` is told of each decision that came to an end. */
function decided(check: (state: Workspace, by: string, input: ClaimNext, nowMs: number, decision: unknown) => void = () => undefined): { times: number } {
  const count = { times: 0 }
  commands["task.claimNext"] = {
    ...sound,
    decide: (state, by, input, nowMs) => {
      count.times += 1
      const decision = sound.decide(state, by, input, nowMs)
      check(state, by.agent, input, nowMs, decision)
      return decision
    },
  }
  onTestFinished(() => void (commands["task.claimNext"] = sound))
  return count
}

test("a claim goes on where it was: however many pieces it takes, three of them begin at the first task", async () => {
  const rig = await openRig({ limits: PIECES })
  const [ann] = await rig.agents("ann")
  const tasks = Array.from({ length: 150 }, (_, at) => ({ id: `t${at}`, title: "t" }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, name: "p", tasks })
  await rig.execute("task.add", OPERATOR, { id: "free", title: "free", priority: "low" })
  await rig.execute("policy.set", OPERATOR, { text: forbidding(`resource.name like "p.1/*"`), reason: "r" })
  const count = decided()
  expect((await rig.execute("task.claimNext", ann!, CLAIM_ANY)).claims.map(({ task }) => task.id)).toEqual(["free"])
  expect(rig.loop.stats()["putOff"]).toBeGreaterThanOrEqual(150)
  expect(count.times).toBe(3)
  await rig.close()
})

test("pieces that go on have no more time than the first ones, however many there are", async () => {
  const rig = await openRig({ limits: PIECES })
  const [ann] = await rig.agents("ann")
  const tasks = Array.from({ length: 350 }, (_, at) => ({ id: `t${at}`, title: "t" }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, name: "p", tasks })
  await rig.execute("policy.set", OPERATOR, { text: forbidding(`resource.name like "p.1/*"`), reason: "r" })
  expect(await rig.refused(rig.loop.execute("task.claimNext", ann!, CLAIM_ANY))).toBe("nothing_ready")
  expect(rig.loop.stats()["putOff"]).toBe(349)
  await rig.close()
})

type Change = (rig: Rig) => Promise<unknown>

const name = fc.nat(24).map((at) => `t${at}`)
const spec = fc.record({
  priority: fc.constantFrom(...PRIORITIES),
  prefers: fc.constantFrom(null, "ann", "bob"),
  labels: fc.subarray(["x", "y"]),
  filler: fc.boolean(),
  touches: fc.constantFrom<string[]>([], ["a"], ["b"], ["a/*", "c"]),
  requires: fc.constantFrom<Record<string, number>>({}, {}, { ts: 2 }),
})
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(fc.nat(1_000), spec).map(
    ([at, given]): Change =>
      (rig) =>
        rig.loop.execute("task.add", OPERATOR, { id: `u${at}`, title: "u", ...given }),
  ),
  fc.tuple(name, spec).map(
    ([task, { priority, labels }]): Change =>
      (rig) =>
        rig.loop.execute("task.edit", OPERATOR, { task, reason: "r", changes: { priority, labels } }),
  ),
  name.map(
    (task): Change =>
      (rig) =>
        rig.loop.execute("task.cancel", OPERATOR, { task, reason: "r" }),
  ),
  name.map(
    (task): Change =>
      (rig) =>
        rig.loop.execute("task.claim", actor("bob", "s_bob"), { task }),
  ),
  fc.constantFrom("a", "b", "**").map(
    (glob): Change =>
      (rig) =>
        rig.loop.execute("files.reserve", actor("bob", "s_bob"), { ...WISH, globs: [glob] }),
  ),
  fc
    .constantFrom(
      ...['resource.labels.contains("x")', 'resource.name like "*1"', "resource.filler", "principal.active > 0", "principal.maxActive > 2"].map(forbidding),
      null,
    )
    .map(
      (text): Change =>
        (rig) =>
          rig.loop.execute("policy.set", OPERATOR, { text, reason: "r" }),
    ),
  fc.constantFrom({ maxActive: 3 }, { capabilities: { ts: 3 } }, { account: "acc" }, { account: null }).map(
    (changes): Change =>
      (rig) =>
        rig.loop.execute("agent.edit", OPERATOR, { name: "ann", reason: "r", ...changes }),
  ),
  fc.constantFrom("agent/ann", "account/acc").map(
    (breaker): Change =>
      (rig) =>
        rig.loop.execute("breaker.trip", OPERATOR, { breaker, untilMs: null, reason: "r" }),
  ),
  fc.constant<Change>((rig) => rig.loop.execute("session.end", actor("ann", "s_ann"), { session: "s_ann", reason: "r" })),
)

test("a claim in pieces is decided as one whole look would decide it at the moment of its end, whatever changes between", async () => {
  let whole: Policy | null = null
  let ends = 0
  const differing: unknown[] = []
  const count = decided((state, agent, input, nowMs, decision) => {
    const by = actor(agent, `s_${agent}`)
    const { plan, labels, filler, max } = input
    const asked = (whole as Policy).guarded(by, { plan, labels, filler, max, steps: 1_000 * EFFORT_MAX }, nowMs, [])
    const once = sound.decide(state, by, asked, nowMs)
    if (!isDeepStrictEqual(decision, once)) differing.push({ decision, once })
    ends += 1
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(spec, { minLength: 10, maxLength: 25, size: "max" }),
      fc.array(fc.tuple(fc.nat(12), change), { maxLength: 6 }),
      fc.record({ labels: fc.subarray(["x", "y"]), filler: fc.constantFrom(null, false, true), max: fc.constantFrom(1, 1, 3) }),
      async (specs, changes, wish) => {
        const rig = await openRig({ limits: PIECES })
        const [ann, bob] = await rig.agents("ann", "bob")
        await rig.execute("files.reserve", bob!, { ...WISH, globs: ["b"] })
        const tasks = specs.map((given, at) => ({ ...given, id: `t${at}`, title: "t" }))
        for (const task of tasks) await rig.execute("task.add", OPERATOR, task)
        await rig.execute("policy.set", OPERATOR, { text: forbidding(`resource.name like "*t*" && resource.priority != "low"`), reason: "r" })
        whole = await rig.loop.read((now) => new Policy({ workspace: "whole", state: now, log: { warn: () => undefined, error: () => undefined } }))
        const asked: Promise<unknown>[] = [rig.loop.execute("task.claimNext", ann!, { plan: null, ...wish }).catch(() => null)]
        for (const [steps, make] of changes) {
          for (let at = 0; at < steps; at += 1) await rig.clock.step(rig.clock.monotonicMs())
          asked.push(make(rig).catch(() => null))
        }
        await rig.run(Promise.all(asked))
        expect(differing).toEqual([])
        await rig.close()
      },
    ),
    { seed: 7, numRuns: 60 },
  )
  expect(ends).toBeGreaterThanOrEqual(60)
  expect(count.times).toBeGreaterThan(2 * ends)
})
