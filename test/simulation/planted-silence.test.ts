import { describe, expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { Board } from "../../src/core/board.ts"
import { find, replaced } from "./planting.ts"

type Decide = (typeof commands)["hub.sweep"]["decide"]
type Recorded = Exclude<ReturnType<Decide>, { refused: string }>[number]

/** What a sweep records is changed; begins at a seed whose clock is far ahead after a start. */
function swept(change: (event: Recorded) => Recorded[]): Promise<string> {
  return replaced(
    commands["hub.sweep"],
    "decide",
    (sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      return "refused" in decision ? decision : decision.flatMap(change)
    },
    () => find({ from: 32 }),
  )
}

const flagOf = ({ type, data }: Recorded): string | null => (type === "task.flagged" ? (data as { to: string }).to : null)
const nudges = ({ type, data }: Recorded): boolean => type === "event.sent" && /nothing was heard of/.test((data as { text: string }).text)

describe("a fault that is planted in what tells of work that nobody hears of is found:", { timeout: 120_000 }, () => {
  test("whoever has it is not told", async () => {
    expect(await swept((event) => (nudges(event) ? [] : [event]))).toMatch(/task\.flagged of \S+ by hub, and \S+ is not told/)
  })

  test("the operator is told before its owner", async () => {
    const over = await swept((event) => (flagOf(event) === "owner" ? [{ ...event, data: { ...(event.data as object), to: "operator" } }] : [event]))
    expect(over).toMatch(/task\.flagged of \S+ by hub to the operator, and its owner was not told before/)
  })

  test("nobody is told", async () => {
    const silent = await swept((event) => (flagOf(event) !== null || nudges(event) ? [] : [event]))
    expect(silent).toMatch(/nothing is heard of \S+ for \d+ ms, and nobody is told/)
  })

  test("they are told early", async () => {
    const early = await replaced(
      Board.prototype,
      "silentSince",
      (sound) =>
        function silentSince(this: Board, atMs: number) {
          return sound.call(this, atMs + 899_000)
        },
      () => find({ from: 1 }),
    )
    expect(early).toMatch(/task\.flagged of \S+ by hub to the owner after \d+ ms/)
  })
})
