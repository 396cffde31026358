import { beforeEach, describe, expect, test } from "vitest"
import { measure } from "../src/cli/run-measure.ts"
import { IDLE_TOLERANCE_MS, RunRecord } from "../src/cli/run-record.ts"
import type { Actor } from "../src/core/entry.ts"
import { decodeEntry } from "../src/core/entry.ts"
import type { PlanTask } from "../src/core/plan.ts"
import { OPERATOR, PLAN, Scenario } from "./scenario.ts"

let team: Scenario
const actors = new Map<string, Actor>()

beforeEach(() => {
  team = new Scenario()
  actors.clear()
})

/** A plan of two agents, both with a session, at the scenario's time. */
function given(tasks: PlanTask[], maxActiveAgents: number | null = null): void {
  const agents = [
    { name: "heron", start: true, capabilities: { wade: 1 } },
    { name: "swan", start: true, capabilities: { swim: 1 } },
  ]
  team.must("plan.add", OPERATOR, { ...PLAN, maxActiveAgents, agents, tasks })
  for (const { name } of agents) {
    team.must("session.start", OPERATOR, { id: `s_${name}`, agent: name, runtime: "process", resumeId: null, owned: true })
    actors.set(name, { agent: name, session: `s_${name}`, role: "worker" })
  }
}

const actor = (name: string): Actor => actors.get(name) as Actor
const after = (ms: number): void => void (team.nowMs += ms)
const fences = new Map<string, number>()

function claims(name: string, task: string): void {
  fences.set(task, team.must("task.claim", actor(name), { task: `p.1/${task}` }).answer.fence)
}

function completes(name: string, task: string): void {
  const deliverable = { text: "", evidence: { testsPass: null, commit: null, links: [] } }
  team.must("task.complete", actor(name), {
    task: `p.1/${task}`,
    fence: fences.get(task) as number,
    deliverable,
    usage: { costMicroUsd: 5, inputTokens: 0, outputTokens: 0 },
  })
}

function measured(): ReturnType<typeof measure> {
  const record = new RunRecord("p.1")
  for (const bytes of team.bytes) record.take(decodeEntry(bytes))
  return measure(record, IDLE_TOLERANCE_MS)
}

const work = (id: string, rest: Partial<PlanTask> = {}): PlanTask => ({ id, title: id, ...rest })

describe("a run's record", () => {
  test("the makespan runs from the first claim to the last delivery, the critical path is the longest chain as it was worked", () => {
    given([work("a"), work("b", { dependsOn: ["a"] }), work("c")])
    after(700)
    claims("heron", "a")
    claims("swan", "c")
    after(1_000)
    completes("heron", "a")
    claims("heron", "b")
    after(500)
    completes("swan", "c")
    after(1_500)
    completes("heron", "b")
    after(9_000)
    team.must("session.end", actor("heron"), { session: "s_heron", reason: "done" })
    expect(measured()).toMatchObject({
      finished: true,
      makespanMs: 3_000,
      criticalPathMs: 3_000,
      criticalPath: ["p.1/a", "p.1/b"],
      workMs: 1_000 + 1_500 + 2_000,
      costMicroUsd: 15,
      attempts: { delivered: 3, lost: 0 },
    })
  })

  test("a night in which nobody was there is no part of the makespan", () => {
    given([work("a"), work("b")])
    claims("heron", "a")
    after(1_000)
    completes("heron", "a")
    for (const name of ["heron", "swan"]) team.must("session.end", actor(name), { session: `s_${name}`, reason: "stopped" })
    after(8 * 3_600_000)
    team.must("session.start", OPERATOR, { id: "s_swan2", agent: "swan", runtime: "process", resumeId: null, owned: true })
    actors.set("swan", { agent: "swan", session: "s_swan2", role: "worker" })
    claims("swan", "b")
    after(2_000)
    completes("swan", "b")
    expect(measured()).toMatchObject({ makespanMs: 3_000 })
  })

  test("an agent that waits although work that it can do is ready is told, with how long and who", () => {
    given([work("a", { requires: { wade: 1 } }), work("b", { requires: { wade: 1 } })])
    claims("heron", "a")
    after(5_000)
    // Swan cannot do b; heron is at work: nobody is idle.
    completes("heron", "a")
    after(IDLE_TOLERANCE_MS + 250)
    claims("heron", "b")
    after(1_000)
    completes("heron", "b")
    expect(measured().idle).toEqual({
      longestMs: IDLE_TOLERANCE_MS + 250,
      toldMs: IDLE_TOLERANCE_MS,
      stretches: 1,
      worst: { agent: "heron", ms: IDLE_TOLERANCE_MS + 250 },
    })
  })

  test("a claim that took its time, but less than the tolerance, is no idleness", () => {
    given([work("a", { requires: { wade: 1 } })])
    after(200)
    claims("heron", "a")
    after(10)
    completes("heron", "a")
    expect(measured()).toMatchObject({ idle: { stretches: 0, longestMs: 200 }, claims: { count: 1, maxMs: 200 } })
  })

  test("filler work while real work is ready is idleness; filler work otherwise is not", () => {
    given([work("a", { requires: { wade: 1 } }), work("f", { filler: true }), work("b", { requires: { swim: 1 }, dependsOn: ["a"] })])
    claims("heron", "a")
    claims("swan", "f")
    after(10_000)
    completes("heron", "a")
    after(800)
    claims("swan", "b")
    after(100)
    completes("swan", "b")
    const { idle, agents } = measured()
    expect(idle).toMatchObject({ stretches: 1, worst: { agent: "swan", ms: 800 } })
    expect(agents.find(({ agent }) => agent === "swan")).toMatchObject({ fillerMs: 10_800, workMs: 100, completed: 1 })
  })

  test("who may not work because the plan has its agents at work already is not idle", () => {
    given([work("a"), work("b")], 1)
    claims("heron", "a")
    after(5_000)
    completes("heron", "a")
    claims("swan", "b")
    after(1)
    completes("swan", "b")
    expect(measured().idle.stretches).toBe(0)
  })

  test("a lost attempt is counted, and only the one that delivered is work", () => {
    given([work("a")])
    claims("heron", "a")
    after(4_000)
    team.must("session.end", OPERATOR, { session: "s_heron", reason: "its process ended" })
    claims("swan", "a")
    after(1_000)
    completes("swan", "a")
    expect(measured()).toMatchObject({ attempts: { delivered: 1, lost: 1, leasesEnded: 1 }, workMs: 1_000, makespanMs: 5_000 })
  })
})
