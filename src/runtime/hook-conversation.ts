import { statSync } from "node:fs"
import { join } from "node:path"
import { readRegular } from "../client/regular-file.ts"
import { keepNote } from "./hook-mark.ts"

/** Ids come from the agents: nothing that is not one word of these goes into a command line. */
const CONVERSATION = /^[\w.:-]{1,200}$/

/**
 * Notes, for the supervisor that started the agent, which conversation its hooks speak of: some agents draw that id themselves and show it nowhere else, and
 * a person may begin another one in the same terminal. `folder` holds the marks of the instance's hooks.
 */
export function noteConversation(folder: string, agent: string, conversation: string): void {
  if (!CONVERSATION.test(conversation)) return
  keepNote(pathOf(folder, agent), conversation)
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
