import type { OperationName } from "../contract/names.ts"

/** The sentence that every answer begins with: what happened, and what to do next. Nothing that others wrote ever stands in it. */
export function nextStep(name: OperationName, answer: unknown, nowMs: number): string {
  const step = STEPS[name]
  if (step !== undefined) return step(answer as Answer, nowMs)
  return (answer as { cursor?: unknown } | null)?.cursor ? "There is more: call again with this `cursor`." : "Done."
}

type Claim = { fence: number; leaseEndsAtMs: number; task: { id: string } }
/** The fields of the answers that the sentences speak of. */
type Answer = {
  agent: string
  session: string
  claims: Claim[]
  status: string
  ready: string[]
  notices: unknown[]
  events: unknown[]
  unread: Unread[]
  threads: Unread[]
  thread: string
  messages: { message: number }[]
  message: number
  next: number | null
  lastReadSeq: number | null
  lease: string
  endsAtMs: number
} & Claim

type Unread = { thread: string; unread: number }

function toRead(threads: readonly Unread[]): string {
  const named = threads.slice(0, 5).map(({ thread, unread }) => `${thread} (${unread})`)
  return `read_messages {thread}: ${named.join(", ")}${threads.length > 5 ? ` and ${threads.length - 5} more` : ""}`
}

const REST = "Next: claim_task for the next one, or wait_for_work."

function claimed(claims: readonly Claim[], nowMs: number): string {
  const held = claims.map(({ task, fence, leaseEndsAtMs }) => `task ${task.id} under fence ${fence} (lease: ${Math.round((leaseEndsAtMs - nowMs) / 1_000)} s)`)
  return `You hold ${held.join(" and ")}. Next: do what its title and body ask for; report with update_task, deliver with complete_task, each with this fence.`
}

const STEPS: Partial<Record<OperationName, (answer: Answer, nowMs: number) => string>> = {
  "session.start": ({ agent, session }) =>
    `You are ${agent}, in session ${session}. Next: claim_task (without arguments: the best that fits you), or wait_for_work.`,
  "task.claim": (answer, nowMs) => claimed([answer], nowMs),
  "task.claimNext": ({ claims }, nowMs) => claimed(claims, nowMs),
  "task.update": ({ leaseEndsAtMs }, nowMs) =>
    `Noted; your lease runs ${Math.round((leaseEndsAtMs - nowMs) / 1_000)} s more. Next: go on, and deliver with complete_task.`,
  "task.complete": ({ status, ready }) =>
    `${status === "review" ? "Delivered; it waits for its review by somebody else." : "Delivered."}${ready.length > 0 ? ` Ready now: ${ready.slice(0, 5).join(", ")}.` : ""} ${REST}`,
  "task.block": () => "Noted: the task stays yours while it waits. Next: claim_task for other work, or wait_for_work.",
  "task.fail": ({ status }) => `Noted: the task is ${status}. ${REST}`,
  "task.release": () => `Given back. ${REST}`,
  "message.post": ({ thread, message }) => `Posted as message ${message} of ${thread}.`,
  "message.unread": ({ threads }) => (threads.length > 0 ? `Next: ${toRead(threads)}.` : "You have read everything."),
  "message.read": ({ thread, messages, next, lastReadSeq }) => {
    const last = messages.at(-1)?.message
    if (last === undefined) return "There is nothing new in it."
    const more = next === null ? "" : `; then read_messages {thread, sinceSeq: ${next}} for the rest`
    return last > (lastReadSeq ?? 0) ? `Next: ack_read ${JSON.stringify({ thread, lastReadSeq: last })}${more}.` : `You had read these${more}.`
  },
  "message.ack": ({ lastReadSeq }) => `Read up to message ${lastReadSeq}.`,
  "work.wait": ({ ready, notices, unread }) => {
    const steps = [
      ...(unread.length > 0 ? [toRead(unread)] : []),
      ...(notices.length > 0 ? ["follow the events in `notices`, then acknowledge each: more_tools ack_event {seq}"] : []),
      ...(ready.length > 0 ? [`claim_task (ready for you: ${ready.join(", ")})`] : []),
    ]
    return steps.length > 0 ? `Next: ${steps.join("; ")}.` : "Nothing yet. Next: call wait_for_work again, or end your turn if you were asked to stop."
  },
  "event.inbox": ({ events }) => (events.length > 0 ? "Next: follow them, then acknowledge each: more_tools ack_event {seq}." : "Nothing waits for you."),
  "files.reserve": ({ lease, endsAtMs }, nowMs) =>
    `Reserved for you as ${lease} for ${Math.round((endsAtMs - nowMs) / 1_000)} s; whatever you report renews it. When you are done with them: release_files ${JSON.stringify({ lease })}.`,
  "files.release": () => "Given back.",
  "session.end": () => "Your session is over, and what it held is open again.",
}
