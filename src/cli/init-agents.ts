import { accessSync, constants, existsSync, rmSync, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { SkeinError } from "../contract/errors.ts"
import type { Output } from "../contract/operations.ts"
import { AGENT_KINDS, agentKind, type AgentKind, isAgentKind } from "../repo/agent-kinds.ts"
import type { Joining } from "../repo/init-plan.ts"
import type { AgentRecord, InitRecord } from "../repo/init-record.ts"
import { credentialId, credentialPath, issueCredential } from "./agent-credential.ts"
import type { HubConnection } from "./connection.ts"
import { UsageError } from "./failure.ts"
import type { Instance } from "./instance.ts"
import { paged } from "./paging.ts"

type AgentView = Output<"agent.list">["agents"][number]

/** Credentials that `init` makes are of this workspace: agents' settings name no other. */
export const WORKSPACE = "main"
const LAUNCHER = fileURLToPath(new URL("../../bin/skein.cjs", import.meta.url))

/** The kinds that `--agents` names, else those whose program is on the path. Throws `UsageError` where that leaves none. */
export function chosenKinds(given: string | undefined, env: NodeJS.ProcessEnv): AgentKind[] {
  const known = AGENT_KINDS.join(", ")
  if (given === undefined) {
    const installed = AGENT_KINDS.filter((kind) => isInstalled(kind, env))
    if (installed.length > 0) return installed
    throw new UsageError(`none of ${known} is on your PATH`, "Install one, or say which you will have: skein init --agents claude")
  }
  const words = given.split(",").map((word) => word.trim())
  const wrong = words.find((word) => !isAgentKind(word))
  if (wrong !== undefined)
    throw new UsageError(`${JSON.stringify(wrong)} is no agent that Skein can plug in`, `Write one or more of ${known}, with commas between.`)
  return AGENT_KINDS.filter((kind) => words.includes(kind))
}

export function isInstalled(kind: AgentKind, env: NodeJS.ProcessEnv): boolean {
  return agentKind(kind).binaries.some((name) => onPath(name, env, () => true))
}

/** What agents are to call Skein by: `skein` where they will find it, else this very installation. */
export function skeinCommand(env: NodeJS.ProcessEnv): string[] {
  // npm and npx put such folders on the path for their own runs only.
  return onPath("skein", env, (folder) => !/[\\/]node_modules[\\/]\.bin[\\/]?$/.test(folder)) ? ["skein"] : ["node", LAUNCHER]
}

function onPath(name: string, env: NodeJS.ProcessEnv, counts: (folder: string) => boolean): boolean {
  return (env["PATH"] ?? "").split(delimiter).some((folder) => folder !== "" && counts(folder) && isProgram(join(folder, name)))
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The names as far as they can be told without a hub: recorded, or the kind's own. */
export function likelyNames(kinds: readonly AgentKind[], record: InitRecord | null): Joining[] {
  return kinds.map((kind) => ({ kind, agent: record?.agents.find((one) => one.kind === kind)?.name ?? kind }))
}

/** The names that the hub has for them, or has free: a retired agent's stays taken, and one of another kind is somebody else's. */
export async function namesAtHub(hub: HubConnection, kinds: readonly AgentKind[], record: InitRecord | null): Promise<Joining[]> {
  const agents = await agentsAt(hub)
  return likelyNames(kinds, record).map(({ kind, agent: likely }) => {
    const fits = (name: string): boolean => {
      const found = agents.get(name)
      return (
        found === undefined ||
        (found.status !== "retired" && (found.kind === kind || (name === likely && record?.agents.some((one) => one.name === name) === true)))
      )
    }
    if (fits(likely)) return { kind, agent: likely }
    for (let number = 1; ; number += 1) {
      const name = number === 1 ? kind : `${kind}-${number}`
      if (fits(name)) return { kind, agent: name }
    }
  })
}

async function agentsAt(hub: HubConnection): Promise<Map<string, AgentView>> {
  const agents = await paged(async (cursor: string | null) => {
    const page = await hub.call("agent.list", { cursor, limit: 1_000 })
    return { items: page.agents, cursor: page.cursor }
  })
  return new Map(agents.map((agent) => [agent.name, agent]))
}

/** Those that cannot act yet: no agent, no credential, or one that is void. `hub` null: as far as files tell. */
export async function withoutCredential(hub: HubConnection | null, instance: Instance, joining: readonly Joining[]): Promise<Joining[]> {
  const agents = hub === null ? null : await agentsAt(hub)
  return joining.filter(({ agent }) => {
    const id = credentialId(credentialPath(instance, WORKSPACE, agent))
    return id === null || (agents !== null && agents.get(agent)?.credentials.includes(id) !== true)
  })
}

/** Adds the agents that the hub does not have, and makes credentials where there is none that is good. Gives the record of them. */
export async function setUpAgents(hub: HubConnection, instance: Instance, joining: readonly Joining[], record: InitRecord | null): Promise<AgentRecord[]> {
  const agents = await agentsAt(hub)
  const done: AgentRecord[] = []
  for (const { kind, agent: name } of joining) {
    const before = record?.agents.find((one) => one.name === name)
    const found = agents.get(name)
    if (found === undefined) await hub.call("agent.add", { name, kind, role: "worker" })
    const path = credentialPath(instance, WORKSPACE, name)
    const id = credentialId(path)
    const good = id !== null && found?.credentials.includes(id) === true
    const credential = good ? (before?.credential ?? null) : (await issueCredential(hub, path, name)).id
    done.push({ kind, name, added: found === undefined || before?.added === true, credential })
  }
  return [...(record?.agents.filter(({ name }) => !joining.some(({ agent }) => agent === name)) ?? []), ...done]
}

/** Retires the agents that `init` added, voids credentials that it made for others, and removes the files. Gives what was done, for people. */
export async function retireAgents(hub: HubConnection, instance: Instance, agents: readonly AgentRecord[]): Promise<string[]> {
  const told: string[] = []
  for (const { name, added, credential } of agents) {
    const path = credentialPath(instance, WORKSPACE, name)
    if (added) await unlessGone(() => hub.call("agent.retire", { name, reason: "skein init --undo" }))
    else if (credential !== null) await unlessGone(() => hub.call("credential.revoke", { agent: name, id: credential, reason: "skein init --undo" }))
    else continue
    if (existsSync(path) && (added || credentialId(path) === credential)) rmSync(path, { force: true })
    told.push(added ? `${name} is retired` : `${name} has lost its credential`)
  }
  return told
}

async function unlessGone(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (!(error instanceof SkeinError) || (error.code !== "not_found" && error.code !== "retired")) throw error
  }
}
