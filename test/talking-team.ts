import type { Actor } from "../src/core/entry.ts"
import { Scenario } from "./scenario.ts"

/** Three agents with a thread of their own. */
export function team(): { scenario: Scenario; ann: Actor; bob: Actor; boss: Actor } {
  const scenario = new Scenario()
  const actors = { ann: scenario.agent("ann"), bob: scenario.agent("bob"), boss: scenario.agent("boss", { role: "orchestrator" }) }
  scenario.must("thread.create", actors.ann, { thread: "plan", title: "Plan", type: "conversation", participants: ["bob"] })
  return { scenario, ...actors }
}
