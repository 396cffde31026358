import { generateKeyPairSync, type KeyObject } from "node:crypto"
import { SignJWT } from "jose"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type ErrorCode, ERRORS } from "../contract/errors.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { type Answer, ask, raw, talk } from "./wire.contract.ts"

/** Everything wrong that can come over the wire: each row is answered with its code and remedy, and nothing is written. */

let hub: Instance
const secrets = { ada: "", ben: "", observer: "", plugin: "", supervisor: "", gone: "", foreign: "", revoked: "" }
let fence = 0
let oldFence = 0
let adaSession = ""
let benSession = ""
let retiredToken = ""
let revokedToken = ""
let endedSession = ""

beforeAll(async () => {
  // No checkpoint may come between: whatever is written here is written by a row.
  hub = await startInstance({ limits: { checkpointMs: 3_600_000, checkpointEntries: 1_000_000 } })
  secrets.ada = await hub.agent("ada")
  secrets.ben = await hub.agent("ben")
  secrets.observer = await hub.agent("eve", { role: "observer" })
  secrets.plugin = await hub.agent("plug", { role: "plugin" })
  secrets.supervisor = await hub.agent("sup", { role: "supervisor" })
  secrets.gone = await hub.agent("gone")
  secrets.revoked = await hub.agent("rev")
  await run("workspace.create", { name: "other" })
  secrets.foreign = await hub.agent("fay", {}, "other")
  retiredToken = (await hub.auth.exchange(secrets.gone, { workspace: null, session: null })).token
  revokedToken = (await hub.auth.exchange(secrets.revoked, { workspace: null, session: null })).token
  await run("agent.retire", { name: "gone", reason: "test" })
  await run("credential.revoke", { agent: "rev", id: secrets.revoked.split("_")[2], reason: "test" })
  adaSession = (await run("session.start", { agent: "ada" }))["session"] as string
  benSession = (await run("session.start", { agent: "ben" }))["session"] as string
  endedSession = (await run("session.start", { agent: "ada" }))["session"] as string
  await run("session.end", { session: endedSession })
  for (const id of ["one", "two", "late", "skilled", "free", "blockee"]) {
    await run("task.add", { id, title: id, ...(id === "late" ? { dependsOn: ["one"] } : {}), ...(id === "skilled" ? { requires: { rust: 3 } } : {}) })
  }
  oldFence = (await run("task.claim", { task: "one" }, secrets.ada))["fence"] as number
  await run("lease.end", { task: "one", reason: "test" })
  fence = (await run("task.claim", { task: "one" }, secrets.ada))["fence"] as number
  await run("plan.add", { name: "known", title: "Known", digest: "ab", tasks: [{ id: "a", title: "A" }] })
  await run("task.add", { id: "keyed", title: "Keyed" }, secrets.ada, { "idempotency-key": "k1" })
})
afterAll(() => hub.close())

async function run(operation: string, input: unknown, credential = hub.operator, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const answer = await call(operation, input, credential, headers)
  if (answer.status !== 200) throw new Error(`${operation}: ${answer.text}`)
  return answer.body
}

function call(operation: string, input: unknown, credential = hub.operator, headers: Record<string, string> = {}): Promise<Answer> {
  return post(operation, JSON.stringify(input), { ...bearer(credential), ...headers })
}

function post(operation: string, body: string | Buffer, headers: Record<string, string> = bearer(hub.operator)): Promise<Answer> {
  return ask(hub.url, `/api/orpc/${operation.replace(".", "/")}`, { headers, body })
}

function bearer(credential: string): Record<string, string> {
  return { authorization: `Bearer ${credential}` }
}

type Claims = { agent?: string; workspace?: string; role?: string; session?: string | null; exp?: number; alg?: string; key?: KeyObject; issuer?: string }
function forge({
  agent = "ada",
  workspace = "main",
  role = "worker",
  session = null,
  exp = Math.floor(Date.now() / 1_000) + 600,
  key = hub.key,
  issuer = "skein",
}: Claims): Promise<string> {
  return new SignJWT({ agent, workspace, role, session })
    .setProtectedHeader({ alg: "EdDSA" })
    .setIssuer(issuer)
    .setIssuedAt(exp - 900)
    .setJti(".x")
    .setExpirationTime(exp)
    .sign(key)
}

