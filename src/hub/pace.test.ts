import fc from "fast-check"
import { expect, test } from "vitest"
import { Pace } from "./pace.ts"

const LIMITS = { batchMax: 100, queueMax: 10_000, queueWaitMs: 250 }

test("before a batch was full no wait is known", () => {
  const pace = new Pace(LIMITS, () => 0)
  pace.batch(0, 10, 0)
  pace.batch(50, 10, 5)
  pace.batch(100, 10, 5)
  expect(pace.waitMs(1_000)).toBe(0)
})

test("full batches tell how long a queue takes, the time between them included", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, 500)
  expect(pace.waitMs(1_000)).toBeCloseTo(100)
})

test("a disk that stalls lengthens the wait at once, and is forgotten when it runs again", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, 500)
  pace.batch(1_000, 100, 500)
  expect(pace.waitMs(100)).toBeGreaterThan(200)
  for (let at = 1; at < 20; at += 1) pace.batch(1_000 + at * 10, 100, 500)
  expect(pace.waitMs(100)).toBeLessThan(12)
})

test("quiet between two batches is no wait", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, at < 19 ? 500 : 0)
  pace.batch(60_000, 100, 500)
  pace.batch(60_010, 100, 500)
  expect(pace.waitMs(100)).toBeCloseTo(10)
})

/** Full batches, one every 10 ms, from `fromMs` on. */
function busy(pace: Pace, batches: number, fromMs = 0, size = LIMITS.batchMax): void {
  for (let at = 0; at < batches; at += 1) pace.batch(fromMs + at * 10, size, 0)
}

const AGENTS = Array.from({ length: 400 }, (_, at) => `agent-${at}`)
/** The part of many agents, each with `own` waiting, that would be refused now. */
function refused(pace: Pace, length: number, own: number, agents = 10): number {
  return AGENTS.filter((agent) => pace.isFull({ length, ahead: length, agents, heldBy: () => own }, agent)).length / AGENTS.length
}

test("a burst may fill the queue up to its wait, and a batch take as much as it may", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 5; at += 1) pace.batch(at * 10, 100, 500)
  expect([pace.standing, pace.batchMax, refused(pace, 1_000, 500), refused(pace, 2_400, 500), refused(pace, 2_600, 0)]).toEqual([false, 100, 0, 0, 1])
})

test("nobody is refused for what was put off: each batch goes on with one of it, however many there are, up to what the queue holds", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 5; at += 1) pace.batch(at * 10, 100, 500)
  const isFull = (length: number, ahead: number): boolean => pace.isFull({ length, ahead, agents: length, heldBy: () => 0 }, "ann")
  expect([isFull(2_600, 2_600), isFull(2_600, 10), isFull(LIMITS.queueMax, 10)]).toEqual([true, false, true])
})

test("a batch that ended with a new claim that is put off tells nobody how long commands take", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 5; at += 1) pace.batch(at * 10, 100, 500)
  const before = pace.waitMs(1_000)
  for (let at = 0; at < 20; at += 1) {
    pace.batch(50 + at * 60, 100, 500)
    pace.cut(1, true, true)
  }
  pace.batch(2_000, 100, 500)
  expect(pace.waitMs(1_000)).toBe(before)
  pace.cut(1, true)
  pace.batch(2_060, 100, 500)
  expect(pace.waitMs(1_000)).toBeGreaterThan(before)
})

test("under a load that stays a batch takes what is done in 8 ms, the faster the machine the more, within bounds", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  expect(pace.batchMax).toBe(80)
  // Each command takes twice, then a fifth as long.
  let nowMs = 300
  const run = (commandMs: number): void => {
    for (let at = 0; at < 60; at += 1) {
      const size = Math.max(1, pace.batchMax - (at % 4) * 5)
      pace.batch(nowMs, size, 500)
      nowMs += size * commandMs
    }
  }
  run(0.2)
  expect(Math.abs(pace.batchMax - 40)).toBeLessThan(4)
  run(0.5)
  expect(pace.batchMax).toBe(25)
  run(0.02)
  expect(pace.batchMax).toBe(100)
})

test("a hub that waits for work under such a load does not take itself for a slow one", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 30; at += 1) pace.batch(at * 10, 100, 500)
  for (let at = 0; at < 100; at += 1) pace.batch(300 + at * 50, 60, 0)
  expect([pace.standing, pace.batchMax]).toEqual([true, 80])
  for (let at = 0; at < 100; at += 1) pace.batch(5_300 + at * 4, 80, 0)
  expect(pace.batchMax).toBe(100)
})

