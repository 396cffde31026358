import { describe, expect, test } from "vitest"
import { operations } from "../../src/contract/operations.ts"
import type { Session } from "../../src/core/agent.ts"
import { commands } from "../../src/core/command.ts"
import type { Role } from "../../src/core/entry.ts"
import { refuse } from "../../src/core/refusal.ts"
import { Table } from "../../src/core/table.ts"
import { Presence } from "../../src/hub/presence.ts"
import { find, replaced } from "./planting.ts"

type Adopt = (typeof commands)["session.adopt"]["decide"]

/** What came of it where sessions are adopted otherwise. */
function adopting(fault: (sound: Adopt) => Adopt): Promise<string> {
  return replaced(commands["session.adopt"], "decide", fault, () => find({ from: 8 }))
}

describe("a fault that is planted in what keeps sessions is found:", { timeout: 120_000 }, () => {
  test.each([
    ["one that another keeps who lives", "not_owner", /session\.adopted of \S+ by keeper\d, which keeper\d keeps/],
    ["one that has ended", "wrong_status", /session\.adopted of \S+ by keeper\d, (which has ended|who has no session of its own)/],
  ])("a supervisor that takes %s", async (_, refused, found) => {
    const lax = await adopting((sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      const takes = "refused" in decision && decision.refused === refused && by.session !== null
      return takes ? [{ type: "session.adopted", data: { id: input.session, by: by.session } }] : decision
    })
    expect(lax).toMatch(found)
  })

  test("a worker that takes one into its keeping", async () => {
    const lax = await replaced(
      operations["session.adopt"] as { least: Role },
      "least",
      (): Role => "observer",
      () => find({ from: 8 }),
    )
    expect(lax).toMatch(/session\.adopted of \S+ by agent\d, who is worker/)
  })

  test("a supervisor that may not take what nobody who lives keeps", async () => {
    const strict = await adopting((sound) => (state, by, input, nowMs) => {
      const keeper = state.sessions.get(state.sessions.get(input.session)?.managedBy ?? "")
      return keeper !== undefined && keeper.agent !== by.agent ? refuse("not_owner", "planted", "none", {}) : sound(state, by, input, nowMs)
    })
    expect(strict).toMatch(/session\.adopt-\d+ of keeper\d is refused \(not_owner\) at \d+, though nobody who lives keeps it/)
  })

  test("a session that says of nobody that it keeps it", async () => {
    const free = await replaced(
      commands["session.start"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        if ("refused" in decision) return decision
        return decision.map(({ type, data }) => {
          const { managedBy: _, ...rest } = data as Partial<Session>
          return { type, data: rest }
        })
      },
      () => find({ from: 8 }),
    )
    expect(free).toMatch(/session\.started of \S+ by keeper\d, whose session \S+ does not keep it/)
  })

  test("a conversation that is forgotten", async () => {
    const forgetful = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const before = this.name === "sessions" ? (this.get(key) as Session | undefined) : undefined
          sound.call(this, key, before === undefined ? value : { ...(value as Session), resumeId: before.resumeId })
        },
      () => find({ from: 8 }),
    )
    expect(forgetful).toMatch(/session \S+ \(agent, status, owned, conversation, keeper\) is .*, not /)
  })

  test("with one hub, whoever a supervisor keeps is not waited for after a start", async () => {
    const hasty = await replaced(
      Presence.prototype,
      "expect",
      (sound) =>
        function expected(this: Presence, session, nowMs, heartbeatMs): void {
          sound.call(this, session, nowMs, heartbeatMs / 25)
        },
      () => find({ hubs: 1, from: 8 }),
    )
    expect(hasty).toMatch(/hub 0 declares \S+ lost, of which it never heard/)
  })
})
