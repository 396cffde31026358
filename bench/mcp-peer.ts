/** The peer of the MCP bench: a bare server of the same library, whose one tool answers a constant. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { toNodeHandler } from "@modelcontextprotocol/node"
import { createMcpHandler, Server } from "@modelcontextprotocol/server"
import { answer } from "./child.ts"

const handler = createMcpHandler(() => {
  const server = new Server({ name: "constant", version: "1" }, { capabilities: { tools: {} } })
  server.setRequestHandler("tools/list", () => ({ tools: [{ name: "claim_task", inputSchema: { type: "object" } }] }))
  server.setRequestHandler("tools/call", () => ({ content: [{ type: "text", text: "constant" }], structuredContent: { claims: [] } }))
  return server
})
const serve = toNodeHandler(handler)
const http = createServer((request, response) => void serve(request as Parameters<typeof serve>[0], response))

answer({
  listen: () => new Promise<string>((resolve) => http.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`))),
})
