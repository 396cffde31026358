import type { Command } from "commander"
import type { Output } from "../contract/operations.ts"
import { SEVERITIES, type Severity } from "../core/message.ts"
import { summaryWithInstants } from "../core/summary.ts"
import { THREAD_STATUSES, THREAD_TYPES, type ThreadStatus, type ThreadType } from "../core/thread.ts"
import { act, asText, collect, examples, integer, oneOf, type Context } from "./context.ts"
import { pagedTo } from "./paging.ts"
import { printable, printableLines } from "./printable.ts"
import { inLocalTime, showTime } from "./local-time.ts"
import { renderFields, renderTable } from "./table.ts"
import { registerCare } from "./thread-care.ts"

type Message = Output<"message.read">["messages"][number]
type PostOptions = { event?: boolean; type?: string; replyTo?: number; severity?: Severity; file?: string; line?: number; task?: string }

const SEQ_MAX = Number.MAX_SAFE_INTEGER

/** `skein thread`: conversations of agents, and what is unread in them. */
export function register(program: Command): void {
  const thread = program
    .command("thread")
    .description("Talk in threads: numbered messages, read cursors, findings and decisions. task/ID, agent/NAME, role/ROLE and team begin by themselves.")
  registerMembership(thread)
  registerMessages(thread)
  registerReading(thread)
  registerCare(thread)
}

function registerMembership(thread: Command): void {
  thread
    .command("create <title>")
    .description("Create a thread. You are in it.")
    .option("--id <name>", "its id; else the hub draws one")
    .option("--type <type>", THREAD_TYPES.join(", "), oneOf(THREAD_TYPES), "conversation" as ThreadType)
    .option("--with <agent>", "who is in it too; may be repeated", collect(asText))
    .addHelpText(
      "after",
      examples(["skein thread create 'Shape of the API' --id api --with goose --with heron", "then: skein thread post api 'I would begin with ...'"]),
    )
    .action(
      act(async (context: Context, title: string, options: { id?: string; type: ThreadType; with?: string[] }) => {
        const given = { title, thread: options.id ?? null, type: options.type, participants: options.with ?? [] }
        const answer = await (await context.hub()).call("thread.create", given)
        context.terminal.answer(answer, `created thread ${printable(answer.thread)} (entry ${answer.seq})`)
      }),
    )
  thread
    .command("invite <thread> <agents...>")
    .description("Have agents take part in a thread. All of it is unread for them.")
    .addHelpText("after", examples(["skein thread invite api swan", "swan reads it from its first message on"]))
    .action(
      act(async (context: Context, id: string, agents: string[]) => {
        const answer = await (await context.hub()).call("thread.invite", { thread: id, agents })
        context.terminal.answer({ thread: id, ...answer }, `invited ${printable(agents.join(", "))} (entry ${answer.seq})`)
      }),
    )
  for (const [name, operation, done, description] of [
    ["join", "thread.join", "you are in", "Take part in a thread from here on. Posting joins by itself."],
    ["leave", "thread.leave", "you have left", "Take part in a thread no longer."],
  ] as const) {
    thread
      .command(`${name} <thread>`)
      .description(description)
      .addHelpText("after", examples([`skein thread ${name} api`, description]))
      .action(
        act(async (context: Context, id: string) => {
          const answer = await (await context.hub()).call(operation, { thread: id })
          context.terminal.answer({ thread: id, ...answer }, `${done} ${printable(id)} (entry ${answer.seq})`)
        }),
      )
  }
  thread
    .command("status")
    .argument("<thread>")
    .argument("<status>", "", oneOf(THREAD_STATUSES))
    .description(`Change a thread's status: ${THREAD_STATUSES.join(", ")}. What you may do depends on your role; only the operator closes a blocked one.`)
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein thread status api resolved --reason 'we take the second draft'", "a message of the thread says so"]))
    .action(
      act(async (context: Context, id: string, status: ThreadStatus, { reason }: { reason: string }) => {
        const answer = await (await context.hub()).call("thread.setStatus", { thread: id, status, reason })
        context.terminal.answer({ thread: id, status, ...answer }, `${printable(id)} is ${status} (entry ${answer.seq})`)
      }),
    )
}

