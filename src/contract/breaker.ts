import * as z from "zod"
import { BREAKER_NUMBERS, type BreakerNumber } from "../core/breaker.ts"
import type { BreakerView } from "../core/breaker-view.ts"
import { operation } from "./operation.ts"
import { pattern, reason, taskId, timeMs } from "./schema.ts"
import { done } from "./task.ts"

const breaker = pattern(
  /^(agent\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}|(account|model|kind)\/[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{1,200})$/u,
  "breaker: agent/NAME, account/NAME, model/NAME or kind/LABEL",
  "Use agent/NAME, account/NAME, model/NAME, or kind/LABEL with a label of tasks",
)

const view = z.object({
  breaker: z.string(),
  phase: z.enum(["closed", "open", "half_open"]),
  cause: z.enum(["failures", "rate", "throttled", "manual"]).nullable(),
  untilMs: timeMs.nullable(),
  sinceMs: timeMs.nullable(),
  reason: z.string().nullable(),
  outcomes: z.int(),
  failures: z.int(),
  throttled: z.int(),
  probe: taskId.nullable(),
}) satisfies z.ZodType<BreakerView>

const names = Object.keys(BREAKER_NUMBERS) as BreakerNumber[]
const policy = z.object(Object.fromEntries(names.map((name) => [name, z.int()])) as Record<BreakerNumber, z.ZodInt>)
const changes = z.strictObject(
  Object.fromEntries(
    names.map((name) => {
      const { min, max, means, is } = BREAKER_NUMBERS[name]
      return [name, z.int().min(min).max(max).describe(`${means} (default ${is})`).exactOptional()]
    }),
  ) as Record<BreakerNumber, z.ZodExactOptional<z.ZodInt>>,
)

export const breakerOperations = {
  "breaker.list": operation({
    least: "observer",
    summary: "Circuit breakers, and what keeps work away.",
    text: [
      "Each agent, account, model and kind of task (its labels) has one. It opens after failures in a row, or by its error rate: failed attempts and leases that ran out count. An account's opens too when an",
      "attempt was throttled (exit status 75, HTTP 429, texts of quotas), until the reset that the provider named: that is no failure. What many share opens only by failures of more than one agent. Open:",
      "claims that it concerns are refused with `breaker_open`. Half-open: one claim is let through, and its outcome decides. One that is not listed is closed, and nothing is known against it.",
    ].join(" "),
    errors: [],
    input: z.strictObject({ limit: z.int().min(1).max(1_000).default(100) }),
    output: z.object({ breakers: z.array(view), more: z.boolean(), policy }),
  }),
  "breaker.trip": operation({
    least: "operator",
    purposes: ["override"],
    summary: "Open a breaker by hand.",
    text: "Until `untilMs` (ms since 1970), then one probe is let through; null: until it is reset. What is claimed already goes on.",
    errors: ["invalid"],
    input: z.strictObject({ breaker, untilMs: timeMs.nullable().default(null), reason }),
    output: done,
  }),
  "breaker.reset": operation({
    least: "operator",
    purposes: ["override"],
    summary: "Close a breaker by hand.",
    text: "All that was known against it is forgotten. An account that is out of quota is restored, as by `account.restored`.",
    errors: ["not_found"],
    input: z.strictObject({ breaker, reason: reason.default("reset") }),
    output: done,
  }),
  "breaker.setPolicy": operation({
    least: "operator",
    summary: "Change when breakers open.",
    text: "Only the numbers that are given; `breaker.list` shows them all. Times in ms. It holds from the next outcome on.",
    errors: ["invalid"],
    input: z.strictObject({ changes, reason: reason.default("changed") }),
    output: done,
  }),
}
