import type { Entry } from "../core/entry.ts"
import { type EntryFilter, tasksOf } from "../core/entry-filter.ts"
import type { Seq } from "../core/ids.ts"

export function filterOf(given: Readonly<Record<string, string>>): EntryFilter {
  const { type = "", actor = "", task = "", text = "" } = given
  return { type, actor, task, text }
}

/** Why an entry stands in the chain of causes of another. */
export type Cause = { seq: Seq; entry: Entry; why: "cause" | "command" | "task" | "trigger" }

/**
 * What led to an entry, among those that were read before it (in order): the entries that it names as its cause, those that the same command made, and
 * what happened to its task and its trigger before. Newest first.
 */
export function causesAmong(entry: Entry, named: readonly Entry[], before: readonly Entry[]): Cause[] {
  const causes = new Map<Seq, Cause>()
  for (const one of named) if (one.seq < entry.seq) causes.set(one.seq, { seq: one.seq, entry: one, why: "cause" })
  const tasks = new Set(tasksOf(entry))
  const trigger = triggerOf(entry)
  for (const one of before) {
    if (one.seq >= entry.seq || causes.has(one.seq)) continue
    const isSameCommand = entry.commandId !== null && one.commandId === entry.commandId && one.actor.agent === entry.actor.agent
    if (isSameCommand) causes.set(one.seq, { seq: one.seq, entry: one, why: "command" })
    else if (trigger !== null && triggerOf(one) === trigger) causes.set(one.seq, { seq: one.seq, entry: one, why: "trigger" })
    else if (tasksOf(one).some((task) => tasks.has(task))) causes.set(one.seq, { seq: one.seq, entry: one, why: "task" })
  }
  return [...causes.values()].sort((a, b) => b.seq - a.seq)
}

function triggerOf({ type, data }: Entry): string | null {
  if (typeof data !== "object" || data === null) return null
  const { id, trigger } = data as { id?: unknown; trigger?: unknown }
  if (type.startsWith("trigger.") && (typeof id === "string" || typeof id === "number")) return String(id)
  return typeof trigger === "string" || typeof trigger === "number" ? String(trigger) : null
}
