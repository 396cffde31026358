import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, SessionId } from "../../src/core/ids.ts"

type Said = Readonly<{ type: string; actor: Actor; data: Readonly<Record<string, unknown>> }>
/** `keeper`: the supervisor's session that keeps it. */
type Kept = { agent: AgentId; status: "live" | "lost" | "ended"; owned: boolean; resumeId: string | null; keeper: SessionId | null }
type Shown = { size: number; get(id: SessionId): (Omit<Kept, "keeper"> & { managedBy?: SessionId }) | undefined }

/** Sessions without the core: which live, are lost and have ended, and which supervisor keeps them: its own of before, and such as nobody living keeps. */
export class SessionOracle {
  readonly sessions = new Map<SessionId, Kept>()

  /** Why the session is not the caller's to take into its keeping, or null. */
  keepsFrom({ agent, session }: Actor, id: SessionId): string | null {
    const kept = this.sessions.get(id)
    if (kept === undefined) return "which nobody started"
    if (kept.status === "ended") return "which has ended"
    if (session === null || this.sessions.get(session)?.status === "ended") return "who has no session of its own"
    const keeper = this.sessions.get(kept.keeper ?? "")
    return keeper?.status === "live" && keeper.agent !== agent ? `which ${keeper.agent} keeps` : null
  }

  /** Reads an entry. Gives what is wrong, or null. */
  read({ type, actor, data }: Said): string | null {
    const id = data["id"] as SessionId
    const known = this.sessions.get(id)
    if (!type.startsWith("session.")) return null
    if (type === "session.started") {
      if (known !== undefined) return "which there is already"
      const agent = data["agent"] as AgentId
      const keeper = actor.role === "supervisor" && actor.agent !== agent ? actor.session : null
      if ((data["managedBy"] ?? null) !== keeper) return `whose session ${keeper ?? "of nobody"} does not keep it`
      this.sessions.set(id, { agent, status: "live", owned: data["owned"] === true, resumeId: data["resumeId"] as string | null, keeper })
      return null
    }
    if (known === undefined) return "which nobody started"
    switch (type) {
      case "session.lost":
        if (known.status !== "live" || !known.owned) return `which is ${known.status}${known.owned ? "" : ", and nobody's to beat for"}`
        known.status = "lost"
        break
      case "session.returned":
        if (known.status !== "lost") return `which is ${known.status}`
        known.status = "live"
        break
      case "session.ended":
        if (known.status === "ended") return "which has ended already"
        known.status = "ended"
        break
      case "session.adopted": {
        if (actor.role !== "supervisor") return `who is ${actor.role}: that is for supervisors`
        const kept = this.keepsFrom(actor, id)
        if (kept !== null) return kept
        if (data["by"] !== actor.session) return `for ${data["by"] as string}, which is another's`
        const resumeId = (data["resumeId"] as string | undefined) ?? known.resumeId
        if (known.keeper === actor.session && known.resumeId === resumeId) return "which keeps it already, and learns nothing"
        known.keeper = actor.session
        known.resumeId = resumeId
      }
    }
    return null
  }

  /** Where a hub has it otherwise. */
  differs(shown: Shown): string | null {
    if (shown.size !== this.sessions.size) return `there are ${shown.size} sessions, not ${this.sessions.size}`
    for (const [id, kept] of this.sessions) {
      const { agent, status, owned, resumeId, managedBy = null } = shown.get(id) ?? {}
      const [is, said] = [
        [agent, status, owned, resumeId, managedBy],
        [kept.agent, kept.status, kept.owned, kept.resumeId, kept.keeper],
      ].map((all) => all.map(String).join(" "))
      if (is !== said) return `session ${id} (agent, status, owned, conversation, keeper) is ${is}, not ${said}`
    }
    return null
  }
}
