/** The names things go by. All are plain strings or integers; the aliases say which is meant. */

/** Name of an agent: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit. */
export type AgentId = string
/** Id of one run of an agent (`s_` and 26 characters, made by the hub). */
export type SessionId = string
/** Id of a task: a name, or `plan/name` for a task of a plan. */
export type TaskId = string
/** Id of one run of a plan: its name, a dot and the number of the run, such as `release.2`. */
export type PlanId = string
/** Id of a thread: a name, or of one that nobody has to create `task/ID`, `agent/NAME`, `role/ROLE` or `team`. */
export type ThreadId = string
/** Id of a lease on files: `f` and the seq of the entry that made it. */
export type LeaseId = string
/** Position of an entry in the ledger: 1-based and contiguous. */
export type Seq = number

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const TASK = /^[A-Za-z0-9][A-Za-z0-9._-]{0,71}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$/

/** Compares names as people count: `agent-2` comes before `agent-10`. For what is shown; what is recorded goes by the text alone. */
export function byName(a: string, b: string): number {
  let from = 0
  while (from < a.length && a.charCodeAt(from) === b.charCodeAt(from)) from += 1
  // From the first digit of the number that they differ in.
  while (isDigit(a.charCodeAt(from - 1))) from -= 1
  const areNumbers = isDigit(a.charCodeAt(from)) && isDigit(b.charCodeAt(from))
  const difference = areNumbers ? Number.parseInt(a.slice(from), 10) - Number.parseInt(b.slice(from), 10) : 0
  return difference || (a < b ? -1 : a > b ? 1 : 0)
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

/** Whether `text` can name an agent, a plan or a workspace. */
export function isName(text: string): boolean {
  return NAME.test(text)
}

/** Whether `text` can name a new workspace. Under these names, and names with these ends, the files of another lie. */
export function isWorkspaceName(text: string): boolean {
  return isName(text) && !/^(wanted|running|supervisor\.json)$|\.(cosigned|unreadable|credential)$/i.test(text)
}

/** Whether `text` can be a task's id: a name, or `plan/name`. */
export function isTaskId(text: string): boolean {
  return TASK.test(text)
}