function registerMessages(thread: Command): void {
  thread
    .command("post <thread> <text>")
    .description("Post a message: 32 KiB of text at most.")
    .option("--event", "an event rather than talk")
    .option("--type <word>", "what it is: finding, resolution (of the finding that it answers), decision, commit, or a word of yours")
    .option("--reply-to <n>", "the message that it answers", integer(1, SEQ_MAX))
    .option("--severity <word>", SEVERITIES.join(", "), oneOf(SEVERITIES))
    .option("--file <path>", "the file that it is about")
    .option("--line <n>", "the line there", integer(1, SEQ_MAX))
    .option("--task <id>", "the task that it is about")
    .addHelpText(
      "after",
      examples(
        [
          "skein thread post task/fix-login 'The token is refreshed twice' --type finding --severity high --file src/login.ts --line 40",
          "kept among the open findings",
        ],
        ["skein thread post team 'main is red: wait'", "everyone has it unread"],
      ),
    )
    .action(
      act(async (context: Context, id: string, body: string, options: PostOptions) => {
        const { event = false, type: eventType = null, replyTo: inReplyTo = null, severity = null, file = null, line = null, task = null } = options
        const metadata = { eventType, severity, file, line, endLine: null, task }
        const answer = await (await context.hub()).call("message.post", { thread: id, body, kind: event ? "event" : "chat", inReplyTo, metadata })
        context.terminal.answer(answer, `posted message ${answer.message} in ${printable(id)} (entry ${answer.seq})`)
      }),
    )
  thread
    .command("read <thread>")
    .description("Read a thread from where you have read it to. Moves no cursor: skein thread ack.")
    .option("--since <n>", "what comes after this message; 0: all", integer(0, SEQ_MAX))
    .option("--limit <n>", "at the most so many", integer(1, 1_000_000), 200)
    .option("--ack", "acknowledge what was read")
    .addHelpText(
      "after",
      examples(
        ["skein thread read api --ack", "what is new, and then it is read"],
        ["skein thread read api --since 0 --json", "all of it, one message a line"],
      ),
    )
    .action(act(readThread))
  thread
    .command("ack <thread>")
    .argument("<n>", "", integer(0, SEQ_MAX))
    .description("Say that you have read a thread up to message N. It never goes back.")
    .addHelpText("after", examples(["skein thread ack api 12", "messages after the 12th are unread"]))
    .action(
      act(async (context: Context, id: string, lastReadSeq: number) => {
        const answer = await (await context.hub()).call("message.ack", { thread: id, lastReadSeq })
        context.terminal.answer(answer, `${printable(id)} is read up to message ${answer.lastReadSeq}`)
      }),
    )
}

function registerReading(thread: Command): void {
  thread
    .command("list")
    .description("List threads, the one with the newest message first.")
    .option("--status <status>", `one of ${THREAD_STATUSES.join(", ")}; may be repeated`, collect(oneOf(THREAD_STATUSES)))
    .option("--mine", "only those that you are in")
    .option("--limit <n>", "at the most so many", integer(1, 1_000_000), 200)
    .addHelpText("after", examples(["skein thread list --mine --status active", "where you take part"]))
    .action(act(listThreads))
  thread
    .command("show <thread>")
    .description("Show how a thread stands, who has read how far, and what was found.")
    .addHelpText("after", examples(["skein thread show api", "status, participants, cursors, findings"]))
    .action(act(showThread))
  thread
    .command("summarize <thread>")
    .description("Sum a thread up: status, open findings, decisions, last messages. Made without a model.")
    .option("--max-bytes <n>", "at the most so long, 512 to 32768", integer(512, 32_768), 4_096)
    .addHelpText("after", examples(["skein thread summarize api --max-bytes 1000", "enough for whoever comes new to it"]))
    .action(
      act(async (context: Context, id: string, { maxBytes }: { maxBytes: number }) => {
        const answer = await (await context.hub()).call("thread.summarize", { thread: id, maxBytes })
        context.terminal.answer(answer, () => printableLines(summaryWithInstants(answer.text.trimEnd(), answer.byHub, (ms) => showTime(ms))))
      }),
    )
  thread
    .command("search <text>")
    .description("Find messages by a text in them, newest first; upper and lower case are the same.")
    .option("--thread <id>", "only in this one")
    .option("--limit <n>", "at the most so many", integer(1, 100), 20)
    .option("--before <seq>", "go on where a search was cut off", integer(1, SEQ_MAX))
    .addHelpText("after", examples(["skein thread search 'refresh token'", "says when there is more to look at"]))
    .action(act(search))
  thread
    .command("unread")
    .description("Show what you have not read, by thread.")
    .addHelpText("after", examples(["skein thread unread", "then: skein thread read THREAD --ack"]))
    .action(act(showUnread))
}

async function readThread(context: Context, id: string, { since, limit, ack = false }: { since?: number; limit: number; ack?: boolean }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  let own: number | null = null
  const { items: messages, more } = await pagedTo(limit, async (cursor: number | null) => {
    const page = await hub.call("message.read", { thread: id, sinceSeq: cursor ?? since ?? null, limit: Math.min(limit, 200) })
    own = page.lastReadSeq
    return { items: page.messages, cursor: page.next }
  })
  for (const message of messages) terminal.record(message)
  terminal.print(messages.length === 0 ? `nothing new in ${printable(id)}` : messages.map((message) => renderMessage(context, message)).join("\n\n"))
  const last = messages.at(-1)?.message ?? 0
  if (more) terminal.notice(`there are more: go on with --since ${last}`)
  if (ack && own !== null && last > own) await hub.call("message.ack", { thread: id, lastReadSeq: last })
}

