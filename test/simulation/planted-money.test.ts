import { expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { find, replaced } from "./planting.ts"

type Decide = (typeof commands)["usage.report"]["decide"]
type Recorded = Exclude<ReturnType<Decide>, { refused: string }>[number]

/** What comes of a command is changed: an entry, as often as said. */
function changed(name: "usage.report" | "task.review", change: (event: Recorded) => Recorded[]): Promise<string> {
  return replaced(
    commands[name] as (typeof commands)["usage.report"],
    "decide",
    (sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      return "refused" in decision ? decision : decision.flatMap(change)
    },
    () => find({}),
  )
}

const directiveOf = ({ type, data }: Recorded): unknown => (type === "event.sent" ? (data as { directive: unknown }).directive : null)

test.each([
  ["hears nothing of it", 0, /: \S+ has used more than it had, and agent\d is not told/],
  ["hears of it twice", 2, /tells \S+ to hand over \S+, which has what it needs or was told already/],
])("a planted fault is found: whoever goes beyond what its claim has set aside %s", { timeout: 120_000 }, async (_, times, found) => {
  const planted = await changed("usage.report", (event) => Array.from({ length: directiveOf(event) === "pause" ? times : 1 }, () => event))
  expect(planted).toMatch(found)
})

test("a planted fault is found: changes are asked of it, and it does not hear until when it has to hand over", { timeout: 120_000 }, async () => {
  const planted = await changed("task.review", (event) =>
    directiveOf(event) === "resume" ? [{ ...event, data: { ...(event.data as object), text: "changes requested" } }] : [event],
  )
  expect(planted).toMatch(/task\.changes_requested by \w+: \S+ has used more than it had, and agent\d is not told/)
})
