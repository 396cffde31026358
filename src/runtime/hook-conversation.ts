import { mkdirSync, renameSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { readRegular } from "../client/regular-file.ts"

/** Ids come from the agents: nothing that is not one word of these goes into a command line. */
const CONVERSATION = /^[\w.:-]{1,200}$/

/**
 * Notes, for the supervisor that started the agent, which conversation its hooks speak of: some agents draw that id themselves and show it nowhere else, and
 * a person may begin another one in the same terminal. `folder` holds the marks of the instance's hooks.
 */
export function noteConversation(folder: string, agent: string, conversation: string): void {
  if (!CONVERSATION.test(conversation)) return
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = pathOf(folder, agent)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, conversation, { mode: 0o600 })
  renameSync(draft, path)
}

/** What was noted last, since `sinceMs`; null where nothing was. */
export function notedConversation(folder: string, agent: string, sinceMs: number): string | null {
  try {
    const path = pathOf(folder, agent)
    if (statSync(path).mtimeMs < sinceMs) return null
    const noted = readRegular(path)
    return CONVERSATION.test(noted) ? noted : null
  } catch {
    return null
  }
}

function pathOf(folder: string, agent: string): string {
  return join(folder, `${agent.replace(/[^\w.-]/g, "_")}.conversation`)
}
