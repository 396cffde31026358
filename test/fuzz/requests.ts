import * as z from "zod"
import { KINDS, type OperationName } from "../../src/contract/names.ts"
import { operations } from "../../src/contract/operations.ts"
import type { Choices } from "./choices.ts"
import type { Known } from "./fuzzed-hub.ts"
import { type Json, mutateValue } from "./mutation.ts"

/** Inputs of operations, made from the contract's own schemas and then changed. */

type Schema = {
  type?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  anyOf?: Schema[]
  enum?: Json[]
  const?: Json
  minimum?: number
  maximum?: number
  minItems?: number
  additionalProperties?: Schema | boolean
}

/** Less one that answers after half a minute where nothing has come: a campaign takes that for a hang. */
const NAMES = (Object.keys(KINDS) as OperationName[]).filter((name) => name !== "work.wait")
const SCHEMAS = new Map(NAMES.map((name) => [name, z.toJSONSchema(operations[name].input, { io: "input", unrepresentable: "any" }) as Schema]))
const NUMBERS_MAX = 1_000

/** An operation with an input that is valid for it more often than not. */
export function someCall(choices: Choices, known: Known): { operation: OperationName; input: Json } {
  const operation = choices.pick(NAMES)
  const valid = fit(SCHEMAS.get(operation) as Schema, "", choices, known)
  let input = valid
  for (let changes = choices.chance(55) ? choices.between(1, 3) : 0; changes > 0; changes -= 1) input = mutateValue(input, choices)
  return { operation, input }
}

function fit(schema: Schema, key: string, choices: Choices, known: Known): Json {
  if (schema.const !== undefined) return schema.const
  if (schema.enum !== undefined) return choices.pick(schema.enum)
  if (schema.anyOf !== undefined) return fit(choices.pick(schema.anyOf), key, choices, known)
  switch (schema.type) {
    case "null":
      return null
    case "boolean":
      return choices.chance(50)
    case "integer":
    case "number":
      return numberFor(schema, key, choices, known)
    case "string":
      return textFor(key, choices, known)
    case "array":
      return Array.from({ length: Math.max(schema.minItems ?? 0, choices.below(3)) }, () => fit(schema.items ?? {}, key, choices, known))
    case "object":
      return objectFor(schema, choices, known)
    default:
      return choices.pick<Json>([null, 1, "x", { a: [1] }])
  }
}

function objectFor({ properties = {}, required = [], additionalProperties }: Schema, choices: Choices, known: Known): Json {
  const pairs: [string, Json][] = []
  for (const [key, inner] of Object.entries(properties)) if (required.includes(key) || choices.chance(25)) pairs.push([key, fit(inner, key, choices, known)])
  if (typeof additionalProperties === "object" && Object.keys(additionalProperties).length === 0) return payloadFor(choices, known)
  if (typeof additionalProperties === "object")
    for (let left = choices.below(3); left > 0; left -= 1) pairs.push([textFor("extra", choices, known), fit(additionalProperties, "extra", choices, known)])
  return Object.fromEntries(pairs)
}

/** What events carry: where their kind means an operation, its input. */
function payloadFor(choices: Choices, known: Known): Json {
  const values: Record<string, () => Json> = {
    status: () => textFor("status", choices, known),
    task: () => textFor("task", choices, known),
    fence: () => choices.pick(known.fences),
    reason: () => "because",
    progress: () => choices.pick([0, 0.5, 1]),
    seq: () => choices.below(40),
    on: () => ({ kind: "task", ref: "c" }),
    deliverable: () => ({ text: "done" }),
    a: () => choices.pick<Json>([1, "1", [1], { a: null }]),
  }
  return Object.fromEntries(Object.entries(values).flatMap(([key, make]) => (choices.chance(50) ? [[key, make()]] : [])))
}

function numberFor({ minimum = 0, maximum = NUMBERS_MAX }: Schema, key: string, choices: Choices, known: Known): number {
  if (key === "fence") return choices.pick(known.fences)
  // A parked claim would only wait.
  if (key === "waitMs") return choices.pick([0, 0, 0, 20])
  return Math.max(minimum, choices.below(Math.min(maximum, NUMBERS_MAX) + 1))
}

function textFor(key: string, choices: Choices, known: Known): string {
  const odd = ["constructor", "hub", "operator", "__proto__", "x"]
  switch (key) {
    case "task":
    case "dependsOn":
    case "ref":
      return choices.pick([...known.tasks, "none"])
    case "agent":
    case "owner":
    case "prefers":
      return choices.pick([...known.agents, "operator", "constructor"])
    case "session":
    case "sessions":
      return choices.pick([...known.sessions, "s_0"])
    case "plan":
      return choices.pick([...known.plans, "constructor"])
    case "id":
    case "name":
      return choices.pick([`n${choices.below(1_000)}`, ...known.agents, "a", "toString"])
    case "digest":
    case "commit":
      return choices.pick(["0123abc", "ffffffff"])
    case "status":
      return choices.pick(["in_progress", "blocked", "completed", "failed", "constructor", "toString", "live"])
    case "cursor":
      return "ann"
    default:
      return choices.pick([...odd, ...known.labels, "some text"])
  }
}
