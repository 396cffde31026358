import fc from "fast-check"
import { expect, onTestFinished, test } from "vitest"
import { PLAN } from "../../test/scenario.ts"
import { actor, CLAIM_ANY, OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import type { SkeinError } from "../contract/errors.ts"
import type { ClaimNext } from "../core/claim.ts"
import { commands } from "../core/command.ts"
import type { Actor } from "../core/entry.ts"
import { EFFORT_MAX } from "../core/glob-automaton.ts"
import { Unfinished } from "../core/unfinished.ts"
import { VirtualClock } from "./virtual-clock.ts"

const WISH = { mode: "exclusive", ttlMs: 60_000, reason: "r", task: null, fence: null } as const
/** Globs that take all that one call may compare to tell apart. */
const worst = (at: number): string => `z/${"*a".repeat(58)}${String.fromCodePoint(0x4e00 + at)}*`

/** Many tasks whose files take long to compare with what `holder` holds, and one after them that touches none. */
async function longQueue(tasks: number): Promise<{ rig: Rig; agents: Actor[] }> {
  const rig = await openRig()
  const [holder, ...agents] = await rig.agents("holder", "ann", "bob")
  await rig.execute("files.reserve", holder!, { ...WISH, globs: Array.from({ length: 64 }, (_, at) => worst(1_000 + at)) })
  for (let at = 0; at < tasks; at += 1) await rig.execute("task.add", OPERATOR, { id: `t${at}`, title: "t", touches: [worst(at)] })
  await rig.execute("task.add", OPERATOR, { id: "free", title: "free" })
  return { rig, agents }
}

test("a claim that has to compare many files goes on in another batch, and others are decided between", async () => {
  const { rig, agents } = await longQueue(5)
  const [ann, bob] = agents
  const before = rig.disk.batches.length
  const claim = rig.loop.execute("task.claimNext", ann!, CLAIM_ANY)
  const added = rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u", priority: "low" })
  const { claims } = await rig.run(claim)
  await rig.run(added)
  expect(claims.map(({ task }) => task.id)).toEqual(["free"])
  // What was asked with it was durable before it.
  expect(rig.disk.batches.slice(before)).toEqual([1, 1])
  expect(rig.types().slice(-2)).toEqual(["task.added", "task.claimed"])
  // What it found out is kept: the next one is decided at once.
  expect((await rig.execute("task.claimNext", bob!, CLAIM_ANY)).claims.map(({ task }) => task.id)).toEqual(["u"])
  await rig.close()
})

test("a claim that has to read many globs goes on in another batch too, however little there is to compare", async () => {
  const rig = await openRig()
  const [holder, ann] = await rig.agents("holder", "ann")
  const tasks = Array.from({ length: 1_000 }, (_, at) => ({ id: `t${at}`, title: "t", touches: [`pkg${at}/**/*.ts`, `pkg${at}/package.json`] }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, name: "p", tasks })
  await rig.execute("files.reserve", holder!, { ...WISH, globs: ["**"] })
  expect(await rig.refused(rig.loop.execute("task.claimNext", ann!, CLAIM_ANY))).toBe("nothing_ready")
  expect(rig.loop.stats()["putOff"]).toBeGreaterThan(0)
  await rig.close()
})

test("a claim that looks for a task to try its agent on goes on in another batch too", async () => {
  const rig = await openRig()
  const [holder] = await rig.agents("holder")
  await rig.execute("agent.add", OPERATOR, { name: "ann", kind: "claude", capabilities: { docs: 1 } })
  // The first task of each skill is looked at.
  const small = (at: number) => ({ title: "t", requires: { [`skill${at}`]: 1 }, estimateMs: 60_000 })
  const tasks = Array.from({ length: 1_000 }, (_, at) => ({ ...small(at), id: `t${at}`, touches: [`pkg${at}/**/*.ts`, `pkg${at}/package.json`] }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, name: "p", tasks })
  await rig.execute("files.reserve", holder!, { ...WISH, globs: ["**"] })
  // How long the ledger is says whether the next claim looks for one.
  for (let at = 0; at < 200 && rig.loop.stats()["putOff"] === 0; at += 1) {
    await rig.execute("task.add", OPERATOR, { ...small(0), id: `u${at}`, estimateMs: null })
    expect(await rig.refused(rig.loop.execute("task.claimNext", actor("ann"), CLAIM_ANY))).toBe("nothing_ready")
  }
  expect(rig.loop.stats()["putOff"]).toBeGreaterThan(0)
  await rig.close()
})

test("what an agent asks after such a claim does not overtake it", async () => {
  const { rig, agents } = await longQueue(5)
  const [ann] = agents
  const order: string[] = []
  const asked = [
    rig.loop.execute("task.claimNext", ann!, CLAIM_ANY).then(() => order.push("claimed")),
    rig.loop.execute("files.reserve", ann!, { ...WISH, globs: ["a"] }).then(() => order.push("reserved")),
  ]
  await rig.run(Promise.all(asked))
  expect(order).toEqual(["claimed", "reserved"])
  await rig.close()
})

/** Each agent's claim is unfinished so often; answers what the decider is given. */
function unfinished(times: number | (() => number), onPiece: () => void = () => undefined): ClaimNext[] {
  const asked: ClaimNext[] = []
  const left = new Map<string, number>()
  const sound = commands["task.claimNext"]
  commands["task.claimNext"] = {
    ...sound,
    decide: (state, by, input, nowMs) => {
      asked.push(input)
      onPiece()
      const more = left.get(by.agent) ?? (typeof times === "number" ? times : times())
      left.set(by.agent, more - 1)
      if (more > 0) throw new Unfinished()
      left.delete(by.agent)
      return sound.decide(state, by, input, nowMs)
    },
  }
  onTestFinished(() => void (commands["task.claimNext"] = sound))
  return asked
}

test("however many such claims there are, what others ask is in the next batch, and one of them after the other comes to its end", async () => {
  const rig = await openRig({ limits: { batchMax: 2, decideMs: -1 } })
  const names = ["ann", "bob", "cat", "dan"]
  const agents = await rig.agents(...names)
  await rig.tasks(...names)
  unfinished(5)
  const order: string[] = []
  const claims = agents.map((by) => rig.loop.execute("task.claimNext", by, CLAIM_ANY).then(() => order.push(by.agent)))
  // The first has been decided twice by then, and each other once.
  while (rig.loop.stats()["putOff"]! <= names.length) await rig.clock.step(rig.clock.monotonicMs())
  const added = rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }).then(() => order.push("added"))
  await rig.run(Promise.all([...claims, added]))
  expect(order).toEqual(["added", ...names])
  await rig.close()
})

