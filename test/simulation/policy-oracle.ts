import { DEFAULT_POLICY } from "../../src/contract/default-policy.ts"
import type { AgentId, TaskId } from "../../src/core/ids.ts"
import type { TaskSpec } from "../../src/core/task.ts"

type Agent = { kind: string; capabilities: Readonly<Record<string, number>> }
type Task = { id: TaskId; spec: TaskSpec; attempts: number }
type Caller = Agent & { name: AgentId; role: string; active: number }
type Rule = { cedar: string; commands: readonly string[]; forbids(by: Caller, task: Task | undefined, data: Readonly<Record<string, unknown>>): boolean }

const CLAIM = ["task.claim"]
const always = (): boolean => true

/** What permits less than the shipped policy, which is the other way to begin one. */
const NARROW: Rule = {
  cedar: 'permit (principal, action, resource) unless { action == Action::"task.block" };',
  commands: ["task.block"],
  forbids: always,
}

/** Rules, each with what it forbids, written down by hand: the oracle knows no Cedar. */
const FORBIDDING: readonly Rule[] = [
  {
    cedar:
      'forbid (principal, action == Action::"task.claim", resource) when { principal.kind == "claude" && ["critical", "high"].contains(resource.priority) };',
    commands: CLAIM,
    forbids: ({ kind }, task) => kind === "claude" && (task?.spec.priority === "critical" || task?.spec.priority === "high"),
  },
  {
    cedar: 'forbid (principal, action == Action::"task.claim", resource) when { principal.active >= 1 && resource.attempts >= 1 };',
    commands: CLAIM,
    forbids: ({ active }, task) => active >= 1 && (task?.attempts ?? 0) >= 1,
  },
  {
    cedar: 'forbid (principal, action == Action::"task.claim", resource) when { resource.hasTag("rust") && !principal.hasTag("rust") };',
    commands: CLAIM,
    forbids: ({ capabilities }, task) => task?.spec.requires["rust"] !== undefined && capabilities["rust"] === undefined,
  },
  {
    cedar: 'forbid (principal == Agent::"agent0", action == Action::"task.claim", resource) when { resource.touches.contains("src/**") };',
    commands: CLAIM,
    forbids: ({ name }, task) => name === "agent0" && task?.spec.touches.includes("src/**") === true,
  },
  {
    cedar: 'forbid (principal == Agent::"agent1", action in [Action::"task.claimNext", Action::"files.reserve"], resource);',
    commands: ["task.claimNext", "files.reserve"],
    forbids: ({ name }) => name === "agent1",
  },
  {
    cedar: 'forbid (principal in Role::"worker", action == Action::"message.post", resource == Thread::"team");',
    commands: ["message.post"],
    forbids: (_, __, { thread }) => thread === "team",
  },
  {
    cedar: 'forbid (principal, action == Action::"usage.report", resource) when { context.amountMicroUsd > 250 };',
    commands: ["usage.report"],
    forbids: (_, __, { costMicroUsd }) => (costMicroUsd as number) > 250,
  },
  {
    cedar: 'forbid (principal, action in [Action::"task.complete", Action::"task.cancel"], resource) when { resource.priority == "low" };',
    commands: ["task.complete", "task.cancel"],
    forbids: (_, task) => task?.spec.priority === "low",
  },
]
const BASES = [DEFAULT_POLICY, NARROW.cedar]

/** A policy that the rules here can tell what it forbids. */
export function policyOf(pick: <T>(from: readonly T[]) => T): string {
  return [pick(BASES), pick(FORBIDDING).cedar, pick(FORBIDDING).cedar].filter((text, at, all) => all.indexOf(text) === at).join("\n")
}

/** What the policy in force forbids, without Cedar and the core. */
export class PolicyOracle {
  /** Commands that were judged under a policy that somebody set, and claims among them that it lets through. */
  judged = 0
  #rules: readonly Rule[] = []
  /** What the claim that is being read was not to take, as things stood before its first entry. */
  #kept: ReadonlySet<TaskId> = new Set()

  get isSet(): boolean {
    return this.#rules.length > 0
  }

  set(text: string | null): void {
    this.#kept = new Set()
    this.#rules = text === null ? [] : [NARROW, ...FORBIDDING].filter(({ cedar }) => text.includes(cedar))
  }

  forbids(command: string, by: Caller, task?: Task, data: Readonly<Record<string, unknown>> = {}): boolean {
    return this.#rules.some(({ commands, forbids }) => commands.includes(command) && forbids(by, task, data))
  }

  /** The first entry of a command: whether the command is forbidden. Each task that a claim takes is judged as it stood before. */
  begins(command: string, by: Caller, data: Readonly<Record<string, unknown>>, tasks: ReadonlyMap<TaskId, Task>): boolean {
    this.judged += 1
    const isClaim = command.startsWith("task.claim")
    this.#kept = new Set(isClaim ? [...tasks.values()].filter((task) => this.forbids("task.claim", by, task)).map(({ id }) => id) : [])
    return command !== "task.claim" && this.forbids(command, by, tasks.get(data["id"] as TaskId), data)
  }

  keepsFrom(task: TaskId): boolean {
    return this.#kept.has(task)
  }
}
