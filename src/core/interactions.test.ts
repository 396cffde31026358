import fc from "fast-check"
import { expect, it } from "vitest"
import { Mixed, mixedHistory } from "../../test/mixed-history.ts"

const SEED = Number(process.env["CORE_SEED"] ?? Date.now() % 0x7fffffff)

it(`money, breakers, blockers, files, reviews and agents that come and go meet in any order, and the rules of each hold (seed ${SEED})`, () => {
  fc.assert(
    fc.property(mixedHistory, (steps) => {
      const mixed = new Mixed()
      for (const step of steps) mixed.take(step)
      mixed.checkFold()
    }),
    { seed: SEED, numRuns: 300 },
  )
})

it("the histories reach what matters", () => {
  const reached = new Set<string>()
  const histories = fc.sample(mixedHistory, { seed: 1, numRuns: 100 })
  for (const steps of histories) {
    const mixed = new Mixed()
    for (const step of steps) mixed.take(step)
    for (const what of mixed.reached) reached.add(what)
  }
  const wanted = [
    "task.claim not_ready",
    "task.claim breaker_open",
    "task.claim budget_spent",
    "task.claim files_conflict",
    "task.claimNext ok",
    "task.review ok",
  ]
  const rare = [
    "task.block retired",
    "task.edit invalid",
    "help.answer ok",
    "usage.refund ok",
    "agent.retire ok",
    "task.unblock ok",
    "task.block cycle",
    "permission.ask retired",
  ]
  expect([...wanted, ...rare].filter((what) => !reached.has(what))).toEqual([])
})
