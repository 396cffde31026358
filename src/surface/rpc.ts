import { ERRORS, SkeinError } from "../contract/errors.ts"

/**
 * The two encodings of an operation over HTTP. `/api/orpc` is plain JSON both ways; `/rpc` is oRPC's RPC protocol, so that `@orpc/client` works with the
 * contract: `{"json": VALUE, "meta": [...]}`, where `meta` names values that JSON has no form for. The contract has none, so a call costs no codec.
 */
export type RpcPrefix = "/rpc" | "/api/orpc"
/** How an error is written: MCP's clients look for one of JSON-RPC. */
export type ErrorStyle = RpcPrefix | "/mcp"

/** JSON-RPC leaves the codes from here on to the server. */
const JSON_RPC_ERROR = -32_000

/** `/rpc/task/claim` → `task.claim`. Names are checked by whoever looks them up. */
export function operationAt(pathname: string, prefix: RpcPrefix): string {
  return pathname.slice(prefix.length + 1).replace("/", ".")
}

export function decodeInput(prefix: RpcPrefix, body: unknown): unknown {
  if (prefix === "/api/orpc" || body === undefined) return body
  const { json, meta = [], ...rest } = (typeof body === "object" && body !== null ? body : { body }) as { json?: unknown; meta?: unknown }
  if (Object.keys(rest).length > 0) throw new SkeinError("invalid_input", "the body is not what oRPC sends", 'Send {"json": INPUT}.')
  if (!Array.isArray(meta) || meta.length > 0) {
    throw new SkeinError("invalid_input", "no operation takes dates, big integers, sets, maps or files", "Send plain JSON: numbers, texts, lists and objects.")
  }
  return json
}

/** The body of an answer, from its JSON. */
export function encodeOutput(prefix: RpcPrefix, text: string): string {
  return prefix === "/rpc" ? `{"json":${text}}` : text
}

/** An error where the way in's clients look for it: our own body is its `data`. */
export function encodeError(style: ErrorStyle, error: SkeinError): unknown {
  if (style === "/api/orpc") return error
  if (style === "/mcp") return { jsonrpc: "2.0", id: null, error: { code: JSON_RPC_ERROR, message: `${error.message}. ${error.remedy}`, data: error.toJSON() } }
  return { json: { defined: false, code: error.code, status: ERRORS[error.code].http, message: error.message, data: error.toJSON() } }
}
