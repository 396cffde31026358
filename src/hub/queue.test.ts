import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { CommandName } from "../core/command.ts"
import { Queue } from "./queue.ts"
import { ownCommand, type Waiting } from "./waiting.ts"

function command(agent: string, input: unknown = null, name: CommandName = "task.update"): Waiting {
  return {
    ...ownCommand(
      name,
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

  test("that were put off go on one in a batch, each until it has come to its end, with what its agent asks after it", () => {
    const queue = new Queue()
    const put = (own: Waiting[]): void => {
      own[0]!.putOff = (own[0]!.putOff ?? 0) + 1
      queue.putOff(own)
    }
    for (const agent of ["a", "b"]) queue.push(command(agent, "long"))
    const [a, b] = queue.take(9)
    queue.push(command("a", "after"))
    queue.push(command("c", "short"))
    put([a!])
    put([b!])
    expect([queue.length, queue.agents, queue.heldBy("a")]).toEqual([4, 3, 2])
    const first = queue.take(1)
    expect(first.map(({ actor, input }) => `${actor.agent} ${input as string}`)).toEqual(["a long", "a after", "c short"])
    queue.push(command("a", "last"))
    put(first.slice(0, 2))
    expect([queue.length, queue.heldBy("a")]).toEqual([4, 3])
    const second = queue.take(1)
    expect(second.map(({ actor, input }) => `${actor.agent} ${input as string}`)).toEqual(["a long", "a after", "a last"])
    // It is done, and its agent's next one is put off: behind the other.
    put(second.slice(1))
    const third = queue.take(9)
    expect(third.map(({ actor, input }) => `${actor.agent} ${input as string}`)).toEqual(["b long"])
    put(third)
    // A batch that was cut lost its race, and is decided again.
    const fourth = queue.take(9)
    const asked = command("b", "asked")
    queue.unshift([asked])
    put(fourth)
    expect(queue.take(0).map(({ input }) => input as string)).toEqual(["long", "asked"])
    put([...fourth, asked])
    expect(queue.takeAll().map(({ actor }) => actor.agent)).toEqual(["b", "b", "a", "a"])
    expect([queue.length, queue.agents]).toEqual([0, 0])
  })

  test("that a batch had no time for are heard behind whoever has no claim, by turns, and once before them where none was heard", () => {
    const queue = new Queue()
    const claim = (agent: string): void => queue.push(command(agent, "claim", "task.claimNext"))
    const named = (batch: readonly Waiting[]): string[] => batch.map(({ actor, input }) => `${actor.agent} ${(input as string | null) ?? ""}`.trim())
    for (const agent of ["a", "b", "c"]) claim(agent)
    for (const agent of ["d", "c", "d", "e"]) queue.push(command(agent))
    const first = queue.take(9)
    expect(agentsOf(first)).toEqual(["a", "b", "c", "d", "c", "d", "e"])
    queue.leave(first.slice(1), true)
    queue.push(command("f"))
    const second = queue.take(9)
    expect(named(second)).toEqual(["d", "e", "f", "d", "b claim", "c claim", "c"])
    queue.leave(second.slice(2), false)
    const third = queue.take(3)
    expect(named(third)).toEqual(["b claim", "c claim", "c"])
    queue.push(command("g"))
    queue.leave(third, false)
    expect(named(queue.take(4))).toEqual(["f", "d", "g", "b claim"])
    // All of those were heard: whoever came first is first again.
    claim("h")
    queue.push(command("i"))
    expect(named(queue.take(9))).toEqual(["c claim", "c", "h claim", "i"])
  })

  test("are heard within twice as many batches as commands wait before them, whoever comes meanwhile; of one agent that asks much each has a full turn of others before it", () => {
    const asked = fc.record({ agent: fc.integer({ min: 0, max: 5 }), name: fc.constantFrom("task.update", "task.claimNext"), isNew: fc.boolean() })
    const step = fc.record({ asked: fc.array(asked, { maxLength: 4 }), heard: fc.integer({ min: 1, max: 3 }) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12, size: "max" }), fc.integer({ min: 4, max: 9 }), (steps, max) => {
        const queue = new Queue()
        const due = new Map<Waiting, number>()
        for (let at = 0; at < 250; at += 1) {
          // The same again and again: of each kind more may come than is heard.
          const { asked: more, heard } = steps[at % steps.length] as (typeof steps)[number]
          for (const { agent, name, isNew } of more) {
            const one = command(isNew ? `new${at} ${agent}` : `agent${agent}`, at, name)
            queue.push(one)
            due.set(one, at + 2 * (queue.length + max * queue.heldBy(one.actor.agent)))
          }
          const batch = queue.take(max)
          const unheard = batch.splice(heard)
          for (const one of batch) due.delete(one)
          if (unheard.length > 0)
            queue.leave(
              unheard,
              batch.some(({ name }) => name === "task.claimNext"),
            )
          const late = [...due].filter(([, last]) => last <= at)
          expect(late.map(([{ name, actor, input }]) => `${name} of ${actor.agent}, asked in step ${input as number}, in step ${at}`)).toEqual([])
        }
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test("are neither lost nor doubled, and keep their agent's order, however often one of them is put off", () => {
    const step = fc.record({
      asked: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 5 }),
      max: fc.integer({ min: 1, max: 6 }),
      cut: fc.nat(6),
      unfinished: fc.nat(6),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: "max" }), (steps) => {
        const queue = new Queue()
        const done: Waiting[] = []
        let asked = 0
        const batch = (max: number, cut: number, unfinished: number): void => {
          const waiting = queue.take(max)
          for (let at = 0; at < waiting.length; at += 1) {
            const next = waiting[at]!
            if (at > cut && next.putOff === undefined) {
              queue.unshift(waiting.splice(at))
              return
            }
            if (at !== unfinished) {
              done.push(next)
              continue
            }
            const own = waiting.slice(at).filter(({ actor }) => actor.agent === next.actor.agent)
            waiting.splice(at, waiting.length, ...waiting.slice(at).filter(({ actor }) => actor.agent !== next.actor.agent))
            next.putOff = (next.putOff ?? 0) + 1
            queue.putOff(own)
            at -= 1
          }
        }
        for (const { asked: agents, max, cut, unfinished } of steps) {
          for (const agent of agents) queue.push(command(`agent${agent}`, (asked += 1)))
          batch(max, cut, unfinished)
          expect(queue.length).toBe(asked - done.length)
          expect([0, 1, 2, 3].reduce((sum, agent) => sum + queue.heldBy(`agent${agent}`), 0)).toBe(queue.length)
        }
        for (let left = 0; left < 200 && queue.length > 0; left += 1) batch(3, 6, 6)
        expect(done.map(({ input }) => input as number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: asked }, (_, at) => at + 1))
        for (const agent of [0, 1, 2, 3]) {
          const own = done.filter(({ actor }) => actor.agent === `agent${agent}`).map(({ input }) => input as number)
          expect(own).toEqual(own.toSorted((a, b) => a - b))
        }
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test("are neither lost nor doubled, keep their agent's order, and no agent is behind another by more than one turn", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 60, size: "max" }), fc.integer({ min: 1, max: 20 }), (agents, max) => {
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
