import type { Operation, TaskInput, TaskOutput } from "../linearizability.ts"
import type { Outcome } from "./world.ts"
import type { Reply } from "./wire.ts"

const KNOWN: ReadonlySet<string> = new Set(["task.claim", "task.claimNext", "task.complete", "task.release"])

/** What the agents of a plain run did to tasks, as one history: a key that was sent again is one operation, from its first sending to its answer. */
export function plainHistory({ history, leaseEnds, claims }: Outcome): Operation<TaskInput, TaskOutput>[] {
  const operations: Operation<TaskInput, TaskOutput>[] = []
  const byKey = new Map<string, typeof history>()
  for (const call of history) {
    if (!KNOWN.has(call.request.name)) continue
    const key = `${call.process} ${call.request.key}`
    byKey.set(key, [...(byKey.get(key) ?? []), call])
  }
  for (const calls of byKey.values()) {
    const first = calls[0] as (typeof calls)[number]
    const answered = calls.find(({ reply }) => reply !== null && isAnswer(reply))
    const { process, request } = first
    const reply = answered?.reply ?? null
    const isClaim = request.name === "task.claim" || request.name === "task.claimNext"
    // A claim without an answer has done what the ledger says, below.
    if (isClaim && reply === null) continue
    for (const input of inputsOf(process, request, reply)) {
      operations.push({ process, called: first.asked, returned: answered?.heard ?? null, input, output: reply === null ? null : outputOf(reply) })
      // A refusal is not remembered: a copy of the request that comes late may still succeed, and nobody hears of it.
      if (!isClaim && reply?.kind === "error") operations.push({ process, called: first.asked, returned: null, input, output: null })
    }
  }
  const heardOf = new Set(operations.flatMap(({ output }) => (typeof output === "object" && output !== null && "fence" in output ? [output.fence] : [])))
  for (const { agent, task, fence } of claims)
    if (!heardOf.has(fence)) operations.push({ process: agent, called: 0, returned: null, input: { task, op: "claim", agent }, output: { fence } })
  for (const { task, fence, moment } of leaseEnds)
    operations.push({ process: "hub", called: 0, returned: moment, input: { task, op: "expire", fence }, output: "done" })
  return operations
}

/** Whether the hub has decided: all else says nothing of what became of the request. */
function isAnswer(reply: Reply): boolean {
  return (
    reply.kind === "ok" || (reply.kind === "error" && !["overloaded", "storage_refused", "hub_stopping", "hub_unreachable", "timed_out"].includes(reply.code))
  )
}

function inputsOf(agent: string, { name, input }: Outcome["history"][number]["request"], reply: Reply | null): TaskInput[] {
  if (name === "task.claimNext") {
    // Which task it was after is known from its answer alone.
    const claims = reply?.kind === "ok" ? (reply.output as { claims: { task: { id: string } }[] }).claims : []
    return claims.map(({ task }) => ({ task: task.id, op: "claim", agent }))
  }
  const { task, fence } = input as { task: string; fence: number }
  if (name === "task.claim") return [{ task, op: "claim", agent }]
  return [{ task, op: name === "task.complete" ? "complete" : "release", agent, fence }]
}

function outputOf(reply: Reply): TaskOutput {
  if (reply.kind !== "ok") return { refused: reply.kind === "error" ? reply.code : "" }
  const { fence, claims } = reply.output as { fence?: number; claims?: { fence: number }[] }
  const claimed = fence ?? claims?.[0]?.fence
  return claimed === undefined ? "done" : { fence: claimed }
}