test("under a load that stays the longer the queue the more agents are refused, none while half a batch waits", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  expect([pace.standing, pace.batchMax]).toEqual([true, 80])
  const parts = [40, 80, 120, 160, 200].map((length) => refused(pace, length, 5))
  expect(parts[0]).toBe(0)
  for (const [at, expected] of [0, 0.25, 0.5, 0.75, 1].entries()) expect(Math.abs((parts[at] as number) - expected)).toBeLessThan(0.1)
})

test("whoever is refused while the queue is short is refused while it is longer, and the same question has the same answer", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  fc.assert(
    fc.property(fc.nat(600), fc.nat(600), fc.integer({ min: 1, max: 50 }), fc.constantFrom(...AGENTS), (one, other, own, agent) => {
      const [short, long] = [Math.min(one, other), Math.max(one, other)].map((length) =>
        pace.isFull({ length, ahead: length, agents: 10, heldBy: () => own }, agent),
      )
      expect(short === true && long === false).toBe(false)
      expect(pace.isFull({ length: one, ahead: one, agents: 10, heldBy: () => own }, agent)).toBe(
        pace.isFull({ length: one, ahead: one, agents: 10, heldBy: () => own }, agent),
      )
    }),
  )
})

test("who is refused changes: in a second each agent is taken at some moment and refused at another", () => {
  let nowMs = 300
  const pace = new Pace(LIMITS, () => nowMs)
  busy(pace, 30)
  const seen = new Map(AGENTS.map((agent) => [agent, new Set<boolean>()]))
  for (; nowMs < 1_200; nowMs += 20) for (const [agent, said] of seen) said.add(pace.isFull({ length: 120, ahead: 120, agents: 10, heldBy: () => 5 }, agent))
  expect([...seen.values()].filter((said) => said.size < 2)).toEqual([])
})

test("an agent with nothing waiting is taken, until the wait of all is bounded as ever; where three batches wait, whoever has its share is not", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  expect([refused(pace, 150, 0), refused(pace, 2_400, 0, 2_400), refused(pace, 2_600, 0, 2_600)]).toEqual([0, 0, 1])
  expect(pace.share(10)).toBe(8)
  expect(refused(pace, 240, 8)).toBe(1)
  // Where there are more agents than a batch has places, one each.
  expect([pace.share(500), refused(pace, 500, 1, 500)]).toEqual([1, 1])
})

test("an agent that is alone is not refused by lot: up to a whole batch of its own may wait", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  expect([refused(pace, 99, 99, 1), refused(pace, 100, 100, 1)]).toEqual([0, 1])
})

test("a lull while those who were refused wait does not end it, a second without a full batch does", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  for (let at = 0; at < 99; at += 1) pace.batch(300 + at * 10, 39, 0)
  expect([pace.standing, refused(pace, 300, 100)]).toEqual([true, 1])
  // It refuses nobody meanwhile as long as hardly anybody waits.
  expect(refused(pace, 40, 39)).toBe(0)
  pace.batch(1_300, 39, 0)
  expect([pace.standing, refused(pace, 300, 100)]).toEqual([false, 0])
  busy(pace, 30, 2_000)
  expect(pace.standing).toBe(true)
  pace.batch(5_000, 100, 0)
  expect(pace.standing).toBe(false)
})

test("after a pause nothing of it is left, before the first batch already", () => {
  let nowMs = 0
  const pace = new Pace(LIMITS, () => nowMs)
  busy(pace, 30)
  expect(pace.share(10)).toBe(8)
  nowMs = 5_000
  expect([pace.standing, pace.batchMax, pace.share(10), refused(pace, 150, 100)]).toEqual([false, 100, Number.POSITIVE_INFINITY, 0])
})

const COMMAND_COST_MS = 0.02
/** What a hub holds where a batch takes so long by itself, in commands a ms: some 47 on a quick disk. */
const holdsPerMs = (batchCostMs: number): number => 512 / (batchCostMs + 512 * COMMAND_COST_MS)

/**
 * Agents that heed the protocol, on a virtual clock: together they ask `perMs` times, each has 64 calls in flight at the most, and rests when it is refused, for what it was
 * told and up to 25 ms more. Answers what was done in a ms, the wait of the slowest hundredth and the longest queue, all of the second half.
 */
