import { setTimeout as sleep } from "node:timers/promises"
import { expect, test } from "vitest"
import { releaseWhenIdle } from "./idle-memory.ts"

const IDLE_MS = 600
const TICK_MS = IDLE_MS / 60

/** What a collection takes with it; a test that waits for it in vain ends by its own time. */
async function collected(garbage: WeakRef<object>): Promise<void> {
  while (garbage.deref() !== undefined) await sleep(TICK_MS)
}

/** Whether what nobody holds any more is collected while the count of entries goes as given, within so many ticks. */
async function isCollected(entries: () => number, ticks = 120): Promise<boolean> {
  const garbage = new WeakRef({})
  const stop = releaseWhenIdle(entries, IDLE_MS)
  await sleep(ticks * TICK_MS)
  stop()
  return garbage.deref() === undefined
}

test("what a busy time left behind is collected once it is over", async () => {
  let entries = 5_000
  const stop = releaseWhenIdle(() => Math.min((entries += 500), 7_000), IDLE_MS)
  await collected(new WeakRef({}))
  stop()
})

test("a short rest keeps everything: what it needs for the next claim is still there", async () => {
  expect(await isCollected(() => 5_000, 20)).toBe(false)
})

test("nothing is collected while there is work, with rests in between", async () => {
  let [entries, ticks] = [0, 0]
  expect(await isCollected(() => ((ticks += 1) % 30 === 0 ? (entries += 5_000) : entries))).toBe(false)
})

test("nothing is collected while there is work", async () => {
  let entries = 0
  expect(await isCollected(() => (entries += 5_000))).toBe(false)
})

test("what a start left behind is collected though no work came, and after that nothing for little work", async () => {
  let entries = 500
  const stop = releaseWhenIdle(() => entries, IDLE_MS)
  await collected(new WeakRef({}))
  const garbage = new WeakRef({})
  entries += 100
  await sleep(120 * TICK_MS)
  stop()
  expect(garbage.deref()).toBeDefined()
})
