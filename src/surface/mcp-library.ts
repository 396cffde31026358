import { toNodeHandler } from "@modelcontextprotocol/node"
import { createMcpHandler, parseJSONRPCMessage, ProtocolError, ProtocolErrorCode, ResourceNotFoundError, Server } from "@modelcontextprotocol/server"
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio"

/**
 * All that Skein takes of the MCP library, in one module: the build puts it into the program, so that the published package needs none of the
 * library's own. Loaded at the first MCP request, never at the start.
 */
export const mcp = {
  createMcpHandler,
  parseJSONRPCMessage,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  serveStdio,
  StdioServerTransport,
  toNodeHandler,
}
