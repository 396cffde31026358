import { RESET_MAX_MS } from "../core/account.ts"

/** So far the hub's clock may be behind this machine's, where it is asked to believe a reset. */
const CLOCKS_DIFFER_MS = 24 * 3_600_000

/** The supervisor's own numbers: `wake:` in the instance's settings. Times are in ms. */
export const SUPERVISOR_NUMBERS = {
  reconcileMs: { is: 5_000, min: 50, max: 60_000, means: "how often what runs is held against what is wanted" },
  restartMs: { is: 1_000, min: 10, max: 600_000, means: "pause before an agent that died is started again, doubled each time" },
  restartMaxMs: { is: 60_000, min: 10, max: 3_600_000, means: "the longest such pause" },
  restarts: { is: 5, min: 0, max: 1_000, means: "deaths within `restartWindowMs` after which an agent is not started again by itself" },
  restartWindowMs: { is: 900_000, min: 1_000, max: 86_400_000, means: "the window for `restarts`" },
  restartResumes: {
    is: 2,
    min: 0,
    max: 1_000,
    means: "deaths within `restartWindowMs` after which its conversation is not gone on with: the fault may be in it",
  },
  quotaMs: { is: 3_600_000, min: 1_000, max: 86_400_000, means: "how long an account is paused whose agent says that it is used up, and not until when" },
  stopMs: { is: 5_000, min: 0, max: 600_000, means: "how long an agent that is stopped may take before it is killed" },
} as const satisfies Record<string, { is: number; min: number; max: number; means: string }>

export type SupervisorNumber = keyof typeof SUPERVISOR_NUMBERS
export type SupervisorNumbers = Readonly<Record<SupervisorNumber, number>>

export const SUPERVISOR_DEFAULTS = Object.fromEntries(Object.entries(SUPERVISOR_NUMBERS).map(([name, { is }]) => [name, is])) as SupervisorNumbers

/** Whether what is due in so many ms is minded before the next look, by a timer of its own. */
export function isBeforeNextLook(inMs: number, { reconcileMs }: Pick<SupervisorNumbers, "reconcileMs">): boolean {
  return inMs < reconcileMs
}

/** Whether an agent that is started again goes on with its conversation. */
export function resumesAfter(deaths: readonly number[], nowMs: number, { restartResumes, restartWindowMs }: SupervisorNumbers): boolean {
  return deaths.filter((atMs) => nowMs - atMs < restartWindowMs).length <= restartResumes
}

/** Until when an account pauses: as its agent named it, where that is to come and the hub believes it. */
export function quotaEndMs(namedMs: number | null, nowMs: number, { quotaMs }: Pick<SupervisorNumbers, "quotaMs">): number {
  return namedMs !== null && namedMs > nowMs && namedMs <= nowMs + RESET_MAX_MS - CLOCKS_DIFFER_MS ? namedMs : nowMs + quotaMs
}

/** The pause after the latest of `deaths`, or null where that was one too many: it is not started again by itself. */
export function restartPauseMs(
  deaths: readonly number[],
  nowMs: number,
  { restartMs, restartMaxMs, restarts, restartWindowMs }: SupervisorNumbers,
): number | null {
  const recent = deaths.filter((atMs) => nowMs - atMs < restartWindowMs).length
  return recent > restarts ? null : Math.min(restartMaxMs, restartMs * 2 ** Math.max(0, recent - 1))
}
