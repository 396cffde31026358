import type { Command } from "commander"
import { act, asText, collect, examples, integer, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { beginWithHubMemory } from "./hub-memory.ts"
import { ensureHub } from "./hub-start.ts"
import { ledgersIn } from "./ledger-folder.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"

type UpOptions = { foreground?: boolean; host: string; port?: number; allowHost?: string[]; supervise?: boolean }

const LOOPBACK = "127.0.0.1"

/** `skein up`: starts the hub of the instance, in the background unless told otherwise. */
export function register(program: Command): void {
  program
    .command("up")
    .description("Start the hub of this repository, and wait until it answers. Where it is up already, that is said and nothing else happens.")
    .option("--foreground", "stay in this terminal until Ctrl-C, as a service manager wants it")
    .option("--supervise", "start a supervisor too: it runs agents, restarts what dies, and wakes who has something unread")
    .option("--port <n>", "listen here (default: the port of the last time, else a free one)", integer(0, 65_535))
    .option("--host <address>", "listen on this address; anything but loopback lets other machines in", LOOPBACK)
    .option("--allow-host <name>", "a further name that the hub may be asked by, such as a proxy's; may be repeated", collect(asText))
    .addHelpText(
      "after",
      examples(
        ["skein up", "a hub in the background"],
        ["skein up --supervise", "and a supervisor beside it: skein swarm spawn gives it agents"],
        ["skein up --foreground --port 7700", "one that a service manager keeps"],
      ),
    )
    .action(act(up))
}

async function up(context: Context, { foreground = false, host, port, allowHost = [], supervise = false }: UpOptions): Promise<void> {
  const { terminal, workspace } = context
  if (foreground && supervise) throw new UsageError("--foreground keeps the hub alone in this terminal", "Start the supervisor in another: skein supervisor")
  if (foreground) {
    beginWithHubMemory()
    // Whoever started it need not be there any more to read where it is: it is found by its file.
    process.stdout.removeAllListeners("error").on("error", () => {})
    const { serveHub } = await import("./hub-process.ts")
    await serveHub(context.instance(), { host, port: port ?? null, allowedHosts: allowHost }, (url) =>
      terminal.answer({ up: true, already: false, pid: process.pid, url }, `the hub is up at ${url}; Ctrl-C stops it`),
    )
    return
  }
  const { hub, already } = await ensureHub(context.instance(), { host, port: port ?? null, allowedHosts: allowHost })
  const since = already ? `is up already, since ${showTime(hub.startedAtMs)},` : "is up"
  terminal.answer({ up: true, already, ...hub }, `the hub ${since} at ${hub.url} (process ${hub.pid})`)
  if (already && isOther(hub.url, host, port, allowHost))
    terminal.notice("--host, --port and --allow-host hold from a hub's start on: skein down, then skein up with them")
  const { workspaces, strays } = await ledgersIn(context.instance())
  for (const { message, remedy } of strays) terminal.notice(`${printable(message)}. ${remedy}`)
  // The hub is one for all of them: that which is named matters to the verbs that come next.
  if (strays.length === 0 && !workspaces.includes(workspace))
    terminal.notice(`there is no workspace ${workspace}: skein workspace create ${workspace} makes it`)
  if (!supervise) return
  const { ensureSupervisor } = await import("./supervisor-start.ts")
  const { supervisor, already: ran } = await ensureSupervisor(context)
  terminal.answer({ supervising: true, already: ran, pid: supervisor.pid }, `the supervisor ${ran ? "runs already" : "is up"} (process ${supervisor.pid})`)
}

/** Whether the hub that runs is another than was asked for, as far as its address tells: that leaves out HTTP's own port. */
function isOther(url: string, host: string, port: number | undefined, allowHost: readonly string[]): boolean {
  const at = new URL(url)
  return (host !== LOOPBACK && at.hostname !== host) || (port !== undefined && port !== 0 && Number(at.port || 80) !== port) || allowHost.length > 0
}
