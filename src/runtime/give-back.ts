import { httpClient } from "../client/http.ts"
import { SkeinError } from "../contract/errors.ts"
import type { AgentId, SessionId } from "../core/ids.ts"

/** An agent that somebody stops, and what it speaks to the hub with. */
export type Stopped = { agent: AgentId; url: string; workspace: string; credentialFile: string }

/**
 * Releases in its own name what these sessions of an agent hold: nobody failed, and with a session's end it would count as an attempt. Where its credential is void
 * nothing can be. Throws `SkeinError` where no hub answers.
 */
export async function giveBack({ agent, ...identity }: Stopped, sessions: readonly SessionId[], reason: string): Promise<void> {
  const own = httpClient(identity)
  try {
    const { tasks } = await own.call("task.list", { owner: agent, state: ["claimed", "in_progress", "blocked"] }).catch((error: unknown) => {
      if (!(error instanceof SkeinError) || error.code !== "unauthenticated") throw error
      return { tasks: [] }
    })
    for (const { id, fence, session } of tasks) {
      if (fence === null || session === null || !sessions.includes(session)) continue
      // Done, or another's, meanwhile.
      await own.call("task.release", { task: id, fence, reason }).catch((error: unknown) => {
        if (!(error instanceof SkeinError)) throw error
      })
    }
  } finally {
    own.close()
  }
}
