import { rmSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import { act, examples, type Context } from "./context.ts"
import { isHealthy } from "./hub-start.ts"
import { STOP_MS, stopHub } from "./hub-stop.ts"
import { stopSupervisors } from "./supervisor-start.ts"
import { closedTo, isAlive, readHubFile } from "./instance.ts"

/** `skein down`: stops the hub of the instance cleanly. */
export function register(program: Command): void {
  program
    .command("down")
    .description(
      "Stop the supervisor and its agents, where one runs, then the hub: it answers what waits, records a last checkpoint and closes its ledgers. Agents find it again after the next `skein up`.",
    )
    .addHelpText("after", examples(["skein down", "and the hub is gone; its ledger stays"]))
    .action(act(down))
}

async function down(context: Context): Promise<void> {
  const { terminal } = context
  const instance = context.instance()
  const closed = closedTo(instance)
  if (closed !== null) throw closed
  // First, so that it can say farewell: its agents and their sessions end in order.
  for (const pid of await stopSupervisors(instance)) terminal.notice(`the supervisor (process ${pid}) is down, with its agents`)
  const file = readHubFile(instance)
  if (file === null) {
    terminal.answer({ down: true, already: true }, "no hub is running")
    return
  }
  // A process of that id that does not answer may be somebody else's: it is not ours to signal.
  if (!isAlive(file.pid) || !(await isHealthy(file.url))) {
    if (isAlive(file.pid))
      throw new SkeinError(
        "hub_unreachable",
        `process ${file.pid} does not answer at ${file.url}`,
        `If that is a hub that hangs, end it (kill ${file.pid}); if it is another program, remove ${join(instance.directory, "hub.json")}.`,
        { ...file },
      )
    rmSync(join(instance.directory, "hub.json"), { force: true })
    terminal.answer({ down: true, already: true, stale: true }, `no hub is running: process ${file.pid} died without tidying up, which is done now`)
    return
  }
  if (!(await stopHub(file.pid)))
    throw new SkeinError(
      "timed_out",
      `the hub (process ${file.pid}) has not ended after ${STOP_MS / 1_000} s`,
      "Look into .skein/logs/hub.log; a SIGKILL loses nothing that was acknowledged.",
      { ...file },
    )
  terminal.answer({ down: true, already: false, pid: file.pid }, `the hub (process ${file.pid}) is down`)
}
