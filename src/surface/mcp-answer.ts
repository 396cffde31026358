import type { CallToolResult } from "@modelcontextprotocol/server"
import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import { TOOLS } from "../contract/tools.ts"
import { clean, markDetails } from "./mcp-data.ts"
import { ANSWER_MAX_CHARS, fitting } from "./mcp-fit.ts"
import { nextStep } from "./mcp-next.ts"

/**
 * A tool's result: the next step first, then the answer. Some clients hand on the text alone and some the structured content alone, so each holds all of
 * it; and in both what others wrote is marked as data. Throws `too_large` where a read found too much.
 */
export function resultOf(name: OperationName, answer: unknown, nowMs: number): CallToolResult {
  const fit = fitting(name, answer)
  if (fit === null)
    throw new SkeinError("too_large", `the answer has over ${ANSWER_MAX_CHARS} characters of JSON`, "Ask for less: a smaller `limit`, or a narrower filter.", {
      limit: ANSWER_MAX_CHARS,
    })
  const { marked, cut } = fit
  const text = JSON.stringify(marked)
  const step = `${nextStep(name, fit.answer, nowMs)}${cut ? " Long texts are cut: the command line shows them whole." : ""}`
  return { content: [{ type: "text", text: text === "{}" ? step : `${step}\n${text}` }], structuredContent: { nextStep: step, ...marked } }
}

/** A refusal as a result that the model reads: what went wrong and what to do about it. */
export function errorResult(error: SkeinError): CallToolResult {
  const { code, retryAfterMs } = error
  const remedy = remedyOf(error)
  const message = clean(error.message).slice(0, 2_000)
  const details = markDetails(error.details)
  const wait = retryAfterMs === null ? "" : ` Wait ${retryAfterMs} ms first.`
  const more = details === undefined ? "" : `\n${JSON.stringify(details)}`
  return {
    isError: true,
    content: [{ type: "text", text: `${code}: ${message}\nWhat to do: ${remedy}${wait}${more}` }],
    structuredContent: { code, message, remedy, ...(details === undefined ? {} : { details }), ...(retryAfterMs === null ? {} : { retryAfterMs }) },
  }
}

/** A model is shown what a tool takes by `more_tools`: it cannot open an address of the hub. */
function remedyOf({ code, remedy, details }: SkeinError): string {
  const { operation } = details
  const tool = code === "invalid_input" && typeof operation === "string" ? TOOLS[operation as OperationName] : null
  return tool ? `See what it takes: more_tools {"tool":"${tool}"}.` : remedy
}
