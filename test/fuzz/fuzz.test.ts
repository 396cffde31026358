import { expect, test } from "vitest"
import { campaign, type Outcome } from "./campaign.ts"
import { Choices } from "./choices.ts"
import { TARGETS } from "./targets.ts"
import { websocketTarget } from "./websocket-target.ts"

/** Seconds for one target: some hundred cases where they need no process. `npm run fuzz` goes on for as long as it is told. */
const SECONDS = 1.1
const SEED = 20_261_121

/** Cases at the most: the same ones on a fast machine, so that a red test says which. */
const CASES = 1_500

function told({ target, found, cases }: Outcome): string {
  if (found === null) return `${cases} cases, nothing found`
  return `${target} at seed ${found.seed}: ${found.message}\n${found.sent}\nchoices: [${found.made.join(",")}]\nagain: npm run fuzz -- --target ${target} --from ${found.seed} --cases 1`
}

for (const [name, load] of Object.entries(TARGETS)) {
  const target = await load()
  test(`changed input is refused with a reason, and harms nothing: ${target.entrance}`, async () => {
    expect(target.name).toBe(name)
    const outcome = await campaign(target, { seed: SEED, cases: CASES, untilMs: performance.now() + SECONDS * 1_000, reduceMs: 10_000 })
    console.log(`fuzz ${target.name}: seed ${SEED}, ${outcome.cases} cases, ${(outcome.tookMs / 1_000).toFixed(1)} s`)
    expect(outcome.found, told(outcome)).toBeNull()
    // Input that is all refused at the door tests the door alone. Of a changed snapshot, one thing may come and no other.
    const kinds = target.name === "snapshot" ? 1 : Math.min(4, Math.ceil(outcome.cases / 20))
    expect(outcome.outcomes.size).toBeGreaterThanOrEqual(kinds)
  })
}

test("a call over a WebSocket that is done after the last one was answered is not taken for a refused one that wrote", async () => {
  const subject = await websocketTarget.open()
  try {
    // A plan, and the read after it, in one piece: the read does not wait for a batch that has not begun.
    expect(await subject.attempt(Choices.again([85, 0, 40, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 50]))).toBe("some done")
    expect(subject.describe()).toContain('"op":"plan.add"')
  } finally {
    await subject.close()
  }
})
