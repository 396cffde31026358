import type { ReadResourceResult, Resource, ResourceTemplateType } from "@modelcontextprotocol/server"
import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import { RESOURCES, type ResourceRow } from "../contract/tools.ts"
import { markAnswer } from "./mcp-data.ts"
import { mcp } from "./mcp-library.ts"

/** What clients may read by address. Each is the answer of one operation, what others wrote in it marked as data. */

const TYPE = "application/json"
/** What the board shows of each state. */
const BOARD = { state: ["ready", "claimed", "in_progress", "blocked", "review", "waiting"], limit: 50 }

export function fixedResources(): Resource[] {
  return RESOURCES.filter(({ field }) => field === null).map(({ name, title, address }) => ({ name, title, uri: address, mimeType: TYPE }))
}

export function resourceTemplates(): ResourceTemplateType[] {
  return RESOURCES.filter(({ field }) => field !== null).map(({ name, title, address }) => ({ name, title, uriTemplate: address, mimeType: TYPE }))
}

/** Reads one. Throws the protocol's own errors: where there is no such resource, and where the hub refused. */
export async function readResource(uri: string, call: (name: OperationName, input: unknown) => Promise<unknown>): Promise<ReadResourceResult> {
  for (const row of RESOURCES) {
    const id = matched(row, uri)
    if (id === null) continue
    try {
      const answer = await call(row.operation, row.field === null ? (row.name === "board" ? BOARD : {}) : { [row.field]: id })
      return { contents: [{ uri, mimeType: TYPE, text: JSON.stringify(markAnswer(row.operation, answer)) }] }
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      if (error.code === "not_found" || error.code === "invalid_input") throw new mcp.ResourceNotFoundError(uri, `${error.message}. ${error.remedy}`)
      throw new mcp.ProtocolError(mcp.ProtocolErrorCode.InternalError, `${error.message}. ${error.remedy}`, error.toJSON())
    }
  }
  throw new mcp.ResourceNotFoundError(uri)
}

/** What fills the address's field, "" where it has none; null: it is another address. */
function matched({ address, field }: ResourceRow, uri: string): string | null {
  if (field === null) return uri === address ? "" : null
  const head = address.slice(0, address.indexOf("{"))
  if (!uri.startsWith(head) || uri.length === head.length) return null
  try {
    return decodeURIComponent(uri.slice(head.length))
  } catch {
    return null
  }
}
