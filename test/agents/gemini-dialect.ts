import { asList, asObject, asText, type Asked, type Dialect, type Json, nextId, sse, textOf, type ToolCall, type ToolResult, type Turn, USAGE } from "./turn.ts"

const PATH = /\/models\/([^/:]+):(streamGenerateContent|generateContent|countTokens)/

/** Google's Gemini API, as Gemini CLI speaks it: `POST /v1beta/models/MODEL:streamGenerateContent`. */
export const geminiDialect: Dialect = {
  matches: (path) => PATH.test(path),
  read: (path, body) => {
    const { texts, calls, results } = conversationOf(asList(body["contents"]))
    return {
      api: "gemini",
      model: PATH.exec(path)?.[1] ?? "",
      system: textOf(asObject(body["systemInstruction"])["parts"]),
      tools: asList(body["tools"]).flatMap((tool) => asList(tool["functionDeclarations"]).map((declared) => asText(declared["name"]))),
      texts,
      calls,
      results,
      body,
    }
  },
  write: (turn, _asked, _body, path) => {
    const wanted = PATH.exec(path)?.[2]
    if (wanted === "countTokens") return { type: "application/json", text: JSON.stringify({ totalTokens: USAGE.input }) }
    const answer = answerOf(turn)
    return wanted === "generateContent" ? { type: "application/json", text: JSON.stringify(answer) } : { type: "text/event-stream", text: sse(answer) }
  },
}

function conversationOf(contents: readonly Json[]): Pick<Asked, "texts" | "calls" | "results"> {
  const texts: string[] = []
  const calls: ToolCall[] = []
  const results: ToolResult[] = []
  for (const { role, parts } of contents) {
    for (const part of asList(parts)) {
      if (typeof part["text"] === "string" && role !== "model") texts.push(part["text"])
      const call = asObject(part["functionCall"])
      if (typeof call["name"] === "string") calls.push({ tool: call["name"], input: asObject(call["args"]) })
      const result = asObject(part["functionResponse"])
      if (typeof result["name"] !== "string") continue
      const { output, error, ...rest } = asObject(result["response"])
      const said = output ?? error ?? rest
      results.push({ tool: result["name"], text: typeof said === "string" ? said : JSON.stringify(said), failed: error !== undefined })
    }
  }
  return { texts, calls, results }
}

function answerOf({ text, calls = [] }: Turn): Json {
  const parts = [
    ...(text === undefined ? [] : [{ text }]),
    ...calls.map((call) => ({ functionCall: { id: nextId("call"), name: call.tool, args: "input" in call ? call.input : { input: call.raw } } })),
  ]
  return {
    candidates: [{ index: 0, content: { role: "model", parts }, finishReason: "STOP" }],
    usageMetadata: {
      promptTokenCount: USAGE.input + USAGE.cacheRead,
      cachedContentTokenCount: USAGE.cacheRead,
      candidatesTokenCount: USAGE.output,
      totalTokenCount: USAGE.input + USAGE.cacheRead + USAGE.output,
    },
    modelVersion: "loopback",
  }
}
