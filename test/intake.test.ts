import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Intake } from "../src/surface/intake.ts"
import { Refusals } from "../src/surface/rate.ts"
import { LONG_TEXT_BYTES } from "../src/surface/text-turns.ts"

/** The loop's own next turn, whatever the tests' timers say. */
const soon = setImmediate
const turn = (): Promise<void> => new Promise((resolve) => soon(resolve))

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const RATE = { perSecond: 20_000, burst: 2_000 }
/** An intake whose messages are all refused, and what it has taken up. */
function refusedIntake(refusals: Refusals, frames: number): { intake: Intake; taken: () => number; isPaused: () => boolean } {
  let [isPaused, taken] = [false, 0]
  const ws = {
    get isPaused() {
      return isPaused
    },
    pause: () => void (isPaused = true),
    resume: () => void (isPaused = false),
  }
  const take = (): void => {
    taken += 1
    for (let frame = 0; frame < frames; frame += 1) intake.refused()
  }
  const intake = new Intake({ ws, refusals, share: () => Number.POSITIVE_INFINITY, take })
  return { intake, taken: () => taken, isPaused: () => isPaused }
}

test("whoever is refused once is read again soon, however many others were refused by the thousand", () => {
  const refusals = new Refusals(RATE, () => 0)
  const crowd = Array.from({ length: 400 }, () => refusedIntake(refusals, 1_000))
  for (const { intake } of crowd) intake.received("all at once", false)
  const once = refusedIntake(refusals, 1)
  once.intake.received("one", false)
  expect([once.isPaused(), crowd.at(-1)?.isPaused()]).toEqual([true, true])
  vi.advanceTimersByTime(60)
  expect([once.isPaused(), crowd.at(-1)?.isPaused()]).toEqual([false, true])
  // The crowd is refused at the rate: 399,000 in 20 s, each of those that rest in its turn.
  vi.advanceTimersByTime(19_000)
  expect(crowd.filter(({ isPaused }) => !isPaused()).length).toBeLessThan(5)
  vi.advanceTimersByTime(1_000)
  expect(crowd.filter(({ isPaused }) => isPaused())).toEqual([])
})

test("a connection that goes while it rests makes nobody else rest longer", () => {
  const refusals = new Refusals(RATE, () => 0)
  for (let many = 0; many < 1_000; many += 1) {
    const { intake } = refusedIntake(refusals, 10)
    intake.received("bye", false)
    intake.end()
  }
  const once = refusedIntake(refusals, 100)
  once.intake.received("one", false)
  vi.advanceTimersByTime(25)
  expect(once.isPaused()).toBe(false)
})

test("what costs as much as many is paid for as many, and within the rate it costs nothing", () => {
  const refusals = new Refusals(RATE, () => 0)
  const { intake, isPaused } = refusedIntake(refusals, 0)
  intake.refused(2_000)
  expect(isPaused()).toBe(false)
  intake.refused(4_000)
  expect(isPaused()).toBe(true)
  vi.advanceTimersByTime(199)
  expect(isPaused()).toBe(true)
  vi.advanceTimersByTime(1)
  expect(isPaused()).toBe(false)
})

test("who says hello or beats rests for nobody else's refusals, but for more than a hundred such at once of its own", () => {
  const refusals = new Refusals(RATE, () => 0)
  refusedIntake(refusals, 3_000).intake.received("all at once", false)
  const { intake, isPaused } = refusedIntake(refusals, 0)
  for (let beat = 0; beat < 100; beat += 1) intake.aside()
  expect(isPaused()).toBe(false)
  intake.aside()
  expect(isPaused()).toBe(true)
})

test("a hello that is not answered yet holds all up, and is the only one", () => {
  const { intake, taken, isPaused } = refusedIntake(new Refusals(RATE, () => 0), 0)
  expect([intake.hold(), intake.hold(), isPaused()]).toEqual([true, false, true])
  intake.received("later", false)
  expect(taken()).toBe(0)
  intake.goOn()
  expect([taken(), isPaused(), intake.hold()]).toEqual([1, false, true])
})

test("what was read before is taken up before what comes later, though the load has fallen in between", () => {
  let [share, isPaused] = [0, false]
  const taken: unknown[] = []
  const ws = {
    get isPaused() {
      return isPaused
    },
    pause: () => void (isPaused = true),
    resume: () => void (isPaused = false),
  }
  const intake = new Intake({ ws, refusals: new Refusals(RATE, () => 0), share: () => share, take: (data) => void taken.push(data) })
  for (let call = 0; call < 16; call += 1) intake.begun()
  intake.received("first", false)
  share = 1_000
  intake.received("second", false)
  expect(taken).toEqual([])
  intake.answered()
  expect([taken, isPaused]).toEqual([["first", "second"], false])
})

test("of long messages that come at once one is taken up in a turn, and what its sender said after it then", async () => {
  const crowd = Array.from({ length: 3 }, () => refusedIntake(new Refusals(RATE, () => 0), 0))
  for (const { intake } of crowd) {
    intake.received(" ".repeat(LONG_TEXT_BYTES + 1), false)
    intake.received("{}", false)
  }
  const taken = (): number[] => crowd.map((one) => one.taken())
  expect(taken()).toEqual([2, 0, 0])
  expect(crowd.map(({ isPaused }) => isPaused())).toEqual([false, true, true])
  await turn()
  expect(taken()).toEqual([2, 2, 0])
  await turn()
  expect(taken()).toEqual([2, 2, 2])
  expect(crowd.some(({ isPaused }) => isPaused())).toBe(false)
})
