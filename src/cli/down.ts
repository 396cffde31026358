import { rmSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import { openConnection } from "./connection.ts"
import { act, examples, type Context, namedWorkspace } from "./context.ts"
import { UsageError } from "./failure.ts"
import { isHealthy } from "./hub-start.ts"
import { hasEnded, STOP_MS, stopHub } from "./hub-stop.ts"
import { stopSupervisors } from "./supervisor-start.ts"
import { bornOf } from "../runtime/supervisor-folder.ts"
import { closedTo, type HubFile, type Instance, isAlive, readHubFile } from "./instance.ts"
import { ledgersIn } from "./ledger-folder.ts"
import { showCount } from "./quantity.ts"

/** How long a hub that answers no more is waited for: it may be on its way down, or hang. */
const GOING_MS = 10_000
/** How long a hub may take to say who is there. One that says nothing is stopped all the same. */
const ASKED_MS = 2_000

/** `skein down`: stops the hub of the instance cleanly. */
export function register(program: Command): void {
  program
    .command("down")
    .description(
      "Stop the supervisor and its agents, where one runs, then the hub: it answers what waits, records a last checkpoint and closes its ledgers, those of all workspaces. Agents find it again after the next `skein up`.",
    )
    .addHelpText("after", examples(["skein down", "and the hub is gone; its ledger stays"]))
    .action(act(down))
}

/** Whether the process that the file names is still the one that wrote it. */
function isHub({ pid, born }: HubFile): boolean {
  return born === undefined || born === "" ? isAlive(pid) : bornOf(pid) === born
}

async function down(context: Context): Promise<void> {
  const { terminal } = context
  const instance = context.instance()
  const closed = closedTo(instance)
  if (closed !== null) throw closed
  const named = namedWorkspace(context.options)
  const workspaces = named === undefined ? [] : await servedBy(instance)
  if (workspaces.some(({ name }) => name !== named))
    throw new UsageError(
      `-w or SKEIN_WORKSPACE names ${named}, and the hub is one for all its workspaces: ${listed(workspaces)}`,
      "To stop it with all of them, say skein down without either.",
    )
  // First, so that it can say farewell: its agents and their sessions end in order.
  for (const pid of await stopSupervisors(instance)) terminal.notice(`the supervisor (process ${pid}) is down, with its agents`)
  const file = readHubFile(instance)
  if (file === null) {
    terminal.answer({ down: true, already: true }, "no hub is running")
    return
  }
  const [lives, answers] = [isHub(file), await isHealthy(file.url)]
  // Such as one in a container that has the repository too: what has its process id here is somebody else's, and not ours to signal.
  if (!lives && answers)
    throw new SkeinError(
      "hub_unreachable",
      `a hub answers at ${file.url}, and it is no process ${file.pid} of this machine`,
      `Stop it where it was started, such as its container; if it is no hub of this repository, remove ${join(instance.directory, "hub.json")}.`,
      { ...file },
    )
  if (!lives || !answers) {
    // One that was asked to stop by somebody else answers no more while it records its last checkpoint.
    if (lives && (await hasEnded(file.pid, GOING_MS))) return terminal.answer({ down: true, already: true }, `the hub (process ${file.pid}) is down`)
    if (lives)
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
  const going = await servedBy(instance)
  const others = going.length > 1 || going.some(({ agents }) => agents > 0)
  if (!(await stopHub(file.pid)))
    throw new SkeinError(
      "timed_out",
      `the hub (process ${file.pid}) has not ended after ${STOP_MS / 1_000} s`,
      "Look into .skein/logs/hub.log; a SIGKILL loses nothing that was acknowledged.",
      { ...file },
    )
  const withIt = others ? `, and with it ${listed(going)}` : ""
  terminal.answer({ down: true, already: false, pid: file.pid, workspaces: going }, `the hub (process ${file.pid}) is down${withIt}`)
}

type Served = { name: string; agents: number }

/** The workspaces of the instance, each with how many agents its hub holds for there; none where no hub says so. */
async function servedBy(instance: Instance): Promise<Served[]> {
  const url = readHubFile(instance)?.url
  const identity = { credentialFile: join(instance.directory, "operator.credential") }
  const { workspaces } = await ledgersIn(instance)
  return Promise.all(
    workspaces.map(async (name) => {
      if (url === undefined) return { name, agents: 0 }
      const hub = openConnection({ url, identity, workspace: name })
      const status = await hub.call("hub.status", {}, { timeoutMs: ASKED_MS }).catch(() => null)
      await hub.close()
      return { name, agents: status?.agents.filter(({ presence }) => presence === "active" || presence === "idle").length ?? 0 }
    }),
  )
}

function listed(workspaces: readonly Served[]): string {
  return workspaces.map(({ name, agents }) => (agents === 0 ? name : `${name} (${showCount(agents, "agent")})`)).join(", ")
}
