import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import type { Output } from "../contract/operations.ts"

type Reference = { type: "ref/prompt"; name: string } | { type: "ref/resource"; uri: string }

/** The protocol allows no more. */
const VALUES_MAX = 100

/** Ids that begin with what a person has typed: of tasks, plans or agents, by what the argument stands for. */
export async function completionsOf(
  ref: Reference,
  { name, value }: { name: string; value: string },
  call: (name: OperationName, input: unknown) => Promise<unknown>,
): Promise<string[]> {
  const noun = ref.type === "ref/resource" ? /^skein:\/\/(\w+)\//.exec(ref.uri)?.[1] : name
  try {
    const ids = await idsOf(noun, value, call)
    return ids.filter((id) => id.startsWith(value)).slice(0, VALUES_MAX)
  } catch (error) {
    // A hint that cannot be given is none.
    if (error instanceof SkeinError) return []
    throw error
  }
}

async function idsOf(noun: string | undefined, value: string, call: (name: OperationName, input: unknown) => Promise<unknown>): Promise<string[]> {
  switch (noun) {
    case "task": {
      const { tasks } = (await call("task.list", { limit: 1_000, text: value === "" ? null : value })) as Output<"task.list">
      return tasks.map(({ id }) => id)
    }
    case "plan": {
      const { plans } = (await call("plan.list", {})) as Output<"plan.list">
      return plans.map(({ id }) => id)
    }
    case "agent":
    case "to": {
      const { agents } = (await call("agent.list", { limit: 1_000 })) as Output<"agent.list">
      return agents.map((agent) => agent.name)
    }
    default:
      return []
  }
}