test("however many such claims are new, what others ask is in the next batch but one, whenever it comes, and each claim comes to its end", async () => {
  let pieces = 0
  let most = 0
  unfinished(
    () => most,
    () => (pieces += 1),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 3, max: 80 }),
      fc.integer({ min: 1, max: 3 }),
      fc.nat(120),
      fc.nat(80),
      fc.constantFrom(1, 100),
      async (crowd, times, steps, before, others) => {
        pieces = 0
        most = times
        const clock = new (class extends VirtualClock {
          // Longer than a batch has.
          override monotonicMs(): number {
            return super.monotonicMs() + 31 * pieces
          }
        })()
        const rig = await openRig({ clock })
        const names = Array.from({ length: crowd }, (_, at) => `agent${at}`)
        const agents = await rig.agents(...names)
        await rig.tasks(...names)
        let heardAt: number | null = null
        const ask = (): Promise<unknown>[] =>
          Array.from({ length: others }, (_, at) => {
            const by = { ...OPERATOR, agent: `director${at}` }
            return rig.loop.execute("task.add", by, { id: `u${at}`, title: "u", priority: "low" }).then(() => (heardAt = pieces))
          })
        const asked: Promise<unknown>[] = []
        for (const [at, by] of agents.entries()) {
          // With the crowd, in its middle or behind it, all in one batch.
          if (at === before) asked.push(...ask())
          asked.push(rig.loop.execute("task.claimNext", by, CLAIM_ANY))
        }
        for (let at = 0; at < steps; at += 1) await clock.step(VirtualClock.prototype.monotonicMs.call(clock))
        const from = before < crowd ? 0 : pieces
        if (before >= crowd) asked.push(...ask())
        await rig.run(Promise.all(asked))
        // A batch begins with one that goes on, and ends after a new one; the first one there was has none before it.
        expect(heardAt! - from).toBeLessThanOrEqual(before < crowd ? 3 : 4)
        expect(rig.loop.stats()["queue"]).toBe(0)
        await rig.close()
      },
    ),
    { seed: 7, numRuns: 40 },
  )
})

test("however many such claims wait, nobody else is refused", async () => {
  let pieces = 0
  unfinished(1_000, () => (pieces += 1))
  const clock = new (class extends VirtualClock {
    override monotonicMs(): number {
      return super.monotonicMs() + 31 * pieces
    }
  })()
  const rig = await openRig({ clock, limits: { batchMax: 8 } })
  const agents = await rig.agents(...Array.from({ length: 60 }, (_, at) => `agent${at}`))
  const code = ({ code }: SkeinError): string => code
  const claims = agents.map((by) => rig.loop.execute("task.claimNext", by, CLAIM_ANY).catch(code))
  const others: Promise<unknown>[] = []
  while (rig.loop.stats()["putOff"]! < 120) {
    others.push(rig.loop.execute("task.add", OPERATOR, { id: `t${others.length}`, title: "t" }).then(() => "added", code))
    await clock.step(VirtualClock.prototype.monotonicMs.call(clock))
  }
  expect(rig.loop.admission.isFull("director")).toBe(false)
  await rig.close()
  expect(new Set(await Promise.all(others))).toEqual(new Set(["added"]))
  expect(new Set(await Promise.all(claims))).toEqual(new Set(["hub_stopping"]))
})

