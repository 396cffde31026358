import { StandardOpenAPIHandler } from "@orpc/openapi/standard"
import { ORPCError, os } from "@orpc/server"
import { StandardRPCHandler } from "@orpc/server/standard"
import { type ErrorBody, ERRORS, SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { operations } from "../contract/operations.ts"

/** The contract as oRPC serves it: `/rpc` in oRPC's own protocol, `/api/orpc` as plain JSON. Loaded at the first need: it costs 90 ms. */

/** What a procedure does with its input: `perform`, bound to one request. */
type RpcContext = { perform(operation: OperationName, input: unknown): Promise<unknown>; failed: SkeinError | null }
export type RpcAnswer = { status: number; body: unknown; failed: SkeinError | null }

// `perform` validates, once; oRPC has the schemas for its documents only.
const builder = os.$context<RpcContext>().$config({ initialInputValidationIndex: Number.NaN, initialOutputValidationIndex: Number.NaN })

function procedureOf(name: OperationName) {
  const { summary, text, input, output } = operations[name]
  const [noun = "", verb = ""] = name.split(".")
  return builder
    .route({ method: "POST", path: `/${noun}/${verb}`, operationId: name, tags: [noun], summary, description: text, successDescription: "Done." })
    .input(input)
    .output(output)
    .handler(async ({ input: given, context }) => {
      try {
        return (await context.perform(name, given)) as never
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error
        context.failed = error
        throw new ORPCError(error.code, { status: ERRORS[error.code].http, message: error.message, data: error.toJSON() })
      }
    })
}

/** All operations, nested by noun: `router.task.claim`. */
export const router = Object.fromEntries(
  Object.entries(Object.groupBy(Object.keys(KINDS) as OperationName[], (name) => name.slice(0, name.indexOf(".")))).map(([noun, names]) => [
    noun,
    Object.fromEntries((names ?? []).map((name) => [name.slice(noun.length + 1), procedureOf(name)])),
  ]),
)

const handlers = {
  "/rpc": new StandardRPCHandler(router),
  "/api/orpc": new StandardOpenAPIHandler(router, { customErrorResponseBodyEncoder: ({ data }: { data: ErrorBody }) => data }),
} as const
export type RpcPrefix = keyof typeof handlers

/** Hands one request to oRPC; null where no operation has this path. `body` is parsed already. */
export async function serveRpc(prefix: RpcPrefix, url: URL, body: unknown, perform: RpcContext["perform"], signal: AbortSignal): Promise<RpcAnswer | null> {
  const context: RpcContext = { perform, failed: null }
  const request = { method: "POST", url, headers: {}, body: () => Promise.resolve(body), signal }
  const { matched, response } = await handlers[prefix].handle(request, { prefix, context })
  if (!matched) return null
  if (context.failed === null && response.status >= 400)
    throw new SkeinError(
      "invalid_input",
      "the body is not what oRPC sends",
      prefix === "/rpc" ? 'Send {"json": INPUT}.' : "Send the operation's input as one JSON object.",
    )
  return { status: response.status, body: response.body, failed: context.failed }
}
