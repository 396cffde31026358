import { describe, expect, test } from "vitest"
import type { ClaimNext } from "../../src/core/claim.ts"
import { commands } from "../../src/core/command.ts"
import { ReadyTasks } from "../../src/core/ready.ts"
import { refuse } from "../../src/core/refusal.ts"
import { find, replaced } from "./planting.ts"

/** A claim of the next task that is decided on something else than was asked. */
function misheard(as: (input: ClaimNext) => ClaimNext): Promise<string> {
  return replaced(
    commands["task.claimNext"],
    "decide",
    (sound) => (state, by, input, nowMs) => sound(state, by, as(input), nowMs),
    () => find({}),
  )
}

describe("a fault that is planted in a claim of several is found:", { timeout: 120_000 }, () => {
  test.each([
    ["takes one more than it was asked for", (input) => ({ ...input, max: input.max + 1 }), /takes \d of \d at the most/],
    ["takes one of several", (input) => ({ ...input, max: 1 }), /takes 1 of \d and leaves \S+, which is ready/],
    ["takes either kind where one is asked for", (input) => ({ ...input, filler: null }), /takes \S+, which is (a|no) filler/],
    ["asks for no label", (input) => ({ ...input, labels: [] }), /takes \S+, which is not labelled docs/],
    ["asks for no plan", (input) => ({ ...input, plan: null }), /takes \S+, which is not of \S+/],
  ] satisfies [string, (input: ClaimNext) => ClaimNext, RegExp][])("one that %s", async (_, as, found) => {
    expect(await misheard(as)).toMatch(found)
  })

  test("one that leaves out what is first", async () => {
    const late = await replaced(
      ReadyTasks.prototype,
      "choose",
      (sound) =>
        function choose(this: ReadyTasks, query): string[] {
          const found = sound.call(this, { ...query, count: query.count + 1 })
          return found.length > query.count ? found.slice(1) : found
        },
      () => find({}),
    )
    expect(late).toMatch(/takes what is \w+ with \d+ ms behind it.* and leaves \S+, which is \w+/)
  })

  test.each([
    ["its limit", 1, /though it works on \d already/],
    ["the money and the breakers", 2, /reserves \d+, though only -?\d+ of \d+ is free|though \S+ is the probe of breaker/],
  ])("one that thinks of %s as if it took one only", async (_, room, found) => {
    const forgetful = await replaced(
      commands["task.claimNext"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const free = (state.agents.get(by.agent)?.maxActive ?? 0) - state.board.activeOf(by.agent)
        const asked = { ...input, max: 1, filler: false }
        const first = input.max === 1 || input.filler !== null || free !== room ? [] : sound(state, by, asked, nowMs)
        const [claim] = "refused" in first || first.length > 1 ? [] : first
        if (claim === undefined) return sound(state, by, input, nowMs)
        const { id } = claim.data as { id: string }
        const forbids: ClaimNext["forbids"] = (other) => (other === id ? refuse("policy_denied", "planted", "none", {}) : (input.forbids?.(other) ?? null))
        const second = sound(state, by, { ...asked, forbids }, nowMs)
        return "refused" in second ? sound(state, by, input, nowMs) : [claim, ...second]
      },
      () => find({}),
    )
    expect(forgetful).toMatch(found)
  })
})
