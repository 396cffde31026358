import { expect, test } from "vitest"
import { DIRECTIVES } from "../core/directive.ts"
import type { Role } from "../core/entry.ts"
import { orderIn } from "./orders.ts"

const entry = (role: Role, changes: object, type = "event.sent"): Parameters<typeof orderIn>[0] => ({
  type,
  actor: { agent: "mia", session: null, role },
  data: {
    kind: "directive",
    directive: "stop",
    to: { agent: "ada" },
    task: null,
    priority: "normal",
    text: "enough",
    payload: {},
    requiresAck: false,
    ...changes,
  },
})

test("three directives are orders to whoever runs the agent, the others are for its model", () => {
  const wants = Object.fromEntries(DIRECTIVES.map((directive) => [directive, orderIn(entry("operator", { directive }))?.want ?? null]))
  expect(wants).toEqual({ claim_denied: null, replan: null, pause: "paused", resume: "running", stop: "stopped", nudge: null })
})

test("an order says whom it is for, and who gave it why", () => {
  expect(orderIn(entry("orchestrator", {}))).toEqual({ to: { agent: "ada" }, want: "stopped", reason: "mia: enough" })
  expect(orderIn(entry("operator", { text: "", to: { everyone: true } }))).toEqual({ to: { everyone: true }, want: "stopped", reason: "stopped by mia" })
  expect(orderIn(entry("operator", { text: "x".repeat(2_000) }))?.reason).toHaveLength(1_000)
})

test("only who may direct gives orders, and only by a directive", () => {
  for (const role of ["worker", "observer", "plugin", "supervisor"] as const) expect(orderIn(entry(role, {}))).toBeNull()
  expect(orderIn(entry("operator", { kind: "info" }))).toBeNull()
  expect(orderIn(entry("operator", {}, "task.added"))).toBeNull()
})
