import { expect, it } from "vitest"
import { aRole, permits, ROLES } from "./role.ts"

it("each role may do what its own kind may, and what the table says besides", () => {
  const may = Object.fromEntries(ROLES.map((role) => [role, ROLES.filter((least) => permits(least, role))]))
  expect(may).toEqual({
    observer: ["observer"],
    plugin: ["observer", "plugin"],
    worker: ["observer", "worker"],
    supervisor: ["observer", "supervisor"],
    orchestrator: ["observer", "worker", "orchestrator"],
    operator: ["observer", "plugin", "worker", "supervisor", "orchestrator", "operator"],
  })
})

it("a role has its article in a sentence", () => {
  expect(ROLES.map(aRole)).toEqual(["an observer", "a plugin", "a worker", "a supervisor", "an orchestrator", "the operator"])
})
