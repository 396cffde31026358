import { expect, test } from "vitest"
import { Linger } from "./linger.ts"

/** Answers told at these times; a turn takes 0.05 ms. Answers how long it stayed awake after the last, in ms. */
function stays(...answers: [atMs: number, clients: number][]): number {
  let nowMs = 0
  let next: (() => void) | null = null
  const linger = new Linger(
    () => nowMs,
    (call) => (next = call),
  )
  const turn = (): void => {
    const call = next
    next = null
    nowMs += 0.05
    call?.()
  }
  for (const [atMs, clients] of answers) {
    while (next !== null && nowMs < atMs) turn()
    nowMs = atMs
    linger.answered(clients)
  }
  while (next !== null) turn()
  return nowMs - (answers.at(-1)?.[0] ?? 0)
}

test("whoever asks again at once is waited for, 0.2 ms from the last answer on", () => {
  expect(stays([0, 1], [0.4, 1])).toBeCloseTo(0.2)
  expect(stays([0, 1], [0.4, 1], [0.5, 1], [1.3, 1])).toBeCloseTo(0.2)
})

test("nobody else is: a first question, one that comes later, or many clients' at once", () => {
  expect(stays([0, 1])).toBe(0)
  expect(stays([0, 1], [1.1, 1])).toBe(0)
  expect(stays([0, 20], [0.4, 20])).toBe(0)
  expect(stays([0, 1], [0.4, 1], [3, 1])).toBe(0)
})

test("however often it is answered while it is awake, it takes one turn at a time", () => {
  let [nowMs, turns] = [0, 0]
  const linger = new Linger(
    () => nowMs,
    () => (turns += 1),
  )
  for (; nowMs < 3; nowMs += 0.5) linger.answered(1)
  expect(turns).toBe(1)
})
