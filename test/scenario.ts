import { expect } from "vitest"
import type { Profile } from "../src/core/agent.ts"
import { type CommandName, type Commands, commands } from "../src/core/command.ts"
import { type Actor, decodeEntry, encodeEntry, type Entry, HUB, type Role } from "../src/core/entry.ts"
import { recall } from "../src/core/idempotency.ts"
import type { AgentId, Seq, SessionId, TaskId } from "../src/core/ids.ts"
import type { AddPlan } from "../src/core/plan.ts"
import { isRefusal, type Refusal, type RefusalCode } from "../src/core/refusal.ts"
import type { Task, TaskSpec } from "../src/core/task.ts"
import { evolve, Workspace } from "../src/core/workspace.ts"

export const START_MS = 1_700_000_000_000
export const OPERATOR: Actor = { agent: "olga", session: null, role: "operator" }
/** A plan that asks for nothing but its tasks. */
export const PLAN = {
  name: "p",
  title: "P",
  digest: "00",
  commit: null,
  worktrees: false,
  maxActiveAgents: null,
  budgetMicroUsd: null,
  agents: [],
} satisfies Omit<AddPlan, "tasks">

export type Accepted<Name extends CommandName> = { entries: Entry[]; answer: Commands[Name]["output"] }
export type Key = { id: string; hash: string }

/** A workspace with a clock of its own and its ledger in memory: decides and folds as the hub does, without batches. */
export class Scenario {
  state = new Workspace()
  nowMs = START_MS
  readonly bytes: string[] = []
  #sessions = 0

  constructor() {
    this.must("workspace.create", HUB, { name: "main" })
  }

  /** Decides; folds what was decided. A key that was seen before is answered from its entries. */
  attempt<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"], key: Key | null = null): Accepted<Name> | Refusal {
    if (key !== null) {
      const known = recall(this.state, actor.agent, key.id, key.hash)
      if (known !== null && isRefusal(known)) return known
      if (known !== null)
        return this.#answered(
          name,
          actor,
          input,
          this.bytes.slice(known.first - 1, known.last).map((bytes) => decodeEntry(bytes)),
        )
    }
    const decision = commands[name].decide(this.state, actor, input, this.nowMs)
    if (isRefusal(decision)) return decision
    const entries = decision.map(({ type, data, causedBy = null }, at): Entry => {
      return { seq: this.state.seq + 1 + at, atMs: this.nowMs, type, v: 1, actor, commandId: key?.id ?? null, commandHash: key?.hash ?? null, causedBy, data }
    })
    for (const entry of entries) {
      this.bytes.push(encodeEntry(entry))
      evolve(this.state, entry)
    }
    return this.#answered(name, actor, input, entries)
  }

  #answered<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"], entries: Entry[]): Accepted<Name> {
    return { entries, answer: commands[name].answer(this.state, actor, input, entries) }
  }

  /** Given, or when: what is expected to be accepted. */
  must<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"], key: Key | null = null): Accepted<Name> {
    const outcome = this.attempt(name, actor, input, key)
    if (isRefusal(outcome)) throw new Error(`${name} was refused: ${outcome.refused}: ${outcome.message}`)
    return outcome
  }

  /** Then: refused with this code, and nothing recorded. */
  refuses<Name extends CommandName>(code: RefusalCode, name: Name, actor: Actor, input: Commands[Name]["input"], key: Key | null = null): Refusal {
    const { seq } = this.state
    const outcome = this.attempt(name, actor, input, key)
    if (!isRefusal(outcome)) throw new Error(`${name} was accepted: ${outcome.entries.map((entry) => entry.type).join(", ") || "nothing to record"}`)
    expect(outcome).toMatchObject({ refused: code, message: expect.stringMatching(/\S/) as string, remedy: expect.stringMatching(/\S/) as string })
    expect(this.state.seq).toBe(seq)
    return outcome
  }

  wait(ms: number): void {
    this.nowMs += ms
  }

  /** An agent with a session that something beats for, unless `owned` is false. */
  agent(name: AgentId, profile: Partial<Profile> = {}, { owned = true }: { owned?: boolean } = {}): Actor {
    if (!this.state.agents.has(name)) this.must("agent.add", OPERATOR, { name, ...profile })
    return this.session(name, profile.role, owned)
  }

  session(name: AgentId, role: Role = "worker", owned = true): Actor {
    this.#sessions += 1
    const id: SessionId = `s_${String(this.#sessions).padStart(26, "0")}`
    this.must("session.start", { agent: name, session: null, role }, { id, agent: name, runtime: "test", resumeId: null, owned })
    return { agent: name, session: id, role }
  }

  task(id: TaskId, spec: Partial<TaskSpec> = {}): TaskId {
    this.must("task.add", OPERATOR, { id, title: id, ...spec })
    return id
  }

  claim(actor: Actor, task: TaskId): Seq {
    return this.must("task.claim", actor, { task }).answer.fence
  }

  /** The tasks that `task.claimNext` gives. */
  next(actor: Actor, filter: Partial<Commands["task.claimNext"]["input"]> = {}): TaskId[] {
    return this.must("task.claimNext", actor, { plan: null, labels: [], filler: null, max: 1, ...filter }).answer.claims.map((claim) => claim.task.id)
  }

  complete(actor: Actor, task: TaskId, fence: Seq = this.at(task).fence ?? 0): Accepted<"task.complete"> {
    return this.must("task.complete", actor, { task, fence, ...delivery() })
  }

  at(task: TaskId): Task {
    const found = this.state.tasks.get(task)
    if (found === undefined) throw new Error(`there is no task ${task}`)
    return found
  }
}

export function delivery(text = "done"): Pick<Commands["task.complete"]["input"], "deliverable" | "usage"> {
  return { deliverable: { text, evidence: { testsPass: null, commit: null, links: [] } }, usage: { costMicroUsd: 1, inputTokens: 2, outputTokens: 3 } }
}

/** The types of the entries, for what follows from a command. */
export function types(accepted: { entries: readonly Entry[] }): string[] {
  return accepted.entries.map((entry) => entry.type)
}

/** The fold of stored bytes from nothing. */
export function fold(bytes: readonly string[]): Workspace {
  const state = new Workspace()
  for (const line of bytes) {
    evolve(state, decodeEntry(line))
    state.journal.drain()
  }
  return state
}
