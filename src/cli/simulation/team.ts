import type { Skills } from "../../core/agent.ts"
import type { AddPlan } from "../../core/plan.ts"
import { isAgentKind } from "../../repo/agent-kinds.ts"
import { UsageError } from "../failure.ts"
import type { Member } from "./scenario.ts"

/** Agents of a simulated team at the most. */
export const TEAM_MAX = 1_000

/** Agents that differ in nothing but their names. `count` of them are in the team. */
export type Kind = { like: Member; count: number }

/**
 * The team of a plan with so many of some of its agents: `bus=2`. A kind of coding agent (`claude=2`) is one that may take any task of the plan; with such kinds the
 * plan's own agents stay out unless they are named. Throws `UsageError`.
 */
export function teamFrom(plan: AddPlan, known: readonly Member[], words: readonly string[]): Member[] {
  const counts = new Map(words.map(nameAndCount))
  const kinds = [...counts.keys()].filter((name) => !known.some((member) => member.name === name))
  const stranger = kinds.find((name) => !isAgentKind(name))
  if (stranger !== undefined)
    throw new UsageError(
      `the plan has no agent ${JSON.stringify(stranger)}`,
      `Its agents are ${known.map(({ name }) => name).join(", ")}; claude, codex, gemini and opencode are agents that may take any task.`,
    )
  const team: Member[] = []
  for (const member of known) {
    const count = counts.get(member.name) ?? (member.start && kinds.length === 0 ? 1 : 0)
    for (let number = 0; number < count; number += 1) team.push(another(member, team))
  }
  const ableToAll: Member = { name: "", start: true, capabilities: allSkills(plan, known) }
  for (const kind of kinds)
    for (let number = 1; number <= (counts.get(kind) ?? 0); number += 1) team.push(another({ ...ableToAll, kind, name: kind, model: kind }, team))
  if (team.length === 0) throw new UsageError("the team has no agent", "Give one with --agents NAME=1, or set `start: true` for one in the plan.")
  if (team.length > TEAM_MAX) throw new UsageError(`the team has ${team.length} agents`, `Simulate ${TEAM_MAX} at the most.`)
  return team
}

/** The same agent under a name that is free: its own, else bus-2, bus-3, … */
export function another(like: Member, team: readonly Member[]): Member {
  const taken = new Set(team.map(({ name }) => name))
  let name = like.name
  for (let number = 2; taken.has(name); number += 1) name = `${like.name}-${number}`
  return { ...like, name, start: true }
}

/** The kinds of agents in a team, each by the first of them, and those of which there could be one: `further`. */
export function kindsOf(team: readonly Member[], further: readonly Member[] = []): Kind[] {
  const kinds = new Map<string, Kind>()
  for (const [at, member] of [...team, ...further].entries()) {
    const key = profileKey(member)
    const kind = kinds.get(key) ?? { like: member, count: 0 }
    kinds.set(key, { ...kind, count: kind.count + (at < team.length ? 1 : 0) })
  }
  return [...kinds.values()]
}

export function sameKind(one: Member, other: Member): boolean {
  return profileKey(one) === profileKey(other)
}

function profileKey({ name: _, start: __, ...profile }: Member): string {
  return JSON.stringify(sorted({ ...profile, capabilities: sorted(profile.capabilities), success: sorted(profile.success) }))
}

function sorted<Value>(record: Readonly<Record<string, Value>> = {}): [string, Value][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}

function nameAndCount(word: string): [string, number] {
  const [, name, count] = /^([A-Za-z0-9][\w.-]{0,63})=(\d{1,4})$/.exec(word.trim()) ?? []
  if (name === undefined) throw new UsageError(`${JSON.stringify(word)} says no agent and number`, "Write --agents bus=2,cli=2")
  return [name, Number(count)]
}

function allSkills({ tasks }: AddPlan, known: readonly Member[]): Skills {
  const skills: Record<string, number> = {}
  for (const one of [...known.map(({ capabilities = {} }) => capabilities), ...tasks.map(({ requires = {} }) => requires)])
    for (const [skill, level] of Object.entries(one)) skills[skill] = Math.max(level, skills[skill] ?? 0)
  return skills
}
