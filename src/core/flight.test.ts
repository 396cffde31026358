import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import { flightOf, OBSTACLES_MAX } from "./flight.ts"

const nothing = { requests: 1, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, session: null, model: null }

describe("the flight", () => {
  it("has each agent that is present, with what it holds, by name", () => {
    const scenario = new Scenario()
    scenario.agent("zoe")
    const ann = scenario.agent("ann")
    scenario.agent("gone")
    scenario.must("agent.retire", OPERATOR, { name: "gone", reason: "left" })
    scenario.task("one", { title: "The first" })
    scenario.claim(ann, "one")
    const { agents } = flightOf(scenario.state)
    expect(agents.map(({ name }) => name)).toEqual(["ann", "zoe"])
    const held = { id: "one", title: "The first", state: "claimed", progress: 0, leaseEndsAtMs: scenario.at("one").leaseEndsAtMs }
    expect(agents[0]).toMatchObject({ tasks: [held], words: null, costMicroUsd: 0 })
  })

  it("has what an agent said last: a note, why it is blocked, what it delivered, why it failed", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const said = (): string | undefined => flightOf(scenario.state).agents[0]?.words?.text
    for (const id of ["one", "two"]) scenario.task(id, { maxAttempts: 1 })
    const fence = scenario.claim(ann, "one")
    expect(said()).toBeUndefined()
    scenario.wait(1_000)
    scenario.must("task.update", ann, { task: "one", fence, progress: 0.5, note: "half way" })
    expect(said()).toBe("half way")
    scenario.wait(1_000)
    scenario.must("task.block", ann, { task: "one", fence, on: { kind: "external", ref: "ci" }, reason: "the build is red" })
    expect(said()).toBe("the build is red")
    scenario.must("task.unblock", ann, { task: "one", reason: "green" })
    scenario.wait(1_000)
    scenario.complete(ann, "one")
    expect(said()).toBe("done")
    scenario.wait(1_000)
    const second = scenario.claim(ann, "two")
    expect(said()).toBe("done")
    const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
    scenario.must("task.fail", ann, { task: "two", fence: second, reason: "it cannot be done", retry: false, usage })
    expect(flightOf(scenario.state).agents[0]?.words).toEqual({ text: "it cannot be done", atMs: scenario.nowMs, task: "two" })
  })

  it("says of what is blocked who can end it: the agent that is named, or whoever holds the task that is", () => {
    const scenario = new Scenario()
    const [ann, bob, eve] = [scenario.agent("ann"), scenario.agent("bob"), scenario.agent("eve")]
    for (const id of ["a", "b", "c"]) scenario.task(id)
    scenario.claim(bob, "b")
    const on = (kind: "task" | "agent" | "external", ref: string) => ({ on: { kind, ref }, reason: `for ${ref}` })
    scenario.must("task.block", ann, { task: "a", fence: scenario.claim(ann, "a"), ...on("task", "b") })
    scenario.must("task.block", eve, { task: "c", fence: scenario.claim(eve, "c"), ...on("agent", "ann") })
    const { blocked } = flightOf(scenario.state)
    expect(blocked.map(({ id, owner, by }) => [id, owner, by])).toEqual([
      ["a", "ann", "bob"],
      ["c", "eve", "ann"],
    ])
    expect(blocked[0]?.on).toEqual({ kind: "task", ref: "b", reason: "for b" })
  })

  it("has what most others wait for, and no longer once that is done", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("root")
    scenario.task("side")
    for (let at = 0; at < 3; at += 1) scenario.task(`leaf${at}`, { dependsOn: at === 0 ? ["root", "side"] : ["root"] })
    expect(flightOf(scenario.state).obstacles).toMatchObject([
      { id: "root", state: "ready", owner: null, waiting: 3 },
      { id: "side", state: "ready", owner: null, waiting: 1 },
    ])
    scenario.claim(ann, "root")
    expect(flightOf(scenario.state).obstacles[0]).toMatchObject({ id: "root", state: "claimed", owner: "ann" })
    scenario.complete(ann, "root")
    expect(flightOf(scenario.state).obstacles).toMatchObject([{ id: "side", waiting: 1 }])
    // What waits itself is not where anybody can begin.
    scenario.task("twig", { dependsOn: ["leaf0"] })
    expect(flightOf(scenario.state).obstacles.map(({ id }) => id)).toEqual(["side"])
    for (let at = 0; at < 2 * OBSTACLES_MAX; at += 1) scenario.task(`after${at}`, { dependsOn: [scenario.task(`before${at}`)] })
    expect(flightOf(scenario.state).obstacles).toHaveLength(OBSTACLES_MAX)
  })

  it("counts every cost once: what was reported for whom it was reported, the rest for whoever did the task", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("one")
    const fence = scenario.claim(ann, "one")
    scenario.must("usage.report", ann, { ...nothing, agent: "ann", task: "one", costMicroUsd: 100 })
    scenario.must("usage.report", bob, { ...nothing, agent: "bob", task: null, costMicroUsd: 7 })
    scenario.complete(ann, "one", fence)
    const { agents, costMicroUsd } = flightOf(scenario.state)
    expect(agents.map(({ name, costMicroUsd: cost }) => [name, cost])).toEqual([
      ["ann", 101],
      ["bob", 7],
    ])
    expect(costMicroUsd).toBe(108)
  })

  it("has the same obstacles as by counting all that wait, and counts few of them", () => {
    const scenario = new Scenario()
    for (let at = 0; at < 90; at += 1) {
      // Of the first 60 some are waited for by many, some by as many as others, and of some all or a part who waited are over.
      const dependsOn = at < 60 ? [] : Array.from({ length: 60 }, (_, of) => `t${of}`).filter((_, of) => (at * 7 + of * 5) % 11 < of % 7)
      scenario.task(`t${at}`, { dependsOn })
    }
    for (const at of [3, 17, 61, 62, 70, 75, 89]) scenario.must("task.cancel", OPERATOR, { task: `t${at}`, reason: "test" })
    const { state } = scenario
    const waiting = new Map<string, number>()
    for (const { id, status } of state.tasks.values())
      if (status === "pending") for (const of of state.specs.get(id)?.dependsOn ?? []) waiting.set(of, (waiting.get(of) ?? 0) + 1)
    const counted = [...waiting].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1)).slice(0, OBSTACLES_MAX)
    let looks = 0
    const { dependents } = state.board
    state.board.dependents = (id) => {
      looks += 1
      return dependents.call(state.board, id)
    }
    expect(flightOf(state).obstacles.map(({ id, waiting: many }) => [id, many])).toEqual(counted)
    // Once for each task, and once more for those that are counted.
    expect(looks - state.tasks.size).toBeLessThan(45)
  })
})
