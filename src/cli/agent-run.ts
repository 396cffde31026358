import { existsSync, readFileSync } from "node:fs"
import { spawnSync } from "node:child_process"
import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import type { Running, Wanted } from "../runtime/supervised.ts"
import { readConfig } from "./config.ts"
import { act, asText, examples, integer, type Context } from "./context.ts"
import { printable, printableLines } from "./printable.ts"

/** How long a change may take until the supervisor has done it, in ms: an agent gets its time to end. */
const PATIENCE_MS = 30_000

/** Verbs of `skein agent` about agents that the supervisor of this machine runs. */
export function registerRunning(agent: Command): void {
  agent
    .command("attach <name>")
    .description("Look at an agent's terminal, and type to it; ctrl-b d leaves it. While you type, nothing is typed to it by Skein.")
    .option("--read-only", "look, and type nothing")
    .addHelpText("after", examples(["skein agent attach claude-1", "its terminal, until ctrl-b d"]))
    .action(act(attach))
  change(agent, "pause", "Leave an agent as it is: it is neither woken nor started again until `skein agent resume`.", "paused")
  change(
    agent,
    "resume",
    "Have an agent run again, also one that was given up: it is started where it does not run, and woken when there is reason.",
    "running",
  )
  change(agent, "stop", "End an agent's process and its session; what it holds is open again. It stays stopped until `skein agent resume`.", "stopped")
  agent
    .command("logs <name>")
    .description("Print the last of what an agent shows in its terminal, or says without one.")
    .option("--lines <n>", "how many", integer(1, 5_000), 50)
    .addHelpText("after", examples(["skein agent logs claude-1 --lines 200", "without attaching to it"]))
    .action(act(logs))
}

function change(agent: Command, verb: string, description: string, want: Wanted["want"]): void {
  agent
    .command(`${verb} <name>`)
    .description(description)
    .option("--reason <text>", "why: it is shown with the agent's state", asText, "")
    .addHelpText("after", examples([`skein agent ${verb} claude-1 --reason 'looking into it'`, "and waits until it is so"]))
    .action(act((context: Context, name: string, { reason }: { reason: string }) => wantIt(context, name, want, reason)))
}

async function wantIt(context: Context, name: string, want: Wanted["want"], reason: string): Promise<void> {
  const { terminal } = context
  const { folder, wanted } = await known(context, name)
  const revision = wanted.revision + 1
  folder.want({
    ...wanted,
    want,
    reason: reason === "" ? `${want} by ${want === "running" ? "resume" : want === "paused" ? "pause" : "stop"}` : reason,
    revision,
  })
  if (folder.holder() === null) {
    const later = "no supervisor runs: it is minded when one does (skein up --supervise)"
    terminal.answer({ agent: name, want, supervised: false }, `${printable(name)} is to be ${want}; ${later}`)
    return
  }
  const done = (now: Running): boolean =>
    now.revision === revision &&
    (want === "running" ? now.state === "running" || now.state === "given_up" : want === "stopped" ? now.address === null : now.state !== "starting")
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await new Promise((settle) => setTimeout(settle, 50))) {
    const now = folder.runningOf(name)
    if (!done(now)) continue
    const shown = want === "paused" ? "paused" : now.state
    const why = shown === "given_up" ? `: ${now.detail}` : ""
    terminal.answer({ agent: name, want, supervised: true, state: shown, detail: now.detail }, printable(`${name} is ${shown.replace("_", " ")}${why}`))
    if (shown === "given_up") process.exitCode = 1
    return
  }
  const { state, detail } = folder.runningOf(name)
  throw new SkeinError("timed_out", `${name} is still ${state} after ${PATIENCE_MS / 1_000} s: ${detail}`, "See .skein/logs/supervisor.log.", {
    agent: name,
    state,
  })
}

async function attach(context: Context, name: string, { readOnly = false }: { readOnly?: boolean }): Promise<void> {
  const { address } = (await known(context, name)).running
  if (address?.channel !== "tmux")
    throw new SkeinError(
      "wrong_status",
      `${name} has no terminal: it ${address === null ? "does not run" : `is run by ${address.channel}`}`,
      "See skein agent logs.",
      { agent: name },
    )
  const { socket, pane } = address
  // A session of one's own on the same windows: two people do not turn each other's pages, and it is gone when they leave.
  const { terminalsOf } = await import("./supervisor-drivers.ts")
  const { session } = terminalsOf(context.instance(), context.workspace)
  const own = `view-${process.pid}`
  const begin = [
    "new-session",
    "-d",
    "-s",
    own,
    "-t",
    `=${session}`,
    ";",
    "set-option",
    "-t",
    own,
    "destroy-unattached",
    "off",
    ";",
    "select-window",
    "-t",
    `${own}:${windowOf(socket, pane)}`,
  ]
  if (spawnSync("tmux", ["-L", socket, ...begin], { stdio: "inherit" }).status !== 0)
    throw new SkeinError("invalid", `the terminal of ${name} cannot be shown`, `tmux -L ${socket} attach shows them all.`, { agent: name })
  const { TMUX: _, ...env } = process.env
  const { status } = spawnSync("tmux", ["-L", socket, "attach-session", ...(readOnly ? ["-r"] : []), "-t", `=${own}`], { stdio: "inherit", env })
  spawnSync("tmux", ["-L", socket, "kill-session", "-t", `=${own}`])
  process.exitCode = status ?? 1
}

function windowOf(socket: string, pane: string): string {
  return spawnSync("tmux", ["-L", socket, "display-message", "-p", "-t", pane, "#{window_id}"], { encoding: "utf8" }).stdout.trim()
}

async function logs(context: Context, name: string, { lines }: { lines: number }): Promise<void> {
  const { running, wanted } = await known(context, name)
  const { address } = running
  const { agentLog, driversOf } = await import("./supervisor-drivers.ts")
  const instance = context.instance()
  if (wanted.by !== "tmux") {
    const text = lastLines(agentLog(instance, context.workspace, name), lines)
    return context.terminal.answer(
      { agent: name, running: address !== null, text },
      text === "" ? `${printable(name)} has said nothing yet` : printableLines(text),
    )
  }
  const drivers = driversOf(instance, context.workspace, readConfig(instance.directory))
  try {
    const text = address === null ? "" : await drivers[address.channel].capture(address, { lines })
    context.terminal.answer({ agent: name, running: address !== null, text }, text === "" ? `${printable(name)} shows nothing` : printableLines(text))
  } finally {
    await Promise.all(Object.values(drivers).map((one) => one.close()))
  }
}

/** The end of a file, without control characters; nothing where there is none. */
function lastLines(path: string, lines: number): string {
  if (!existsSync(path)) return ""
  const text = readFileSync(path, "utf8").trimEnd().split("\n").slice(-lines)
  return text.map((line) => line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "")).join("\n")
}

async function known(context: Context, name: string): Promise<{ folder: Awaited<ReturnType<typeof folderOf>>; wanted: Wanted; running: Running }> {
  const folder = await folderOf(context)
  const wanted = folder.wantedOf(name)
  if (wanted === null)
    throw new SkeinError(
      "not_found",
      `no agent ${name} is run here`,
      "skein swarm spawn has the supervisor of this machine run agents; .skein/supervisor lists them.",
      { agent: name },
    )
  return { folder, wanted, running: folder.runningOf(name) }
}

async function folderOf(context: Context): Promise<ReturnType<typeof import("./supervisor-place.ts").supervisorFolder>> {
  const { supervisorFolder } = await import("./supervisor-place.ts")
  return supervisorFolder(context.instance(), context.workspace)
}
