import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"

/** What is looked for: empty texts look for nothing. */
export type LedgerFilter = { type: string; actor: string; task: string; text: string }

export function filterOf(given: Readonly<Record<string, string>>): LedgerFilter {
  const { type = "", actor = "", task = "", text = "" } = given
  return { type, actor, task, text }
}

export function isEmptyFilter({ type, actor, task, text }: LedgerFilter): boolean {
  return type === "" && actor === "" && task === "" && text === ""
}

/** Whether an entry is what is looked for. `type`: its beginning (`task`, `task.claimed`); `text`: anywhere in the entry, in any case. */
export function fits(entry: Entry, bytes: string, { type, actor, task, text }: LedgerFilter): boolean {
  if (type !== "" && !entry.type.startsWith(type)) return false
  if (actor !== "" && entry.actor.agent !== actor) return false
  if (task !== "" && !tasksOf(entry).includes(task)) return false
  return text === "" || bytes.toLowerCase().includes(text.toLowerCase())
}

/** The tasks that an entry is about. */
export function tasksOf({ type, data }: Entry): string[] {
  if (typeof data !== "object" || data === null) return []
  const { id, task, tasks, thread } = data as { id?: unknown; task?: unknown; tasks?: unknown; thread?: unknown }
  const noun = type.slice(0, type.indexOf("."))
  const found = new Set<string>()
  if ((noun === "task" || noun === "lease") && typeof id === "string") found.add(id)
  if (typeof task === "string") found.add(task)
  if (Array.isArray(tasks)) for (const one of tasks) if (typeof one === "string") found.add(one)
  if (typeof thread === "string" && thread.startsWith("task/")) found.add(thread.slice("task/".length))
  return [...found]
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
