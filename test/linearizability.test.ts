import fc from "fast-check"
import { afterEach, describe, expect, test } from "vitest"
import { commands } from "../src/core/command.ts"
import { type Client, connect, SkeinError } from "../src/client/client.ts"
import { startProxy } from "../src/client/proxy.contract.ts"
import { type Instance, startInstance } from "../src/surface/served.contract.ts"
import { byObject, check, type Model, type Operation, type TaskInput, taskModel, type TaskOutput, type Verdict } from "./linearizability.ts"
import { Chance } from "../src/cli/simulation/chance.ts"
import { plainHistory } from "./simulation/plain-history.ts"
import { simulate } from "./simulation/world.ts"

type Access = { write: number } | "read"
const register: Model<number, Access, number> = {
  start: 0,
  text: String,
  next: (state, input, output) =>
    input === "read" ? (output === null || output === state ? [state] : []) : output === null ? [state, input.write] : [input.write],
}

const access = (process: string, called: number, returned: number | null, input: Access, output: number | null): Operation<Access, number> => ({
  process,
  called,
  returned,
  input,
  output,
})

describe("the checker", () => {
  test("accepts the histories of a register that Herlihy and Wing accept, and no other", () => {
    // A read that overlaps a write may see it or not; two reads, one after the other, may not see it and then not.
    const write = access("w", 1, 8, { write: 1 }, 0)
    const reads = (first: number, second: number): Operation<Access, number>[] => [write, access("r", 2, 3, "read", first), access("r", 4, 5, "read", second)]
    expect([reads(0, 0), reads(0, 1), reads(1, 1)].map((history) => check(history, register).linearizable)).toEqual([true, true, true])
    expect(check(reads(1, 0), register).linearizable).toBe(false)
    expect(check([access("w", 1, 2, { write: 1 }, 0), access("r", 3, 4, "read", 0)], register).linearizable).toBe(false)
  })

  test("lets an operation without an answer have happened late, early, or never, but not twice", () => {
    const lost = access("w", 1, null, { write: 1 }, null)
    const read = (at: number, seen: number): Operation<Access, number> => access("r", at, at + 1, "read", seen)
    expect(check([lost, read(2, 0), read(4, 1)], register).linearizable).toBe(true)
    expect(check([lost, read(2, 0)], register).linearizable).toBe(true)
    expect(check([lost, read(2, 1), access("w", 4, 5, { write: 2 }, 0), read(6, 1)], register).linearizable).toBe(false)
  })

  test("says what is left where every order breaks off", () => {
    const verdict = check([access("w", 1, 2, { write: 1 }, 0), access("r", 3, 4, "read", 0)], register)
    expect(verdict).toMatchObject({ linearizable: false, stuck: [{ process: "r" }] })
  })

  test("agrees with trying every order, on small histories of every kind", () => {
    const operation = fc.record({
      called: fc.integer({ min: 0, max: 9 }),
      took: fc.integer({ min: 0, max: 5 }),
      lost: fc.boolean(),
      write: fc.option(fc.integer({ min: 1, max: 2 }), { nil: null }),
      seen: fc.integer({ min: 0, max: 2 }),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 5 }), (made) => {
        const history = made.map(({ called, took, lost, write, seen }, at) =>
          access(`${at}`, 10 * called + at, lost ? null : 10 * (called + took) + 5 + at, write === null ? "read" : { write }, lost ? null : seen),
        )
        expect(check(history, register).linearizable).toBe(anyOrder(history, register.start))
      }),
      { numRuns: 3_000, seed: 20260101 },
    )
  })
})

/** Tries every order that real time allows: exponential, and obviously right. */
function anyOrder(left: readonly Operation<Access, number>[], state: number): boolean {
  if (left.every(({ returned }) => returned === null)) return true
  return left.some((next) => {
    if (left.some((other) => other.returned !== null && other.returned < next.called)) return false
    const rest = left.filter((other) => other !== next)
    return register.next(state, next.input, next.output).some((after) => anyOrder(rest, after))
  })
}