function overload(perMs: number, agents: number, batchCostMs: number): { donePerMs: number; p99Ms: number; longest: number } {
  let nowMs = 0
  const pace = new Pace({ queueMax: 10_000, queueWaitMs: 250, batchMax: 512 }, () => nowMs)
  const queue: { agent: string; atMs: number }[] = []
  const held = new Map<string, number>()
  const restsUntilMs = new Map<string, number>()
  const waitsMs: number[] = []
  let [longest, owed, turn, freeAtMs] = [0, 0, 0, 0]
  const ask = (agent: string): void => {
    const own = held.get(agent) ?? 0
    if (nowMs < (restsUntilMs.get(agent) ?? 0) || own >= 64) return
    if (pace.isFull({ length: queue.length, ahead: queue.length, agents: held.size, heldBy: () => own }, agent))
      restsUntilMs.set(agent, nowMs + pace.retryAfterMs(queue.length) + ((turn * 7) % 25))
    else {
      queue.push({ agent, atMs: nowMs })
      held.set(agent, own + 1)
    }
  }
  for (; nowMs < 2_000; nowMs += 0.5) {
    for (owed += perMs / 2; owed >= 1; owed -= 1) ask(`agent-${(turn += 1) % agents}`)
    if (nowMs > 1_000) longest = Math.max(longest, queue.length)
    if (nowMs < freeAtMs || queue.length === 0) continue
    const batch = queue.splice(0, pace.batchMax)
    pace.batch(nowMs, batch.length, queue.length)
    freeAtMs = nowMs + batchCostMs + batch.length * COMMAND_COST_MS
    for (const { agent, atMs } of batch) {
      held.set(agent, (held.get(agent) ?? 1) - 1)
      if (held.get(agent) === 0) held.delete(agent)
      if (nowMs > 1_000) waitsMs.push(freeAtMs - atMs)
    }
  }
  waitsMs.sort((a, b) => a - b)
  return { donePerMs: waitsMs.length / 1_000, p99Ms: waitsMs[Math.floor(waitsMs.length * 0.99)] ?? 0, longest }
}

test("at one and a half to four times the load that a hub holds it does four fifths of what it holds and more, and hardly anybody waits for more than four batches", () => {
  fc.assert(
    fc.property(fc.double({ min: 1.5, max: 4, noNaN: true }), fc.integer({ min: 16, max: 300 }), (times, agents) => {
      const holds = holdsPerMs(0.5)
      const { donePerMs, p99Ms, longest } = overload(times * holds, agents, 0.5)
      expect(donePerMs).toBeGreaterThan(0.8 * holds)
      expect(p99Ms).toBeLessThan(32)
      expect(longest).toBeLessThan(3 * 8 * holds + agents)
    }),
    { numRuns: 20 },
  )
})

test("on a disk whose sync takes longer than a batch should, batches stay long: the hub does as much as it holds", () => {
  for (const batchCostMs of [8, 20, 50]) {
    const { donePerMs } = overload(2 * holdsPerMs(batchCostMs), 64, batchCostMs)
    expect(donePerMs).toBeGreaterThan(0.75 * holdsPerMs(batchCostMs))
  }
})

test("the more is refused the later it may come, spread over that time; without a load it is soon, and spread too", () => {
  const pace = new Pace(LIMITS, () => 0)
  const tellMs = (): number[] => Array.from({ length: 200 }, () => pace.retryAfterMs(100))
  const soon = tellMs()
  expect(Math.min(...soon)).toBeGreaterThanOrEqual(20)
  expect(Math.max(...soon)).toBeLessThanOrEqual(50)
  expect(new Set(soon).size).toBeGreaterThan(25)
  busy(pace, 100)
  expect(pace.waitMs(1_000)).toBeGreaterThan(70)
  expect(pace.retryAfterMs(1_000), "after those who wait").toBeGreaterThanOrEqual(pace.waitMs(1_000))
  const early = tellMs()
  for (let at = 0; at < 3; at += 1) tellMs()
  const late = tellMs()
  expect(Math.min(...early, ...late)).toBeGreaterThanOrEqual(20)
  expect(Math.max(...early)).toBeLessThanOrEqual(70)
  expect(Math.max(...late)).toBeGreaterThan(Math.max(...early) + 50)
  expect(new Set(late).size).toBeGreaterThan(70)
  busy(pace, 100, 1_000)
  expect(pace.retryAfterMs(100)).toBeLessThanOrEqual(50)
})
