import { type Command, InvalidArgumentError } from "commander"
import type { Output } from "../contract/operations.ts"
import { TRIGGER_STATUSES, type TriggerStatus } from "../core/trigger.ts"
import { WAKE_NUMBERS, type WakeNumber } from "../core/wake-policy.ts"
import { act, collect, type Context, examples, integer, oneOf } from "./context.ts"
import { UsageError } from "./failure.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

type TriggerRow = Output<"trigger.show">["trigger"]

/** `skein trigger`: agents that are woken, and why they are not yet. */
export function register(program: Command): void {
  const trigger = program.command("trigger").description("Triggers: each is one agent to be woken, once.")
  registerReads(trigger)
  registerChanges(trigger)
}

function registerReads(trigger: Command): void {
  trigger
    .command("list")
    .description("List triggers, the newest first.")
    .option("--status <word>", `${TRIGGER_STATUSES.join(", ")}; may be repeated`, collect(oneOf(TRIGGER_STATUSES)))
    .option("--live", "only those that are not over")
    .option("--agent <name>", "of this agent")
    .option("--thread <id>", "in this thread")
    .option("--limit <n>", "how many at the most", integer(1, 1_000), 100)
    .addHelpText(
      "after",
      examples(["skein trigger list --live", "who is to be woken, and what that waits for"], ["skein trigger list --status dead", "who could not be woken"]),
    )
    .action(act(list))
  trigger
    .command("show <trigger>")
    .description("Show one trigger: where it stands and how far its delivery is confirmed.")
    .addHelpText("after", examples(["skein trigger show u71.0.goose", "sent, turn started, read: what the hub saw itself"]))
    .action(act(show))
  trigger
    .command("why <trigger>")
    .description("Say everything that happened to a trigger, in words.")
    .addHelpText("after", examples(["skein trigger why u71.0.goose", "every hop, with its entry in the ledger"]))
    .action(act(why))
  trigger
    .command("policy")
    .description("Show the numbers by which agents are woken, or change some.")
    .option("--set <name=number>", "a number to change; may be repeated", collect(assignment))
    .option("--reason <text>", "why; needed with --set")
    .addHelpText(
      "after",
      examples(
        ["skein trigger policy", "every number and what it means"],
        ["skein trigger policy --set ackMs=12000 --reason 'a slow machine'", "12 s to answer from now on"],
      ),
    )
    .action(act(policy))
}

function registerChanges(trigger: Command): void {
  trigger
    .command("retry <trigger>")
    .description("Try a trigger again, a dead one too.")
    .requiredOption("--reason <text>", "why")
    .option("--force", "type into the pane though a person is working there; this is recorded with the reason")
    .addHelpText("after", examples(["skein trigger retry u71.0.goose --reason 'the command is mended'", "its attempts are counted anew"]))
    .action(
      act(async (context: Context, job: string, { reason, force = false }: { reason: string; force?: boolean }) => {
        const answer = await (await context.hub()).call("trigger.retry", { job, reason, force })
        context.terminal.answer(answer, `trigger ${printable(job)} is ${answer.status} (entry ${answer.seq})`)
      }),
    )
  trigger
    .command("cancel <trigger>")
    .description("Take a trigger back. A text that the agent has already stays there.")
    .requiredOption("--reason <text>", "why")
    .addHelpText("after", examples(["skein trigger cancel u71.0.goose --reason 'not needed'", "nobody is woken by it"]))
    .action(
      act(async (context: Context, job: string, { reason }: { reason: string }) => {
        const answer = await (await context.hub()).call("trigger.cancel", { job, reason })
        context.terminal.answer(answer, `trigger ${printable(job)} is ${answer.status} (entry ${answer.seq})`)
      }),
    )
}

function assignment(text: string): [WakeNumber, number] {
  const [name = "", value = ""] = text.split("=")
  if (!Object.hasOwn(WAKE_NUMBERS, name) || !/^\d+$/.test(value))
    throw new InvalidArgumentError(`Write name=number, with one of ${Object.keys(WAKE_NUMBERS).join(", ")}.`)
  return [name as WakeNumber, Number(value)]
}

async function list(
  context: Context,
  { status = [], live = false, agent, thread, limit }: { status?: TriggerStatus[]; live?: boolean; agent?: string; thread?: string; limit: number },
): Promise<void> {
  const { terminal } = context
  const { triggers } = await (await context.hub()).call("trigger.list", { status, live, target: agent ?? null, thread: thread ?? null, limit })
  for (const each of triggers) terminal.record(each)
  if (terminal.json) return
  const rows = triggers.map(({ job, target, thread: where, status: now, code, why: text, createdAtMs }) => [
    job,
    target,
    where,
    now,
    code ?? "",
    showTime(createdAtMs),
    text,
  ])
  const columns = [
    { head: "trigger" },
    { head: "agent" },
    { head: "thread", max: 24 },
    { head: "status" },
    { head: "code" },
    { head: "since" },
    { head: "why", max: 70 },
  ]
  terminal.print(triggers.length === 0 ? "there are no such triggers" : renderTable(terminal, columns, rows))
}

function linesOf({ job, target, thread, message, reason, by, why: text, sentAtMs, turnAtMs, readAtMs }: TriggerRow): string[] {
  const step = (name: string, atMs: number | null): string => `${name} ${atMs === null ? "not yet" : showTime(atMs)}`
  return [
    `${printable(job)}: ${printable(target)} in ${printable(thread)} (message ${message}), by ${printable(by)}: ${printable(reason)}`,
    printable(text),
    [step("sent", sentAtMs), step("turn started", turnAtMs), step("read", readAtMs)].join(", "),
  ]
}

async function show(context: Context, job: string): Promise<void> {
  const { trigger } = await (await context.hub()).call("trigger.show", { job })
  context.terminal.answer(trigger, linesOf(trigger).join("\n"))
}

async function why(context: Context, job: string): Promise<void> {
  const answer = await (await context.hub()).call("trigger.why", { job })
  const hops = answer.hops.map(({ seq, atMs, code, text }) => `${showTime(atMs)}  entry ${seq}  ${code === null ? "" : `${code}  `}${printable(text)}`)
  context.terminal.answer(answer, [...linesOf(answer.trigger), "", ...hops].join("\n"))
}

async function policy(context: Context, { set = [], reason }: { set?: [WakeNumber, number][]; reason?: string }): Promise<void> {
  if (set.length > 0 && reason === undefined) throw new UsageError("a change needs its reason", "Say it: --reason TEXT.")
  const hub = await context.hub()
  if (set.length > 0) await hub.call("wake.setPolicy", { changes: Object.fromEntries(set), reason: reason ?? "" })
  const answer = await hub.call("wake.policy", {})
  const names = Object.keys(WAKE_NUMBERS) as WakeNumber[]
  const rows = names.map((name) => [name, String(answer.policy[name]), answer.changed.includes(name) ? "changed" : "", WAKE_NUMBERS[name].means])
  const columns = [{ head: "number" }, { head: "is" }, { head: "" }, { head: "means", wraps: true }]
  context.terminal.answer(answer, renderTable(context.terminal, columns, rows))
}
