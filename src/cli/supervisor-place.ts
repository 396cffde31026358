import { join } from "node:path"
import { SupervisorFolder } from "../runtime/supervisor-folder.ts"
import type { Instance } from "./instance.ts"

/** What a supervisor in the background says. */
export function supervisorLog({ directory }: Instance, workspace: string): string {
  return join(directory, "logs", workspace === "main" ? "supervisor.log" : `supervisor.${workspace}.log`)
}

/** The registry of a workspace's agents on this machine. Apart from the supervisor itself, whose libraries a command that only looks must not wait for. */
export function supervisorFolder(instance: Instance, workspace: string): SupervisorFolder {
  return new SupervisorFolder(join(instance.directory, "supervisor", ...(workspace === "main" ? [] : [workspace])))
}
