import { describe, expect, test } from "vitest"
import { type CommandName, commands } from "../../src/core/command.ts"
import { find, replaced } from "./planting.ts"

type Row = (typeof commands)["message.post"]
type Decide = Row["decide"]
type Recorded = Exclude<ReturnType<Decide>, { refused: string }>[number]

/** Another decider; begins at a seed with an orchestrator in threads that go round in circles. */
function deciding(name: CommandName, fault: (sound: Decide) => Decide, from = 80): Promise<string> {
  return replaced(commands[name] as Row, "decide", fault, () => find({ from }))
}

function recorded(name: CommandName, change: (event: Recorded) => Recorded[], from?: number): Promise<string> {
  const fault =
    (sound: Decide): Decide =>
    (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      return "refused" in decision ? decision : decision.flatMap(change)
    }
  return deciding(name, fault, from)
}

const roleOf = ({ type, data }: Recorded): string | undefined => (type === "event.sent" ? (data as { to: { role?: string } }).to.role : undefined)

describe("a fault that is planted where an orchestrator directs is found:", { timeout: 120_000 }, () => {
  test("an escalation of which it does not hear", async () => {
    const unheard = await recorded("thread.escalate", (event) => (roleOf(event) === "orchestrator" ? [] : [event]))
    expect(unheard).toMatch(/by agent\d (takes|escalates) \S+.*, and the orchestrator( and the operator)? is not told/)
  })

  test("an escalation of which only it hears", async () => {
    const unheard = await recorded("thread.escalate", (event) => (roleOf(event) === "operator" ? [] : [event]), 31)
    expect(unheard).toMatch(/, and the operator is not told/)
  })

  test("a thread that its word blocks", async () => {
    const silenced = await deciding(
      "message.post",
      (sound) => (state, by, input, nowMs) =>
        sound(state, by.role === "orchestrator" && state.threads.get(input.thread)?.status === "active" ? { ...by, role: "worker" } : by, input, nowMs),
    )
    expect(silenced).toMatch(/thread\.status_changed by agent1 blocks \S+, which does not go round in circles/)
  })

  test("a blocked thread that takes no word of it", async () => {
    const shut = await deciding(
      "message.post",
      (sound) => (state, by, input, nowMs) =>
        sound(state, by.role === "orchestrator" && state.threads.get(input.thread)?.status === "blocked" ? { ...by, role: "worker" } : by, input, nowMs),
      206,
    )
    expect(shut).toMatch(/message\.post-\d+ of agent1 is refused \(wrong_status\) at \d+, though \S+ is blocked/)
  })

  test("what it says, which is nobody's turn", async () => {
    const uncounted = await recorded(
      "event.send",
      (event) => {
        const { turn: _, ...data } = event.data as { turn?: true }
        return event.type === "event.sent" && roleOf(event) !== "worker" ? [{ ...event, data }] : [event]
      },
      19,
    )
    expect(uncounted).toMatch(/thread task\/\S+ is \w+ after \d+ turns without progress, not \w+ after \d+/)
  })

  test("a review that the operator is asked for though it is there", async () => {
    const asked = await recorded(
      "task.complete",
      (event) => (roleOf(event) === "orchestrator" ? [{ ...event, data: { ...(event.data as object), to: { role: "operator" } } }] : [event]),
      32,
    )
    expect(asked).toMatch(/event\.sent by agent\d to \{"role":"operator"\}, which is for the orchestrator to see to/)
  })

  test("a review that nobody is asked for", async () => {
    const unasked = await recorded("task.complete", (event) => (roleOf(event) === undefined ? [event] : []), 13)
    expect(unasked).toMatch(/task\.submitted by agent\d, and nobody is asked for a review/)
  })
})
