import { expect, test } from "vitest"
import { Quiet } from "./quiet.ts"
import { VirtualClock } from "./virtual-clock.ts"

/** Whether a wait is over, looked at as time goes on. */
function watched(waiting: Promise<void>): () => boolean {
  let isOver = false
  void waiting.then(() => (isOver = true))
  return () => isOver
}

test("where nobody came it is only a turn of the loop", async () => {
  const clock = new VirtualClock()
  const over = watched(new Quiet(clock).wait())
  await clock.advance(0)
  expect(over()).toBe(true)
})

test("as long as somebody comes again it waits, and goes on when nobody does", async () => {
  const clock = new VirtualClock()
  const quiet = new Quiet(clock)
  quiet.disturbed()
  const over = watched(quiet.wait())
  for (let at = 0; at < 100; at += 1) {
    await clock.advance(10)
    quiet.disturbed()
    expect(over()).toBe(false)
  }
  await clock.advance(25)
  expect(over()).toBe(true)
})

test("what must be done some day does not wait for ever", async () => {
  const clock = new VirtualClock()
  const quiet = new Quiet(clock)
  quiet.disturbed()
  const over = watched(quiet.wait(50))
  for (let at = 0; at < 4; at += 1) {
    await clock.advance(10)
    quiet.disturbed()
    expect(over()).toBe(false)
  }
  await clock.advance(15)
  expect(over()).toBe(true)
})

test("nobody waits for the quiet of a hub that goes down", async () => {
  const clock = new VirtualClock()
  const quiet = new Quiet(clock)
  quiet.disturbed()
  const over = watched(quiet.wait())
  quiet.end()
  await Promise.resolve()
  expect(over()).toBe(true)
  quiet.disturbed()
  const next = watched(quiet.wait())
  await clock.advance(0)
  expect(next()).toBe(true)
})
