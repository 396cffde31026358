import { ERRORS, SkeinError } from "../contract/errors.ts"

/**
 * The two encodings of an operation over HTTP. `/api/orpc` is plain JSON both ways; `/rpc` is oRPC's RPC protocol, so that `@orpc/client` works with the
 * contract: `{"json": VALUE, "meta": [...]}`, where `meta` names values that JSON has no form for. The contract has none, so a call costs no codec.
 */
export type RpcPrefix = "/rpc" | "/api/orpc"

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

export function encodeOutput(prefix: RpcPrefix, output: unknown): unknown {
  return prefix === "/rpc" ? { json: output } : output
}

/** An error where oRPC's client looks for it: our own body is its `data`. */
export function encodeError(prefix: RpcPrefix, error: SkeinError): unknown {
  if (prefix !== "/rpc") return error
  return { json: { defined: false, code: error.code, status: ERRORS[error.code].http, message: error.message, data: error.toJSON() } }
}
