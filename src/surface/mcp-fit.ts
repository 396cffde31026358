import { KINDS, type OperationName } from "../contract/names.ts"
import { operations, type Output } from "../contract/operations.ts"
import { markAnswer } from "./mcp-data.ts"

/** Of JSON: more would crowd out what a model is at. */
export const ANSWER_MAX_CHARS = 64_000

/** To how many characters each text is cut, one after the other, until the answer fits. */
const CUTS = [16_000, 8_000, 4_000, 2_000, 1_000, 500, 250] as const

/** An answer for a model: as it came, what is shown of it, and whether texts were cut. Null: it does not fit, and less can be asked for. */
export type Fitting = { answer: unknown; marked: Record<string, unknown>; cut: boolean }

/**
 * An answer within `ANSWER_MAX_CHARS`. A page of messages is as long as fits: whatever somebody posts, the next page can be read. What a command did is
 * told in any case, with its long texts cut: refused, its caller would take it for undone. A page of anything else is refused where it is too long.
 */
export function fitting(name: OperationName, answer: unknown): Fitting | null {
  const page = name === "message.read" ? pageThatFits(answer as Output<"message.read">) : answer
  const whole = { answer: page, marked: markAnswer(name, page), cut: false }
  if (fits(whole.marked)) return whole
  if (name !== "message.read" && KINDS[name] === "read" && Object.hasOwn(operations[name].input.shape, "limit")) return null
  for (const max of CUTS) {
    const marked = markAnswer(name, cutTexts(page, max))
    if (fits(marked)) return { answer: page, marked, cut: true }
  }
  return KINDS[name] === "read" ? null : { answer: page, marked: {}, cut: true }
}

function fits(marked: unknown): boolean {
  return JSON.stringify(marked).length <= ANSWER_MAX_CHARS
}

/** As many messages, from the first, as fit; one in any case. */
function pageThatFits(page: Output<"message.read">): Output<"message.read"> {
  const { messages } = page
  // Marks, and the page's own fields.
  let left = ANSWER_MAX_CHARS - 1_000
  const over = messages.findIndex((message) => (left -= JSON.stringify(markAnswer("message.read", { ...page, messages: [message] })).length) < 0)
  if (over < 0 || messages.length === 1) return page
  const kept = messages.slice(0, Math.max(1, over))
  return { ...page, messages: kept, next: kept.at(-1)!.message }
}

function cutTexts(value: unknown, max: number): unknown {
  if (typeof value === "string") return value.length <= max ? value : `${value.slice(0, max).toWellFormed()}… (${value.length - max} more characters)`
  if (Array.isArray(value)) return value.map((item) => cutTexts(item, max))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, cutTexts(inner, max)]))
}
