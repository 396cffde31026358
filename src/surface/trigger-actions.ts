import { createHash, randomBytes, randomUUID } from "node:crypto"
import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import { decodeEntry } from "../core/entry.ts"
import { hopInWords } from "../core/trigger-why.ts"
import { isLive, type Trigger, type TriggerId } from "../core/trigger.ts"
import type { ConfirmTrigger } from "../core/wake.ts"
import { viewTrigger } from "../core/trigger-view.ts"
import { wakePolicy } from "../core/wake-policy.ts"
import type { Workspace } from "../core/workspace.ts"
import { mismatch } from "./claim-mismatch.ts"
import type { Context, Doers } from "./context.ts"

type Triggers = Extract<
  OperationName,
  "trigger.participant" | "trigger.claim" | "trigger.record" | "trigger.list" | "trigger.show" | "trigger.why" | "session.turn" | "wake.policy"
>

/** Operations about waking agents that are more than a command: ids and random bits are made here, and presence is looked at. */
export const triggerActions: Doers<Triggers> = {
  "trigger.participant": ({ loop, caller, key }, { requestId, ...input }) => {
    const request = requestId ?? key?.id ?? randomUUID()
    return loop.execute("trigger.participant", caller.actor, { job: requestedJobId(caller.actor.agent, request), request, ...input }, { key })
  },

  "trigger.claim": async ({ loop, caller, key }, input) => {
    const busy = await loop.read((state, nowMs) => loop.turns.busy(state, nowMs))
    return loop.execute("trigger.claim", caller.actor, { ...input, busy }, { key })
  },

  "trigger.record": ({ loop, caller, key }, input) => loop.execute("trigger.record", caller.actor, { ...input, bits: randomBytes(4).readUInt32LE(0) }, { key }),

  "trigger.list": ({ read }, { status, live, target, thread, limit, cursor }) =>
    read((state, nowMs) => {
      const fits = (job: Trigger): boolean =>
        (cursor === null || job.createdSeq < cursor) &&
        (status.length === 0 || status.includes(job.status)) &&
        (!live || isLive(job)) &&
        (target === null || job.target === target) &&
        (thread === null || job.thread === thread)
      const found = [...state.triggers.values()].filter(fits).sort((a, b) => b.createdSeq - a.createdSeq)
      const page = found.slice(0, limit)
      return { triggers: page.map((job) => viewTrigger(state, job, nowMs)), cursor: found.length > limit ? (page.at(-1)?.createdSeq ?? null) : null }
    }),

  "trigger.show": ({ read }, { job }) => read((state, nowMs) => ({ trigger: viewTrigger(state, jobIn(state, job), nowMs) })),

  "trigger.why": async ({ loop, read, caller }, { job: id }) => {
    const { trigger, seqs } = await read((state, nowMs) => {
      const job = jobIn(state, id)
      return { trigger: viewTrigger(state, job, nowMs), seqs: job.entries }
    })
    const stored = (await Promise.all(seqs.map((seq) => loop.entries(seq, 1, caller.actor.agent)))).flat()
    const hops = stored.flatMap(({ bytes }) => {
      const entry = decodeEntry(bytes)
      const words = hopInWords(entry)
      return words === null ? [] : [{ seq: entry.seq, atMs: entry.atMs, type: entry.type, by: entry.actor.agent, ...words }]
    })
    return { trigger, hops }
  },

  "session.turn": async (context, { agent: of, state, nonce, conversation }) => {
    const { loop, caller } = context
    const { session, role } = caller.actor
    const agent = of ?? caller.actor.agent
    if (agent !== caller.actor.agent && role !== "supervisor" && role !== "operator") throw mismatch("agent", agent, caller.actor.agent)
    const which = conversation ?? session ?? ""
    if (state === "started") loop.turns.began(agent, which, loop.nowMs())
    else loop.turns.ended(agent, which, loop.nowMs())
    return { delivered: nonce !== null && state === "started" && (await confirmTrigger(context, { job: nonce, evidence: "turn" })) }
  },

  "wake.policy": ({ read }) => read((state) => ({ policy: { ...wakePolicy(state) }, changed: Object.keys(state.policies.get("wake") ?? {}), seq: state.seq })),
}

/** The job of a request: the same caller and request are the same job. */
function requestedJobId(agent: string, request: string): TriggerId {
  return `r${createHash("sha256").update(`${agent}\n${request}`).digest("hex").slice(0, 24)}`
}

/** Records that a nonce came back, where it is one of the caller's own. Whoever made one up has done nothing. */
export async function confirmTrigger({ loop, caller }: Context, input: ConfirmTrigger): Promise<boolean> {
  try {
    return (await loop.execute("trigger.confirm", caller.actor, input)).status === "delivered"
  } catch (error) {
    if (error instanceof SkeinError && (error.code === "not_found" || error.code === "forbidden")) return false
    throw error
  }
}

function jobIn(state: Workspace, id: TriggerId): Trigger {
  const job = state.triggers.get(id)
  if (job === undefined) throw new SkeinError("not_found", `there is no trigger ${id}`, "`skein trigger list` lists them.", { job: id })
  return job
}
