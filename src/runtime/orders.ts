import type { Client, Entry } from "../client/client.ts"
import type { Sent, Target } from "../core/directive.ts"
import type { Wanted } from "./supervised.ts"
import type { SupervisorFolder } from "./supervisor-folder.ts"

/** What an order wants of the processes of those it is for. */
export type Order = { to: Target; want: Wanted["want"]; reason: string }

/** What each directive wants of an agent's process; the others are for its model alone. */
const WANTS: Partial<Record<NonNullable<Sent["directive"]>, Wanted["want"]>> = { pause: "paused", resume: "running", stop: "stopped" }
const REASON_MAX = 1_000

/**
 * The order that an entry of the ledger holds, or null. `pause`, `resume` and `stop` are directives to the model, which may not listen, and orders to whoever
 * runs it, who does. Only an orchestrator's and the operator's count: what the hub says by its own rules is for the model.
 */
export function orderIn({ type, data, actor }: Pick<Entry, "type" | "data" | "actor">): Order | null {
  if (type !== "event.sent" || (actor.role !== "operator" && actor.role !== "orchestrator")) return null
  const { kind, directive, to, text } = data as Sent
  const want = kind === "directive" && directive !== null ? WANTS[directive] : undefined
  return want === undefined ? null : { to, want, reason: (text === "" ? `${want} by ${actor.agent}` : `${actor.agent}: ${text}`).slice(0, REASON_MAX) }
}

export type Obeying = { folder: SupervisorFolder; hub: Pick<Client, "call">; told(line: string): void }

/** Keeps an order where commands of this machine keep theirs: whoever gave the last one has it. What cannot be minded is told, and thrown by nobody. */
export async function obey({ to, want, reason }: Order, { folder, hub, told }: Obeying): Promise<void> {
  for (const { agent } of folder.wanted()) {
    try {
      const isMeant = "agent" in to ? to.agent === agent : "everyone" in to || (await hub.call("agent.show", { name: agent })).agent.role === to.role
      const wanted = folder.wantedOf(agent)
      if (!isMeant || wanted === null) continue
      folder.want({ ...wanted, want, reason, revision: wanted.revision + 1 })
      told(`${agent} is to be ${want}: ${reason}`)
    } catch (error) {
      told(`${agent} was to be ${want}, and may not be: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}
