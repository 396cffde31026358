import { afterAll, beforeAll, expect, test } from "vitest"
import { MetricsHistory } from "./metrics-history.ts"
import { type Instance, startInstance } from "./served.contract.ts"

let hub: Instance
beforeAll(async () => {
  hub = await startInstance({ level: "warn" })
})
afterAll(() => hub.close())

test("a sample is taken every five seconds, and after two hours the oldest goes", () => {
  const history = new MetricsHistory(hub.hub, () => ({ requests: 7, connections: 2 }))
  for (let second = 0; second < 3 * 3_600; second += 1) history.tick(second * 1_000)
  const samples = history.since("main", 0)
  expect(samples.length).toBe(1_440)
  expect(samples[0]).toMatchObject({ requests: 7, connections: 2, queue: 0, beats: 0 })
  expect(history.since("other", 0)).toEqual([])
})

test("the hub tells its history since a time, to whoever asks for it", async () => {
  const ask = async (input: object): Promise<{ seq: number; history?: { atMs: number }[] }> => {
    const response = await fetch(`${hub.url}/api/orpc/hub/metrics`, {
      method: "POST",
      headers: { Authorization: `Bearer ${hub.operator}`, "Content-Type": "application/json" },
      body: JSON.stringify(input),
    })
    return (await response.json()) as { seq: number; history?: { atMs: number }[] }
  }
  expect((await ask({})).history).toBeUndefined()
  await expect.poll(async () => (await ask({ sinceMs: 0 })).history?.length, { timeout: 10_000 }).toBeGreaterThan(0)
  const [first] = (await ask({ sinceMs: 0 })).history ?? []
  expect((await ask({ sinceMs: first?.atMs })).history?.some(({ atMs }) => atMs === first?.atMs)).toBe(false)
})
