import { existsSync } from "node:fs"
import { join } from "node:path"
import { SkeinError } from "../contract/errors.ts"
import { Supervisor } from "../runtime/supervisor.ts"
import { credentialId, credentialPath, issueCredential } from "./agent-credential.ts"
import { readConfig } from "./config.ts"
import type { HubConnection } from "./connection.ts"
import type { Context } from "./context.ts"
import { printable } from "./printable.ts"
import { hubMissing, type Instance, readHubFile } from "./instance.ts"
import { driversOf, kindNamed } from "./supervisor-drivers.ts"
import { shortenOwnLog } from "./log-file.ts"
import { signalStatus } from "../runtime/signal-status.ts"
import { supervisorFolder, supervisorLog } from "./supervisor-place.ts"

export type SupervisorChoice = { name: string; keepAgents: boolean }

/** After three of these without a beat its jobs are free: that long a supervisor that was killed holds them up. */
const HEARTBEAT_MS = 3_000

/** The supervisor as a process: runs until SIGTERM, SIGINT or until it cannot go on, and leaves nothing behind but what `keepAgents` says. */
export async function serveSupervisor(context: Context, { name, keepAgents }: SupervisorChoice, ready: () => void): Promise<void> {
  const instance = context.instance()
  const config = readConfig(instance.directory)
  const { terminal, workspace } = context
  const told = (line: string): void => {
    shortenOwnLog(supervisorLog(instance, workspace))
    terminal.record({ atMs: Date.now(), text: line })
    if (!terminal.json) terminal.print(`${new Date().toISOString().slice(11, 19)}  ${printable(line)}`)
  }
  const url = hubUrl(context, instance)
  const stopped = stopSignal()
  const supervisor = await Supervisor.start({
    folder: supervisorFolder(instance, workspace),
    agent: name,
    credentialFile: await credentialOf(context, instance, name),
    url,
    workspace,
    drivers: (events) => driversOf(instance, workspace, config, events),
    marks: join(instance.directory, "hook-marks"),
    preset: (kind) => kindNamed(config, kind),
    numbers: config.supervisor,
    permissions: config.permissions,
    told,
    lost: (error) => stopped.stop(error),
  })
  ready()
  const why = await stopped.asked
  told(why instanceof Error ? `going down: ${why.message}` : "going down")
  await supervisor.close({ keep: keepAgents })
  if (why instanceof Error) throw why
}

/** Where the hub is: as was said, else as its file says at that moment. */
function hubUrl({ options }: Context, instance: Instance): () => string {
  const said = options.url ?? process.env["SKEIN_URL"]
  return () => {
    const url = said ?? readHubFile(instance)?.url
    if (url === undefined) throw hubMissing(instance)
    return url
  }
}

/** `SKEIN_TOKEN_FILE`, else the credential of its own, which the operator's makes where there is none. */
async function credentialOf(context: Context, instance: Instance, name: string): Promise<string> {
  const given = process.env["SKEIN_TOKEN_FILE"]
  if (given !== undefined && given !== "") return given
  const hub = await context.hub()
  const found = await agentNamed(hub, name)
  if (found === null) await hub.call("agent.add", { name, role: "supervisor", kind: "supervisor", heartbeatMs: HEARTBEAT_MS })
  else if (found.role !== "supervisor")
    throw new SkeinError("forbidden", `agent ${name} has the role ${found.role}, not supervisor`, "Name another: skein supervisor --name NAME", { agent: name })
  const path = credentialPath(instance, context.workspace, name)
  const id = existsSync(path) ? credentialId(path) : null
  if (id === null || found?.credentials.includes(id) !== true) await issueCredential(hub, path, name)
  return path
}

export async function agentNamed(hub: HubConnection, name: string): Promise<{ role: string; kind: string; credentials: string[]; status: string } | null> {
  try {
    return (await hub.call("agent.show", { name })).agent
  } catch (error) {
    if (error instanceof SkeinError && error.code === "not_found") return null
    throw error
  }
}

/** The first signal asks it to stop, the second ends the process where it stands: agents in terminals then stay. */
function stopSignal(): { asked: Promise<NodeJS.Signals | Error>; stop(why: Error): void } {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals | Error>()
  let asked = false
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      if (asked) process.exit(signalStatus(signal))
      asked = true
      resolve(signal)
    })
  return { asked: promise, stop: resolve }
}
