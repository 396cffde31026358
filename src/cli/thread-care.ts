import type { Command } from "commander"
import { act, type Context, examples } from "./context.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"

/** The verbs of `skein thread` for a thread that has come to a stop. */
export function registerCare(thread: Command): void {
  thread
    .command("inspect <thread>")
    .description("Show why a thread stands still: its status, turns without progress, who has not read it, findings that come back, wakes under way.")
    .addHelpText("after", examples(["skein thread inspect api", "before: skein thread unblock api --reason ..."]))
    .action(act(inspect))
  for (const [name, operation, became, description, example] of [
    [
      "escalate",
      "thread.escalate",
      "is blocked until an orchestrator or the operator continues it",
      "Hand a thread to an orchestrator or the operator: it is blocked until one of them continues it.",
      "we disagree about the schema",
    ],
    [
      "unblock",
      "thread.unblock",
      "goes on",
      "Continue a blocked thread, also one that went round in circles; for orchestrators and the operator.",
      "agreed: keep v2",
    ],
    [
      "override-close",
      "thread.overrideClose",
      "is closed",
      "Close a thread over any dispute; for the operator. Wakes that wait for it are retracted.",
      "no longer needed",
    ],
  ] as const) {
    thread
      .command(`${name} <thread>`)
      .description(description)
      .requiredOption("--reason <text>", "why; it is kept in the thread")
      .addHelpText("after", examples([`skein thread ${name} api --reason '${example}'`, "all who are in it are told"]))
      .action(
        act(async (context: Context, id: string, { reason }: { reason: string }) => {
          const answer = await (await context.hub()).call(operation, { thread: id, reason })
          context.terminal.answer({ thread: id, ...answer }, `thread ${printable(id)} ${became} (entry ${answer.seq})`)
        }),
      )
  }
}

async function inspect(context: Context, id: string): Promise<void> {
  const hub = await context.hub()
  const [shown, { triggers }] = await Promise.all([hub.call("thread.show", { thread: id }), hub.call("trigger.list", { thread: id, limit: 50 })])
  const { thread, cursors, findings } = shown
  const why = thread.reason === null ? "" : `, by ${printable(thread.changedBy ?? "")}: ${printable(thread.reason)}`
  const behind = cursors.filter(({ unread }) => unread > 0).map(({ agent, unread }) => `  ${printable(agent)} has ${unread} to read`)
  const again = findings
    .filter(({ times }) => times > 1)
    .map(({ first, times, open }) => `  finding of message ${first} came ${times} times${open ? "" : ", resolved"}`)
  const wakes = triggers.map(
    ({ job, target, status, why: text, createdAtMs }) => `  ${showTime(createdAtMs)} ${printable(job)} ${printable(target)} ${status}: ${printable(text)}`,
  )
  const lines = [
    `${printable(thread.id)}: ${thread.status}${why}; ${thread.headSeq} messages, ${thread.turns} turns since the last progress`,
    ...(behind.length === 0 ? ["everybody has read it"] : ["unread", ...behind]),
    ...(again.length === 0 ? [] : ["findings that came back", ...again]),
    ...(wakes.length === 0 ? ["nobody was woken for it"] : ["wakes", ...wakes]),
  ]
  context.terminal.answer({ ...shown, triggers }, lines.join("\n"))
}
