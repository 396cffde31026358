/** What assignment adds to a claim: the same core decides and folds, with skills and without. In memory, so that the disk hides nothing. */
import { type CommandName, type Commands, commands } from "../src/core/command.ts"
import { type Waiter, orderOfTurns } from "../src/core/dispatch.ts"
import type { Actor, Entry } from "../src/core/entry.ts"
import { isRefusal } from "../src/core/refusal.ts"
import { evolve, Workspace } from "../src/core/workspace.ts"
import { percentile, round } from "./figure.ts"
import { chanceFrom } from "./governor-world.ts"

export type AssignmentSpeed = {
  agents: number
  tasks: number
  /** Of a claim of the next task that asks for no skill, and of one that does: deciding and folding, in µs. */
  plainP50Us: number
  skilledP50Us: number
  skilledP99Us: number
  /** Of a claim that asks for a skill and reserves in budgets of the workspace, its account and its agent, in µs. */
  budgetedP50Us: number
  budgetedP99Us: number
  /** Of putting all who wait in order when a task becomes ready, and when sixteen do, in µs. */
  turnsP50Us: number
  turnsOfManyP50Us: number
  /** What assignment adds to a claim for which all agents waited: matching, and the order of turns. */
  addedP50Us: number
  /** What three budgets add to a claim. */
  budgetsAddP50Us: number
}

const OPERATOR: Actor = { agent: "operator", session: null, role: "operator" }
const SKILLS = 20
const CLAIMS = 2_000
const ACCOUNTS = 10
const ANY = { plan: null, labels: [], filler: null, max: 1 }
const NO_USAGE = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }

class Bare {
  readonly state = new Workspace()

  do<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"]): Entry[] {
    const decision = commands[name].decide(this.state, actor, input, 1_000)
    if (isRefusal(decision)) throw new Error(`${name}: ${decision.message}`)
    const entries = decision.map(({ type, data, causedBy = null }, at): Entry => {
      return { seq: this.state.seq + 1 + at, atMs: 1_000, type, v: 1, actor, commandId: null, commandHash: null, causedBy, data }
    })
    for (const entry of entries) evolve(this.state, entry)
    this.state.journal.drain()
    return entries
  }
}

/** A team whose agents each declare three skills, with outcomes of all of them, and a backlog. */
function team(agents: number, tasks: number, skilled: boolean): { bare: Bare; actors: Actor[] } {
  const bare = new Bare()
  const chance = chanceFrom(7)
  const skill = (): string => `skill-${Math.floor(chance() * SKILLS)}`
  const actors = Array.from({ length: agents }, (_, at): Actor => ({ agent: `agent-${at}`, session: null, role: "worker" }))
  for (const { agent } of actors)
    bare.do("agent.add", OPERATOR, { name: agent, kind: "claude", maxActive: 1_000, capabilities: { [skill()]: 3, [skill()]: 3, [skill()]: 3 } })
  if (skilled) {
    actors.forEach((actor, at) => {
      const [own] = Object.keys(bare.state.agents.get(actor.agent)?.capabilities ?? {})
      const id = `past-${at}`
      bare.do("task.add", OPERATOR, { id, title: id, requires: { [own as string]: 2 } })
      const [claim] = bare.do("task.claim", actor, { task: id })
      const under = { task: id, fence: (claim as Entry).seq }
      if (chance() < 0.2) bare.do("task.fail", actor, { ...under, reason: "no", retry: false, usage: NO_USAGE })
      else bare.do("task.complete", actor, { ...under, deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } }, usage: NO_USAGE })
    })
  }
  for (let at = 0; at < tasks; at += 1) {
    const requires = skilled ? { [skill()]: 1 + Math.floor(chance() * 3) } : {}
    bare.do("task.add", OPERATOR, { id: `t${at}`, title: `Task ${at}`, requires, estimateMs: 60_000 * (1 + Math.floor(chance() * 60)) })
  }
  return { bare, actors }
}

/** Budgets of the workspace, of ten accounts and of every agent, each with room for all of it. */
function withBudgets({ bare, actors }: ReturnType<typeof team>): ReturnType<typeof team> {
  const rules = { windowMs: null, limitMicroUsd: 1e12, perClaimMicroUsd: 1_000, warnPercent: [80], graceMs: 0, absorb: false, reason: "bench" }
  bare.do("budget.set", OPERATOR, { scope: "workspace", ...rules })
  actors.forEach(({ agent }, at) => {
    bare.do("agent.edit", OPERATOR, { name: agent, account: `account-${at % ACCOUNTS}`, reason: "bench" })
    bare.do("budget.set", OPERATOR, { scope: `agent/${agent}`, ...rules })
  })
  for (let at = 0; at < ACCOUNTS; at += 1) bare.do("budget.set", OPERATOR, { scope: `account/account-${at}`, ...rules })
  return { bare, actors }
}

function claims({ bare, actors }: ReturnType<typeof team>): number[] {
  const taken: number[] = []
  for (let at = 0; at < CLAIMS; at += 1) {
    const actor = actors[(at * 37) % actors.length] as Actor
    const startMs = performance.now()
    bare.do("task.claimNext", actor, ANY)
    taken.push((performance.now() - startMs) * 1_000)
  }
  // The first run while the engine still makes its code.
  return taken.slice(CLAIMS / 4)
}

/** All wait, and `count` tasks are ready. */
function turns(agents: number, count: number): number[] {
  const { bare, actors } = team(agents, 0, true)
  const waiters = actors.map((actor): Waiter => ({ actor, filter: ANY }))
  for (let at = 0; at < count; at += 1) bare.do("task.add", OPERATOR, { id: `t${at}`, title: "T", requires: { [`skill-${at % SKILLS}`]: 1 } })
  return Array.from({ length: 600 }, () => {
    const startMs = performance.now()
    orderOfTurns(bare.state, waiters)
    return (performance.now() - startMs) * 1_000
  }).slice(100)
}

export function assignmentSpeed(agents = 1_000, tasks = 10_000): AssignmentSpeed {
  const plain = claims(team(agents, tasks, false))
  const skilled = claims(team(agents, tasks, true))
  const paying = withBudgets(team(agents, tasks, true))
  const budgeted = claims(paying)
  if (paying.bare.state.reservations.size !== CLAIMS) throw new Error("a claim reserved nothing: that would be no figure of budgets")
  const one = percentile(turns(agents, 1), 0.5)
  const plainP50Us = percentile(plain, 0.5)
  const skilledP50Us = percentile(skilled, 0.5)
  return {
    agents,
    tasks,
    plainP50Us: round(plainP50Us),
    skilledP50Us: round(skilledP50Us),
    skilledP99Us: round(percentile(skilled, 0.99)),
    budgetedP50Us: round(percentile(budgeted, 0.5)),
    budgetedP99Us: round(percentile(budgeted, 0.99)),
    turnsP50Us: round(one),
    turnsOfManyP50Us: round(percentile(turns(agents, 16), 0.5)),
    addedP50Us: round(skilledP50Us - plainP50Us + one),
    budgetsAddP50Us: round(percentile(budgeted, 0.5) - skilledP50Us),
  }
}
