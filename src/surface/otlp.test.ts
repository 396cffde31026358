import { afterAll, beforeAll, expect, test } from "vitest"
import { callsIn } from "./otlp.ts"
import { type Instance, startInstance } from "./served.contract.ts"

let instance: Instance
let credential: string

beforeAll(async () => {
  const price = { input: 2, output: 8, cacheRead: 0.5, cacheWrite: 2 }
  instance = await startInstance({ prices: new Map([["gpt-5", price]]) })
  credential = await instance.agent("codex")
})
afterAll(() => instance.close())

const attribute = (key: string, value: string | number) => ({
  key,
  value: typeof value === "string" ? { stringValue: value } : Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value },
})
const log = (name: string, attributes: Record<string, string | number>) => ({
  body: { stringValue: name },
  attributes: Object.entries({ "event.name": name, ...attributes }).map(([key, value]) => attribute(key, value)),
})
const exported = (...logRecords: object[]) => ({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] })

const claude = {
  "session.id": "c1",
  model: "claude-x",
  input_tokens: 10,
  output_tokens: 20,
  cache_read_tokens: 300,
  cache_creation_tokens: 4,
  cost_usd: 0.0123,
}
const codex = {
  "event.kind": "response.completed",
  "conversation.id": "k",
  model: "gpt-5-codex",
  input_token_count: 1_000,
  cached_token_count: 600,
  output_token_count: 50,
}

async function send(body: unknown, path = "logs", headers: Record<string, string> = {}): Promise<{ status: number; body: { code?: string; remedy?: string } }> {
  const response = await fetch(`${instance.url}/otlp/v1/${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${credential}`, "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as { code?: string; remedy?: string } }
}

async function usage(by: string): Promise<{ rows: Record<string, unknown>[]; total: Record<string, unknown> }> {
  const headers = { Authorization: `Bearer ${instance.operator}`, "Content-Type": "application/json" }
  const response = await fetch(`${instance.url}/api/orpc/usage/list`, { method: "POST", headers, body: JSON.stringify({ by }) })
  return (await response.json()) as { rows: Record<string, unknown>[]; total: Record<string, unknown> }
}

const read = (body: unknown): ReturnType<typeof callsIn> => callsIn(body, () => Promise.resolve())

test("an export of many records is read in several turns of the loop", async () => {
  let turns = 0
  const records = Array.from({ length: 1_200 }, () => log("claude_code.api_request", claude))
  const calls = await callsIn(exported(...records), () => Promise.resolve((turns += 1)))
  expect({ calls: calls.map(({ requests }) => requests), turns }).toEqual({ calls: [1_200], turns: 3 })
})

test("what agents' model calls took is read from their log records, and calls of one conversation and model are added up", async () => {
  const calls = await read(
    exported(log("claude_code.api_request", claude), log("claude_code.api_request", claude), log("claude_code.user_prompt", { prompt: "secret" })),
  )
  expect(calls).toEqual([
    { requests: 2, model: "claude-x", conversation: "c1", inputTokens: 20, outputTokens: 40, cacheReadTokens: 600, cacheWriteTokens: 8, costMicroUsd: 24_600 },
  ])
  expect(
    await read(
      exported(
        log("codex.sse_event", codex),
        log("codex.sse_event", { ...codex, "event.kind": "response.output_item.done" }),
        log("codex.sse_event", { "event.kind": "response.completed", duration_ms: 3 }),
      ),
    ),
  ).toMatchObject([{ inputTokens: 400, cacheReadTokens: 600, outputTokens: 50, costMicroUsd: null }])
})

test("an export is recorded under the caller's name with the table's price, and once however often it comes", async () => {
  const body = exported(log("codex.sse_event", codex))
  expect(await send(body)).toEqual({ status: 200, body: {} })
  expect(await send(body)).toEqual({ status: 200, body: {} })
  const { rows } = await usage("agent")
  expect(rows).toEqual([
    {
      key: "codex",
      requests: 1,
      inputTokens: 400,
      outputTokens: 50,
      cacheReadTokens: 600,
      cacheWriteTokens: 0,
      costMicroUsd: 400 * 2 + 50 * 8 + 300,
      unpriced: 0,
    },
  ])
})

test("an export that comes again under another session is taken to its end, and counts once", async () => {
  const of = (model: string) => log("claude_code.api_request", { ...claude, model })
  const body = exported(of("again-1"), of("again-2"))
  const actor = { agent: "codex", session: null, role: "worker" as const }
  expect((await send(body)).status).toBe(200)
  await instance.loop.execute("session.start", actor, { id: "s_later", agent: "codex", runtime: "x", resumeId: null, owned: false })
  expect(await send(body)).toMatchObject({ status: 200 })
  const { rows } = await usage("model")
  expect(rows.filter(({ key }) => String(key).startsWith("again")).map(({ key, requests }) => [key, requests])).toEqual([
    ["again-1", 1],
    ["again-2", 1],
  ])
  await instance.loop.execute("session.end", actor, { session: "s_later", reason: "r" })
})

test("a model without a price counts as unpriced, and never as free", async () => {
  await send(exported(log("codex.sse_event", { ...codex, model: "unheard-of" })))
  expect((await usage("model")).rows).toContainEqual(expect.objectContaining({ key: "unheard-of", costMicroUsd: 0, unpriced: 1 }))
})

test("metrics and traces are taken and passed over; what is no export, no JSON or nobody's is refused with its remedy", async () => {
  expect(await send({ resourceMetrics: [] }, "metrics")).toEqual({ status: 200, body: {} })
  expect((await send({ hello: 1 })).body).toMatchObject({ code: "invalid_input", remedy: expect.stringContaining("http/json") as string })
  expect((await send("\x08\x01", "logs", { "Content-Type": "application/x-protobuf" })).body.code).toBe("unsupported_media_type")
  expect((await send(exported(), "logs", { Authorization: "Bearer skc_codex_0_x" })).status).toBe(401)
  expect((await send(exported(), "profiles")).status).toBe(404)
})

test.each([
  ["no attributes", [{}], 0],
  ["attributes that are none", [{ attributes: [null, 1, { key: 1 }, { key: "x", value: { intValue: {} } }], body: { stringValue: "codex.sse_event" } }], 0],
  ["records that are none", [null, "x", 3], 0],
  ["figures that are none", [log("claude_code.api_request", { ...claude, input_tokens: "many", output_tokens: -4, cost_usd: -1 })], 1],
] as const)("a record with %s does no harm", async (_, records, calls) => {
  const found = await read(exported(...(records as readonly object[])))
  expect(found.map(({ inputTokens, outputTokens, costMicroUsd }) => [inputTokens, outputTokens, costMicroUsd])).toEqual(
    Array.from({ length: calls }, () => [0, 0, null]),
  )
})

test("an export is known again by its bytes, however deep what is passed over in it", async () => {
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`
  const body = JSON.stringify(exported(log("claude_code.api_request", { ...claude, model: "deep" }))).replace('"attributes":[', `"attributes":[${deep},`)
  for (let times = 0; times < 2; times += 1) expect((await send(body)).status).toBe(200)
  expect((await usage("model")).rows).toContainEqual(expect.objectContaining({ key: "deep", requests: 1 }))
})
