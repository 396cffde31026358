import type { CallToolResult } from "@modelcontextprotocol/server"
import { SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import { clean, markAnswer, markDetails } from "./mcp-data.ts"
import { nextStep } from "./mcp-next.ts"

/** Of JSON: more would crowd out what a model is at. */
const ANSWER_MAX_CHARS = 64_000

/**
 * A tool's result: the next step first, then the answer. Some clients hand on the text alone and some the structured content alone, so each holds all of
 * it; and in both what others wrote is marked as data. Throws `too_large` where a read found too much.
 */
export function resultOf(name: OperationName, answer: unknown, nowMs: number): CallToolResult {
  const marked = markAnswer(name, answer)
  const text = JSON.stringify(marked)
  if (text.length > ANSWER_MAX_CHARS)
    throw new SkeinError(
      "too_large",
      `the answer has ${text.length} characters, ${ANSWER_MAX_CHARS} are the most`,
      "Ask for less: a smaller `limit`, or a narrower filter.",
      {
        limit: ANSWER_MAX_CHARS,
      },
    )
  const step = nextStep(name, answer, nowMs)
  return { content: [{ type: "text", text: text === "{}" ? step : `${step}\n${text}` }], structuredContent: { nextStep: step, ...marked } }
}

/** A refusal as a result that the model reads: what went wrong and what to do about it. */
export function errorResult(error: SkeinError): CallToolResult {
  const { code, remedy, retryAfterMs } = error
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
