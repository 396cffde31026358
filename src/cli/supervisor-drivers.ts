import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Drivers } from "../runtime/agent-keeper.ts"
import { AcpDriver } from "../runtime/acp.ts"
import { HeadlessDriver } from "../runtime/headless.ts"
import type { AgentPreset } from "../runtime/presets/preset.ts"
import { presetNamed } from "../runtime/presets/presets.ts"
import type { SupervisorEvents } from "../runtime/supervisor.ts"
import { TmuxDriver } from "../runtime/tmux/tmux-driver.ts"
import { socketName } from "../runtime/tmux/server.ts"
import type { Config } from "./config.ts"
import type { Instance } from "./instance.ts"

/** A kind of agent by name: as the settings describe it, else as Skein knows it. */
export function kindNamed({ presets }: Config, name: string): AgentPreset | null {
  return presetNamed(name, [...presets.values()])
}

/** What an agent without a terminal says is kept here, for `skein agent logs`. */
export function agentLog({ directory }: Instance, workspace: string, agent: string): string {
  return join(directory, "logs", workspace === "main" ? "agents" : `agents.${workspace}`, `${agent}.log`)
}

const LOG_MAX_BYTES = 4 * 1024 * 1024

function logOf(instance: Instance, workspace: string, agent: string): string {
  const path = agentLog(instance, workspace, agent)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_MAX_BYTES) renameSync(path, `${path}.1`)
  return path
}

/** Where the agents of a workspace have their windows: the server's and the session's name. */
export function terminalsOf({ directory }: Instance, workspace: string): { socket: string; session: string } {
  return { socket: socketName(directory), session: workspace.replace(/[^\w-]/g, "_").slice(0, 64) }
}

export function driversOf(instance: Instance, workspace: string, config: Config, { permission, usage, ...events }: Partial<SupervisorEvents> = {}): Drivers {
  const { socket, session } = terminalsOf(instance, workspace)
  const log = (agent: string): string => logOf(instance, workspace, agent)
  const shown = (agent: string, text: string): void => appendFileSync(log(agent), text, { mode: 0o600 })
  const preset = (name: string): AgentPreset | null => kindNamed(config, name)
  return {
    tmux: new TmuxDriver({ socket, workspace: session, preset, events }),
    acp: new AcpDriver({ events, shown, ...(permission === undefined ? {} : { permission }), ...(usage === undefined ? {} : { usage }) }),
    process: new HeadlessDriver({ events, logFile: log }),
  }
}
