import { afterEach, describe, expect, test } from "vitest"
import { tidyUp } from "./cli-driver.ts"
import { tidyRigs, withoutTmux } from "./supervisor-rig.ts"
import { wakeChaos } from "./wake-chaos.ts"

afterEach(async () => {
  await tidyRigs()
  await tidyUp()
})

describe.skipIf(withoutTmux !== null)("while supervisor, hub, terminals and panes are killed at random", () => {
  const minutes = Number(process.env["SKEIN_CHAOS_MINUTES"] ?? "0")
  const seed = Number(process.env["SKEIN_CHAOS_SEED"] ?? `${Date.now() % 1_000_000}`)

  test(
    `every message is read, no trigger takes effect twice, and nothing is left running (seed ${seed})`,
    { timeout: 300_000 + minutes * 2 * 60_000 },
    async () => {
      const long = minutes > 0
      const report = await wakeChaos({
        seed,
        agents: long ? 6 : 3,
        messages: long ? 200 : 20,
        killMs: long ? minutes * 60_000 : 15_000,
        log: (line) => console.log(line),
      })
      console.log(JSON.stringify({ seed, ...report }))
      expect(Object.values(report.kills).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(2)
    },
  )
})