const call = (
  process: string,
  called: number,
  returned: number | null,
  input: Omit<TaskInput, "task">,
  output: TaskOutput | null,
): Operation<TaskInput, TaskOutput> => ({ process, called, returned, input: { task: "t", ...input } as TaskInput, output })
const claims = (agent: string, called: number, returned: number | null, output: TaskOutput | null): Operation<TaskInput, TaskOutput> =>
  call(agent, called, returned, { op: "claim", agent } as never, output)
const ends = (
  op: "complete" | "release",
  agent: string,
  fence: number,
  called: number,
  returned: number | null,
  output: TaskOutput | null,
): Operation<TaskInput, TaskOutput> => call(agent, called, returned, { op, agent, fence } as never, output)
const expires = (fence: number, called: number, returned: number): Operation<TaskInput, TaskOutput> =>
  call("hub", called, returned, { op: "expire", fence } as never, "done")

describe("a task's history", () => {
  test.each<[string, boolean, Operation<TaskInput, TaskOutput>[]]>([
    ["of two claims at once one wins", true, [claims("a", 1, 4, { fence: 5 }), claims("b", 2, 3, { refused: "claim_denied" })]],
    ["of two claims at once both win", false, [claims("a", 1, 4, { fence: 5 }), claims("b", 2, 3, { fence: 6 })]],
    ["both win, the first let it go between", true, [claims("a", 1, 2, { fence: 5 }), ends("release", "a", 5, 3, 6, "done"), claims("b", 4, 5, { fence: 8 })]],
    [
      "both win, the first let it go after the second had it",
      false,
      [claims("a", 1, 2, { fence: 5 }), claims("b", 3, 4, { fence: 8 }), ends("release", "a", 5, 5, 6, "done")],
    ],
    ["a later claim has a lesser fence", false, [claims("a", 1, 2, { fence: 5 }), ends("release", "a", 5, 3, 4, "done"), claims("b", 5, 6, { fence: 4 })]],
    ["a later claim has a lesser fence than one whose answer was lost", false, [claims("a", 1, null, null), expires(5, 2, 3), claims("b", 4, 5, { fence: 4 })]],
    [
      "denied though nobody has it",
      false,
      [claims("a", 1, 2, { fence: 5 }), ends("release", "a", 5, 3, 4, "done"), claims("b", 5, 6, { refused: "claim_denied" })],
    ],
    ["claimed after it was completed", false, [claims("a", 1, 2, { fence: 5 }), ends("complete", "a", 5, 3, 4, "done"), claims("b", 5, 6, { fence: 7 })]],
    ["completed twice", false, [claims("a", 1, 2, { fence: 5 }), ends("complete", "a", 5, 3, 6, "done"), ends("complete", "a", 5, 4, 7, "done")]],
    [
      "a stale write is refused after the lease ended",
      true,
      [claims("a", 1, 2, { fence: 5 }), expires(5, 3, 4), claims("b", 5, 6, { fence: 8 }), ends("complete", "a", 5, 7, 8, { refused: "stale_fence" })],
    ],
    [
      "a stale write is taken after the lease ended",
      false,
      [claims("a", 1, 2, { fence: 5 }), expires(5, 3, 4), claims("b", 5, 6, { fence: 8 }), ends("complete", "a", 5, 7, 8, "done")],
    ],
    [
      "a write is refused though its fence holds",
      false,
      [claims("a", 1, 2, { fence: 5 }), ends("complete", "a", 5, 3, 4, { refused: "stale_fence" }), claims("b", 5, 6, { refused: "claim_denied" })],
    ],
    [
      "a stale write is taken after its own agent claimed again",
      false,
      [claims("a", 1, 2, { fence: 5 }), expires(5, 3, 4), claims("a", 5, 6, { fence: 8 }), ends("complete", "a", 5, 7, 8, "done")],
    ],
    ["another's fence is good for a write", false, [claims("a", 1, 2, { fence: 5 }), ends("release", "b", 5, 3, 4, "done"), claims("b", 5, 6, { fence: 8 })]],
    [
      "a claim reads the past: denied by a holder that is through",
      false,
      [
        claims("a", 1, 2, { fence: 5 }),
        claims("b", 3, 8, { refused: "claim_denied" }),
        ends("complete", "a", 5, 4, 5, "done"),
        claims("c", 6, 7, { refused: "claim_denied" }),
      ],
    ],
    [
      "a claim reads what is to come: refused as completed before anybody completes it",
      false,
      [claims("a", 1, 2, { fence: 5 }), claims("b", 3, 4, { refused: "wrong_status" }), ends("complete", "a", 5, 5, 6, "done")],
    ],
    [
      "a release that was answered is lost",
      false,
      [claims("a", 1, 2, { fence: 5 }), ends("release", "a", 5, 3, 4, "done"), ends("complete", "a", 5, 5, 6, "done")],
    ],
    [
      "a release without an answer takes effect late",
      true,
      [
        claims("a", 1, 2, { fence: 5 }),
        ends("release", "a", 5, 3, null, null),
        claims("b", 4, 5, { refused: "claim_denied" }),
        claims("b", 6, 7, { fence: 8 }),
      ],
    ],
    [
      "a release without an answer takes effect twice",
      false,
      [claims("a", 1, 2, { fence: 5 }), ends("release", "a", 5, 3, null, null), claims("b", 4, 5, { fence: 8 }), claims("c", 6, 7, { fence: 9 })],
    ],
    [
      "a claim without an answer takes effect twice",
      false,
      [claims("a", 1, null, null), expires(5, 3, 4), claims("b", 5, 6, { fence: 8 }), ends("release", "b", 8, 7, 8, "done"), expires(9, 9, 10)],
    ],
    [
      "a completion without an answer is undone",
      false,
      [
        claims("a", 1, 2, { fence: 5 }),
        ends("complete", "a", 5, 3, null, null),
        claims("b", 4, 5, { refused: "wrong_status" }),
        claims("b", 6, 7, { fence: 8 }),
      ],
    ],
    ["the task is not there, though it was claimed", false, [claims("a", 1, 2, { fence: 5 }), ends("complete", "a", 5, 3, 4, { refused: "not_found" })]],
    [
      "a lost claim had it",
      true,
      [claims("a", 1, null, null), claims("b", 2, 3, { refused: "claim_denied" }), expires(5, 4, 5), claims("b", 6, 7, { fence: 9 })],
    ],
    [
      "a lost claim took it from its holder",
      false,
      [claims("a", 1, 2, { fence: 5 }), claims("b", 3, null, null), ends("complete", "a", 5, 4, 5, { refused: "stale_fence" })],
    ],
    [
      "a stale write is taken after its own agent's lost claim",
      false,
      [claims("a", 1, 2, { fence: 5 }), expires(5, 3, 4), claims("a", 5, null, null), ends("complete", "a", 5, 6, 7, "done")],
    ],
    [
      "a lost claim is answered the second time with the fence of the one before",
      false,
      [claims("a", 1, 2, { fence: 5 }), ends("release", "a", 5, 3, 4, "done"), claims("a", 5, null, null), claims("a", 6, 7, { fence: 5 })],
    ],
    [
      "a lost claim had it, and nothing ended that",
      false,
      [claims("a", 1, null, null), claims("b", 2, 3, { refused: "claim_denied" }), claims("b", 6, 7, { fence: 9 })],
    ],
  ])("%s: %s", (_, linearizable, history) => {
    expect(check(history, taskModel).linearizable).toBe(linearizable)
  })
})

