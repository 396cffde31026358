import * as z from "zod"
import type { AgentPreset, CommandLine } from "../runtime/presets/preset.ts"

const word = z.string().max(4_096)
const line = z.tuple([word.min(1)], word).transform((words): CommandLine => words)
const words = z.array(word)
export const expression = z.string().refine(isExpression, "this is no regular expression")
const ms = z.int().min(0).max(600_000)

/** A kind of agent that the user describes: what is left out is what an agent has of which nothing is known. */
export const presetSchema = z.strictObject({
  interactive: z.strictObject({ start: line, resume: line.nullable().default(null), chooseSession: words.nullable().default(null) }),
  screen: z
    .strictObject({
      ready: z.array(expression).default([]),
      menus: z.array(expression).default([]),
      exhausted: z.array(expression).default([]),
      emptyInput: expression.nullable().default(null),
      bracketedPaste: z.boolean().default(false),
      enterAfterMs: ms.default(300),
      readyWithinMs: ms.default(20_000),
    })
    .prefault({}),
  headless: z
    .strictObject({
      start: line,
      resume: line.nullable().default(null),
      chooseSession: words.nullable().default(null),
      promptBy: z.enum(["stdin", "argument"]).default("stdin"),
      sessionFields: z.array(z.array(word)).default([]),
      unknownSession: z.strictObject({ exit: z.int().min(0).max(255), says: expression }).default({ exit: 1, says: "not found" }),
    })
    .nullable()
    .default(null),
  acp: z
    .strictObject({ argv: line, resumes: z.boolean().default(false), tellsUsage: z.boolean().default(true) })
    .nullable()
    .default(null),
  native: z
    .discriminatedUnion("way", [
      z.strictObject({ way: z.literal("hook") }),
      z.strictObject({ way: z.literal("command"), argv: line }),
      z.strictObject({ way: z.literal("opencode-http") }),
    ])
    .nullable()
    .default(null),
  beside: z.boolean().default(false),
}) satisfies z.ZodType<Omit<AgentPreset, "name">>

function isExpression(text: string): boolean {
  try {
    return new RegExp(text, "u") instanceof RegExp
  } catch {
    return false
  }
}
