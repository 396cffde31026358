import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { connectMcp, useTool } from "./mcp.contract.ts"
import { type Instance, startInstance } from "./served.contract.ts"

/** Whatever others write, an agent gets on: a long text never makes an answer that cannot be had. */

let hub: Instance
let ada: Awaited<ReturnType<typeof connectMcp>>
const operator = { agent: "operator", session: null, role: "operator" as const }
/** Twice as long in JSON, and within all limits of a body. */
const LONG = '"'.repeat(32_000)

beforeAll(async () => {
  hub = await startInstance({ level: "silent" })
  ada = await connectMcp(hub.url, await hub.agent("ada"))
})
afterAll(async () => {
  await ada.close()
  await hub.close()
})
const post = (thread: string, body: string): Promise<unknown> =>
  hub.loop.execute("message.post", operator, {
    thread,
    body,
    kind: "chat",
    inReplyTo: null,
    metadata: { eventType: null, severity: null, file: null, line: null, endLine: null, task: null },
  })

describe("read_messages", () => {
  test("gives as many as fit and says where to go on, until all are read", async () => {
    for (let n = 1; n <= 9; n += 1) await post("team", `${n} ${"x".repeat(20_000)}`)
    const numbers: unknown[] = []
    for (let pages = 0; pages < 9; pages += 1) {
      const { isError, text, data } = await useTool(ada, "read_messages", { thread: "team", limit: 50, sinceSeq: numbers.length })
      expect([isError, text.length < 70_000]).toEqual([false, true])
      const messages = data["messages"] as { message: number; body: string }[]
      for (const { message, body } of messages) expect(body).toContain(`${message} xxx`)
      numbers.push(...messages.map(({ message }) => message))
      expect(data["next"]).toBe(numbers.length < 9 ? numbers.length : undefined)
      if (data["next"] === undefined) break
      expect(text).toContain(`sinceSeq: ${numbers.length}`)
    }
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test("cuts a message that is too long by itself, says so, and gets past it", async () => {
    await post("agent/ada", LONG)
    await post("agent/ada", "after it")
    const first = await useTool(ada, "read_messages", { thread: "agent/ada" })
    expect(first.text).toMatch(/^Next: ack_read .*Long texts are cut/)
    expect((first.data["messages"] as { body: string }[])[0]?.body).toMatch(/^<data from="operator">"{16000}… \(16000 more characters\)<\/data>$/)
    const second = await useTool(ada, "read_messages", { thread: "agent/ada", sinceSeq: first.data["next"] })
    expect(second.text).toContain("after it")
  })
})

test("a claim is told, however long its task is: refused it would be taken for undone", async () => {
  await hub.loop.execute("task.add", operator, { id: "long", title: "Long", body: LONG })
  const claim = await useTool(ada, "claim_task", { task: "long" })
  expect(claim.isError).toBe(false)
  expect(claim.text).toMatch(/^You hold task long under fence \d+/)
  expect(claim.data).toMatchObject({ fence: expect.any(Number), task: { id: "long", body: expect.stringContaining("more characters") } })
  expect((await useTool(ada, "more_tools", { tool: "get_task", arguments: { task: "long" } })).data).toMatchObject({ task: { id: "long" } })
})
