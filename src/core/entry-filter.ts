import type { Entry } from "./entry.ts"

/** What is looked for: empty texts look for nothing. */
export type EntryFilter = { type: string; actor: string; task: string; text: string }

/** Whether every entry fits. */
export function isEmptyFilter({ type, actor, task, text }: EntryFilter): boolean {
  return type === "" && actor === "" && task === "" && text === ""
}

/** Whether an entry is what is looked for. `type`: its beginning (`task`, `task.claimed`); `actor`: who did it; `text`: anywhere in its bytes, in any case. */
export function fits(entry: Entry, bytes: string, { type, actor, task, text }: EntryFilter): boolean {
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
