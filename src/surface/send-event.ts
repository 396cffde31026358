import type * as z from "zod"
import { SkeinError } from "../contract/errors.ts"
import { operations, type Output, type Parsed, type PlainCommand } from "../contract/operations.ts"
import type { Context } from "./context.ts"
import { invalidInput } from "./invalid-input.ts"

type Sent = Parsed<"event.send">
type Answer = Output<"event.send">

/** What a `task_update` means, by its `payload.status`. */
const UPDATES: Readonly<Record<string, PlainCommand>> = { in_progress: "task.update", blocked: "task.block", completed: "task.complete", failed: "task.fail" }

/** Carries out kinds that mean an operation as that operation; records the others. The inner input is checked by the inner operation's own schema. */
export async function sendEvent(context: Context, sent: Sent): Promise<Answer> {
  const { loop, caller, key } = context
  if (sent.kind === "heartbeat") {
    const { session } = caller.actor
    if (session === null)
      throw new SkeinError(
        "invalid",
        "a heartbeat needs a session, and the caller has none",
        "Start one with session.start and bind it: the Skein-Session header, or a token for it.",
      )
    loop.beat(session)
    return { seq: loop.head.seq, as: "session.beat", answer: { heard: [session] } }
  }
  const [name, input] = meant(sent)
  if (name === "event.send") {
    const done = await loop.execute("event.send", caller.actor, sent, { key })
    return { seq: done.seq, as: name, answer: {} }
  }
  const parsed = (operations[name].input as z.ZodType).safeParse(input)
  if (!parsed.success) throw invalidInput(name, parsed.error, "payload")
  const answer = await loop.execute(name, caller.actor, parsed.data as never, { key })
  const seq = "seq" in answer ? answer.seq : "fence" in answer ? answer.fence : loop.head.seq
  return { seq, as: name, answer }
}

function meant(sent: Sent): ["event.send", null] | [PlainCommand, unknown] {
  const { kind, task, payload, text } = sent
  const said = text === "" ? {} : { reason: text }
  const onTask = { ...payload, ...(task === null ? {} : { task }) }
  switch (kind) {
    case "task_claim":
      return ["task.claim", onTask]
    case "task_update": {
      const { status, ...rest } = onTask as Record<string, unknown>
      const name = typeof status === "string" && Object.hasOwn(UPDATES, status) ? UPDATES[status] : undefined
      if (name === undefined)
        throw new SkeinError("invalid", "a task_update says in payload.status what became of the task", `Give one of ${Object.keys(UPDATES).join(", ")}.`, {
          status: typeof status === "string" ? status.slice(0, 64) : null,
        })
      return [name, { ...spoken(name, text), ...rest }]
    }
    case "blocker":
      return ["task.block", { ...said, ...onTask }]
    case "help_wanted":
      return ["help.want", { ...said, ...onTask }]
    case "ack":
      return ["event.ack", payload]
    default:
      return ["event.send", null]
  }
}

/** The event's text, under the name that the operation has for it. */
function spoken(name: PlainCommand, text: string): Record<string, unknown> {
  if (text === "") return {}
  if (name === "task.update") return { note: text }
  return name === "task.complete" ? { deliverable: { text } } : { reason: text }
}
