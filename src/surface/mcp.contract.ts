import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"

/** The revisions that the four agents speak. */
export const REVISIONS = ["2025-06-18", "2025-11-25", "2026-07-28"] as const
export type Revision = (typeof REVISIONS)[number]

/** A real MCP client that speaks one revision and nothing else. */
export function clientOf(revision: Revision, name = "test"): Client {
  const versions =
    revision === "2026-07-28"
      ? { versionNegotiation: { mode: { pin: revision } } }
      : { supportedProtocolVersions: [revision], versionNegotiation: { mode: "legacy" as const } }
  return new Client({ name, version: "1" }, versions)
}

export async function connectMcp(url: string, bearer: string, revision: Revision = "2025-11-25", headers: Record<string, string> = {}): Promise<Client> {
  const client = clientOf(revision)
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", url), { requestInit: { headers: { authorization: `Bearer ${bearer}`, ...headers } } }))
  return client
}

export type Called = { isError: boolean; text: string; data: Record<string, unknown> }

/** Calls a tool: its text, and its structured content. */
export async function useTool(
  client: Client,
  name: string,
  given: Record<string, unknown> = {},
  options: Parameters<Client["callTool"]>[1] = {},
): Promise<Called> {
  const { content, structuredContent, isError } = await client.callTool({ name, arguments: given }, options)
  const text = content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n")
  return { isError: isError === true, text, data: (structuredContent ?? {}) as Record<string, unknown> }
}