/** Head and body of a message; a body is what somebody else wrote, so whatever a terminal would obey is shown as an escape. */
function renderMessage({ terminal }: Context, { message, atMs, sender, kind, body, inReplyTo, metadata, to, voice }: Message): string {
  const { eventType, severity, file, line, task } = metadata
  const about = [
    eventType ?? (kind === "chat" ? null : kind),
    severity,
    to === null ? null : `to ${to}`,
    inReplyTo === null ? null : `reply to ${inReplyTo}`,
    file === null ? null : `${file}${line === null ? "" : `:${line}`}`,
    task === null ? null : `task ${task}`,
  ].filter((word) => word !== null)
  const head = `${message} ${printable(sender)} ${showTime(atMs)}${about.length === 0 ? "" : ` (${printable(about.join(", "))})`}`
  return `${terminal.colours.bold(head)}\n${printableLines(inLocalTime(body, voice)).replaceAll(/^/gm, "  ")}`
}

async function listThreads(context: Context, { status = [], mine = false, limit }: { status?: ThreadStatus[]; mine?: boolean; limit: number }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const { items: threads, more } = await pagedTo(limit, async (cursor: number | null) => {
    const page = await hub.call("thread.list", { status, mine, cursor, limit: Math.min(limit, 1_000) })
    return { items: page.threads, cursor: page.cursor }
  })
  for (const thread of threads) terminal.record(thread)
  if (terminal.json) return
  const rows = threads.map(({ id, status: is, headSeq, lastAtMs, participants, groups, title }) => [
    id,
    is,
    headSeq,
    headSeq === 0 ? "" : showTime(lastAtMs),
    [...groups, ...participants].join(", "),
    title,
  ])
  const columns = [
    { head: "thread" },
    { head: "status" },
    { head: "messages", right: true },
    { head: "last" },
    { head: "who", max: 40 },
    { head: "title", max: 60 },
  ]
  terminal.print(threads.length === 0 ? "there are no threads: skein thread create TITLE" : renderTable(terminal, columns, rows))
  if (more) terminal.print(`only the first ${threads.length} are shown: --limit shows more`)
}

async function showThread(context: Context, id: string): Promise<void> {
  const { terminal } = context
  const found = await (await context.hub()).call("thread.show", { thread: id })
  terminal.record(found)
  if (terminal.json) return
  const { thread, cursors, findings } = found
  const open = findings.filter((finding) => finding.open)
  const fields: [string, string | number | null][] = [
    ["thread", thread.id],
    ["title", thread.title],
    ["type", thread.type],
    ["status", thread.status],
    ["reason", thread.reason === null ? null : `${thread.changedBy}: ${thread.reason}`],
    ["messages", thread.headSeq],
    ["task", thread.task],
    ["in it by role", thread.groups.join(", ")],
    ["turns since progress", thread.turns],
    ["open findings", open.length === 0 ? null : open.map(({ last, times }) => (times === 1 ? `${last}` : `${last} (${times} times)`)).join(", ")],
  ]
  const rows = cursors.map(({ agent, lastReadSeq, unread }) => [agent, lastReadSeq, unread])
  const columns = [{ head: "who" }, { head: "read to", right: true }, { head: "unread", right: true }]
  terminal.print(`${renderFields(terminal, fields)}${rows.length === 0 ? "" : `\n\n${renderTable(terminal, columns, rows)}`}`)
}

async function search(context: Context, text: string, { thread, limit, before }: { thread?: string; limit: number; before?: number }): Promise<void> {
  const { terminal } = context
  const answer = await (await context.hub()).call("message.search", { text, thread: thread ?? null, limit, before: before ?? null })
  terminal.record(answer)
  if (terminal.json) return
  const rows = answer.hits.map(({ thread: id, message, atMs, sender, excerpt, voice }) => [id, message, showTime(atMs), sender, inLocalTime(excerpt, voice)])
  const columns = [{ head: "thread" }, { head: "message", right: true }, { head: "at" }, { head: "from" }, { head: "text", max: 100 }]
  terminal.print(rows.length === 0 ? "no message says so" : renderTable(terminal, columns, rows))
  if (answer.truncated) terminal.notice(`only the newest ${answer.searched} messages were looked at: go on with --before ${answer.before}`)
}

async function showUnread(context: Context): Promise<void> {
  const { terminal } = context
  const { threads } = await (await context.hub()).call("message.unread", { limit: 1_000 })
  for (const thread of threads) terminal.record(thread)
  if (terminal.json) return
  const rows = threads.map(({ thread, unread, lastReadSeq, headSeq, title }) => [thread, unread, `${lastReadSeq} of ${headSeq}`, title])
  const columns = [{ head: "thread" }, { head: "unread", right: true }, { head: "read" }, { head: "title", max: 80 }]
  terminal.print(threads.length === 0 ? "nothing is unread" : renderTable(terminal, columns, rows))
}