function unsigned(): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")
  return `${part({ alg: "none" })}.${part({ agent: "ada", workspace: "main", role: "operator", iss: "skein", iat: 1, exp: 9_999_999_999, jti: ".x" })}.`
}

const NESTED = `{"kind":"info","payload":${'{"a":'.repeat(20_000)}1${"}".repeat(20_001)}`

type Row = [rule: string, code: ErrorCode, ask: () => Promise<Answer>]

const http: Row[] = [
  // Who asks
  ["no token", "unauthenticated", () => post("hub.status", "{}", {})],
  ["another scheme than Bearer", "unauthenticated", () => post("hub.status", "{}", { authorization: "Basic YTpi" })],
  ["a token that is noise", "unauthenticated", () => post("hub.status", "{}", bearer("abc.def.ghi"))],
  ["a token without a signature", "unauthenticated", () => post("hub.status", "{}", bearer(unsigned()))],
  [
    "a token signed by somebody else",
    "unauthenticated",
    async () => post("hub.status", "{}", bearer(await forge({ key: generateKeyPairSync("ed25519").privateKey }))),
  ],
  ["a token of another issuer", "unauthenticated", async () => post("hub.status", "{}", bearer(await forge({ issuer: "else" })))],
  ["a token of a role that there is not", "unauthenticated", async () => post("hub.status", "{}", bearer(await forge({ role: "king" })))],
  ["a token of an agent that there is not", "unauthenticated", async () => post("hub.status", "{}", bearer(await forge({ agent: "nobody" })))],
  ["a token that is over", "token_expired", async () => post("hub.status", "{}", bearer(await forge({ exp: 1_700_000_000 })))],
  ["a token of a workspace that there is not", "not_found", async () => post("hub.status", "{}", bearer(await forge({ workspace: "nowhere" })))],
  ["a credential with a wrong secret", "unauthenticated", () => post("hub.status", "{}", bearer(`${secrets.ada.slice(0, -4)}AAAA`))],
  ["a credential in another's name", "unauthenticated", () => post("hub.status", "{}", bearer(secrets.ada.replace("_ada_", "_ben_")))],
  ["a credential that was revoked", "unauthenticated", () => post("hub.status", "{}", bearer(secrets.revoked))],
  ["a token from a credential that was revoked", "unauthenticated", () => post("hub.status", "{}", bearer(revokedToken))],
  ["a retired agent's credential", "unauthenticated", () => post("hub.status", "{}", bearer(secrets.gone))],
  ["a retired agent's token", "retired", () => post("hub.status", "{}", bearer(retiredToken))],
  ["a token where a credential is exchanged", "unauthenticated", async () => ask(hub.url, "/token", { headers: bearer(await forge({})), body: "{}" })],
  ["a field that an exchange does not know", "invalid_input", () => ask(hub.url, "/token", { headers: bearer(secrets.ada), body: '{"role":"operator"}' })],
  ["a token of one workspace in another", "foreign_workspace", async () => call("hub.status", {}, await forge({}), { "skein-workspace": "other" })],
  ["a credential of one workspace in another", "foreign_workspace", () => call("hub.status", {}, secrets.foreign, { "skein-workspace": "main" })],
  ["a workspace in the payload that is not the token's", "claim_mismatch", () => call("task.claim", { task: "free", workspace: "other" }, secrets.ada)],
  // Who they say they are
  ["an agent in the payload that is not the token's", "claim_mismatch", () => call("task.claim", { task: "free", agent: "ben" }, secrets.ada)],
  ["a role in the payload that is not the token's", "claim_mismatch", () => call("task.claim", { task: "free", role: "operator" }, secrets.ada)],
  ["a session in the payload that is not the token's", "claim_mismatch", () => call("task.claim", { task: "free", session: adaSession }, secrets.ada)],
  ["a session for another agent", "claim_mismatch", () => call("session.start", { agent: "ben" }, secrets.ada)],
  ["another agent's session as one's own", "claim_mismatch", () => call("task.claim", { task: "free" }, secrets.ada, { "skein-session": benSession })],
  ["a session that has ended", "wrong_status", () => call("task.claim", { task: "free" }, secrets.ada, { "skein-session": endedSession })],
  [
    "another session than the token's",
    "claim_mismatch",
    async () => call("hub.status", {}, await forge({ session: adaSession }), { "skein-session": benSession }),
  ],
  // What they may
  ["an observer that claims", "forbidden", () => call("task.claim", { task: "free" }, secrets.observer)],
  ["a plugin that claims", "forbidden", () => call("task.claim", { task: "free" }, secrets.plugin)],
  ["a supervisor that claims", "forbidden", () => call("task.claim", { task: "free" }, secrets.supervisor)],
  ["a worker that adds an agent", "forbidden", () => call("agent.add", { name: "new" }, secrets.ada)],
  ["a worker that makes itself a credential", "forbidden", () => call("credential.issue", { agent: "ada" }, secrets.ada)],
  ["a worker that edits a task", "forbidden", () => call("task.edit", { task: "free", reason: "r", changes: { title: "x" } }, secrets.ada)],
  ["a worker that ends a lease", "forbidden", () => call("lease.end", { task: "one", reason: "r" }, secrets.ben)],
  ["a worker that sets gates", "forbidden", () => call("task.add", { id: "gated", title: "G", gates: ["true"] }, secrets.ada)],
  ["a worker that sends a directive", "forbidden", () => call("event.send", { kind: "directive", directive: "stop", text: "stop" }, secrets.ada)],
  ["a worker that makes a workspace", "forbidden", () => call("workspace.create", { name: "mine" }, secrets.ada)],
  ["a supervisor that mints a supervisor's token", "forbidden", () => call("token.mint", { agent: "sup" }, secrets.supervisor)],
  ["a worker that mints a token", "forbidden", () => call("token.mint", { agent: "ben" }, secrets.ada)],
  // What they ask for
  ["an operation that there is not", "unknown_operation", () => call("task.steal", {})],
  ["a name out of every object", "unknown_operation", () => post("constructor.name", "{}")],
  ["an address that there is not", "unknown_operation", () => ask(hub.url, "/etc/passwd", { method: "GET" })],
  [
    "a path that climbs out",
    "invalid_input",
    () => raw(hub.url, `GET /snapshots/../../etc/passwd HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nConnection: close\r\n\r\n`),
  ],
  ["a snapshot that is no number", "invalid_input", () => ask(hub.url, "/snapshots/main/..%2f..%2fx", { method: "GET", headers: bearer(hub.operator) })],
  ["a field that there is not", "invalid_input", () => call("task.claim", { task: "free", force: true }, secrets.ada)],
  ["a field of a wrong type", "invalid_input", () => call("task.claim", { task: 7 }, secrets.ada)],
  ["a field that is missing", "invalid_input", () => call("task.claim", {}, secrets.ada)],
  ["an array for an object", "invalid_input", () => post("task.claim", "[]", bearer(secrets.ada))],
  ["progress above 1", "invalid_input", () => call("task.update", { task: "one", fence, progress: 1.01 }, secrets.ada)],
  ["a lease under a second", "invalid_input", () => call("task.add", { id: "short", title: "S", leaseMs: 999 })],
  ["a lease over an hour", "invalid_input", () => call("task.add", { id: "long", title: "L", leaseMs: 3_600_001 })],
  ["a title of 301 characters", "invalid_input", () => call("task.add", { id: "wide", title: "x".repeat(301) })],
  ["a body over 32 KiB", "invalid_input", () => call("task.add", { id: "fat", title: "F", body: "ä".repeat(16_385) })],
  ["an entry over 65,535 bytes", "too_large", () => call("task.add", { id: "fat", title: "F", body: "\u0001".repeat(32_768) })],
  ["an escape sequence in a title", "invalid_input", () => call("task.add", { id: "esc", title: "\u001b]0;pwned\u0007" })],
  ["a bidirectional override in a label", "invalid_input", () => call("task.add", { id: "bidi", title: "B", labels: ["\u202eevil"] })],
  ["a C1 control in an agent's model", "invalid_input", () => call("agent.add", { name: "c1", model: "\u009b31m" })],
  ["a name with a path in it", "invalid_input", () => call("agent.add", { name: "../../etc" })],
  ["a task's file above the root", "invalid_input", () => call("task.add", { id: "up", title: "U", touches: ["src/../../secret"] })],
  ["a task's file from the root", "invalid_input", () => call("task.add", { id: "abs", title: "A", touches: ["/etc/passwd"] })],
  ["a task's file with a NUL", "invalid_input", () => call("task.add", { id: "nul", title: "N", touches: ["a\u0000b"] })],
  ["a NUL in a command", "invalid_input", () => call("task.add", { id: "cmd", title: "C", run: { command: "a\u0000b" } })],
  ["a payload that nests too deep", "invalid_input", () => post("event.send", NESTED)],
  ["a waiting time over 150 s", "invalid_input", () => call("task.claimNext", { waitMs: 150_001 }, secrets.ada)],
  ["101 claims at once", "invalid_input", () => call("task.claimNext", { max: 101 }, secrets.ada)],
  ["an idempotency key with a space", "invalid_input", () => call("task.add", { id: "k", title: "K" }, hub.operator, { "idempotency-key": "a b" })],
  [
    "a key that came before with another payload",
    "idempotency_conflict",
    () => call("task.add", { id: "keyed2", title: "Keyed" }, secrets.ada, { "idempotency-key": "k1" }),
  ],
  [
    "a key that came before with another operation",
    "idempotency_conflict",
    () => call("task.claim", { task: "free" }, secrets.ada, { "idempotency-key": "k1" }),
  ],
  // What stands against it
  ["a claim on what another holds", "claim_denied", () => call("task.claim", { task: "one" }, secrets.ben)],
  ["a claim on what waits", "not_ready", () => call("task.claim", { task: "late" }, secrets.ben)],
  ["a claim without the capability", "not_eligible", () => call("task.claim", { task: "skilled" }, secrets.ben)],
  ["a second claim over the limit", "at_limit", () => call("task.claim", { task: "two" }, secrets.ada)],
  ["a claim on a task that there is not", "not_found", () => call("task.claim", { task: "none" }, secrets.ben)],
  ["a stale fence", "stale_fence", () => call("task.complete", { task: "one", fence: oldFence, deliverable: { text: "" } }, secrets.ada)],
  ["another's fence", "not_owner", () => call("task.update", { task: "one", fence }, secrets.ben)],
  [
    "evidence that tests fail",
    "invalid",
    () => call("task.complete", { task: "one", fence, deliverable: { text: "", evidence: { testsPass: false } } }, secrets.ada),
  ],
  ["a task that waits for itself", "cycle", () => call("task.add", { id: "self", title: "S", dependsOn: ["self"] })],
  ["a dependency that there is not", "unknown_dependency", () => call("task.add", { id: "dep", title: "D", dependsOn: ["none"] })],
  ["an agent of a name that is taken", "already_exists", () => call("agent.add", { name: "ada" })],
  ["a workspace of a name that is taken", "already_exists", () => call("workspace.create", { name: "other" })],
  [
    "a plan with a cycle",
    "cycle",
    () =>
      call("plan.add", {
        name: "c",
        title: "C",
        digest: "00",
        tasks: [
          { id: "a", title: "A", dependsOn: ["b"] },
          { id: "b", title: "B", dependsOn: ["a"] },
        ],
      }),
  ],
  ["a plan without tasks", "invalid_input", () => call("plan.add", { name: "c", title: "C", digest: "00", tasks: [] })],
  [
    "a plan that brings an operator",
    "forbidden",
    () => call("plan.add", { name: "c", title: "C", digest: "00", agents: [{ name: "boss", role: "operator" }], tasks: [{ id: "a", title: "A" }] }),
  ],
  ["an event that updates nothing", "invalid", () => call("event.send", { kind: "task_update", task: "one", payload: { status: "sleeping" } }, secrets.ada)],
  [
    "an event that completes with a stale fence",
    "stale_fence",
    () => call("event.send", { kind: "task_update", task: "one", payload: { status: "failed", fence: oldFence }, text: "no" }, secrets.ada),
  ],
  [
    "an event whose payload lacks the fence",
    "invalid_input",
    () => call("event.send", { kind: "blocker", task: "one", payload: { on: { kind: "external", ref: "x" } }, text: "waits" }, secrets.ada),
  ],
  ["an acknowledgement of another's event", "not_found", () => call("event.ack", { seq: 3 }, secrets.ben)],
  ["a proof of what no checkpoint covers", "not_found", () => call("ledger.prove", { seq: hub.loop.head.seq })],
  // How it comes
  ["JSON that breaks off", "invalid_input", () => post("hub.status", '{"a":')],
  ["a body that is not UTF-8", "invalid_input", () => post("task.add", Buffer.from('{"id":"bytes","title":"\xff"}', "latin1"))],
  ["a body that is not declared as JSON", "unsupported_media_type", () => post("hub.status", "{}", { ...bearer(hub.operator), "content-type": "text/plain" })],
  [
    "a form from a web page",
    "unsupported_media_type",
    () => post("hub.status", "a=1", { ...bearer(hub.operator), "content-type": "application/x-www-form-urlencoded" }),
  ],
  ["a compressed body", "unsupported_media_type", () => post("hub.status", "{}", { ...bearer(hub.operator), "content-encoding": "gzip" })],
  ["a body over 256 KiB", "body_too_large", () => post("task.add", JSON.stringify({ id: "big", title: "B", body: "x".repeat(300_000) }))],
  ["a plan over 8 MiB", "body_too_large", () => post("plan.add", Buffer.alloc(8 * 1024 * 1024 + 1, 0x20))],
  ["a plan, not read, of one who may add none", "forbidden", () => post("plan.add", "[".repeat(300_000), bearer(secrets.ada))],
  ["a long plan that nests too deep", "body_too_large", () => post("plan.add", "[".repeat(300_000))],
  ["a long plan of too many pieces", "body_too_large", () => post("plan.add", `[${"{},".repeat(500_000)}0]`)],
  ["telemetry that nests too deep", "body_too_large", () => ask(hub.url, "/otlp/v1/logs", { headers: bearer(secrets.ada), body: "[".repeat(300_000) })],
  [
    "telemetry of too many pieces",
    "body_too_large",
    () => ask(hub.url, "/otlp/v1/logs", { headers: bearer(secrets.ada), body: `{"resourceLogs":[${"{},".repeat(100_000)}{}]}` }),
  ],
  [
    "a chunked body over the limit",
    "body_too_large",
    () => post("task.add", Buffer.alloc(300_000, 0x20), { ...bearer(hub.operator), "transfer-encoding": "chunked" }),
  ],
  ["GET where POST is asked", "method_not_allowed", () => ask(hub.url, "/api/orpc/hub/status", { method: "GET", headers: bearer(hub.operator) })],
  ["DELETE where GET is asked", "method_not_allowed", () => ask(hub.url, "/events", { method: "DELETE", headers: bearer(hub.operator) })],
  [
    "a preflight of a foreign page",
    "origin_refused",
    () => ask(hub.url, "/api/orpc/hub/status", { method: "OPTIONS", headers: { origin: "https://evil.example" } }),
  ],
  ["a foreign Origin", "origin_refused", () => call("hub.status", {}, hub.operator, { origin: "https://evil.example" })],
  ["the Origin null", "origin_refused", () => call("hub.status", {}, hub.operator, { origin: "null" })],
  ["a Host that points here from elsewhere", "origin_refused", () => call("hub.status", {}, hub.operator, { host: "evil.example" })],
  ["no Host", "invalid_input", () => raw(hub.url, "GET /health HTTP/1.0\r\n\r\n")],
  ["two Hosts", "invalid_input", () => raw(hub.url, get("/health", "Host: evil.example\r\n"))],
  ["an address elsewhere, whatever the Host", "origin_refused", () => raw(hub.url, get("http://evil.example/health"))],
  ["two bearers", "unauthenticated", () => raw(hub.url, get("/events", `Authorization: Bearer ${hub.operator}\r\nAuthorization: Bearer x\r\n`))],
  ["what is no HTTP", "invalid_input", () => raw(hub.url, "hello\r\n\r\n")],
  ["headers over 16 KiB", "body_too_large", () => raw(hub.url, `GET /health HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(20_000)}\r\n\r\n`)],
  ["an event stream from beyond the head", "invalid_input", () => ask(hub.url, "/events?from=999999", { method: "GET", headers: bearer(hub.operator) })],
  [
    "an event stream from no number",
    "invalid_input",
    () => ask(hub.url, "/events", { method: "GET", headers: { ...bearer(hub.operator), "last-event-id": "1; drop" } }),
  ],
  ["an upgrade to nowhere", "unknown_operation", () => raw(hub.url, upgrade("/wss", ""))],
  ["an upgrade past another host", "unknown_operation", () => raw(hub.url, upgrade("//x/ws", ""))],
  ["a WebSocket from a foreign page", "origin_refused", () => raw(hub.url, upgrade("/ws", "Origin: https://evil.example\r\n"))],
  ["a plain GET of the WebSocket", "method_not_allowed", () => ask(hub.url, "/ws", { method: "GET" })],
]