test("a hub that stops waits for no such claim, whether it was put off before or is heard for the first time, and answers all else", async () => {
  const rig = await openRig()
  const names = ["ann", "bob", "cat", "dan"]
  const agents = await rig.agents(...names)
  const asked = unfinished(1_000)
  const heard = (answer: Promise<unknown>): Promise<string> =>
    answer.then(
      () => "answered",
      ({ code }: SkeinError) => code,
    )
  const claim = (by: Actor): Promise<string> => heard(rig.loop.execute("task.claimNext", by, CLAIM_ANY, { waitMs: 60_000 }))
  const before = agents.slice(0, 3).map(claim)
  while (rig.loop.stats()["putOff"]! < 6) await rig.clock.step(rig.clock.monotonicMs())
  const answers = [...before, claim(agents[3]!), heard(rig.loop.execute("files.reserve", agents[1]!, { ...WISH, globs: ["a"] }))]
  const pieces = asked.length
  await rig.close()
  expect(await Promise.all(answers)).toEqual([...names.map(() => "hub_stopping"), "answered"])
  expect(asked.length - pieces).toBeLessThanOrEqual(2)
})

test("such a claim is not made for a caller that has gone meanwhile", async () => {
  const rig = await openRig()
  const [ann, bob] = await rig.agents("ann", "bob")
  await rig.tasks("t", "u")
  const from = { readable: true }
  const asked = unfinished(20, () => (from.readable = asked.length < 5))
  const gone = rig.refused(rig.loop.execute("task.claimNext", ann!, CLAIM_ANY, { from }))
  expect(await gone).toBe("timed_out")
  expect(asked).toHaveLength(5)
  const there = await rig.run(rig.loop.execute("task.claimNext", bob!, CLAIM_ANY, { from: { readable: true } }))
  expect(there.claims).toHaveLength(1)
  await rig.close()
})

test("such a claim has twice the time after each hundred times that it was put off, and begins anew after it has waited", async () => {
  const rig = await openRig()
  const [ann] = await rig.agents("ann")
  const asked = unfinished(220)
  const claim = rig.loop.execute("task.claimNext", ann!, CLAIM_ANY, { waitMs: 60_000 })
  await rig.clock.advance(1_000)
  expect(rig.loop.stats()["parked"]).toBe(1)
  const effort = Array.from({ length: 221 }, (_, at) => (at < 100 ? undefined : at < 200 ? 2 * EFFORT_MAX : 4 * EFFORT_MAX))
  expect(asked.map(({ steps }) => steps)).toEqual(effort)
  asked.length = 0
  await rig.tasks("t")
  await rig.run(claim)
  expect(asked.map(({ steps }) => steps)).toEqual(effort)
  await rig.close()
})

test("a claim for which the policy has to be asked of many tasks goes on in another batch too", async () => {
  const rig = await openRig()
  const [ann] = await rig.agents("ann")
  const text = `permit (principal, action, resource);
    forbid (principal, action == Action::"task.claim", resource is Task) when { resource.name like "p.1/*" };`
  const tasks = Array.from({ length: 600 }, (_, at) => ({ id: `t${at}`, title: "t" }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, name: "p", tasks })
  await rig.execute("task.add", OPERATOR, { id: "free", title: "free" })
  await rig.execute("policy.set", OPERATOR, { text, reason: "r" })
  const claim = rig.loop.execute("task.claimNext", ann!, CLAIM_ANY)
  const added = rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u", priority: "low" })
  expect((await rig.run(claim)).claims.map(({ task }) => task.id)).toEqual(["free"])
  await rig.run(added)
  expect(rig.types().slice(-2)).toEqual(["task.added", "task.claimed"])
  // Told once, however often it was put off.
  expect([...rig.loop.policy.log.newest()].filter(({ principal }) => principal === "ann").map(({ action, decision }) => [action, decision])).toEqual([
    ["task.claim", "allow"],
    ["task.claim", "deny"],
    ["task.claimNext", "allow"],
  ])
  await rig.close()
})

test("a claim goes on where a rule of the policy fails for each task: that it does is known the next time", async () => {
  const rig = await openRig()
  const [ann] = await rig.agents("ann")
  const text = `permit (principal, action, resource);
    forbid (principal, action == Action::"task.claim", resource is Task) when { resource.name != "" && resource.estimateMs + 9223372036854775807 > 0 };`
  const tasks = Array.from({ length: 600 }, (_, at) => ({ id: `t${at}`, title: "t", estimateMs: 60_000 }))
  await rig.execute("plan.add", OPERATOR, { ...PLAN, name: "p", tasks })
  await rig.execute("policy.set", OPERATOR, { text, reason: "r" })
  expect(await rig.refused(rig.loop.execute("task.claimNext", ann!, CLAIM_ANY))).toBe("nothing_ready")
  expect(rig.loop.stats()["putOff"]).toBe(2)
  await rig.close()
})
