import type { Command } from "commander"
import { act, examples, type Context } from "./context.ts"
import type { HubConnection } from "./connection.ts"
import { flightLines, type Sight, type Status } from "./flight-text.ts"
import { conflictText, foreseenAtWork } from "./files-foreseen.ts"
import { LiveScreen } from "./live-screen.ts"
import type { Terminal } from "./terminal.ts"

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
async function look(hub: HubConnection): Promise<Sight> {
  const [status, flight] = await Promise.all([hub.call("hub.status", {}), hub.call("hub.flight", {})])
  return { url: hub.url, status, flight, heardAtMs: performance.now() }
}

/** The agents that hold a task now. */
function atWork({ agents }: Status): string[] {
  return agents.flatMap(({ name, tasks }) => (tasks.length > 0 ? [name] : []))
}

async function followStatus(terminal: Terminal, hub: HubConnection, first: Sight): Promise<void> {
  let sight = first
  const stopped = new AbortController()
  process.once("SIGINT", () => stopped.abort())
  const screen = new LiveScreen(terminal, () => flightLines(terminal, sight))
  const show = (): void => {
    const { status, flight } = sight
    if (terminal.isLive) screen.changed()
    else terminal.answer({ url: hub.url, ...status, flight }, () => `${flightLines(terminal, sight).join("\n")}\n`)
  }
  screen.start()
  show()
  try {
    let asked = false
    for await (const _ of hub.events({ from: first.status.head.seq + 1, signal: stopped.signal })) {
      if (asked) continue
      asked = true
      // What changes together is shown together.
      setTimeout(() => {
        asked = false
        if (stopped.signal.aborted) return
        look(hub)
          .then((next) => {
            sight = next
            show()
          })
          .catch(() => undefined)
      }, 100)
    }
  } finally {
    screen.stop()
  }
}
