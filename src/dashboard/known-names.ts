import type { Workspace } from "../core/workspace.ts"
import { picture } from "./moment.ts"

/** So many are offered: of more, the newest. */
const OFFERED_MAX = 300

type Names = (state: Workspace) => Iterable<string>

const agents: Names = (state) => state.agents.keys()
const NAMES: Readonly<Record<string, Names>> = {
  agent: agents,
  target: agents,
  task: (state) => state.tasks.keys(),
  thread: (state) => state.threads.keys(),
  plan: (state) => state.plans.keys(),
  session: (state) => state.sessions.keys(),
  job: (state) => [...state.triggers.keys()].map(String),
  permission: (state) => [...state.jobs.openPermissions()].map(({ id }) => String(id)),
}

/** What a field of a verb could be filled with, as far as the ledger has it: nobody should have to know a name by heart. */
export function knownFor(verb: string, field: string): readonly string[] {
  const state = picture.peek()?.state
  const of = NAMES[field === "name" && verb.startsWith("agent.") && verb !== "agent.add" ? "agent" : field]
  if (state === undefined || of === undefined || verb === "thread.create") return []
  return [...of(state)].slice(-OFFERED_MAX).reverse()
}