function get(address: string, more = ""): string {
  return `GET ${address} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nConnection: close\r\n${more}\r\n`
}

function upgrade(path: string, more: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${new URL(hub.url).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`
}

describe("over HTTP", () => {
  test.for(http)("%s: %s", async ([, code, send]) => {
    const before = hub.loop.head
    const answer = await send()
    expect(answer.body, answer.text.slice(0, 300)).toMatchObject({ code })
    expect(answer.status).toBe(ERRORS[code].http)
    expect(answer.headers.allow).toBe((answer.body["details"] as { allowed?: string }).allowed)
    expect(answer.body["message"]).toEqual(expect.stringMatching(/\S/))
    expect(answer.body["remedy"]).toEqual(expect.stringMatching(/\S/))
    expect(answer.text).not.toMatch(/skc_|node_modules|\.ts:\d/)
    expect(hub.loop.head).toEqual(before)
    expect((await ask(hub.url, "/health", { method: "GET" })).status).toBe(200)
  })
})

type SocketRow = [rule: string, code: ErrorCode, closed: number | null, frames: () => (string | Buffer)[]]

const hello = (credential: string = secrets.ada): string => JSON.stringify({ hello: { token: credential } })
const frame = (value: unknown): string => JSON.stringify(value)

const socket: SocketRow[] = [
  ["a call before the hello", "unauthenticated", 4401, () => [frame({ id: 1, op: "hub.status", in: {} })]],
  ["a hello without a token", "invalid_input", 4401, () => [frame({ hello: {} })]],
  ["a hello with a wrong token", "unauthenticated", 4401, () => [hello("nonsense")]],
  ["a hello to a foreign workspace", "foreign_workspace", 4401, () => [frame({ hello: { token: secrets.foreign, workspace: "main" } })]],
  ["a hello as another agent on an open connection", "claim_mismatch", 4401, () => [hello(), hello(secrets.ben)]],
  ["a hello that is too long", "body_too_large", 4400, () => [frame({ hello: { token: "x".repeat(20_000) } })]],
  ["a binary frame", "unsupported_media_type", 4400, () => [hello(), Buffer.from([1, 2, 3])]],
  ["a frame that is not JSON", "invalid_input", 4400, () => [hello(), "{"]],
  ["a frame that is a number", "invalid_input", 4400, () => [hello(), "7"]],
  ["a frame that is null", "invalid_input", 4400, () => [hello(), "null"]],
  ["a frame of no known kind", "invalid_input", null, () => [hello(), frame({ id: 1, dance: true })]],
  ["a call without an id", "invalid_input", null, () => [hello(), frame({ op: "hub.status", in: {} })]],
  ["a call of an operation that there is not", "unknown_operation", null, () => [hello(), frame({ id: 1, op: "__proto__", in: {} })]],
  ["a call over the role", "forbidden", null, () => [hello(), frame({ id: 1, op: "agent.add", in: { name: "x" } })]],
  ["a call with a stale fence", "stale_fence", null, () => [hello(), frame({ id: 1, op: "task.release", in: { task: "one", fence: oldFence } })]],
  ["a call with an unknown field", "invalid_input", null, () => [hello(), frame({ id: 1, op: "task.claim", in: { task: "free", now: true } })]],
  ["a call with a key that is no text", "invalid_input", null, () => [hello(), frame({ id: 1, op: "task.claim", in: { task: "free" }, key: 7 })]],
  ["a call over 256 KiB", "body_too_large", null, () => [hello(), frame({ id: 1, op: "task.add", in: { id: "big", title: "B", body: "x".repeat(300_000) } })]],
  ["a call over 256 KiB, not read", "body_too_large", null, () => [hello(), `{"id":1,"op":"task.add","in":${"[".repeat(300_000)}`]],
  ["a plan over 256 KiB, not read, of one who may add none", "forbidden", null, () => [hello(), `{ "id": 1, "op": "plan.add", "in": ${"[".repeat(300_000)}`]],
  ["a plan over 256 KiB that nests too deep", "body_too_large", 4400, () => [hello(hub.operator), `{"id":1,"op":"plan.add","in":${"[".repeat(300_000)}`]],
  ["many calls over 256 KiB together", "body_too_large", 4400, () => [hello(hub.operator), `[{"id":1,"op":"plan.add","in":${"[".repeat(300_000)}`]],
  ["a call that nests too deep", "invalid_input", null, () => [hello(), `{"id":1,"op":"event.send","in":${NESTED}}`]],
  ["a subscription from beyond the head", "invalid_input", null, () => [hello(), frame({ subscribe: { from: 999_999 } })]],
  ["a subscription from no number", "invalid_input", null, () => [hello(), frame({ subscribe: { from: "1" } })]],
]

describe("over a WebSocket", () => {
  test.for(socket)("%s: %s", async ([, code, closed, frames]) => {
    const before = hub.loop.head
    const sent = frames()
    const welcomes = sent.length - 1
    const talked = await talk(hub.url, sent, closed === null ? { count: welcomes + 1 } : {})
    const error = talked.frames.find((received) => "error" in received)?.["error"]
    expect(error).toMatchObject({ code, message: expect.stringMatching(/\S/) as string, remedy: expect.stringMatching(/\S/) as string })
    expect(talked.closed).toBe(closed)
    expect(hub.loop.head).toEqual(before)
  })

  test("a frame over 8 MiB ends the connection with 1009, and the hub goes on", async () => {
    const before = hub.loop.head
    expect((await talk(hub.url, [hello(), Buffer.alloc(8 * 1024 * 1024 + 1, 0x20).toString()])).closed).toBe(1009)
    expect(hub.loop.head).toEqual(before)
    expect((await ask(hub.url, "/health", { method: "GET" })).status).toBe(200)
  })
})

test("no log line and no answer of all this held a secret", () => {
  const text = hub.lines.join("")
  for (const secret of [...Object.values(secrets), hub.operator, retiredToken, revokedToken]) expect(text.includes(secret.slice(-20))).toBe(false)
  expect(text).not.toMatch(/skc_|Bearer/)
})
