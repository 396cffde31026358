import type { Agent, Skills } from "./agent.ts"
import { learnt } from "./bloomer.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import type { Beliefs } from "./match.ts"
import { blameOf, meanOf, type Posterior, prior } from "./posterior.ts"
import type { Deliverable, Task, TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/**
 * An outcome that says something about an agent's skills, as the entry of it carries it. Entries of before have none: their ledgers fold as they always did.
 * Crashes, lost sessions and leases that ran out are no judgement: they say nothing of what an agent can do.
 */
export type Judged = { agent: AgentId; skills: Skills; success: boolean }
/** How an attempt that did not complete its task was going, as the entry of its end carries it. */
export type Tried = {
  agent: AgentId
  fence: Seq
  progress: number
  note: string | null
  /** It was throttled, nobody said until when, and that so many times in a row; none is counted as an attempt yet. */
  throttles?: number
}
/** What an event of a task may carry besides what it says of the task. */
export type Learned = { judged?: Judged; tried?: Tried }

/** An attempt that ended without its task being complete: what the next worker on it gets to know. */
export type Attempt = Tried & { end: string; reason: string; atMs: number }

/** Attempts that are kept of one task, the latest. */
export const ATTEMPTS_KEPT = 5

/** For the event that judges whoever holds the task; nothing where the task asks for no skill. */
export function judgedBy(state: Workspace, { id, owner }: Task, success: boolean): Pick<Learned, "judged"> {
  const { requires } = state.specs.get(id) as TaskSpec
  for (const _ in requires) return { judged: { agent: owner as AgentId, skills: requires, success } }
  return {}
}

/** Whether what was delivered counts as success of whoever delivered it: by its evidence, or because a reviewer approved it. */
export function isSuccess(state: Workspace, { owner }: Task, { evidence: { testsPass } }: Deliverable, isApproved = false): boolean {
  const grade = isApproved || testsPass === true ? 1 : testsPass === null ? 0.8 : 0
  return grade >= (state.agents.get(owner as AgentId)?.successThreshold ?? 0.5)
}

/** For the event that ends an attempt of whoever holds the task. */
export function triedBy({ owner, fence, progress, note }: Task): Pick<Learned, "tried"> {
  return fence === null ? {} : { tried: { agent: owner as AgentId, fence, progress, note } }
}

/** What is believed of an agent, by skill. */
export function beliefsOf({ seen }: Workspace, agent: AgentId): Beliefs {
  const own = seen.of(agent)
  return own === undefined ? nothing : (skill) => own.get(skill)
}

function nothing(): undefined {
  return undefined
}

/** The table of beliefs by agent, derived from it: a claim that looks at hundreds of agents makes no key for each. */
export class SeenSkills {
  readonly #byAgent = new Map<AgentId, Map<string, Posterior>>()

  of(agent: AgentId): ReadonlyMap<string, Posterior> | undefined {
    return this.#byAgent.get(agent)
  }

  onChange = (key: string, _: Posterior | undefined, after: Posterior | undefined): void => {
    const blank = key.indexOf(" ")
    const agent = key.slice(0, blank)
    const own = this.#byAgent.get(agent) ?? new Map<string, Posterior>()
    this.#byAgent.set(agent, own)
    if (after === undefined) own.delete(key.slice(blank + 1))
    else own.set(key.slice(blank + 1), after)
  }
}

/** Agents' names have no blanks. */
function beliefKey(agent: AgentId, skill: string): string {
  return `${agent} ${skill}`
}

/** Folds what an event of a task carries. */
export function evolveJudgement(
  state: Workspace,
  id: TaskId,
  type: string,
  { judged, tried, reason }: Learned & { reason?: string },
  at: { seq: Seq; atMs: number },
): void {
  if (judged !== undefined) judge(state, judged, at.seq)
  if (tried === undefined) return
  const before = state.attempts.get(id) ?? []
  state.attempts.put(id, [...before.slice(1 - ATTEMPTS_KEPT), { ...tried, end: type, reason: reason ?? "", atMs: at.atMs }])
}

function judge(state: Workspace, { agent, skills, success }: Judged, seq: Seq): void {
  const { capabilities, baseWeight } = state.agents.get(agent) as Agent
  const names = Object.keys(skills)
  const before = names.map((skill): Posterior => state.beliefs.get(beliefKey(agent, skill)) ?? prior(Object.hasOwn(capabilities, skill), baseWeight))
  const blame = blameOf(before.map(meanOf))
  names.forEach((skill, at) => {
    const weight = success ? 1 : (blame[at] as number)
    const { after } = learnt(before[at] as Posterior, { success, weight, level: skills[skill] as number, seq })
    state.beliefs.put(beliefKey(agent, skill), after)
  })
}
