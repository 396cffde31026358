import type { GetPromptResult, PromptArgument } from "@modelcontextprotocol/server"
import { asData } from "./mcp-data.ts"
import { mcp } from "./mcp-library.ts"

type PromptRow = { name: string; title: string; description: string; arguments: PromptArgument[]; text(given: Record<string, string>): string }

/** What a person may ask an agent with, by name. */
export const PROMPTS: readonly PromptRow[] = [
  {
    name: "join_team",
    title: "Join the team",
    description: "Register with Skein and work on tasks until there are none.",
    arguments: [{ name: "plan", description: "only tasks of this plan", required: false }],
    text: ({ plan }) =>
      [
        "Join the team that Skein coordinates in this repository.",
        "1. start_session.",
        `2. claim_task${plan === undefined ? "" : ` with this plan: ${asData(plan, "user")}`}, then do what the task asks for and nothing else. Keep to the files that it names.`,
        "3. update_task at least every 10 minutes; complete_task with what you did and its evidence.",
        "4. Claim the next one. Where nothing is ready: wait_for_work, and answer what it brings.",
        "Where you cannot go on: more_tools block_task (say what you wait for), or release_task. Never work on a task that you do not hold.",
      ].join("\n"),
  },
  {
    name: "hand_over",
    title: "Hand over",
    description: "Give back what you hold so that another agent can go on with it.",
    arguments: [
      { name: "task", description: "the task; by default all that you hold", required: false },
      { name: "to", description: "the agent that is to go on", required: false },
    ],
    text: ({ task, to }) =>
      [
        `Hand over ${task === undefined ? "every task that you hold" : `the task ${asData(task, "user")}`}${to === undefined ? "" : ` to the agent ${asData(to, "user")}`}.`,
        "1. Commit or describe the state of your work, so that nothing is only in your head.",
        "2. update_task with a note: what is done, what is left, what surprised you, where it lies.",
        "3. more_tools release_task with the fence that you hold and a reason.",
        to === undefined ? "4. Say what you handed over." : "4. Tell that agent with more_tools send_event, kind info.",
      ].join("\n"),
  },
]

export function promptOf(name: string, given: Record<string, string>): GetPromptResult {
  const row = PROMPTS.find((prompt) => prompt.name === name)
  if (row === undefined) throw new mcp.ProtocolError(mcp.ProtocolErrorCode.InvalidParams, `There is no prompt ${JSON.stringify(name.slice(0, 64))}`)
  return { description: row.description, messages: [{ role: "user", content: { type: "text", text: row.text(given) } }] }
}
