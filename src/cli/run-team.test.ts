import { afterAll, expect, test } from "vitest"
import type { AddPlan, PlanAgent } from "../core/plan.ts"
import { startInstance } from "../surface/served.contract.ts"
import { openConnection } from "./connection.ts"
import { addPlan } from "./run-team.ts"

const instance = await startInstance()
const hub = openConnection({ url: instance.url, identity: { credential: instance.operator }, workspace: undefined })
afterAll(async () => {
  await hub.close()
  await instance.close()
})

/** The hub as it is to one whom something else gets ahead of, just before it adds an agent. */
const overtaken = (by: () => Promise<unknown>): typeof hub => ({
  ...hub,
  async call(name, input, options) {
    if (name === "agent.add") await by()
    return hub.call(name, input, options)
  },
})

test("an agent that another run of the plan has just added is taken as it is; what else keeps it from being added is told", async () => {
  const goose: PlanAgent = { name: "goose", capabilities: { docs: 3 }, start: true }
  const task = { id: "a", title: "A" }
  const plan: AddPlan = {
    name: "shared",
    title: "Shared",
    digest: "00",
    commit: null,
    worktrees: false,
    maxActiveAgents: null,
    budgetMicroUsd: null,
    agents: [goose],
    tasks: [task],
  }
  // `--add goose`: another like it, which the plan itself does not bring.
  const second = { ...goose, name: "goose-2" }
  const faster = overtaken(() => hub.call("agent.add", { name: "goose-2", capabilities: { docs: 3 } }))
  expect(await addPlan(faster, plan, [goose, second])).toMatchObject({ plan: "shared.1", created: true })
  expect((await hub.call("agent.show", { name: "goose-2" })).agent).toMatchObject({ capabilities: { docs: 3 } })

  const gone = overtaken(() => instance.stop())
  await expect(addPlan(gone, plan, [{ ...goose, name: "goose-3" }])).rejects.toMatchObject({ code: "hub_unreachable" })
})
