import { asList, asObject, asText, type Asked, type Dialect, type Json, nextId, sse, textOf, type ToolCall, type ToolResult, type Turn, USAGE } from "./turn.ts"

/** OpenAI's chat completions, as opencode's `@ai-sdk/openai-compatible` speaks them: `POST …/chat/completions`. */
export const chatDialect: Dialect = {
  matches: (path) => path.endsWith("/chat/completions"),
  read: (_path, body) => {
    const messages = asList(body["messages"])
    const { texts, calls, results } = conversationOf(messages)
    const system = messages
      .filter(({ role }) => role === "system")
      .map(({ content }) => textOf(content))
      .join("\n")
    const tools = asList(body["tools"]).map((tool) => asText(asObject(tool["function"])["name"]))
    return { api: "chat", model: asText(body["model"]), system, tools, texts, calls, results, body }
  },
  write: (turn, asked, body) =>
    body["stream"] === true
      ? { type: "text/event-stream", text: streamOf(turn, asked) }
      : {
          type: "application/json",
          text: JSON.stringify({
            id: nextId("chat"),
            object: "chat.completion",
            model: asked.model,
            choices: [{ index: 0, message: { role: "assistant", ...saidIn(turn) }, finish_reason: reasonOf(turn) }],
            usage: usage(),
          }),
        },
}

function conversationOf(messages: readonly Json[]): Pick<Asked, "texts" | "calls" | "results"> {
  const texts: string[] = []
  const calls: ToolCall[] = []
  const results: ToolResult[] = []
  const names = new Map<string, string>()
  for (const { role, content, tool_calls: asked, tool_call_id: id } of messages) {
    if (role === "user") texts.push(textOf(content))
    for (const call of asList(asked)) {
      const { name, arguments: text } = asObject(call["function"])
      names.set(asText(call["id"]), asText(name))
      calls.push({ tool: asText(name), input: asObject(JSON.parse(asText(text) || "{}")) })
    }
    // This API has no mark for a call that failed.
    if (role === "tool") results.push({ tool: names.get(asText(id)) ?? "", text: textOf(content), failed: false })
  }
  return { texts, calls, results }
}

const reasonOf = ({ calls = [] }: Turn): string => (calls.length > 0 ? "tool_calls" : "stop")

function saidIn({ text, calls = [] }: Turn): Json {
  const asked = calls.map((call, index) => ({
    index,
    id: nextId("call"),
    type: "function",
    function: { name: call.tool, arguments: JSON.stringify("input" in call ? call.input : { input: call.raw }) },
  }))
  return { ...(text === undefined ? {} : { content: text }), ...(asked.length === 0 ? {} : { tool_calls: asked }) }
}

const usage = (): Json => ({
  prompt_tokens: USAGE.input + USAGE.cacheRead,
  prompt_tokens_details: { cached_tokens: USAGE.cacheRead },
  completion_tokens: USAGE.output,
  total_tokens: USAGE.input + USAGE.cacheRead + USAGE.output,
})

function streamOf(turn: Turn, { model }: Asked): string {
  const id = nextId("chat")
  const chunk = (delta: Json, reason: string | null): string =>
    sse({ id, object: "chat.completion.chunk", created: 0, model, choices: [{ index: 0, delta, finish_reason: reason }] })
  return [
    chunk({ role: "assistant", ...saidIn(turn) }, null),
    chunk({}, reasonOf(turn)),
    sse({ id, object: "chat.completion.chunk", created: 0, model, choices: [], usage: usage() }),
    "data: [DONE]\n\n",
  ].join("")
}
