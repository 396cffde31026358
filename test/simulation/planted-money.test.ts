import { expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { directive } from "../../src/core/directive.ts"
import { exactUsd } from "../../src/core/money.ts"
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
    /hand it over before/.test((event.data as { text?: string }).text ?? "") && directiveOf(event) === "resume"
      ? [{ ...event, data: { ...(event.data as object), text: "changes requested" } }]
      : [event],
  )
  expect(planted).toMatch(/task\.changes_requested by \w+: \S+ has used more than it had, and agent\d is not told/)
})

const isNearly = ({ type, data }: Recorded): boolean => type === "event.sent" && (data as { directive: unknown }).directive === "nudge"

test.each([
  ["hears nothing of it", 0, /: \S+ has used \S+ of the \S+, and agent\d is not told/],
  ["hears of it twice", 2, /tells that \S+ has used \S+ of the \S+, which was told already or is not so/],
])("a planted fault is found: whoever has nearly used what its claim has set aside %s", { timeout: 120_000 }, async (_, times, found) => {
  const planted = await changed("usage.report", (event) => Array.from({ length: isNearly(event) ? times : 1 }, () => event))
  expect(planted).toMatch(found)
})

test("a planted fault is found: whoever is nearly without money is told early", { timeout: 120_000 }, async () => {
  const early = await replaced(
    commands["usage.report"],
    "decide",
    (sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      if ("refused" in decision || input.task === null || decision.some(isNearly)) return decision
      const { usedMicroUsd = 0, capMicroUsd = 0, fence = 0 } = state.reservations.get(input.task) ?? {}
      const used = usedMicroUsd + (input.costMicroUsd ?? 0)
      const text = `${input.task} has used ${exactUsd(used)} of the ${exactUsd(capMicroUsd)} that it may: finish it.`
      return used * 2 < capMicroUsd || capMicroUsd === 0 ? decision : [...decision, directive("nudge", { agent: by.agent }, input.task, text, fence)]
    },
    () => find({}),
  )
  expect(early).toMatch(/tells that \S+ has used \S+ of the \S+, which was told already or is not so/)
})

test("a planted fault is found: changes are asked of what has nearly used its money, and its owner does not hear of that", { timeout: 120_000 }, async () => {
  const planted = await changed("task.review", (event) => {
    const { text } = event.data as { text?: string }
    return text?.includes(" that it may: ") === true ? [{ ...event, data: { ...(event.data as object), text: text.split("\n").at(-1) } }] : [event]
  })
  expect(planted).toMatch(/task\.changes_requested by \w+: \S+ has used \S+ of the \S+, and agent\d is not told/)
})

test("a planted fault is found: nobody takes back what is not handed over in time", { timeout: 120_000 }, async () => {
  const patient = await replaced(
    commands["hub.sweep"],
    "decide",
    (sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      return "refused" in decision ? decision : decision.filter(({ type }) => type !== "task.released")
    },
    () => find({}),
  )
  expect(patient).toMatch(/agent\d should have handed \S+ over \d+ ms ago, and still has it/)
})
