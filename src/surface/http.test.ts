import { createORPCClient } from "@orpc/client"
import { RPCLink } from "@orpc/client/fetch"
import { afterEach, describe, expect, test } from "vitest"
import type { ContractRouterClient } from "@orpc/contract"
import type * as z from "zod"
import { KINDS, type OperationName } from "../contract/names.ts"
import { operations } from "../contract/operations.ts"
import { check } from "../ledger/proof.ts"
import { parseVerifier } from "../ledger/note.ts"
import { httpClient } from "../client/http.ts"
import type { router } from "./router.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask } from "./wire.contract.ts"

let hub: Instance
afterEach(() => hub.close())

const run = async (operation: OperationName, input: unknown, token = hub.operator, headers: Record<string, string> = {}): Promise<Record<string, unknown>> => {
  const { status, body, text } = await ask(hub.url, `/api/orpc/${operation.replace(".", "/")}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify(input),
  })
  if (status !== 200) throw new Error(`${operation}: ${text}`)
  return body
}

test("every operation answers what its row in the contract says, field by field", async () => {
  hub = await startInstance()
  const called = new Set<OperationName>()
  const call = async (operation: OperationName, input: unknown, token?: string, headers?: Record<string, string>): Promise<Record<string, unknown>> => {
    called.add(operation)
    const answer = await run(operation, input, token, headers)
    const parsed = (operations[operation].output as z.ZodType).safeParse(answer)
    expect(parsed.error, operation).toBeUndefined()
    // A field that the schema does not know would have been left out.
    expect(parsed.data, operation).toEqual(answer)
    return answer
  }
  await call("workspace.create", { name: "other" })
  await call("workspace.list", {})
  await call("agent.add", { name: "ada", capabilities: { ts: 3 }, maxActive: 9 })
  await call("agent.add", { name: "ben" })
  await call("agent.edit", { name: "ada", reason: "more", maxActive: 10 })
  const ada = (await call("credential.issue", { agent: "ada" }))["credential"] as string
  const ben = await call("credential.issue", { agent: "ben" })
  const session = (await call("session.start", { owned: true }, ada))["session"] as string
  const as = { "skein-session": session }
  await call("token.mint", { agent: "ada", session })
  expect(await call("session.beat", { sessions: [session, "s_unknown"] }, ada)).toEqual({ heard: [session] })
  for (const id of ["one", "two", "three", "four", "five"]) await call("task.add", { id, title: id, labels: ["x"], review: id === "two" })
  await call("task.edit", { task: "five", reason: "r", changes: { estimateMs: 1_000 } })
  const fenceOf = async (task: string): Promise<number> => (await call("task.claim", { task }, ada, as))["fence"] as number
  const one = await fenceOf("one")
  await call("task.update", { task: "one", fence: one, progress: 0.25, note: "begun" }, ada)
  await call("lease.renew", { task: "one", fence: one }, ada)
  await call("help.want", { task: "one", fence: one, reason: "stuck" }, ada)
  await call("help.answer", { task: "one" }, ben["credential"] as string)
  await call("task.block", { task: "one", fence: one, on: { kind: "task", ref: "five" }, reason: "needs it" }, ada)
  await call("task.unblock", { task: "one", reason: "not any more" }, ada)
  const inbox = (await call("event.inbox", {}, ben["credential"] as string))["events"] as { seq: number }[]
  await call("event.ack", { seq: inbox[0]?.seq }, ben["credential"] as string)
  await call("task.complete", { task: "one", fence: one, deliverable: { text: "done", evidence: { links: ["https://example.org"] } } }, ada)
  const two = await fenceOf("two")
  await call("task.complete", { task: "two", fence: two, deliverable: { text: "look" } }, ada)
  await call("task.review", { task: "two", approve: true, reason: "good" })
  await call("task.fail", { task: "three", fence: await fenceOf("three"), reason: "no", retry: false }, ada)
  await call("task.reset", { task: "three", reason: "again" })
  await call("task.release", { task: "four", fence: await fenceOf("four") }, ada)
  await fenceOf("four")
  await call("lease.end", { task: "four", reason: "by hand" })
  await call("task.claimNext", { max: 2 }, ada, as)
  await call("task.cancel", { task: "five", reason: "no need" })
  await call("task.list", { label: "x", limit: 2 })
  await call("task.show", { task: "one" })
  await call("task.whyAssigned", { task: "one" })
  await call("event.send", { kind: "info", text: "hello" }, ada)
  const { lease } = await call("files.reserve", { globs: ["src/**", "docs/a.md"] }, ada, as)
  expect(await call("files.conflicts", {})).toMatchObject({ known: false, conflicts: [], atMs: null })
  await call("files.renew", { lease }, ada, as)
  const checked = await call("files.check", { paths: ["src/a.ts", "lib/a.ts"] }, ben["credential"] as string)
  expect(checked).toMatchObject({
    allowed: false,
    paths: [
      { allowed: false, heldBy: { agent: "ada", lease, glob: "src/**" } },
      { allowed: true, heldBy: null },
    ],
  })
  expect(await call("files.list", { path: "docs/a.md" })).toMatchObject({ holdings: [{ agent: "ada", lease, globs: ["src/**", "docs/a.md"] }], cursor: null })
  await call("files.release", { lease }, ada, as)
  await call("plan.add", {
    name: "p",
    title: "P",
    digest: "ab",
    tasks: [
      { id: "a", title: "A" },
      { id: "b", title: "B", dependsOn: ["a"], estimateMs: 5 },
    ],
  })
  await call("plan.list", {})
  await call("plan.show", { plan: "p.1" })
  await call("plan.report", { plan: "p.1" })
  await call("plan.cancel", { plan: "p.1", reason: "no" })
  const thread = (await call("thread.create", { title: "T", participants: ["ben"] }, ada))["thread"] as string
  expect(thread).toMatch(/^t_/)
  expect(await call("message.post", { thread, body: "hello ben" }, ada, as)).toMatchObject({ thread, message: 1 })
  const [said] = (await call("message.read", { thread }, ben["credential"] as string))["messages"] as object[]
  expect(said).toMatchObject({ sender: "ada", session, body: "hello ben", message: 1 })
  expect(await call("message.unread", {}, ben["credential"] as string)).toMatchObject({
    threads: expect.arrayContaining([expect.objectContaining({ thread })]),
  })
  await call("message.ack", { thread, lastReadSeq: 1 }, ben["credential"] as string)
  expect(await call("message.search", { text: "HELLO B" })).toMatchObject({ hits: [{ thread, message: 1 }], truncated: false })
  await call("thread.join", { thread })
  await call("thread.leave", { thread })
  await call("thread.invite", { thread, agents: ["ben"] }, ada)
  await call("thread.setStatus", { thread, status: "resolved", reason: "r" }, ada)
  expect(await call("thread.summarize", { thread })).toMatchObject({ status: "resolved", headSeq: 2, shown: { messages: 2 } })
  await call("thread.list", { mine: true }, ada)
  await call("thread.show", { thread })
  await call("agent.add", { name: "keeper", role: "supervisor" })
  const keeper = (await call("credential.issue", { agent: "keeper" }))["credential"] as string
  const keeping = { "skein-session": (await call("session.start", { owned: true }, keeper))["session"] as string }
  const asked = { thread: "agent/ben", target: "ben", reason: "look", requestId: "q1" }
  const { job } = await call("trigger.participant", asked, ada)
  expect(await call("trigger.participant", asked, ada)).toMatchObject({ job, mode: "fallback_required", action: "spawn_session", code: "NO_SUPERVISOR" })
  await expect(run("trigger.participant", { ...asked, reason: "other" }, ada)).rejects.toThrow("idempotency_conflict")
  const { jobs } = await call("trigger.claim", { agents: ["ben"] }, keeper, keeping)
  const claim = (jobs as { job: string; fence: number }[]).find((each) => each.job === job)
  expect(claim).toMatchObject({ hop: "spawn", target: "ben", nonce: job })
  await call("trigger.record", { job, fence: claim?.fence, step: "delivering", channel: "process" }, keeper, keeping)
  await call("trigger.record", { job, fence: claim?.fence, step: "sent" }, keeper, keeping)
  expect(await call("session.turn", { state: "started", nonce: job }, ben["credential"] as string)).toEqual({ delivered: true })
  await call("trigger.list", { target: "ben" })
  expect(await call("trigger.show", { job })).toMatchObject({ trigger: { status: "delivered", evidence: "turn" } })
  expect((await call("trigger.why", { job }))["hops"]).toHaveLength(5)
  const { job: second } = await call("trigger.participant", { ...asked, requestId: null }, ada)
  await call("trigger.cancel", { job: second, reason: "no" })
  expect(await call("trigger.retry", { job: second, reason: "yes" })).toMatchObject({ status: "fallback_spawn" })
  await call("session.adopt", { session }, keeper, keeping)
  await call("agent.handled", { agent: "ben", untilMs: Date.now() }, keeper, keeping)
  await call("account.exhausted", { account: "agent/ben", untilMs: Date.now() + 60_000, reason: "limit" }, keeper)
  await call("account.restored", { account: "agent/ben", reason: "paid" }, keeper)
  const options = [{ id: "yes", name: "Yes", kind: "allow_once" }]
  const ask = async (): Promise<number> => (await call("permission.ask", { agent: "ben", title: "rm -rf build", options }, keeper))["permission"] as number
  const leave = await ask()
  expect((await call("permission.list", {}))["permissions"]).toMatchObject([{ id: leave, agent: "ben", title: "rm -rf build", status: "open" }])
  await call("permission.answer", { permission: leave, option: "yes" })
  await call("permission.withdraw", { permission: await ask(), reason: "its turn is over" }, keeper)
  expect(await call("terminal.show", { agent: "ben" })).toEqual({ screen: null })
  expect(await call("terminal.report", { screens: [{ agent: "ben", text: "> " }] }, keeper)).toEqual({ wanted: ["ben"] })
  await call("budget.set", { scope: "workspace", limitMicroUsd: 1_000_000_000 })
  await call("budget.topUp", { scope: "workspace", amountMicroUsd: 1 })
  expect((await call("budget.show", {}))["budgets"]).toMatchObject([{ budget: "workspace", limitMicroUsd: 1_000_000_001 }])
  await call("breaker.trip", { breaker: "model/none", reason: "r" })
  expect((await call("breaker.list", {}))["breakers"]).toContainEqual(expect.objectContaining({ breaker: "model/none", phase: "open", cause: "manual" }))
  await call("breaker.reset", { breaker: "model/none" })
  await call("breaker.setPolicy", { changes: { consecutive: 6 } })
  await call("wake.setPolicy", { changes: { ackMs: 9_000 }, reason: "slow machine" })
  expect(await call("wake.policy", {})).toMatchObject({ policy: { ackMs: 9_000 }, changed: ["ackMs"] })
  const policy = (await call("policy.show", {}))["text"] as string
  expect(await call("policy.check", { text: policy })).toMatchObject({ ok: true, faults: [] })
  const open = { principal: "ada", action: "task.list", expect: "allow" }
  expect((await call("policy.test", { text: policy, cases: [open] }))["cases"]).toMatchObject([{ ok: true, rule: "observers-read" }])
  await call("policy.set", { text: policy, reason: "as it was, but evaluated" })
  expect(await call("policy.log", {})).toMatchObject({ denied: 0 })
  await call("thread.setStatus", { thread, status: "active", reason: "r" }, ada)
  await call("thread.escalate", { thread, reason: "stuck" }, ada)
  await call("thread.unblock", { thread, reason: "go on" })
  await call("thread.overrideClose", { thread, reason: "enough" })
  await call("agent.list", {})
  await call("agent.show", { name: "ada" })
  await call("agent.manifest", { name: "ada" })
  await call("session.list", {})
  await call("hub.status", {})
  await call("hub.flight", {})
  await call("hub.metrics", {})
  await call("ledger.checkpoint", {})
  const head = await call("ledger.head", {})
  expect(head["note"]).toContain("skein/test/main")
  await call("ledger.read", { from: 1, limit: 5 })
  const why = (await call("ledger.why", { seq: one }))["entries"] as { seq: number }[]
  expect(why.map(({ seq }) => seq)).toEqual([one, expect.any(Number)])
  const proof = await call("ledger.prove", { seq: one })
  expect(check(proof, { log: [parseVerifier(hub.vkey)] })).toMatchObject({ ok: true, seq: one })
  await call("ledger.consistency", { from: 3, to: 9 })
  await call("usage.report", { model: "m", inputTokens: 1, costMicroUsd: 5 }, ada)
  await call("usage.refund", { agent: "ada", costMicroUsd: 2 })
  await call("usage.list", { by: "model" })
  await call("ledger.snapshots", {})
  await call("credential.revoke", { agent: "ben", id: ben["id"], reason: "r" })
  await call("work.wait", { waitMs: 0 }, ada)
  await call("session.end", { session })
  await call("agent.retire", { name: "ben", reason: "r" })
  expect([...called].sort()).toEqual(Object.keys(KINDS))
})

test("one operation carries any kind of event: those that mean an operation are carried out", async () => {
  hub = await startInstance()
  const ada = await hub.agent("ada", { maxActive: 5 })
  for (const id of ["a", "b", "c", "d"]) await run("task.add", { id, title: id })
  const send = (kind: string, task: string | null, payload: unknown = {}, text = "") =>
    run("event.send", { kind, ...(task === null ? {} : { task }), payload, text }, ada)
  const fenceOf = async (task: string): Promise<number> => ((await send("task_claim", task))["answer"] as { fence: number }).fence
  const fences = { a: await fenceOf("a"), b: await fenceOf("b"), c: await fenceOf("c") }
  expect(await send("task_update", "a", { status: "in_progress", fence: fences.a, progress: 0.5 }, "half")).toMatchObject({ as: "task.update" })
  expect(await send("blocker", "b", { fence: fences.b, on: { kind: "task", ref: "d" } }, "needs d")).toMatchObject({ as: "task.block" })
  expect(await send("task_update", "c", { status: "blocked", fence: fences.c, on: { kind: "external", ref: "vendor" } }, "they sleep")).toMatchObject({
    as: "task.block",
  })
  expect(await send("help_wanted", "a", { fence: fences.a }, "stuck")).toMatchObject({ as: "help.want" })
  expect(await send("task_update", "a", { status: "completed", fence: fences.a }, "done")).toMatchObject({
    as: "task.complete",
    answer: { status: "completed" },
  })
  expect(await send("task_update", "b", { status: "failed", fence: fences.b, retry: false }, "no")).toMatchObject({
    as: "task.fail",
    answer: { status: "failed" },
  })
  const said = await run("event.send", { kind: "info", to: { agent: "ada" }, text: "read me", requiresAck: true })
  expect(said).toMatchObject({ as: "event.send" })
  expect(await send("ack", null, { seq: said["seq"] })).toMatchObject({ as: "event.ack" })
  const statuses = await hub.loop.read((state) => ["a", "b", "c", "d"].map((id) => state.tasks.get(id)?.status))
  expect(statuses).toEqual(["completed", "failed", "blocked", "pending"])
  expect(await hub.loop.read((state) => [state.tasks.get("a")?.note, state.tasks.get("a")?.deliverable?.text, state.tasks.get("b")?.reason])).toEqual([
    "half",
    "done",
    "no",
  ])
})

describe("/rpc", () => {
  test("oRPC's own client can call it, and finds code and remedy in the error's data", async () => {
    hub = await startInstance()
    const link = new RPCLink({ url: `${hub.url}/rpc`, headers: { authorization: `Bearer ${hub.operator}` } })
    const client = createORPCClient<ContractRouterClient<typeof router>>(link)
    expect(await client.task.add({ id: "one", title: "One" })).toMatchObject({ task: "one" })
    const error = await client.task.show({ task: "two" }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "not_found", status: 404, data: { code: "not_found", remedy: expect.any(String) as string } })
    const stranger = createORPCClient<ContractRouterClient<typeof router>>(new RPCLink({ url: `${hub.url}/rpc`, headers: { authorization: "Bearer x" } }))
    const refused = await stranger.task.show({ task: "one" }).catch((thrown: unknown) => thrown)
    expect(refused).toMatchObject({ code: "unauthenticated", status: 401, data: { code: "unauthenticated", remedy: expect.any(String) as string } })
  })

  test("the one-shot client calls over kept HTTP, repeats by key, and throws what the hub answered", async () => {
    hub = await startInstance({ rate: { perSecond: 20, burst: 3 } })
    const client = httpClient({ url: hub.url, credential: hub.operator })
    await client.call("task.add", { id: "one", title: "One" }, { key: "k" })
    const again = await client.call("task.add", { id: "one", title: "One" }, { key: "k" })
    expect(again.task).toBe("one")
    await expect(client.call("task.add", { id: "one", title: "Two" }, { key: "k" })).rejects.toMatchObject({ code: "idempotency_conflict" })
    // Over the limit now: each of these waits for its turn.
    const answers = await Promise.all([1, 2, 3].map(() => client.call("hub.status", {})))
    expect(answers.length).toBe(3)
    client.close()
    await hub.stop()
    await expect(httpClient({ url: "http://127.0.0.1:9", credential: "x" }).call("hub.status", {})).rejects.toMatchObject({ code: "hub_unreachable" })
    await hub.restart()
  })
})

test("a refusal that time mends says when to come again, in the header too", async () => {
  hub = await startInstance({ rate: { perSecond: 0.5, burst: 1 } })
  await run("hub.status", {})
  const { status, headers, body } = await ask(hub.url, "/api/orpc/hub/status", { headers: { authorization: `Bearer ${hub.operator}` }, body: "{}" })
  expect(status).toBe(429)
  expect(body).toMatchObject({ code: "rate_limited", retryAfterMs: expect.any(Number) as number })
  expect(headers["retry-after"]).toBe("2")
  expect(headers["x-request-id"]).toMatch(/^[0-9a-f]{8}-\d+$/)
})

test("a claim that waits dies with the connection that it came by", async () => {
  hub = await startInstance()
  const given = new AbortController()
  const headers = { authorization: `Bearer ${await hub.agent("ada")}`, "content-type": "application/json" }
  const waiting = fetch(`${hub.url}/api/orpc/task/claimNext`, { method: "POST", headers, body: '{"waitMs":60000}', signal: given.signal })
  const parked = async (count: number): Promise<void> => {
    while (hub.loop.stats()["parked"] !== count) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await parked(1)
  given.abort()
  await expect(waiting).rejects.toThrow()
  await parked(0)
})

test("a fault of the hub's own is told in its log, and only named to the caller", async () => {
  hub = await startInstance()
  hub.loop.snapshots = () => Promise.reject(new Error("ENOENT: /home/somebody/secret"))
  const { status, text } = await ask(hub.url, "/api/orpc/ledger/snapshots", { headers: { authorization: `Bearer ${hub.operator}` }, body: "{}" })
  expect([status, text.includes("internal"), text.includes("secret")]).toEqual([500, true, false])
  expect(hub.lines.some((line) => line.includes("secret"))).toBe(true)
})

test("what is read by its address counts against the rate as calls do", async () => {
  hub = await startInstance({ rate: { perSecond: 0.001, burst: 1 } })
  await run("hub.status", {})
  const headers = { authorization: `Bearer ${hub.operator}` }
  for (const path of ["/events", "/snapshots/main/1", "/entries/main/1/2", "/back/main/0/1"])
    expect((await ask(hub.url, path, { method: "GET", headers })).body["code"], path).toBe("rate_limited")
  for (const path of ["/otlp/v1/logs", "/otlp/v1/metrics", "/otlp/v1/traces"])
    expect((await ask(hub.url, path, { headers, body: "{}" })).body["code"], path).toBe("rate_limited")
  expect((await ask(hub.url, "/mcp", { headers, body: "{}" })).text).toContain("rate_limited")
})

describe("/events", () => {
  type Message = { id: number; event: string; data: unknown }

  /** Reads messages until `enough`, then leaves. */
  async function stream(path: string, headers: Record<string, string>, enough: (messages: Message[]) => boolean): Promise<Message[]> {
    const response = await fetch(`${hub.url}${path}`, { headers: { authorization: `Bearer ${hub.operator}`, ...headers } })
    expect(response.headers.get("content-type")).toContain("text/event-stream")
    const messages: Message[] = []
    let text = ""
    const decoder = new TextDecoder()
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true })
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const fields = new Map(
          text
            .slice(0, end)
            .split("\n")
            .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
        )
        text = text.slice(end + 2)
        if (fields.has("data"))
          messages.push({ id: Number(fields.get("id")), event: fields.get("event") ?? "", data: JSON.parse(fields.get("data") ?? "null") })
      }
      // Leaving the loop cancels the stream.
      if (enough(messages)) break
    }
    return messages
  }
  const seqs = (messages: Message[]): number[] => messages.flatMap(({ data }) => (data as { seq: number }[]).map(({ seq }) => seq))

  test("a stream resumes after Last-Event-ID, over a restart too, without a gap", async () => {
    hub = await startInstance({ limits: { checkpointMs: 3_600_000 } })
    for (let at = 0; at < 10; at += 1) await run("task.add", { id: `t${at}`, title: "T" })
    const first = await stream("/events?workspace=main&from=1", {}, (messages) => seqs(messages).length >= 5)
    const last = first.at(-1)?.id ?? 0
    await hub.restart()
    await run("task.add", { id: "late", title: "T" })
    const { seq } = hub.loop.head
    const rest = await stream("/events", { "last-event-id": String(last) }, (messages) => seqs(messages).includes(seq))
    expect([...seqs(first), ...seqs(rest)]).toEqual(Array.from({ length: seq }, (_, at) => at + 1))
  })

  test("a stream ends when the token behind it is over or revoked", async () => {
    hub = await startInstance()
    const { token } = await hub.auth.exchange(await hub.agent("ada"), { workspace: null, session: null })
    const over = await stream("/events?from=1", { authorization: `Bearer ${token}` }, (messages) => {
      // It is open, since something came.
      hub.wall.aheadMs = 16 * 60_000
      return messages.some(({ event }) => event === "expired")
    })
    expect(over.at(-1)?.event).toBe("expired")
    hub.wall.aheadMs = 0
    const retiring: Promise<unknown>[] = []
    const retired = await stream("/events?from=1", { authorization: `Bearer ${token}` }, (messages) => {
      if (retiring.length === 0) retiring.push(run("agent.retire", { name: "ada", reason: "done" }))
      return messages.some(({ event }) => event === "revoked")
    })
    await Promise.all(retiring)
    expect(retired.at(-1)?.event).toBe("revoked")
  })
})

test("a line of the log follows one call through: request, operation, command, agent, seq", async () => {
  hub = await startInstance()
  const { headers } = await ask(hub.url, "/api/orpc/task/add", {
    headers: { authorization: `Bearer ${hub.operator}`, "idempotency-key": "cmd-1" },
    body: '{"id":"one","title":"One"}',
  })
  const line = hub.lines.map((text) => JSON.parse(text) as Record<string, unknown>).find(({ commandId }) => commandId === "cmd-1")
  expect(line).toMatchObject({ requestId: headers["x-request-id"], operation: "task.add", agent: "operator", workspace: "main", seq: hub.loop.head.seq })
})
