import type { Claimed } from "../../src/core/answer.ts"
import type { ClaimNext } from "../../src/core/claim.ts"
import type { AgentId, TaskId } from "../../src/core/ids.ts"
import { PRIORITIES } from "../../src/core/task.ts"
import type { Oracle, TaskModel } from "./oracle.ts"
import type { Request } from "./wire.ts"

/** What fits a claim of the next task now by what the entries say: real work, and fillers where it is offered those. */
export function* fitting(oracle: Oracle, actor: Request["actor"], asked: ClaimNext, nowMs: number): Iterable<TaskModel> {
  if (!oracle.agents.has(actor.agent)) return
  const isAsked = ({ id, spec }: TaskModel): boolean =>
    (asked.plan === null || oracle.plans.planOf(id) === asked.plan) && asked.labels.every((label) => spec.labels.includes(label))
  if (asked.filler !== true) for (const task of oracle.ready(actor, nowMs, false)) if (isAsked(task)) yield task
  if (asked.filler !== false) for (const task of oracle.ready(actor, nowMs, true)) if (isAsked(task)) yield task
}

/**
 * What is wrong with what a claim of the next task took, or null: no more than it asked for and what it asked for, each once; and as much as there was, the most
 * urgent first. `isLast`: its entries are the last ones, so what is ready now is what it left.
 */
export function wrongChoice(oracle: Oracle, { actor, input }: Request, claims: readonly Claimed[], isLast: boolean): string | null {
  const asked = input as ClaimNext
  if (claims.length > asked.max) return `takes ${claims.length} of ${asked.max} at the most`
  const taken = claims.flatMap(({ task }) => oracle.tasks.get(task.id) ?? [])
  if (new Set(taken).size < claims.length) return "takes one task twice"
  const isFiller = taken[0]?.spec.filler === true
  for (const { id, spec } of taken) {
    if (asked.filler !== null && spec.filler !== asked.filler) return `takes ${id}, which is ${spec.filler ? "a" : "no"} filler`
    if (spec.filler !== isFiller) return `takes ${id} beside ${taken[0]?.id}: fillers beside real work`
    if (!asked.labels.every((label) => spec.labels.includes(label))) return `takes ${id}, which is not labelled ${asked.labels.join(" ")}`
    if (asked.plan !== null && oracle.plans.planOf(id) !== asked.plan) return `takes ${id}, which is not of ${asked.plan}`
  }
  if (!isLast) return null
  // What was meant for it among all who waited, and what it is tried on, come out of turn.
  const inOrder = claims.every(({ fence }) => oracle.entries[fence - 1]?.data["why"]?.["rule"] === "order")
  if (!inOrder) return null
  const [worst, ...others] = taken
    .map((task) => turnOf(oracle, task, actor.agent))
    .sort(byTurn)
    .reverse()
  if (worst === undefined) return others.length === 0 ? null : "takes nothing"
  for (const left of fitting(oracle, actor, { ...asked, filler: isFiller }, oracle.atMs)) {
    if (claims.length < asked.max) return `takes ${claims.length} of ${asked.max} and leaves ${left.id}, which is ready`
    const turn = turnOf(oracle, left, actor.agent)
    if (byTurn(turn, worst) < 0) return `takes what is ${said(worst)} and leaves ${left.id}, which is ${said(turn)}`
  }
  return null
}

/** When it is a task's turn for an agent: by priority, the longest chain of what waits for it, whom it prefers, age. */
type Turn = readonly [rank: number, chainMs: number, preference: number, age: number]

function turnOf(oracle: Oracle, { id, spec }: TaskModel, agent: AgentId): Turn {
  const { prefers = null } = spec
  return [PRIORITIES.indexOf(spec.priority), -chainOf(oracle, id), prefers === agent ? 0 : prefers === null ? 1 : 2, [...oracle.tasks.keys()].indexOf(id)]
}

function byTurn(a: Turn, b: Turn): number {
  const at = a.findIndex((part, index) => part !== b[index])
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number)
}

/** Its estimate and those of the longest chain of what is open and waits for it; what has none counts for a minute. */
function chainOf(oracle: Oracle, id: TaskId): number {
  let behind = 0
  for (const other of oracle.tasks.values())
    if (other.spec.dependsOn.includes(id) && !/^(completed|failed|cancelled)$/.test(other.status)) behind = Math.max(behind, chainOf(oracle, other.id))
  return (oracle.tasks.get(id)?.spec.estimateMs ?? 60_000) + behind
}

function said([rank, chainMs, preference]: Turn): string {
  return `${PRIORITIES[rank]} with ${-chainMs} ms behind it${["", ", for anybody", ", for another"][preference]}`
}