function verdicts(history: readonly Operation<TaskInput, TaskOutput>[]): Map<string, Verdict<TaskInput, TaskOutput>> {
  return new Map([...byObject(history, ({ task }) => task)].map(([task, part]) => [task, check(part, taskModel)]))
}

function broken(history: readonly Operation<TaskInput, TaskOutput>[]): string[] {
  return [...verdicts(history)].flatMap(([task, verdict]) => (verdict.linearizable ? [] : [`${task}: ${JSON.stringify(verdict.stuck.slice(0, 4))}`]))
}

test("what simulated agents saw of one hub or two, over crashes and a bad network, is linearizable (seeds 1 to 150)", async () => {
  let operations = 0
  for (let seed = 1; seed <= 150; seed += 1) {
    const outcome = await simulate({ seed, plain: true })
    const history = plainHistory(outcome)
    operations += history.length
    expect(broken(history), `seed ${seed}`).toEqual([])
  }
  expect(operations).toBeGreaterThan(5_000)
}, 120_000)

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const AGENTS = 12
const TASKS = 25

/** Real clients over WebSocket, each through a line of its own that breaks now and then, all after the same few tasks. */
async function record(seed: number): Promise<Operation<TaskInput, TaskOutput>[]> {
  const instance: Instance = await startInstance()
  closing.push(() => instance.close())
  const director = await connect({ url: instance.url, credential: instance.operator })
  closing.push(() => director.close())
  const history: Operation<TaskInput, TaskOutput>[] = []
  let moment = 0
  for (let at = 0; at < TASKS; at += 1) await director.task.add({ id: `t${at}`, title: "t" })
  const call = async (input: TaskInput, ask: () => Promise<TaskOutput>): Promise<TaskOutput | null> => {
    const operation: Operation<TaskInput, TaskOutput> = {
      process: "agent" in input ? input.agent : "hub",
      called: (moment += 1),
      returned: null,
      input,
      output: null,
    }
    history.push(operation)
    const output = await ask().catch((error: unknown): TaskOutput | null =>
      error instanceof SkeinError && error.code !== "timed_out" && error.code !== "hub_unreachable" ? { refused: error.code } : null,
    )
    if (output !== null) Object.assign(operation, { returned: (moment += 1), output })
    return output
  }
  const work = async (agent: string): Promise<void> => {
    const chance = new Chance(seed, Number(agent.slice(1)))
    const proxy = await startProxy(() => instance.url)
    closing.push(() => proxy.close())
    const client: Client = await connect({ url: proxy.url, credential: await instance.agent(agent, { maxActive: 4 }), reconnect: { baseMs: 2, capMs: 20 } })
    closing.push(() => client.close())
    const held: { task: string; fence: number }[] = []
    for (let turn = 0; turn < 30; turn += 1) {
      if (chance.happens(0.08)) proxy.cut()
      const one = held[0]
      if (one === undefined || chance.happens(0.5)) {
        const task = `t${chance.below(TASKS)}`
        const claimed = await call({ task, op: "claim", agent }, async () => ({ fence: (await client.task.claim({ task })).fence }))
        if (claimed !== null && typeof claimed === "object" && "fence" in claimed) held.unshift({ task, fence: claimed.fence })
      } else if (chance.happens(0.35)) {
        held.shift()
        await call({ ...one, op: "complete", agent }, async () => (await client.task.complete({ ...one, deliverable: { text: "" } }), "done"))
      } else {
        // Some let go of it twice: the second time the fence is stale.
        if (chance.happens(0.8)) held.shift()
        await call({ ...one, op: "release", agent }, async () => (await client.task.release({ ...one, reason: "later" }), "done"))
      }
    }
  }
  await Promise.all(Array.from({ length: AGENTS }, (_, at) => work(`a${at}`)))
  return history
}

test("what real clients saw over WebSockets that break is linearizable", async () => {
  const seed = Date.now() % 1_000_000
  const history = await record(seed)
  expect(broken(history), `seed ${seed}`).toEqual([])
  expect(history.length).toBe(AGENTS * 30)
  const claimed = history.filter(({ input, output }) => input.op === "claim" && output !== null && typeof output === "object" && "fence" in output)
  expect(claimed.length).toBeGreaterThan(TASKS)
})

test("a hub that gives a held task away is found by what its clients saw", async () => {
  const sound = commands["task.claim"]
  commands["task.claim"] = {
    ...sound,
    decide: (state, by, input, nowMs) => {
      const decision = sound.decide(state, by, input, nowMs)
      return "refused" in decision && decision.refused === "claim_denied" && state.seq % 3 === 0
        ? [{ type: "task.claimed", data: { id: input.task, leaseMs: 60_000, leaseEndsAtMs: nowMs + 60_000 } }]
        : decision
    },
  }
  try {
    expect(broken(await record(1))).not.toEqual([])
  } finally {
    commands["task.claim"] = sound
  }
})
