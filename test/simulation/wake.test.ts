import { expect, test } from "vitest"
import { Violation } from "./oracle.ts"
import { WakeOracle } from "./wake-oracle.ts"
import { WakeWorld } from "./wake-world.ts"

const SEEDS = Number(process.env["WAKE_SEEDS"] ?? 200)
const FROM = Number(process.env["WAKE_FROM"] ?? 1)
/** In fewer, such as one that is made again, some kinds of trouble may be missing. */
const MANY = 50

test(`two supervisors that die, panes that die, lost messages and a hub that restarts: everything unread is read or has its reason, and no text comes twice (seeds ${FROM} to ${FROM + SEEDS - 1})`, async () => {
  const types = new Map<string, number>()
  const sums = { dead: 0, crashes: 0, quietS: 0 }
  for (let seed = FROM; seed < FROM + SEEDS; seed += 1) {
    const outcome = await new WakeWorld(seed).run()
    for (const [type, count] of outcome.types) types.set(type, (types.get(type) ?? 0) + count)
    sums.dead += outcome.dead
    sums.crashes += outcome.crashes
    sums.quietS += Math.round(outcome.quietMs / 1_000)
  }
  console.log(`${SEEDS} seeds from ${FROM}: ${JSON.stringify({ ...Object.fromEntries(types), ...sums })}`)
  expect(SEEDS, "WAKE_SEEDS takes a whole number above 0, WAKE_FROM a whole number").toBeGreaterThan(0)
  if (SEEDS < MANY) return
  // It happened at all: else the promises would hold for want of trouble.
  for (const type of ["claimed", "delivering", "sent", "failed", "deferred", "released", "confirmed", "cancelled"])
    expect(types.get(`trigger.${type}`) ?? 0, type).toBeGreaterThan(SEEDS / 10)
  expect(sums.crashes, "hubs that crashed").toBeGreaterThan(SEEDS / 2)
}, 600_000)

test("the same seed gives the same run", async () => {
  expect((await new WakeWorld(7).run()).trace).toBe((await new WakeWorld(7).run()).trace)
})

test("a supervisor that types without its claim is found out", async () => {
  let found = 0
  for (let seed = 1; seed <= 12; seed += 1) {
    await new WakeWorld(seed, true).run().catch((error: unknown) => {
      if (!(error instanceof Violation)) throw error
      expect(error.message).toContain("pasted twice")
      expect(error.message).toContain(`WAKE_SEEDS=1 WAKE_FROM=${seed} npx vitest run test/simulation/wake.test.ts`)
      found += 1
    })
  }
  expect(found).toBeGreaterThan(0)
}, 120_000)

test("entries that give one job to two, or deliver after the end, are found out", () => {
  const line = (seq: number, type: string, data: object, session = "s_1"): never => ({ seq, atMs: seq, type, actor: { agent: "a", session }, data }) as never
  const asked = line(1, "trigger.requested", { id: "r1", target: "bob", origin: "request" })
  const claim = (seq: number, session: string): never => line(seq, "trigger.claimed", { id: "r1", endsAtMs: 100 }, session)
  const read = (...lines: never[]): (() => void) => {
    const oracle = new WakeOracle()
    return () => lines.forEach((each) => oracle.read(each))
  }
  expect(read(asked, claim(2, "s_1"), claim(3, "s_2"))).toThrow("holds under fence 2")
  expect(read(asked, claim(2, "s_1"), line(3, "trigger.delivering", { id: "r1", fence: 2 }, "s_2"))).toThrow("which s_1 holds")
  expect(read(asked, claim(2, "s_1"), line(101, "trigger.delivering", { id: "r1", fence: 2 }))).toThrow("1 ms after its claim")
  expect(read(asked, claim(2, "s_1"), line(3, "trigger.confirmed", { id: "r1" }), claim(4, "s_1"))).toThrow("is over")
  expect(read(asked, claim(2, "s_1"), line(3, "trigger.delivering", { id: "r1", fence: 2 }))).not.toThrow()
})
