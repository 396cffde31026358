/**
 * A scripted agent without a terminal: speaks ACP (`acp FOLDER`), or is a process for each turn (`turn FOLDER [CONVERSATION]`); or has a terminal and is
 * served over HTTP as opencode is (`served FOLDER CONVERSATION --port N`). At each text it reads what is unread for it
 * at the hub, acknowledges it, and obeys the messages: `ask` (asks leave, ACP), `crash` (status 4), `out` (its account is used up for two hours), `wait` (until its turn is
 * cancelled). What happens to it stands in FOLDER/AGENT.jsonl.
 */
import { appendFileSync, existsSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { Readable, Writable } from "node:stream"
import { agent as acpAgent, methods, ndJsonStream, PROTOCOL_VERSION, RequestError, type RequestPermissionResponse } from "@agentclientprotocol/sdk"
import { httpClient } from "../../src/client/http.ts"
import { noncesIn } from "../../src/core/nonce.ts"

const [, , how = "acp", folder = ".", known] = process.argv
const agent = process.env["SKEIN_AGENT"] ?? "nobody"
const hub = httpClient({ url: process.env["SKEIN_URL"] ?? "", credentialFile: process.env["SKEIN_TOKEN_FILE"] ?? "", timeoutMs: 5_000 })
const resetAt = new Date(Date.now() + 7_200_000).toLocaleTimeString("en-US", { hour: "numeric", minute: "2-digit" })
const OUT = `You've hit your usage limit. Try again at ${resetAt}.`

function record(event: object): void {
  appendFileSync(join(folder, `${agent}.jsonl`), `${JSON.stringify({ atMs: Date.now(), pid: process.pid, ...event })}\n`)
}

/** Reads and acknowledges what is unread; gives what was said. */
async function read(text: string): Promise<string[]> {
  const nonce = noncesIn(text)[0] ?? null
  record({ event: "text", text, nonce })
  const said: string[] = []
  for (;;) {
    const { threads } = await hub.call("message.unread", { limit: 100 })
    if (threads.length === 0) return said
    for (const { thread, lastReadSeq } of threads) {
      const { messages } = await hub.call("message.read", { thread, sinceSeq: lastReadSeq, limit: 200 })
      const last = messages.at(-1)
      if (last === undefined) continue
      // Said by its own tool, as a model would: so the hub sees it.
      if (!messages.some(({ body }) => body === "out"))
        await hub.call("message.ack", { thread, lastReadSeq: last.message, ...(nonce === null ? {} : { trigger: nonce }) })
      else if (!existsSync(join(folder, `${agent}.paid`))) return ["out"]
      else await hub.call("message.ack", { thread, lastReadSeq: last.message })
      for (const { message, body, sender } of messages)
        if (sender !== agent) {
          record({ event: "read", thread, message, body })
          said.push(body)
        }
    }
  }
}

async function turn(): Promise<void> {
  let prompt = ""
  for await (const chunk of process.stdin) prompt += String(chunk)
  const conversation = known ?? `c-${process.pid}`
  const file = join(folder, `${conversation}.conversation`)
  if (known !== undefined && !existsSync(file)) {
    process.stderr.write(`no such conversation: ${known}\n`)
    process.exit(7)
  }
  writeFileSync(file, "")
  process.stdout.write(`${JSON.stringify({ id: conversation })}\n`)
  const said = await read(prompt)
  record({ event: "done", conversation })
  if (said.includes("crash")) process.exit(4)
  if (said.includes("out")) {
    await new Promise((settle) => setTimeout(settle, 700))
    process.stderr.write(`${OUT}\n`)
    process.exit(1)
  }
  process.exit(0)
}

async function speak(): Promise<void> {
  let cancel = (): void => {}
  let cost = 0
  const app = acpAgent({ name: "talker" })
    .onRequest(methods.agent.initialize, () => ({ protocolVersion: PROTOCOL_VERSION, agentCapabilities: { sessionCapabilities: { resume: {} } } }))
    .onRequest(methods.agent.session.new, () => {
      const sessionId = `c-${process.pid}`
      writeFileSync(join(folder, `${sessionId}.conversation`), "")
      record({ event: "started", how: "new", conversation: sessionId })
      return { sessionId }
    })
    .onRequest(methods.agent.session.resume, ({ params: { sessionId } }) => {
      if (!existsSync(join(folder, `${sessionId}.conversation`))) throw RequestError.resourceNotFound(`conversation ${sessionId}`)
      record({ event: "started", how: "resume", conversation: sessionId })
      return {}
    })
    .onNotification(methods.agent.session.cancel, () => cancel())
    .onRequest(methods.agent.session.prompt, async ({ params: { sessionId, prompt }, client }) => {
      const [first] = prompt
      const said = await read(first?.type === "text" ? first.text : "")
      if (said.includes("crash")) process.exit(4)
      if (said.includes("out")) throw RequestError.internalError(undefined, OUT)
      if (said.includes("wait")) await new Promise<void>((settle) => (cancel = settle))
      if (said.includes("ask")) {
        const options = [
          { optionId: "yes", name: "Yes, once", kind: "allow_once" as const },
          { optionId: "no", name: "No", kind: "reject_once" as const },
        ]
        const toolCall = { toolCallId: "1", title: "rm -r build", kind: "execute" as const }
        const answer: RequestPermissionResponse = await client.request(methods.client.session.requestPermission, { sessionId, toolCall, options })
        record({ event: "answered", text: answer.outcome.outcome === "selected" ? answer.outcome.optionId : answer.outcome.outcome })
      }
      const words = { sessionUpdate: "agent_message_chunk" as const, content: { type: "text" as const, text: "working on it\n" } }
      await client.notify(methods.client.session.update, { sessionId, update: words })
      cost += 0.25
      const update = { sessionUpdate: "usage_update" as const, used: 10, size: 100, cost: { amount: cost, currency: "USD" } }
      await client.notify(methods.client.session.update, { sessionId, update })
      record({ event: "done", conversation: sessionId })
      return { stopReason: "end_turn" as const, usage: { totalTokens: 46, inputTokens: 12, outputTokens: 34 } }
    })
  const input = Readable.toWeb(process.stdin) as ReadableStream<Uint8Array>
  await app.connect(ndJsonStream(Writable.toWeb(process.stdout), input)).closed
}

function serve(): void {
  const port = Number(process.argv[process.argv.indexOf("--port") + 1])
  const wanted = `Basic ${Buffer.from(`opencode:${process.env["OPENCODE_SERVER_PASSWORD"] ?? ""}`).toString("base64")}`
  const server = createServer((request, response) => {
    const knows = request.headers.authorization === wanted && request.url === `/session/${known}/prompt_async`
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => (body += text))
    request.on("end", () => {
      response.writeHead(request.headers.authorization !== wanted ? 401 : knows ? 204 : 404).end()
      if (knows) void read((JSON.parse(body) as { parts: { text: string }[] }).parts.map(({ text }) => text).join(""))
    })
  })
  let line = ""
  process.stdin.setRawMode(true).setEncoding("utf8")
  process.stdin.on("data", (text: string) => {
    line += text
    process.stdout.write(text)
  })
  server.listen(port, "127.0.0.1", () => {
    record({ event: "started", how: "served", conversation: known })
    process.stdout.write(`ready for input\r\n> ${line}`)
  })
}

await (how === "acp" ? speak() : how === "served" ? serve() : turn())
