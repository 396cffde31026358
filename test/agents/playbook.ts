import type { AgentKind } from "../../src/repo/agent-kinds.ts"
import { type Hands, handsOf } from "./hands.ts"
import type { Asked, Script, ToolCall } from "./turn.ts"

/** One call of a tool, chosen by the conversation so far. Null ends the run. */
export type Step = (asked: Asked, hands: Hands) => ToolCall | null

/** Plays the steps one after another, a call a turn; then says that it is done, however often it is asked. */
export function inOrder(kind: AgentKind, folder: string, steps: readonly Step[]): Script {
  const hands = handsOf(kind, folder)
  const all = [...searched(kind), ...steps]
  return (asked) => {
    const call = all[asked.calls.length]?.(asked, hands) ?? null
    return call === null ? { text: "All done." } : { calls: [call] }
  }
}

/** Claims tasks and does them until there is none left, each by writing its id into a file of its own. */
export function untilNothingIsLeft(kind: AgentKind, folder: string, tasks: number): Script {
  const hands = handsOf(kind, folder)
  const first: readonly Step[] = [...searched(kind), (_asked, { skein }) => skein("start_session")]
  return (asked) => {
    const opening = first[asked.calls.length]?.(asked, hands) ?? null
    if (opening !== null) return { calls: [opening] }
    const done = asked.results.filter(({ tool, failed }) => tool.endsWith("complete_task") && !failed).length
    if (done === tasks || asked.calls.length > 60) return { text: "Nothing is left." }
    const [before, last] = asked.results.slice(-2).map(({ tool, text }) => (tool.endsWith("claim_task") ? claimIn(text) : null))
    if (last !== undefined && last !== null) return { calls: [hands.shell(`mkdir -p out && echo ${kind} > out/${last.task.replaceAll("/", "-")}.txt`)] }
    if (before !== undefined && before !== null) return { calls: [hands.skein("complete_task", { ...before, deliverable: { text: `wrote ${before.task}` } })] }
    return { calls: [hands.skein("claim_task", { waitMs: 20_000 })] }
  }
}

/** Codex keeps the tools of MCP servers back until they are searched for. */
function searched(kind: AgentKind): Step[] {
  return kind === "codex" ? [() => ({ tool: "tool_search", input: { query: "skein", limit: 30 } })] : []
}

export type Claim = { task: string; fence: number }

/** The claim that an answer of `claim_task` tells of. */
function claimIn(text: string): Claim | null {
  const [, task, fence] = /task (\S+) under fence (\d+)/.exec(text) ?? []
  return task === undefined || fence === undefined ? null : { task, fence: Number(fence) }
}

/** The last claim of the conversation. */
export function claimOf({ results }: Asked): Claim | null {
  const found = results.findLast(({ tool, text }) => tool.endsWith("claim_task") && claimIn(text) !== null)
  return found === undefined ? null : claimIn(found.text)
}
