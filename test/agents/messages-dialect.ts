import { asList, asObject, asText, type Asked, type Dialect, type Json, nextId, sse, textOf, type ToolCall, type ToolResult, type Turn, USAGE } from "./turn.ts"

/** Anthropic's Messages API, as Claude Code speaks it: `POST /v1/messages`. */
export const messagesDialect: Dialect = {
  matches: (path) => path.startsWith("/v1/messages"),
  read: (_path, body) => {
    const { texts, calls, results } = conversationOf(asList(body["messages"]))
    return {
      api: "messages",
      model: asText(body["model"]),
      system: textOf(body["system"]),
      tools: asList(body["tools"]).map((tool) => asText(tool["name"])),
      texts,
      calls,
      results,
      body,
    }
  },
  write: (turn, asked, body, path) => {
    if (path.startsWith("/v1/messages/count_tokens")) return { type: "application/json", text: JSON.stringify({ input_tokens: USAGE.input }) }
    return body["stream"] === true
      ? { type: "text/event-stream", text: streamOf(turn, asked) }
      : { type: "application/json", text: JSON.stringify(messageOf(turn, asked)) }
  },
}

function conversationOf(messages: readonly Json[]): Pick<Asked, "texts" | "calls" | "results"> {
  const texts: string[] = []
  const calls: ToolCall[] = []
  const results: ToolResult[] = []
  const names = new Map<string, string>()
  for (const { role, content } of messages) {
    const parts: readonly Json[] = typeof content === "string" ? [{ type: "text", text: content }] : asList(content)
    for (const part of parts) {
      if (part["type"] === "text" && role === "user") texts.push(asText(part["text"]))
      if (part["type"] === "tool_use") {
        names.set(asText(part["id"]), asText(part["name"]))
        calls.push({ tool: asText(part["name"]), input: asObject(part["input"]) })
      }
      if (part["type"] === "tool_result")
        results.push({ tool: names.get(asText(part["tool_use_id"])) ?? "", text: textOf(part["content"]), failed: part["is_error"] === true })
    }
  }
  return { texts, calls, results }
}

type Block = { type: "text"; text: string } | { type: "tool_use"; id: string; name: string; input: unknown }

function blocksOf({ text, calls = [] }: Turn): Block[] {
  return [
    ...(text === undefined ? [] : [{ type: "text" as const, text }]),
    ...calls.map((call) => ({ type: "tool_use" as const, id: nextId("toolu"), name: call.tool, input: "input" in call ? call.input : { input: call.raw } })),
  ]
}

function messageOf(turn: Turn, { model }: Asked): Json {
  return {
    id: nextId("msg"),
    type: "message",
    role: "assistant",
    model,
    content: blocksOf(turn),
    stop_reason: (turn.calls ?? []).length > 0 ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: usage(),
  }
}

const usage = (): Json => ({
  input_tokens: USAGE.input,
  output_tokens: USAGE.output,
  cache_read_input_tokens: USAGE.cacheRead,
  cache_creation_input_tokens: 0,
})

function streamOf(turn: Turn, asked: Asked): string {
  const whole = messageOf(turn, asked)
  const event = (data: Json): string => sse(data, asText(data["type"]))
  const blocks = blocksOf(turn).flatMap((block, index) => {
    const start = block.type === "text" ? { type: "text", text: "" } : { ...block, input: {} }
    const delta = block.type === "text" ? { type: "text_delta", text: block.text } : { type: "input_json_delta", partial_json: JSON.stringify(block.input) }
    return [
      event({ type: "content_block_start", index, content_block: start }),
      event({ type: "content_block_delta", index, delta }),
      event({ type: "content_block_stop", index }),
    ]
  })
  return [
    event({ type: "message_start", message: { ...whole, content: [], stop_reason: null, usage: { ...usage(), output_tokens: 1 } } }),
    ...blocks,
    event({ type: "message_delta", delta: { stop_reason: whole["stop_reason"], stop_sequence: null }, usage: { output_tokens: USAGE.output } }),
    event({ type: "message_stop" }),
  ].join("")
}
