import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Queue } from "./queue.ts"
import { ownCommand, type Waiting } from "./waiting.ts"

function command(agent: string, input: unknown = null): Waiting {
  return {
    ...ownCommand(
      "task.update",
      input,
      () => undefined,
      () => undefined,
    ),
    actor: { agent, session: null, role: "worker" },
  }
}

const agentsOf = (batch: readonly Waiting[]): string[] => batch.map(({ actor }) => actor.agent)

describe("commands that wait", () => {
  test("come in the order in which they came, where one batch takes them all", () => {
    const queue = new Queue()
    for (const agent of ["a", "a", "b", "a", "c"]) queue.push(command(agent))
    expect(agentsOf(queue.take(5))).toEqual(["a", "a", "b", "a", "c"])
    expect([queue.length, queue.agents, queue.heldBy("a")]).toEqual([0, 0, 0])
  })

  test("take turns where one batch does not take them all: a bystander's one command does not wait behind the hundreds of others", () => {
    const queue = new Queue()
    for (let at = 0; at < 300; at += 1) for (const agent of ["flood1", "flood2"]) queue.push(command(agent))
    queue.push(command("bystander"))
    expect(agentsOf(queue.take(5))).toEqual(["flood1", "flood2", "bystander", "flood1", "flood2"])
    expect([queue.length, queue.agents, queue.heldBy("bystander"), queue.heldBy("flood1")]).toEqual([596, 2, 0, 298])
  })

  test("that waited longest go first, and are counted", () => {
    const queue = new Queue()
    queue.push(command("a"))
    queue.unshift([command("b"), command("c")])
    expect([queue.heldBy("b"), queue.agents]).toEqual([1, 3])
    expect(agentsOf(queue.takeAll())).toEqual(["b", "c", "a"])
  })

  test("are neither lost nor doubled, keep their agent's order, and no agent is behind another by more than one turn", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (agents, max) => {
        const queue = new Queue()
        for (const [at, agent] of agents.entries()) queue.push(command(`agent${agent}`, at))
        const taken: Waiting[] = []
        while (queue.length > 0) {
          const before = new Map(agents.map((agent) => [`agent${agent}`, queue.heldBy(`agent${agent}`)]))
          const batch = queue.take(max)
          expect(batch.length).toBe(Math.min(max, agents.length - taken.length))
          const got = (agent: string): number => agentsOf(batch).filter((name) => name === agent).length
          for (const [agent, held] of before) for (const other of before.keys()) if (held > got(agent)) expect(got(other) - got(agent)).toBeLessThanOrEqual(1)
          taken.push(...batch)
        }
        const inputs = taken.map(({ input }) => input as number)
        expect(inputs.toSorted((a, b) => a - b)).toEqual(agents.map((_, at) => at))
        for (const agent of new Set(agents)) {
          const own = taken.filter(({ actor }) => actor.agent === `agent${agent}`).map(({ input }) => input as number)
          expect(own).toEqual(own.toSorted((a, b) => a - b))
        }
      }),
      { seed: 7 },
    )
  })
})
