/** One call of a tool, as the model asks for it. `raw` is for tools that take plain text instead of an object (Codex's apply_patch). */
export type ToolCall = { tool: string; input: Readonly<Record<string, unknown>> } | { tool: string; raw: string }

/** What the model says next: a text, calls of tools, or both. A turn without calls ends the agent's turn. */
export type Turn = { text?: string; calls?: readonly ToolCall[] }

/** What came back from a tool. */
export type ToolResult = { tool: string; text: string; failed: boolean }

/** One request of an agent, read the same way whatever API it came by. */
export type Asked = {
  api: "messages" | "responses" | "gemini" | "chat"
  model: string
  /** System prompt or instructions. */
  system: string
  /** Names of the tools that the model may call, as it must call them. */
  tools: readonly string[]
  /** What the user, the agent's own reminders and hooks put into the conversation, in order. */
  texts: readonly string[]
  /** Every call made so far by the model, in order. */
  calls: readonly ToolCall[]
  /** Every result so far, in order. */
  results: readonly ToolResult[]
  /** The request as it came. */
  body: unknown
}

/** Plays the model: a function of the conversation so far. */
export type Script = (asked: Asked) => Turn

/** What an API's dialect does: reads a request, and writes a turn as the stream that the agent expects. */
export type Dialect = {
  matches(path: string): boolean
  read(path: string, body: Readonly<Record<string, unknown>>): Asked
  /** The events of the stream, each a whole SSE block; for a request that wants no stream, one JSON text. */
  write(turn: Turn, asked: Asked, body: Readonly<Record<string, unknown>>, path: string): { type: "text/event-stream" | "application/json"; text: string }
}

export type Json = Readonly<Record<string, unknown>>

export const asList = (value: unknown): readonly Json[] => (Array.isArray(value) ? (value as Json[]) : [])
export const asText = (value: unknown): string => (typeof value === "string" ? value : "")
export const asObject = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {})

/** The text in what may be a string or a list of parts with a `text`. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content
  return asList(content)
    .map((part) => asText(part["text"]))
    .filter((text) => text !== "")
    .join("\n")
}

/** One server-sent event. */
export const sse = (data: Json, event?: string): string => `${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`

/** Tokens that every answer claims to have used: a test may then find them where usage is kept. */
export const USAGE = { input: 1_200, output: 34, cacheRead: 800 } as const

let drawn = 0
/** An id that no other call of this process has. */
export const nextId = (prefix: string): string => `${prefix}_${(drawn += 1).toString().padStart(6, "0")}`
