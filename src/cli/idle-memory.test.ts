import { setTimeout as sleep } from "node:timers/promises"
import { expect, test } from "vitest"
import { releaseWhenIdle } from "./idle-memory.ts"

const TICK_MS = 10

/** Whether what nobody holds any more is collected while the count of entries goes as given, for 20 ticks. */
async function isCollected(entries: () => number): Promise<boolean> {
  const garbage = new WeakRef({})
  const stop = releaseWhenIdle(entries, TICK_MS)
  await sleep(20 * TICK_MS)
  stop()
  return garbage.deref() === undefined
}

test("what a busy time left behind is collected once it is over", async () => {
  let entries = 5_000
  expect(await isCollected(() => Math.min((entries += 500), 7_000))).toBe(true)
})

test("nothing is collected while there is work", async () => {
  let entries = 0
  expect(await isCollected(() => (entries += 5_000))).toBe(false)
})

test("what a start left behind is collected though no work came, and after that nothing for little work", async () => {
  expect(await isCollected(() => 500)).toBe(true)
  let garbage: WeakRef<object> | null = null
  let entries = 500
  const stop = releaseWhenIdle(() => entries, TICK_MS)
  await sleep(10 * TICK_MS)
  garbage = new WeakRef({})
  entries += 100
  await sleep(20 * TICK_MS)
  stop()
  expect(garbage.deref()).toBeDefined()
})
