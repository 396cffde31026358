// An agent for tests that speaks ACP, by the protocol's own library. Arguments: FOLDER for its conversations and for what it was told; `old` can only load.
// It obeys: `ask` asks leave for a command and says what came; `wait` works until it is cancelled; `crash` ends with status 4; else it says the text.
import { appendFileSync, existsSync, writeFileSync } from "node:fs"
import { Readable, Writable } from "node:stream"
import { agent, methods, ndJsonStream, PROTOCOL_VERSION, RequestError } from "@agentclientprotocol/sdk"

const [, , folder, age] = process.argv
const cancels = new Map()
let cost = 0
let turns = 0

function knows(id) {
  if (!existsSync(`${folder}/${id}.session`)) throw RequestError.resourceNotFound(`conversation ${id}`)
}

const app = agent({ name: "talker" })
  .onRequest(methods.agent.initialize, () => ({
    protocolVersion: PROTOCOL_VERSION,
    agentCapabilities: age === "old" ? { loadSession: true } : { sessionCapabilities: { resume: {} } },
  }))
  .onRequest(methods.agent.session.new, () => {
    const sessionId = `s-${process.pid}`
    writeFileSync(`${folder}/${sessionId}.session`, "")
    return { sessionId }
  })
  .onRequest(methods.agent.session.resume, ({ params }) => (knows(params.sessionId), {}))
  .onRequest(methods.agent.session.load, ({ params }) => (knows(params.sessionId), {}))
  .onNotification(methods.agent.session.cancel, ({ params }) => cancels.get(params.sessionId)?.())
  .onRequest(methods.agent.session.prompt, async ({ params, client }) => {
    turns += 1
    const { sessionId } = params
    const text = params.prompt[0].text
    appendFileSync(`${folder}/heard.jsonl`, `${JSON.stringify({ sessionId, text, turns })}\n`)
    const say = (said) =>
      client.notify(methods.client.session.update, { sessionId, update: { sessionUpdate: "agent_message_chunk", content: { type: "text", text: said } } })
    if (text === "crash") process.exit(4)
    if (text === "wait") {
      await new Promise((settle) => cancels.set(sessionId, settle))
      turns -= 1
      return { stopReason: "cancelled" }
    }
    if (text === "ask") {
      const options = [
        { optionId: "yes", name: "Yes", kind: "allow_once" },
        { optionId: "no", name: "No", kind: "reject_once" },
      ]
      const { outcome } = await client.request(methods.client.session.requestPermission, {
        sessionId,
        toolCall: { toolCallId: "1", title: "rm -r /" },
        options,
      })
      await say(`answer: ${outcome.outcome === "selected" ? outcome.optionId : outcome.outcome}\n`)
    }
    await new Promise((settle) => setTimeout(settle, 150))
    cost += 0.25
    await client.notify(methods.client.session.update, {
      sessionId,
      update: { sessionUpdate: "usage_update", used: 10, size: 100, cost: { amount: cost, currency: "USD" } },
    })
    await say(`${text}\n`)
    turns -= 1
    return { stopReason: "end_turn", usage: { totalTokens: 46, inputTokens: 12, outputTokens: 34 } }
  })

const connection = app.connect(ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)))
await connection.closed
