import { TOOLS } from "../../src/contract/tools.ts"
import type { Choices } from "./choices.ts"
import { Broken } from "./campaign.ts"
import { checkErrorBody, type Known } from "./fuzzed-hub.ts"
import { type Json, mutateValue, oddText, oddValue } from "./mutation.ts"
import { someCall } from "./requests.ts"

/** Messages of MCP, valid ones and then changed, and what may be answered to them. */

const REVISIONS = ["2025-06-18", "2025-11-25", "2026-07-28", "1", ""]

/** A request or notification: sound more often than not. */
export function someMessage(choices: Choices, known: Known, id: Json): Json {
  const message = valid(choices, known, id)
  let changed: Json = message
  for (let changes = choices.chance(45) ? choices.between(1, 2) : 0; changes > 0; changes -= 1) changed = mutateValue(changed, choices)
  return changed
}

function valid(choices: Choices, known: Known, id: Json): Json {
  const request = (method: string, params: Json): Json => ({ jsonrpc: "2.0", id, method, params })
  const uri = `skein://${choices.pick(["board", "task/", "agent/", "plan/", "none", "task/%"])}${choices.pick([...known.tasks, ...known.agents, "", oddText(choices)])}`
  switch (choices.below(9)) {
    case 0:
      return request("initialize", { protocolVersion: choices.pick(REVISIONS), capabilities: {}, clientInfo: { name: "fuzz", version: "1" } })
    case 1:
      return request(choices.pick(["ping", "tools/list", "resources/list", "resources/templates/list", "prompts/list", "server/discover", "none"]), {})
    case 2:
      return request("resources/read", { uri })
    case 3:
      return request("prompts/get", { name: choices.pick(["join_team", "hand_over", "none"]), arguments: { plan: oddText(choices), task: "a" } })
    case 4: {
      const argument = { name: choices.pick(["task", "plan", "agent", "to", "id"]), value: choices.pick(["", "a", oddText(choices)]) }
      return request("completion/complete", {
        ref: choices.pick<Json>([
          { type: "ref/prompt", name: "hand_over" },
          { type: "ref/resource", uri },
        ]),
        argument,
      })
    }
    case 5: {
      const method = choices.pick(["notifications/initialized", "notifications/cancelled", "notifications/progress", "none"])
      return { jsonrpc: "2.0", method, params: choices.chance(50) ? { requestId: "none" } : oddValue(choices) }
    }
    default:
      return request("tools/call", someTool(choices, known))
  }
}

function someTool(choices: Choices, known: Known): Json {
  const { operation, input } = someCall(choices, known)
  const tool = TOOLS[operation] ?? "more_tools"
  const meta = choices.chance(15) ? { _meta: { progressToken: choices.pick<Json>([1, "p", oddValue(choices)]) } } : {}
  switch (choices.below(4)) {
    case 0:
      return { name: tool, arguments: input, ...meta }
    case 1:
      return { name: "more_tools", arguments: { tool, arguments: choices.chance(30) ? JSON.stringify(oddText(choices)) : input }, ...meta }
    case 2:
      return {
        name: choices.pick(["start_session", "claim_task", "more_tools", oddText(choices)]),
        arguments: choices.chance(50) ? {} : oddValue(choices),
        ...meta,
      }
    default:
      return { name: "more_tools", arguments: { tool: choices.chance(70) ? tool : oddValue(choices) }, ...meta }
  }
}

/** Throws unless this is an answer that MCP knows, and an error that our contract does; answers in a word what came of it. */
export function checkAnswer(answer: unknown): "done" | "refused" | "wrong" | "told" {
  const { jsonrpc, method, result, error } = (answer ?? {}) as {
    jsonrpc?: unknown
    method?: unknown
    result?: Record<string, unknown>
    error?: Record<string, unknown>
  }
  const shown = JSON.stringify(answer)?.slice(0, 400)
  if (jsonrpc !== "2.0") throw new Broken(`an answer that is no JSON-RPC: ${shown}`)
  if (typeof method === "string") return "told"
  if (error !== undefined) {
    const { code, message, data } = error
    if (typeof code !== "number" || typeof message !== "string" || message === "") throw new Broken(`an error without code or words: ${shown}`)
    if (/call stack|Cannot (read|destructure)|is not a function|\n\s+at /.test(message)) throw new Broken(`an error that tells of our own code: ${shown}`)
    // What the hub refuses where MCP has no better word goes out as its own body. Of wrong `params` the library tells the list of its reader.
    if (code === -32_603 && !/^\[\s*\{/.test(message)) checkErrorBody(data)
    return "wrong"
  }
  if (result === undefined) throw new Broken(`neither result nor error: ${shown}`)
  if (result["isError"] !== true) return "done"
  checkErrorBody({ details: {}, ...(result["structuredContent"] as object) })
  return "refused"
}
