import type { Command } from "commander"
import { InvalidArgumentError } from "commander"
import { DIRECTIVES, type DirectiveKind, EVENT_KINDS, type EventKind, type Target } from "../core/directive.ts"
import type { Role } from "../core/entry.ts"
import { ROLES } from "../core/role.ts"
import { PRIORITIES, type Priority } from "../core/task.ts"
import { act, examples, integer, oneOf, type Context } from "./context.ts"
import { inLocalTime, showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

type Payload = Record<string, unknown>
type SendOptions = { to?: Target; task?: string; text: string; directive?: DirectiveKind; priority: Priority; payload: Payload; ack?: boolean }

/** `skein send-event`, `skein inbox` and `skein ack`: what agents say to each other. */
export function register(program: Command): void {
  program
    .command("send-event")
    .argument("<kind>", "", oneOf(EVENT_KINDS))
    .description(
      `Send an event. KIND is one of ${EVENT_KINDS.join(", ")}. Kinds that mean an operation (task_claim, task_update, blocker, ...) are carried out as that operation.`,
    )
    .option("--to <target>", "everyone, agent:NAME or role:ROLE (default: everyone)", target)
    .option("--task <id>", "the task that it is about")
    .option("--text <text>", "what is said", "")
    .option("--directive <kind>", `which, for a directive: ${DIRECTIVES.join(", ")}`, oneOf(DIRECTIVES))
    .option("--priority <word>", PRIORITIES.join(", "), oneOf(PRIORITIES), "normal" as Priority)
    .option("--payload <json>", "an object with what programs need", payload, {})
    .option("--ack", "it waits in the inbox of whom it reaches until it is acknowledged")
    .addHelpText(
      "after",
      examples(
        ["skein send-event info --to role:worker --text 'main is red: wait'", "recorded, and heard by every worker that listens"],
        ["skein send-event directive --directive pause --to agent:goose --ack", "an order, which waits for its acknowledgement"],
      ),
    )
    .action(
      act(async (context: Context, kind: EventKind, { to = { everyone: true }, task, text, directive, priority, payload: given, ack = false }: SendOptions) => {
        const answer = await (
          await context.hub()
        ).call("event.send", {
          kind,
          to,
          task: task ?? null,
          text,
          directive: directive ?? null,
          priority,
          payload: given,
          requiresAck: ack,
        })
        context.terminal.answer(answer, `sent as ${answer.as} (entry ${answer.seq})`)
      }),
    )
  program
    .command("inbox")
    .description("Show what waits for your acknowledgement, oldest first, and how many messages are unread.")
    .option("--limit <n>", "at the most so many", integer(1, 600), 100)
    .addHelpText("after", examples(["skein inbox", "then: skein ack SEQ"]))
    .action(act(showInbox))
  program
    .command("ack")
    .argument("<seq>", "", integer(1, Number.MAX_SAFE_INTEGER))
    .description("Acknowledge an event that waits for you.")
    .addHelpText("after", examples(["skein ack 412", "it leaves your inbox"]))
    .action(
      act(async (context: Context, seq: number) => {
        const answer = await (await context.hub()).call("event.ack", { seq })
        context.terminal.answer(answer, `event ${seq} is acknowledged`)
      }),
    )
}

async function showInbox(context: Context, { limit }: { limit: number }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const { events } = await hub.call("event.inbox", { limit })
  for (const event of events) terminal.record(event)
  if (terminal.json) return
  // What agents wrote is shown as they wrote it.
  const rows = events.map(({ seq, atMs, from, kind, directive, task, text, voice }) => [
    seq,
    showTime(atMs),
    from,
    directive ?? kind,
    task ?? "",
    inLocalTime(text, voice),
  ])
  terminal.print(
    events.length === 0
      ? "nothing waits for your acknowledgement"
      : renderTable(
          terminal,
          [{ head: "seq", right: true }, { head: "at" }, { head: "from" }, { head: "kind" }, { head: "task" }, { head: "text", max: 80 }],
          rows,
        ),
  )
  // What a policy keeps from the caller is not told.
  const unread = await hub.call("message.unread", { limit: 1 }).catch(() => null)
  if (unread !== null && unread.total > 0) terminal.print(`unread messages: ${unread.total}; skein thread unread lists them`)
}

function target(text: string): Target {
  if (text === "everyone") return { everyone: true }
  const [, kind, name] = /^(agent|role):(.+)$/.exec(text) ?? []
  if (kind === "agent" && name !== undefined) return { agent: name }
  if (kind === "role" && ROLES.includes(name as Role)) return { role: name as Role }
  throw new InvalidArgumentError(`Write everyone, agent:NAME or role:ROLE (${ROLES.join(", ")}).`)
}

function payload(text: string): Payload {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Payload
  } catch {
    // Told below, as for any other text that is no object.
  }
  throw new InvalidArgumentError('Write a JSON object: {"branch":"main"}')
}
