import type { Command } from "commander"
import { showUsd } from "../core/money.ts"
import type { Output } from "../contract/operations.ts"
import type { HubConnection } from "./connection.ts"
import { act, collect, type Context, duration, examples, integer, usd } from "./context.ts"
import { showDuration } from "./quantity.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

type Set = { window?: number | null; perClaim?: number; warn?: number[]; grace?: number; absorb?: boolean; reason?: string }
type View = Output<"budget.show">["budgets"][number]

const SCOPE = "workspace, plan/ID, task/ID, agent/NAME or account/NAME"
const WINDOWS: Readonly<Record<string, number>> = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 }

/** `skein budget`: set | show | top-up. */
export function register(program: Command): void {
  const budget = program.command("budget").description("Limits on money: every claim reserves what it may cost, and is refused where too little is left.")
  budget
    .command("set <scope>")
    .argument("<usd>", "", limitOf)
    .description(`Set the limit of ${SCOPE}, in US dollars; none takes it away.`)
    .option("--window <length>", "counted anew each hour, day or week (UTC), or each so long", windowLength)
    .option("--per-claim <usd>", "what a claim reserves whose task has neither a budget nor an estimate (default: a tenth)", usd)
    .option("--warn <percent>", "tell the operator at this part of it; may be repeated (default: 80 and 95)", collect(integer(1, 100)))
    .option("--grace <duration>", "how long who went beyond its reservation may take to hand over (default: 5m)", duration())
    .option("--absorb", "usage beyond a reservation is taken from what is free; without it closes the budget")
    .option("--reason <text>", "why")
    .addHelpText(
      "after",
      examples(
        ["skein budget set workspace 50 --window day", "$50 a day (UTC), whoever spends them"],
        ["skein budget set agent/claude 12.50 --per-claim 2", "each claim of claude's reserves $2"],
      ),
    )
    .action(act(set))
  budget
    .command("show [scope]")
    .description("Show where budgets stand: free, reserved, settled and overrun add up to the limit.")
    .option("--limit <n>", "at the most so many", integer(1, 1_000), 100)
    .addHelpText("after", examples(["skein budget show", "all of them"], ["skein budget show plan/release.1", "one, with the claims that reserve from it"]))
    .action(act(show))
  budget
    .command("top-up <scope>")
    .argument("<usd>", "", usd)
    .description("Add money; a budget that an overrun closed is open again when something is free in it.")
    .option("--window <length>", "the budget with this window", windowLength)
    .option("--reason <text>", "why")
    .addHelpText("after", examples(["skein budget top-up plan/release.1 10", "$10 more"]))
    .action(act(topUp))
}

function windowLength(text: string): number {
  return Object.hasOwn(WINDOWS, text) ? (WINDOWS[text] as number) : duration()(text)
}

function limitOf(text: string): number | null {
  return text === "none" ? null : usd(text)
}

async function set(context: Context, scope: string, limitMicroUsd: number | null, { window, perClaim, warn, grace, absorb, reason }: Set): Promise<void> {
  const hub = await context.hub()
  const answer = await hub.call("budget.set", {
    scope,
    windowMs: window ?? null,
    limitMicroUsd,
    perClaimMicroUsd: perClaim ?? null,
    ...(warn === undefined ? {} : { warnPercent: warn }),
    ...(grace === undefined ? {} : { graceMs: grace }),
    absorb: absorb === true,
    ...(reason === undefined ? {} : { reason }),
  })
  const each = window === undefined || window === null ? "" : ` each ${windowName(window)}`
  context.terminal.answer(answer, limitMicroUsd === null ? `${scope} has no limit of its own any more` : `${scope} may spend ${showUsd(limitMicroUsd)}${each}`)
  if (limitMicroUsd !== null) await tellUnpriced(context, hub)
}

async function show(context: Context, scope: string | undefined, { limit }: { limit: number }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const { budgets, more } = await hub.call("budget.show", { scope: scope ?? null, limit })
  for (const budget of budgets) terminal.record(budget)
  if (terminal.json) return
  if (budgets.length === 0) return terminal.print("there is no budget: skein budget set workspace USD makes one")
  const right = ["limit", "spent", "overrun", "reserved", "free"].map((head) => ({ head, right: true }))
  terminal.print(renderTable(terminal, [{ head: "budget", max: 60 }, { head: "each" }, ...right, { head: "" }], budgets.map(cells)))
  if (more) terminal.print(`only the first ${budgets.length} are shown: --limit shows more`)
  await tellUnpriced(context, hub)
  if (scope === undefined) return
  for (const { task, agent, leftMicroUsd, usedMicroUsd, stopAtMs } of budgets.flatMap(({ reservations }) => reservations)) {
    const stop = stopAtMs === null ? "" : `; it has to hand over before ${showTime(stopAtMs)}`
    terminal.print(`${agent} on ${task}: ${showUsd(usedMicroUsd)} used, ${showUsd(leftMicroUsd)} still reserved${stop}`)
  }
}

/** A budget stops nobody whose calls cost it nothing. Whom a policy keeps from seeing them is not told. */
async function tellUnpriced({ terminal }: Context, hub: HubConnection): Promise<void> {
  if (terminal.json) return
  const used = await hub.call("usage.list", { by: "model", limit: 1 }).catch(() => null)
  if (used !== null && used.total.unpriced > 0)
    terminal.print(
      `calls without a known price so far: ${used.total.unpriced}. They cost a budget nothing: give their models (skein cost --by model) one in .skein/config.yaml`,
    )
}

function cells({ scope, windowMs, limitMicroUsd, settledMicroUsd, overrunMicroUsd, reservedMicroUsd, freeMicroUsd, closedAtMs }: View): string[] {
  const state = closedAtMs === null ? (freeMicroUsd <= 0 && reservedMicroUsd === 0 ? "spent" : "") : `closed since ${showTime(closedAtMs)}`
  const sums = [limitMicroUsd, settledMicroUsd + overrunMicroUsd, overrunMicroUsd, reservedMicroUsd, freeMicroUsd].map(showUsd)
  return [scope, windowMs === null ? "" : windowName(windowMs), ...sums, state]
}

function windowName(windowMs: number): string {
  return Object.keys(WINDOWS).find((name) => WINDOWS[name] === windowMs) ?? showDuration(windowMs)
}

async function topUp(context: Context, scope: string, amountMicroUsd: number, { window, reason }: { window?: number; reason?: string }): Promise<void> {
  const hub = await context.hub()
  const answer = await hub.call("budget.topUp", { scope, windowMs: window ?? null, amountMicroUsd, ...(reason === undefined ? {} : { reason }) })
  context.terminal.answer(answer, `${scope} has ${showUsd(amountMicroUsd)} more (entry ${answer.seq})`)
}
