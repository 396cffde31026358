import type { Command } from "commander"
import { act, examples, type Context } from "./context.ts"
import type { HubConnection } from "./connection.ts"
import { flightLines, type Sight, type Status } from "./flight-text.ts"
import { conflictText, foreseenAtWork } from "./files-foreseen.ts"
import { untilInterrupted } from "./interrupt.ts"
import { LiveScreen } from "./live-screen.ts"
import { printable } from "./printable.ts"
import { showDuration } from "./quantity.ts"
import type { Terminal } from "./terminal.ts"

/** On a terminal it is looked again this often, in ms, also without a new entry: presence is none, and a hub that is gone sends nothing. */
const LOOK_AGAIN_MS = 2_000

/** `skein status`: the Flight view of the page, for the terminal; once or live. */
export function register(program: Command): void {
  program
    .command("status")
    .description("Show where the workspace stands: tasks, agents, plans, and what needs attention.")
    .option("--follow", "stay, and show every change")
    .addHelpText(
      "after",
      examples(["skein status", "once"], ["skein status --follow", "live, until Ctrl-C"], ["skein status --json | jq .counts", "for programs"]),
    )
    .action(act(showStatus))
}

async function showStatus(context: Context, { follow = false }: { follow?: boolean }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const sight = await look(hub)
  if (follow) return followStatus(terminal, hub, sight)
  const { status, flight } = sight
  const conflicts = (await foreseenAtWork(context, atWork(status))).map(({ a, b, files }) => ({ a: a.name, b: b.name, files }))
  const { yellow, dim } = terminal.colours
  const warnings = conflicts.flatMap((conflict) => [
    "",
    `${yellow("!")} ${conflictText(conflict)}`,
    `  ${dim("Have them agree who goes first: skein files conflicts")}`,
  ])
  terminal.answer({ url: hub.url, ...status, flight, conflicts }, () => [...flightLines(terminal, sight), ...warnings].join("\n"))
}

/** What the page's Flight view shows, asked of the hub. */
async function look(hub: HubConnection, options: { signal?: AbortSignal } = {}): Promise<Sight> {
  const [status, flight] = await Promise.all([hub.call("hub.status", {}, options), hub.call("hub.flight", {}, options)])
  return { url: hub.url, status, flight, heardAtMs: performance.now() }
}

/** The agents that hold a task now. */
function atWork({ agents }: Status): string[] {
  return agents.flatMap(({ name, tasks }) => (tasks.length > 0 ? [name] : []))
}

async function followStatus(terminal: Terminal, hub: HubConnection, first: Sight): Promise<void> {
  let sight = first
  let silence: string | null = null
  const signal = untilInterrupted(terminal)
  const screen = new LiveScreen(terminal, () => [...(silence === null ? [] : silenceLines(terminal, silence, sight)), ...flightLines(terminal, sight)])
  const show = (): void => {
    const { status, flight } = sight
    if (terminal.isLive) screen.changed()
    else terminal.answer({ url: hub.url, ...status, flight }, () => `${flightLines(terminal, sight).join("\n")}\n`)
  }
  let looking = false
  const lookAgain = async (): Promise<void> => {
    if (looking) return
    looking = true
    try {
      sight = await look(hub, { signal })
      silence = null
    } catch (error) {
      if (signal.aborted) return
      silence = error instanceof Error ? error.message : String(error)
    }
    looking = false
    if (terminal.isLive || silence === null) show()
  }
  screen.start()
  show()
  const timer = terminal.isLive ? setInterval(() => void lookAgain(), LOOK_AGAIN_MS) : undefined
  try {
    let asked = false
    for await (const _ of hub.events({ from: first.status.head.seq + 1, signal })) {
      if (asked) continue
      asked = true
      // What changes together is shown together.
      setTimeout(() => {
        asked = false
        if (!signal.aborted) void lookAgain()
      }, 100)
    }
  } finally {
    clearInterval(timer)
    screen.stop()
  }
}

/** Said above what was last seen of a hub that does not answer. */
function silenceLines({ colours: { red, dim } }: Terminal, silence: string, { heardAtMs }: Sight): string[] {
  const agoMs = performance.now() - heardAtMs
  return [
    `${red("!")} ${printable(silence)}`,
    `  ${dim(`This is how things stood ${showDuration(Math.round(agoMs / 1_000) * 1_000)} ago; it goes on when the hub is up: skein up`)}`,
    "",
  ]
}
