import { SkeinError } from "../contract/errors.ts"
import type { Context } from "./context.ts"

/** The agent that the human director acts as; the hub knows its credential without a record of it. */
const OPERATOR = "operator"

/**
 * Lets the human director work too: agents claim, and the director becomes one with its first claim, session or lease on files and not before, so that a
 * workspace of scripts alone has no agent in it that nobody started.
 */
export async function asDirector<Answer>(context: Context, call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call()
  } catch (error) {
    const isMissing = error instanceof SkeinError && error.code === "not_found" && error.details["agent"] === OPERATOR
    if (!isMissing) throw error
    const hub = await context.hub()
    await hub.call("agent.add", { name: OPERATOR, kind: "human", role: "operator", maxActive: 100 })
    return call()
  }
}
