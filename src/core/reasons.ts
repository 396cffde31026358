import type { Agent } from "./agent.ts"
import { chooseProbe, FOLLOW_UP_SHARE, PROBE_SHARE } from "./bloomer.ts"
import { meansOf, scoreOf, worthOf } from "./coordinator.ts"
import type { TaskId } from "./ids.ts"
import { beliefsOf } from "./judgement.ts"
import { matchOf } from "./match.ts"
import { chanceOf, prior } from "./posterior.ts"
import type { TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/**
 * Why an agent got a task, as its claim's entry keeps it. `named`: it asked for this one. `order`: it asked for the next, and this came first of what fits.
 * `assigned`: several waited, and among them it was the best use of this agent. `probe`: it is not eligible, and was tried.
 */
export type Reasons = {
  rule: "named" | "order" | "assigned" | "probe"
  /** Tasks that were ready, and who waited for one besides the agent. */
  ready: number
  waiting: number
  /** How much of what is required the agent has, and how likely it was to succeed; absent where nothing is required. */
  match?: number
  chance?: number
  score?: number
}

/** Rounded, because it is for readers: nothing is folded from it. */
export function reasonsFor(state: Workspace, agent: Agent, id: TaskId, rule: Reasons["rule"], waiting = 1): Reasons {
  const told: Reasons = { rule, ready: state.board.readyCount, waiting: waiting - 1 }
  const { requires } = state.specs.get(id) as TaskSpec
  let asked = false
  for (const _ in requires) asked = true
  if (!asked) return told
  const beliefs = beliefsOf(state, agent.name)
  const chance = chanceOf(meansOf(agent, beliefs, requires))
  const match = rounded(matchOf(agent.capabilities, beliefs, requires))
  return { ...told, match, chance: rounded(chance), score: rounded(scoreOf(chance, 1, worthOf(agent))) }
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000
}

/** The most that is risked on a probe, in the task's estimate, and in the level that it asks for. */
const PROBE_MS = 600_000
const PROBE_LEVEL = 2
/** A script does what it does, and a person knows: only what a model runs can turn out to be better than it said. */
const NEVER_PROBED: ReadonlySet<string> = new Set(["script", "human"])

/** The task to try the agent on, where a probe is due: small, of one skill that it lacks, with an attempt left after it. */
export function probeFor(state: Workspace, { name, kind, capabilities }: Agent, isOpen: (id: TaskId) => boolean): TaskId | null {
  if (NEVER_PROBED.has(kind) || lot(state.seq) >= PROBE_SHARE) return null
  const beliefs = beliefsOf(state, name)
  const candidates = []
  for (const { id, spec, skill } of state.board.beyond(capabilities, beliefs)) {
    const attempts = state.tasks.get(id)?.attempts ?? 0
    const small = spec.estimateMs !== null && spec.estimateMs <= PROBE_MS && (spec.requires[skill] as number) <= PROBE_LEVEL
    if (!small || spec.priority === "critical" || attempts + 1 >= spec.maxAttempts || !isOpen(id)) continue
    const belief = beliefs(skill) ?? prior(false)
    candidates.push({ id, belief, sinceSeen: 1 + state.seq - belief.lastSeq })
  }
  return candidates[chooseProbe(candidates, lot(state.seq + 1) < FOLLOW_UP_SHARE)]?.id ?? null
}

/** A number from 0 to below 1 that follows from the ledger's length, as good as drawn: the core draws no lots. */
function lot(seq: number): number {
  let mixed = Math.imul(seq ^ (seq >>> 16), 0x45d9f3b)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b)
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 4_294_967_296
}
