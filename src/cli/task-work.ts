import type { Command } from "commander"
import { InvalidArgumentError } from "commander"
import { isUtf8 } from "node:buffer"
import type { Claimed } from "../core/answer.ts"
import { SkeinError } from "../contract/errors.ts"
import type { Usage } from "../core/task.ts"
import { readBounded } from "./bounded-file.ts"
import { act, asText, collect, duration, examples, integer, usd, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { asDirector } from "./director.ts"
import { printable } from "./printable.ts"
import { showDuration } from "./quantity.ts"
import { showTime } from "./local-time.ts"

/** Bounds what is read of a file; the hub says how long a deliverable may be. */
const DELIVERABLE_MAX_BYTES = 262_144

type Held = { task: string; fence: number }
type FenceOption = { fence?: number }

const FENCE = "the fence that the claim answered (default: SKEIN_FENCE, else the one of your own claim)"

/** The verbs of somebody who works on a task: claim, next, update, block, unblock, complete, fail, release, review. */
export function registerWork(task: Command): void {
  task
    .command("claim <task>")
    .description("Claim one task under a lease. Of any number of callers exactly one wins; the others are told who holds it, with exit status 1.")
    .addHelpText("after", examples(["skein task claim fix-login --json | jq .fence", "the fence goes with everything done under the claim"]))
    .action(act(claim))
  task
    .command("next")
    .description("Claim the best task that is ready and fits: by priority, then the longest chain that waits for it, then age.")
    .option("--plan <id>", "of this plan only")
    .option("--label <label>", "with this label only; may be repeated", collect(asText))
    .option("--filler", "filler work only")
    .option("--no-filler", "no filler work")
    .option("--max <n>", "up to so many, and never more than the agent may hold", integer(1, 100), 1)
    .option("--wait <duration>", "wait for one so long, 150s at the most", duration())
    .addHelpText("after", examples(["skein task next --wait 1m", "the next task, or exit status 1 after a minute without one"]))
    .action(act(claimNext))
  onHeld(task, "update", "Report progress: starts a claimed task and renews its lease.")
    .option("--progress <part>", "from 0 to 1", part)
    .option("--note <text>", "what is going on")
    .addHelpText("after", examples(["skein task update fix-login --progress 0.5 --note 'test written'", "shown to everybody who looks"]))
    .action(act(update))
  onHeld(task, "block", "Say what a held task waits for. It keeps its owner and lease; other work may be claimed meanwhile.")
    .requiredOption("--on <what>", "task:ID, agent:NAME or external:TEXT", blocker)
    .requiredOption("--reason <text>", "why")
    .addHelpText(
      "after",
      examples(["skein task block fix-login --on task:schema --reason 'needs the new column'", "goes on by itself when that task completes"]),
    )
    .action(act(block))
  task
    .command("unblock <task>")
    .description("Say that the blocker is gone. The owner is called back.")
    .requiredOption("--reason <text>", "why")
    .addHelpText("after", examples(["skein task unblock fix-login --reason 'access was granted'", "its owner goes on"]))
    .action(act(unblock))
  withUsage(onHeld(task, "complete", "Deliver a task. What waited for it is ready from that moment on."))
    .option("--text <text>", "the deliverable")
    .option("--file <path>", "take the deliverable from a file")
    .option("--tests-pass", "the tests pass")
    .option("--commit <hash>", "the commit that holds the work")
    .option("--link <url>", "may be repeated", collect(asText))
    .addHelpText("after", examples(["skein task complete fix-login --text 'Tokens are refreshed now' --tests-pass --commit 1f2e3d4", "with its evidence"]))
    .action(act(complete))
  withUsage(onHeld(task, "fail", "Give up an attempt. While attempts are left the task is open again, unless --final is said."))
    .requiredOption("--reason <text>", "why")
    .option("--final", "another attempt cannot help: the task has failed")
    .addHelpText("after", examples(["skein task fail fix-login --reason 'the API is gone' --final", "what depends on it becomes unreachable"]))
    .action(act(fail))
  onHeld(task, "release", "Give a task back unharmed: no attempt is counted.")
    .option("--reason <text>", "why", "released")
    .addHelpText("after", examples(["skein task release fix-login", "somebody else may take it"]))
    .action(act(release))
  task
    .command("review <task>")
    .description("Approve a delivered task, or ask for changes. Nobody but the operator reviews its own.")
    .option("--approve", "it is good")
    .option("--changes", "it goes back to its owner")
    .requiredOption("--reason <text>", "what you found")
    .addHelpText("after", examples(["skein task review fix-login --changes --reason 'a test for expiry is missing'", "its owner goes on under a fresh lease"]))
    .action(act(review))
}

function onHeld(task: Command, name: string, description: string): Command {
  return task
    .command(`${name} [task]`)
    .description(`${description} TASK may be left out where SKEIN_TASK is set.`)
    .option("--fence <n>", FENCE, integer(1, Number.MAX_SAFE_INTEGER))
}

function withUsage(command: Command): Command {
  return command
    .option("--cost <usd>", "what it cost, in US dollars", usd)
    .option("--input-tokens <n>", "tokens read", integer(0, Number.MAX_SAFE_INTEGER))
    .option("--output-tokens <n>", "tokens written", integer(0, Number.MAX_SAFE_INTEGER))
}

async function claim(context: Context, id: string): Promise<void> {
  const hub = await context.hub()
  tellClaim(context, await asDirector(context, () => hub.call("task.claim", { task: id })))
}

type NextOptions = { plan?: string; label?: string[]; filler?: boolean; max: number; wait?: number }

async function claimNext(context: Context, { plan, label = [], filler, max, wait = 0 }: NextOptions): Promise<void> {
  const hub = await context.hub()
  const waitMs = Math.min(wait, 150_000)
  const input = { plan: plan ?? null, labels: label, filler: filler ?? null, max, waitMs }
  const { claims } = await asDirector(context, () => hub.call("task.claimNext", input, { timeoutMs: waitMs + 30_000 }))
  for (const one of claims) tellClaim(context, one)
}

function tellClaim({ terminal }: Context, claimed: Claimed): void {
  const { task, fence, leaseEndsAtMs, leaseMs } = claimed
  const last = task.history.at(-1)
  const before =
    last === undefined ? "" : `\nthe last attempt, by ${last.agent}: ${printable(last.reason)}${last.note === null ? "" : ` (${printable(last.note)})`}`
  terminal.answer(
    claimed,
    `claimed ${printable(task.id)}: ${printable(task.title)}\nfence ${fence}, lease until ${showTime(leaseEndsAtMs)} (${showDuration(leaseMs)})${before}`,
  )
}

async function update(context: Context, id: string | undefined, { fence, progress, note }: FenceOption & { progress?: number; note?: string }): Promise<void> {
  const held = await heldTask(context, id, fence)
  const answer = await (await context.hub()).call("task.update", { ...held, progress: progress ?? null, note: note ?? null })
  const until = answer.leaseEndsAtMs === null ? "" : `, lease until ${showTime(answer.leaseEndsAtMs)}`
  context.terminal.answer({ task: held.task, ...answer }, `${printable(held.task)} is updated${until} (entry ${answer.seq})`)
}

type Blocker = { kind: "task" | "agent" | "external"; ref: string }

async function block(context: Context, id: string | undefined, { fence, on, reason }: FenceOption & { on: Blocker; reason: string }): Promise<void> {
  const held = await heldTask(context, id, fence)
  const answer = await (await context.hub()).call("task.block", { ...held, on, reason })
  context.terminal.answer({ task: held.task, ...answer }, `${printable(held.task)} is blocked on ${on.kind} ${printable(on.ref)} (entry ${answer.seq})`)
}

async function unblock(context: Context, id: string, { reason }: { reason: string }): Promise<void> {
  const answer = await (await context.hub()).call("task.unblock", { task: id, reason })
  context.terminal.answer({ task: id, ...answer }, `${printable(id)} is no longer blocked (entry ${answer.seq})`)
}

type UsageOptions = { cost?: number; inputTokens?: number; outputTokens?: number }
type CompleteOptions = FenceOption & UsageOptions & { text?: string; file?: string; testsPass?: boolean; commit?: string; link?: string[] }

async function complete(context: Context, id: string | undefined, { fence, text, file, testsPass, commit, link, ...usage }: CompleteOptions): Promise<void> {
  const delivered = file === undefined ? (text ?? "") : deliverableIn(file, text)
  const held = await heldTask(context, id, fence)
  const deliverable = {
    text: delivered,
    evidence: { testsPass: testsPass ?? null, commit: commit ?? null, links: link ?? [] },
  }
  const answer = await (await context.hub()).call("task.complete", { ...held, deliverable, usage: usageOf(usage) })
  const ready = answer.ready.length === 0 ? "" : `; ready now: ${answer.ready.map(printable).join(", ")}`
  context.terminal.answer(
    { task: held.task, ...answer },
    `${printable(held.task)} is ${answer.status === "review" ? "waiting for its review" : answer.status}${ready} (entry ${answer.seq})`,
  )
}

function deliverableIn(file: string, text: string | undefined): string {
  if (text !== undefined) throw new UsageError("--text and --file both say what is delivered", "Give one of them.")
  const bytes = readBounded(file, DELIVERABLE_MAX_BYTES)
  if (bytes.length > DELIVERABLE_MAX_BYTES || !isUtf8(bytes))
    throw new UsageError(
      `${JSON.stringify(file)} is ${isUtf8(bytes) ? `over ${DELIVERABLE_MAX_BYTES} bytes long` : "no text in UTF-8"}`,
      "Deliver a text that says where the work is, and name the rest in it: --commit, --link.",
    )
  return bytes.toString("utf8")
}

async function fail(
  context: Context,
  id: string | undefined,
  { fence, reason, final, ...usage }: FenceOption & UsageOptions & { reason: string; final?: boolean },
): Promise<void> {
  const held = await heldTask(context, id, fence)
  const answer = await (await context.hub()).call("task.fail", { ...held, reason, retry: final !== true, usage: usageOf(usage) })
  context.terminal.answer(
    { task: held.task, ...answer },
    `${printable(held.task)} is ${answer.status === "pending" ? "open again" : answer.status} (entry ${answer.seq})`,
  )
}

async function release(context: Context, id: string | undefined, { fence, reason }: FenceOption & { reason: string }): Promise<void> {
  const held = await heldTask(context, id, fence)
  const answer = await (await context.hub()).call("task.release", { ...held, reason })
  context.terminal.answer({ task: held.task, ...answer }, `${printable(held.task)} is released (entry ${answer.seq})`)
}

async function review(
  context: Context,
  id: string,
  { approve = false, changes = false, reason }: { approve?: boolean; changes?: boolean; reason: string },
): Promise<void> {
  if (approve === changes) throw new UsageError("say either --approve or --changes", "skein task review --help has an example.")
  const answer = await (await context.hub()).call("task.review", { task: id, approve, reason })
  context.terminal.answer({ task: id, ...answer }, `${printable(id)} is ${answer.status.replace("_", " ")} (entry ${answer.seq})`)
}

/** The task to work on and its fence: as said, as the environment of an agent has it, or as the hub knows of the caller's own claim. */
export async function heldTask(context: Context, id: string | undefined, fence: number | undefined): Promise<Held> {
  const own = process.env["SKEIN_TASK"]
  const task = id ?? own
  if (task === undefined || task === "") throw new UsageError("say which task", "Name it, or set SKEIN_TASK as an agent's environment has it.")
  if (fence !== undefined) return { task, fence }
  const ownFence = process.env["SKEIN_FENCE"] ?? ""
  if (task === own && ownFence !== "") {
    // To go on with the fence that the hub now knows would be to write under a claim that may be another's.
    if (!/^[1-9]\d{0,15}$/.test(ownFence))
      throw new UsageError(
        `SKEIN_FENCE is ${JSON.stringify(ownFence.slice(0, 80))}, which is no fence`,
        "Set it to the number that the claim answered, or unset it.",
      )
    return { task, fence: Number(ownFence) }
  }
  const shown = await (await context.hub()).call("task.show", { task })
  const { fence: known, status } = shown.task
  if (known === null)
    throw new SkeinError(
      "wrong_status",
      `task ${task} is ${status}, and nobody holds it`,
      status === "pending" ? `Claim it first: skein task claim ${task}` : `See how it came there: skein task show ${task}`,
      { task, status },
    )
  return { task, fence: known }
}

function usageOf({ cost = 0, inputTokens = 0, outputTokens = 0 }: UsageOptions): Usage {
  return { costMicroUsd: cost, inputTokens, outputTokens }
}

function part(text: string): number {
  const value = Number(text)
  if (text.trim() === "" || !(value >= 0 && value <= 1)) throw new InvalidArgumentError("Write a number from 0 to 1.")
  return value
}

function blocker(text: string): Blocker {
  const [, kind, ref] = /^(task|agent|external):([\s\S]+)$/.exec(text) ?? []
  if (kind === undefined || ref === undefined) throw new InvalidArgumentError("Write task:ID, agent:NAME or external:TEXT.")
  return { kind: kind as Blocker["kind"], ref }
}
