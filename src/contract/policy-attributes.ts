/** What a policy can read of whom and what, by Cedar's type. Numbers are 0 and texts empty where nothing is known. */

export type AttributeType = "String" | "Long" | "Boolean" | "Strings"

const AGENT = {
  name: "String",
  role: "String",
  kind: "String",
  model: "String",
  account: "String",
  skills: "Strings",
  maxActive: "Long",
  active: "Long",
  costPerHourMicroUsd: "Long",
} as const

const TASK = {
  name: "String",
  plan: "String",
  priority: "String",
  status: "String",
  owner: "String",
  prefers: "String",
  model: "String",
  account: "String",
  labels: "Strings",
  requires: "Strings",
  touches: "Strings",
  filler: "Boolean",
  review: "Boolean",
  attempts: "Long",
  estimateMs: "Long",
  budgetMicroUsd: "Long",
  costMicroUsd: "Long",
} as const

export const ENTITY_ATTRIBUTES = {
  Agent: AGENT,
  Task: TASK,
  Plan: { name: "String", budgetMicroUsd: "Long", tasks: "Long" },
  Thread: { name: "String", type: "String", status: "String", task: "String", messages: "Long" },
  Budget: { name: "String", kind: "String", limitMicroUsd: "Long" },
  Workspace: { name: "String" },
} as const satisfies Record<string, Record<string, AttributeType>>

/** `hourUtc` 0 to 23, `weekdayUtc` 1 (Monday) to 7; `amountMicroUsd`: what is claimed, set, added, refunded or reported as spent. */
export const CONTEXT_ATTRIBUTES = { hourUtc: "Long", weekdayUtc: "Long", amountMicroUsd: "Long" } as const satisfies Record<string, AttributeType>

export type EntityType = keyof typeof ENTITY_ATTRIBUTES
/** Entities that carry levels, by skill, as Cedar's tags: what an agent declares, and what a task requires. */
export const TAGGED: ReadonlySet<string> = new Set<EntityType>(["Agent", "Task"])
