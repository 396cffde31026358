import { describe, expect, test } from "vitest"
import { type CommandName, commands } from "../../src/core/command.ts"
import { find, replaced } from "./planting.ts"

type Row = (typeof commands)["task.block"]
type Decide = Row["decide"]
type Recorded = Exclude<ReturnType<Decide>, { refused: string }>[number]

/** Another decider; begins at a seed whose agents wait for each other. */
function deciding(name: CommandName, fault: (sound: Decide) => Decide, from = 4): Promise<string> {
  return replaced(commands[name] as Row, "decide", fault, () => find({ from }))
}

/** What a command records is left out where it `is` so. */
function without(name: CommandName, is: (event: Recorded) => boolean, from?: number): Promise<string> {
  const fault =
    (sound: Decide): Decide =>
    (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      return "refused" in decision ? decision : decision.filter((event) => !is(event))
    }
  return deciding(name, fault, from)
}

const replans = ({ type, data }: Recorded): boolean => type === "event.sent" && (data as { directive: unknown }).directive === "replan"

describe("a fault that is planted in what waits for what is found:", { timeout: 120_000 }, () => {
  test.each([
    ["task", /task\.blocked of \S+ by agent\d on \S+, which waits for it/],
    ["agent", /task\.blocked of \S+ by agent\d on agent\d, who waits for its owner/],
  ])("a circle that a blocker would close, a %s", async (kind, found) => {
    const circle = await deciding("task.block", (sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      const { task: id, fence, on, reason } = input
      const isIt = "refused" in decision && decision.refused === "cycle" && on.kind === kind
      return isIt ? [{ type: "task.blocked", data: { id, kind: on.kind, ref: on.ref, reason }, causedBy: fence }] : decision
    })
    expect(circle).toMatch(found)
  })

  test("a task that is made to depend on itself", async () => {
    const loop = await replaced(
      commands["task.edit"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        const { task: id, changes, reason } = input
        return "refused" in decision && decision.refused === "cycle" ? [{ type: "task.edited", data: { id, changes, reason } }] : decision
      },
      () => find({ from: 4 }),
    )
    expect(loop).toMatch(/task\.edited of \S+ by director, which then waits for itself/)
  })

  test("somebody whom it concerns and who does not hear that a task is blocked", async () => {
    const quiet = await without("task.block", replans)
    expect(quiet).toMatch(/task\.blocked of \S+ by agent\d, and agent\d is not told to plan \S+ anew/)
  })

  test.each([
    ["task.cancel", 89, /task\.cancelled of \S+ by \w+, and agent\d is not told to plan \S+ anew/],
    ["agent.retire", 204, /agent\.retired of agent\d by director, and agent\d is not told to plan \S+ anew/],
  ] as const)("somebody who waits in vain after %s", async (name, from, found) => {
    expect(await without(name, replans, from)).toMatch(found)
  })

  test("a task that goes on waiting for what is completed", async () => {
    const stuck = await without("task.complete", ({ type }) => type === "task.unblocked", 43)
    expect(stuck).toMatch(/task\.completed of \S+ by \w+, and \S+ still waits for it/)
  })
})
