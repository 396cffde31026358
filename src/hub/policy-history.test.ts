import { expect, test } from "vitest"
import { DONE, openRig, OPERATOR } from "../../test/simulation/rig.ts"
import { GOVERNED } from "../contract/policy-schema.ts"
import { KINDS } from "../contract/names.ts"
import { PURPOSES } from "../contract/operation.ts"
import { groupsOf } from "../contract/policy-schema.ts"
import type { Actor } from "../core/entry.ts"
import { ASKED, askedIn } from "./policy-history.ts"

test("a ledger tells who asked for what: a plan once, each claim, and of all else the first entry", async () => {
  const rig = await openRig()
  const [ann] = (await rig.agents("ann")) as [Actor]
  const key = (id: string) => ({ key: { id, hash: "00" } })
  const plan = { name: "p", title: "P", digest: "ab", commit: null, worktrees: false, maxActiveAgents: null, budgetMicroUsd: null }
  const tasks = ["a", "b"].map((id) => ({ id, title: id }))
  await rig.execute("plan.add", OPERATOR, { ...plan, agents: [{ name: "bob", start: false }], tasks }, key("plan"))
  await rig.execute("agent.edit", OPERATOR, { name: "ann", reason: "r", maxActive: 2 }, key("edit"))
  const { claims } = await rig.execute("task.claimNext", ann, { plan: null, labels: [], filler: null, max: 2 }, key("claims"))
  await rig.execute("task.complete", ann, { task: "p.1/a", fence: claims[0]?.fence ?? 0, ...DONE }, key("done"))
  await rig.clock.advance(2_000)
  expect(askedIn(rig.entries()).map(({ actor, action, input }) => [actor.agent, action, input["task"] ?? input["name"] ?? null])).toEqual([
    ["director", "agent.add", "ann"],
    ["ann", "session.start", null],
    ["director", "plan.add", "p"],
    ["director", "agent.edit", "ann"],
    ["ann", "task.claim", "p.1/a"],
    ["ann", "task.claim", "p.1/b"],
    ["ann", "task.complete", "p.1/a"],
  ])
})

test("every operation with a purpose leaves an entry that tells of it, or says here why it does not", () => {
  const silent = ["task.claimNext", "token.mint", "thread.unblock", "thread.overrideClose", "lease.end"]
  const told = new Set<string>(Object.values(ASKED))
  const purposeful = GOVERNED.filter((name) => groupsOf(name).some((group) => Object.hasOwn(PURPOSES, group)))
  expect(purposeful.filter((name) => !told.has(name))).toEqual(
    silent.filter((name) => purposeful.includes(name as never)).sort((a, b) => purposeful.indexOf(a as never) - purposeful.indexOf(b as never)),
  )
  for (const name of told) expect(KINDS).toHaveProperty([name])
})
