import { expect, test } from "vitest"
import { SkeinError } from "../../src/contract/errors.ts"
import type { Claimed } from "../../src/core/answer.ts"
import type { Actor } from "../../src/core/entry.ts"
import { Chance } from "../../src/cli/simulation/chance.ts"
import { actor, CLAIM_ANY, DONE, NOTHING_USED, OPERATOR, openRig, type Rig } from "./rig.ts"

const MINUTE_MS = 60_000
const TASKS = 60

type Worker = { by: Actor; account: string; attempts: number[]; completed: number; refused: Set<string> }
type Behaviour = (worker: Worker, claim: Claimed, nowMs: number) => "done" | "failed" | { untilMs: number | null }

/** A hub on a virtual clock, and agents that claim, take a while, and end as they are told: what each of them attempted, and what kept it away. */
async function storm(seed: number, behave: Behaviour): Promise<{ rig: Rig; workers: Worker[]; startMs: number }> {
  const rig = await openRig()
  const chance = new Chance(seed)
  const workers: Worker[] = []
  for (const [name, account] of [
    ["bad", "shared"],
    ["ann", "shared"],
    ["bob", "shared"],
    ["cat", "own"],
  ] as const) {
    await rig.execute("agent.add", OPERATOR, { name, account, model: "m" })
    const { session } = await rig.execute("session.start", actor(name), { id: `s_${name}`, agent: name, runtime: "test", resumeId: null, owned: false })
    workers.push({ by: actor(name, session), account, attempts: [], completed: 0, refused: new Set() })
  }
  for (let at = 0; at < TASKS; at += 1) await rig.execute("task.add", OPERATOR, { id: `t${at}`, title: "T", labels: [`kind${at % 3}`], maxAttempts: 1_000 })
  const startMs = rig.loop.nowMs()
  const endMs = startMs + 20 * MINUTE_MS
  let over = 0
  const live = async (worker: Worker): Promise<void> => {
    while (rig.loop.nowMs() < endMs) {
      const claim = await rig.loop.execute("task.claimNext", worker.by, CLAIM_ANY, {}).then(
        ({ claims }) => claims[0] ?? null,
        (error: unknown) => {
          if (!(error instanceof SkeinError)) throw error
          worker.refused.add(`${error.code} ${(error.details["breaker"] as string | undefined) ?? ""}`.trim())
          const { breaker } = error.details
          worker.refused.add(typeof breaker === "string" ? `${error.code} ${breaker}` : error.code)
          if (error.code === "nothing_ready") return undefined
          return null
        },
      )
      if (claim === undefined && rig.loop.nowMs() > endMs - 10 * MINUTE_MS) break
      if (claim) {
        worker.attempts.push(rig.loop.nowMs())
        const under = { task: claim.task.id, fence: claim.fence }
        const end = behave(worker, claim, rig.loop.nowMs())
        await slept(end === "done" ? chance.between(5_000, 30_000) : chance.between(50, 500))
        if (end === "done") {
          await rig.loop.execute("task.complete", worker.by, { ...under, ...DONE }, {})
          worker.completed += 1
        } else if (end === "failed") await rig.loop.execute("task.fail", worker.by, { ...under, reason: "broke", retry: true, usage: NOTHING_USED }, {})
        else await rig.loop.execute("task.release", worker.by, { ...under, reason: "later", throttled: end }, {})
      } else await slept(1_000)
    }
    over += 1
  }
  const slept = (ms: number): Promise<void> => new Promise((resolve) => void rig.clock.after(ms, resolve))
  const lives = workers.map(live)
  await rig.clock.until(Promise.all(lives), 30 * MINUTE_MS)
  expect(over).toBe(workers.length)
  return { rig, workers, startMs }
}

test("a storm of failures does not spread: whoever fails is left alone, all others work on and complete everything", async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const { rig, workers } = await storm(seed, ({ by }) => (by.agent === "bad" ? "failed" : "done"))
    const [bad, ...others] = workers as [Worker, ...Worker[]]
    // In twenty minutes: five failures, then one probe after 1, 2, 4, 8 and 15 minutes.
    expect(bad.attempts.length, `seed ${seed}`).toBeLessThanOrEqual(9)
    expect([...bad.refused].some((why) => why === "breaker_open agent/bad")).toBe(true)
    expect(others.reduce((sum, { completed }) => sum + completed, 0)).toBe(TASKS)
    for (const { refused, by } of others)
      expect(
        [...refused].filter((why) => why.startsWith("breaker_open")),
        `seed ${seed}: ${by.agent}`,
      ).toEqual([])
    await rig.close()
  }
})

test("what is throttled is never retried into before its reset, by no agent of the account, and no breaker counts it as failure", async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    let resetMs = 0
    const into: string[] = []
    const { rig, workers, startMs } = await storm(seed, ({ by, account }, claim, nowMs) => {
      if (account !== "shared") return "done"
      if (resetMs === 0) resetMs = nowMs + 5 * MINUTE_MS
      if (nowMs >= resetMs) return "done"
      into.push(`${by.agent} ${claim.task.id} ${nowMs}`)
      return { untilMs: resetMs }
    })
    // Those who were at work already when the first heard of it.
    expect(into.length, `seed ${seed}: ${into.join(", ")}`).toBeLessThanOrEqual(3)
    for (const { attempts, account } of workers)
      if (account === "shared")
        expect(
          attempts.filter((atMs) => atMs > startMs + 1_000 && atMs < resetMs),
          `seed ${seed}`,
        ).toEqual([])
    expect(workers.reduce((sum, { completed }) => sum + completed, 0)).toBe(TASKS)
    const failures = await rig.clock.until(rig.loop.read((state) => [...state.breakers.values()].flatMap(({ recent }) => recent.filter(({ ok }) => !ok))))
    expect(failures).toEqual([])
    await rig.close()
  }
})
