import * as z from "zod"
import { DEFAULT_RULES } from "../core/budget.ts"
import type { BudgetView } from "../core/budget-view.ts"
import { operation } from "./operation.ts"
import { microUsd, pattern, reason, taskId, name, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const scope = pattern(
  /^(workspace|plan\/[A-Za-z0-9][A-Za-z0-9._-]{0,71}|task\/[A-Za-z0-9][A-Za-z0-9._-]{0,71}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?|agent\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}|account\/[^\u0000-\u0020\u007f-\u009f\u2028\u2029]{1,200})$/u,
  "whose money it is: workspace, plan/ID, task/ID, agent/NAME or account/NAME",
  "Use workspace, plan/ID, task/ID, agent/NAME or account/NAME",
)
const windowMs = z.int().min(60_000).max(2_678_400_000).nullable().default(null)
/** A sum of many: it may be below zero where an overrun took more than there was. */
const sum = z.int()

const view = z.object({
  budget: z.string(),
  scope: z.string(),
  windowMs: z.int().nullable(),
  windowEndsAtMs: timeMs.nullable(),
  limitMicroUsd: sum,
  freeMicroUsd: sum,
  reservedMicroUsd: sum,
  settledMicroUsd: sum,
  overrunMicroUsd: sum,
  refundedMicroUsd: sum,
  perClaimMicroUsd: z.int().nullable(),
  warnPercent: z.array(z.int()),
  graceMs: z.int(),
  absorb: z.boolean(),
  closedAtMs: timeMs.nullable(),
  reservations: z.array(z.object({ task: taskId, agent: name, fence: z.int(), leftMicroUsd: sum, usedMicroUsd: sum, stopAtMs: timeMs.nullable() })),
}) satisfies z.ZodType<BudgetView>

export const budgetOperations = {
  "budget.set": operation({
    least: "operator",
    purposes: ["spend"],
    summary: "Set a limit on money, or take it away.",
    text: [
      "Amounts are millionths of a US dollar. Every claim under a budget reserves in its own decision what the task may cost: its own budget where it has one, else its estimate (stand-in cost, or",
      "the agent's hourly cost for the task's estimate), else `perClaimMicroUsd`, else a tenth of the limit; a claim for which too little is free is refused with `budget_spent`. Reported usage",
      "settles from the reservation, the end of the claim frees the rest. Usage beyond a reservation is booked as overrun and closes the budget; whoever went beyond has `graceMs` to hand over. With",
      "`absorb` it is taken from what is free, and closes only where nothing is. `windowMs`: counted anew in every such stretch from 1970 in UTC (86400000: a day). Budgets of the workspace, a plan",
      "or a task count what was spent before, an agent's and an account's from now on. `limitMicroUsd` null takes the budget away; what a plan or a task says of itself holds again.",
    ].join(" "),
    errors: ["not_found"],
    input: z.strictObject({
      scope,
      windowMs,
      limitMicroUsd: microUsd.nullable(),
      perClaimMicroUsd: microUsd.nullable().default(null),
      warnPercent: z.array(z.int().min(1).max(100)).max(10).default(DEFAULT_RULES.warnPercent),
      graceMs: z.int().min(0).max(86_400_000).default(DEFAULT_RULES.graceMs),
      absorb: z.boolean().default(false),
      reason: reason.default("set"),
    }),
    output: done,
  }),
  "budget.topUp": operation({
    least: "operator",
    purposes: ["spend"],
    summary: "Add money to a budget.",
    text: "In a budget with windows it counts for the current one. A budget that was closed by an overrun is open again as soon as anything is free in it; the overrun is then settled. The claim that went beyond still has to be handed over: the money is for claims to come, also of the same task.",
    errors: ["not_found"],
    input: z.strictObject({ scope, windowMs, amountMicroUsd: microUsd.min(1), reason: reason.default("topped up") }),
    output: done,
  }),
  "budget.show": operation({
    least: "observer",
    summary: "Where budgets stand.",
    text: "`free + reserved + settled + overrun` is the limit, to the micro-USD. Without `scope` all of them. Plans and tasks that say a budget of themselves have theirs without anybody setting it; tasks only show once they were claimed.",
    errors: [],
    input: z.strictObject({ scope: scope.nullable().default(null), limit: z.int().min(1).max(1_000).default(100) }),
    output: z.object({ budgets: z.array(view), more: z.boolean() }),
  }),
}

export const refundOperations = {
  "usage.refund": operation({
    least: "operator",
    purposes: ["spend"],
    summary: "Take back money that was not spent after all.",
    text: "A provider's refund, or a report that was wrong. At the most what that agent has spent on the task, or without one. It makes overruns good first; then it is free again in every budget that it had counted in.",
    errors: ["not_found", "invalid"],
    input: z.strictObject({ agent: name, task: taskId.nullable().default(null), costMicroUsd: microUsd.min(1), reason: reason.default("refund") }),
    output: done,
  }),
}
