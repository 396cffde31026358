import { asList, asObject, asText, type Asked, type Dialect, type Json, nextId, sse, textOf, type ToolCall, type ToolResult, type Turn, USAGE } from "./turn.ts"

/** OpenAI's Responses API, as Codex speaks it: `POST …/responses`, always a stream. */
export const responsesDialect: Dialect = {
  matches: (path) => /\/responses(\?|$)/.test(path),
  read: (_path, body) => {
    const { texts, calls, results } = conversationOf(asList(body["input"]))
    return { api: "responses", model: asText(body["model"]), system: asText(body["instructions"]), tools: toolsOf(body), texts, calls, results, body }
  },
  write: (turn) => ({ type: "text/event-stream", text: streamOf(turn) }),
}

/**
 * Tools come alone, or gathered in namespaces; one of a namespace is named `NAMESPACE/NAME` here. Those that Codex keeps back until they are searched for
 * (`tool_search`) come in the search's output.
 */
function toolsOf(body: Json): string[] {
  const found = asList(body["input"]).flatMap((item) => (item["type"] === "tool_search_output" ? asList(item["tools"]) : []))
  const names = [...asList(body["tools"]), ...found].flatMap((tool) => {
    const name = asText(tool["name"]) || asText(tool["type"])
    return tool["type"] === "namespace" ? asList(tool["tools"]).map((inner) => `${name}/${asText(inner["name"])}`) : [name]
  })
  return [...new Set(names)]
}

function conversationOf(items: readonly Json[]): Pick<Asked, "texts" | "calls" | "results"> {
  const texts: string[] = []
  const calls: ToolCall[] = []
  const results: ToolResult[] = []
  const names = new Map<string, string>()
  for (const item of items) {
    const type = asText(item["type"])
    if (type === "message" && item["role"] !== "assistant") texts.push(textOf(item["content"]))
    if (type === "function_call" || type === "custom_tool_call") {
      const namespace = asText(item["namespace"])
      const tool = namespace === "" ? asText(item["name"]) : `${namespace}/${asText(item["name"])}`
      names.set(asText(item["call_id"]), tool)
      calls.push(type === "custom_tool_call" ? { tool, raw: asText(item["input"]) } : { tool, input: asObject(JSON.parse(asText(item["arguments"]) || "{}")) })
    }
    if (type === "tool_search_call") calls.push({ tool: "tool_search", input: asObject(item["arguments"]) })
    if (type === "tool_search_output") results.push({ tool: "tool_search", text: JSON.stringify(item["tools"]), failed: false })
    if (type === "function_call_output" || type === "custom_tool_call_output") {
      const text = textOf(item["output"])
      results.push({ tool: names.get(asText(item["call_id"])) ?? "", text, failed: asObject(item["output"])["success"] === false })
    }
  }
  return { texts, calls, results }
}

function itemOf(call: ToolCall): Json {
  const [first = "", second] = call.tool.split("/")
  const where = second === undefined ? { name: first } : { namespace: first, name: second }
  const ids = { id: nextId("item"), call_id: nextId("call"), status: "completed" }
  if (call.tool === "tool_search" && "input" in call) return { type: "tool_search_call", ...ids, execution: "client", arguments: call.input }
  return "raw" in call
    ? { type: "custom_tool_call", ...ids, ...where, input: call.raw }
    : { type: "function_call", ...ids, ...where, arguments: JSON.stringify(call.input) }
}

function streamOf({ text, calls = [] }: Turn): string {
  const id = nextId("resp")
  const message = (content: string): Json => ({
    type: "message",
    id: nextId("msg"),
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text: content, annotations: [] }],
  })
  const items = [...(text === undefined ? [] : [message(text)]), ...calls.map(itemOf)]
  const event = (data: Json): string => sse(data, asText(data["type"]))
  return [
    event({ type: "response.created", response: { id, object: "response", status: "in_progress", output: [] } }),
    ...items.flatMap((item, index) => [
      event({ type: "response.output_item.added", output_index: index, item }),
      event({ type: "response.output_item.done", output_index: index, item }),
    ]),
    event({
      type: "response.completed",
      response: {
        id,
        object: "response",
        status: "completed",
        output: items,
        usage: {
          input_tokens: USAGE.input + USAGE.cacheRead,
          input_tokens_details: { cached_tokens: USAGE.cacheRead },
          output_tokens: USAGE.output,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: USAGE.input + USAGE.cacheRead + USAGE.output,
        },
      },
    }),
  ].join("")
}
