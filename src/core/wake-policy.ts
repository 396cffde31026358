import type { Recorded } from "./entry.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Workspace } from "./workspace.ts"

/** Every number by which agents are woken. `min` and `max` are what an operator may set; times are in ms. */
export const WAKE_NUMBERS = {
  ackMs: { is: 8_000, min: 500, max: 600_000, means: "an agent that is idle has this long to show that it heard" },
  inboxAckMs: { is: 20_000, min: 500, max: 600_000, means: "the same where its own inbox took the text: Codex looks into its own every 10 s" },
  startAckMs: { is: 30_000, min: 500, max: 3_600_000, means: "the same for one that was resumed or spawned: it has to start first" },
  retries: { is: 2, min: 0, max: 10, means: "attempts at the live session after the first" },
  retryMs: { is: 2_000, min: 10, max: 600_000, means: "pause before the first of these, doubled each time, give or take a quarter" },
  resumes: { is: 2, min: 0, max: 10, means: "attempts to resume before a spawn" },
  staleMs: { is: 43_200_000, min: 0, max: 2_592_000_000, means: "a session that was last heard of longer ago is not resumed" },
  crashes: { is: 3, min: 1, max: 10, means: "crashes within `crashWindowMs` after which an agent is spawned, not resumed" },
  crashWindowMs: { is: 900_000, min: 1_000, max: 86_400_000, means: "the window for `crashes`" },
  claimMs: { is: 30_000, min: 1_000, max: 600_000, means: "how long a supervisor holds a job that it claimed" },
  unclaimedMs: { is: 15_000, min: 100, max: 600_000, means: "a job that nobody took for this long shows NO_SUPERVISOR" },
  quietMs: { is: 20_000, min: 0, max: 3_600_000, means: "nothing is typed into a pane in which a person typed within this time" },
  recheckMs: { is: 5_000, min: 100, max: 600_000, means: "a job that was deferred is tried again after this" },
  deferMs: { is: 60_000, min: 0, max: 86_400_000, means: "after so long in deferral the live session is given up: DEFER_TIMEOUT" },
  deferRetryMs: { is: 60_000, min: 100, max: 3_600_000, means: "and where nothing may run beside it, tried again this often" },
  ratePerMinute: { is: 10, min: 1, max: 100, means: "triggers of one agent in one thread within a minute" },
  turnsMax: { is: 20, min: 1, max: 10_000, means: "turns without progress after which a thread is blocked" },
  findingsMax: { is: 3, min: 2, max: 1_000, means: "times that one finding comes before its thread is blocked" },
  pollMs: { is: 5_000, min: 100, max: 60_000, means: "how often the hub looks for unread messages, besides at each of them" },
  stopTurns: { is: 50, min: 0, max: 1_000, means: "turns that a Stop hook may ask for in one conversation, so that unread messages are read before it stops" },
  permissionMs: { is: 600_000, min: 1_000, max: 86_400_000, means: "how long an agent that asks leave waits for the operator: then it is refused" },
  busyMaxMs: { is: 1_800_000, min: 1_000, max: 86_400_000, means: "a turn of which nothing was heard for this long is taken to be over" },
} as const

export type WakeNumber = keyof typeof WAKE_NUMBERS
export type WakePolicy = Readonly<Record<WakeNumber, number>>

const DEFAULTS = Object.fromEntries(Object.entries(WAKE_NUMBERS).map(([name, { is }]) => [name, is])) as WakePolicy
const KEY = "wake"

export type SetWakePolicy = { changes: Partial<Record<WakeNumber, number>>; reason: string }
export type PolicyEvent = Recorded<"policy.changed", SetWakePolicy>

/** The numbers as they stand: the defaults, and what an operator changed. */
export function wakePolicy(state: Workspace): WakePolicy {
  const changed = state.policies.get(KEY)
  return changed === undefined ? DEFAULTS : { ...DEFAULTS, ...changed }
}

export function decideSetWakePolicy(state: Workspace, { changes, reason }: SetWakePolicy): PolicyEvent[] | Refusal {
  for (const [name, value] of Object.entries(changes) as [WakeNumber, number][]) {
    const { min, max } = WAKE_NUMBERS[name]
    if (value < min || value > max) return refuse("invalid", `${name} cannot be ${value}`, `Give ${min} to ${max}.`, { name, value, min, max })
  }
  const policy = wakePolicy(state)
  const differing = Object.entries(changes).filter(([name, value]) => policy[name as WakeNumber] !== value)
  return differing.length === 0 ? [] : [{ type: "policy.changed", data: { changes: Object.fromEntries(differing), reason } }]
}

export function evolvePolicy(state: Workspace, { data }: PolicyEvent): void {
  const all = { ...state.policies.get(KEY), ...data.changes }
  const ordered = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))
  state.policies.put(KEY, Object.fromEntries(ordered))
}

/** A pause that grows by doubling, give or take a quarter. `bits`: 32 random bits, which came with the command. */
export function backoffMs(firstMs: number, times: number, bits: number): number {
  let full = firstMs
  for (let at = 1; at < times; at += 1) full *= 2
  return Math.round(full * 0.75 + (full * 0.5 * (bits >>> 0)) / 0x1_0000_0000)
}
