import { expect, test } from "vitest"
import { byName } from "./ids.ts"

test("names go in the order in which people count, and by their text where they count alike", () => {
  const names = [
    "Zoe",
    "a",
    "agent",
    "agent-2",
    "agent-2.5",
    "agent-2b",
    "agent-10",
    "agent-10.9",
    "agent-10.10",
    "b-01",
    "b-1",
    "b1c2",
    "b1c10",
    "plan.2/task-9",
    "plan.10/task-8",
  ]
  for (let turn = 0; turn < names.length; turn += 1) {
    const turned = [...names.slice(turn), ...names.slice(0, turn)]
    expect(turned.sort(byName)).toEqual(names)
    expect(turned.toReversed().sort(byName)).toEqual(names)
  }
})
