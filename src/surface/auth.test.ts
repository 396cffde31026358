import { afterEach, expect, test, vi } from "vitest"
import { decodeJwt } from "jose"
import { WebSocket } from "ws"
import { MemoryStore } from "../ledger/memory.ts"
import { type Caller, hashCredential, makeCredential, TOKEN_MS } from "./auth.ts"
import { connectMcp, useTool } from "./mcp.contract.ts"
import { revokedBy } from "./perform.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { ask, talk } from "./wire.contract.ts"

let hub: Instance
afterEach(() => hub.close())

const none = { workspace: null, session: null }
const status = (token: string) => run("hub.status", {}, token)
const run = (operation: string, input: unknown, token = hub.operator) =>
  ask(hub.url, `/api/orpc/${operation.replace(".", "/")}`, { headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(input) })

test("a token names agent, workspace, role and session, and lasts 15 minutes", async () => {
  hub = await startInstance()
  const credential = await hub.agent("ada")
  const { body } = await ask(hub.url, "/token", { headers: { authorization: `Bearer ${credential}` }, body: "{}" })
  const claims = decodeJwt(body["token"] as string)
  expect(claims).toMatchObject({ agent: "ada", workspace: "main", role: "worker", session: null, iss: "skein" })
  expect(claims.jti).toMatch(/^[0-9a-f]{12}\.[\w-]{16}$/)
  expect(((claims.exp ?? 0) - (claims.iat ?? 0)) * 1_000).toBe(TOKEN_MS)
  expect((await status(body["token"] as string)).status).toBe(200)
})

test("a token that was good is refused at its end, not after it", async () => {
  hub = await startInstance()
  const { token, expiresAtMs } = await hub.auth.exchange(await hub.agent("ada"), none)
  expect((await status(token)).status).toBe(200)
  hub.wall.aheadMs = expiresAtMs - Date.now()
  expect((await status(token)).body).toMatchObject({ code: "token_expired" })
})

test("a token that was good is void the moment its credential is revoked, and so is its WebSocket", async () => {
  hub = await startInstance()
  const credential = await hub.agent("ada")
  const { token } = await hub.auth.exchange(credential, none)
  expect((await status(token)).status).toBe(200)
  const open = talk(hub.url, [JSON.stringify({ hello: { token } })])
  await new Promise((resolve) => setTimeout(resolve, 50))
  await run("credential.revoke", { agent: "ada", id: credential.split("_")[2], reason: "lost" })
  expect((await status(token)).body).toMatchObject({ code: "unauthenticated" })
  expect((await status(credential)).body).toMatchObject({ code: "unauthenticated" })
  expect((await open).closed).toBe(4401)
})

test("what is revoked at one hub is void at the others on its ledger, and so are connections there", async () => {
  const store = new MemoryStore({ manyWriters: true })
  const openLedger = () => Promise.resolve(store.open())
  hub = await startInstance({ openLedger })
  const other = await startInstance({ openLedger })
  try {
    const [lost, retired] = [await hub.agent("ada"), await hub.agent("bob")]
    const at = (credential: string) => ask(other.url, "/api/orpc/hub/status", { headers: { authorization: `Bearer ${credential}` }, body: "{}" })
    const tokens = new Map<string, string>()
    for (const credential of [lost, retired]) {
      await vi.waitFor(async () => expect((await at(credential)).status).toBe(200))
      tokens.set(credential, (await other.auth.exchange(credential, none)).token)
      expect((await at(tokens.get(credential) ?? "")).status).toBe(200)
    }
    const open = [lost, retired].map((credential) => talk(other.url, [JSON.stringify({ hello: { token: tokens.get(credential) } })]))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await run("credential.revoke", { agent: "ada", id: lost.split("_")[2], reason: "lost" })
    await run("agent.retire", { name: "bob", reason: "done" })
    for (const connection of open) expect((await connection).closed).toBe(4401)
    for (const [credential, token] of tokens) {
      expect((await at(credential)).body).toMatchObject({ code: "unauthenticated" })
      expect((await at(token)).body).toMatchObject({ code: credential === lost ? "unauthenticated" : "retired" })
    }
  } finally {
    await other.close()
  }
})

test("an operation here and its entry from another hub void the same callers: of that agent, that credential or that session, in that workspace", () => {
  const caller = (agent: string, session: string | null, credential: string | null, workspace = "main"): Caller => {
    return { actor: { agent, session, role: "worker" }, workspace, credential, expiresAtMs: null }
  }
  const callers = [
    caller("ann", null, "c1"),
    caller("ann", "s_1", "c1"),
    caller("ann", "s_2", null),
    caller("bob", null, "c1"),
    caller("ann", "s_1", "c1", "other"),
    { ...caller("bob", null, null), minter: { agent: "ann", credential: "c1" } },
    { ...caller("bob", null, null), minter: { agent: "bob", credential: "c1" } },
  ]
  const voided = (what: string, data: object): number[] => {
    const matches = revokedBy(what, data, "main")
    return matches === null ? [] : callers.flatMap((one, at) => (matches(one) ? [at] : []))
  }
  const reason = "r"
  for (const what of ["agent.retire", "agent.retired"]) expect(voided(what, { name: "ann", reason }), what).toEqual([0, 1, 2, 5])
  for (const what of ["credential.revoke", "agent.credential_revoked"]) expect(voided(what, { agent: "ann", id: "c1", reason }), what).toEqual([0, 1, 5])
  expect(voided("session.end", { session: "s_1", reason })).toEqual([1])
  expect(voided("session.ended", { id: "s_1", reason })).toEqual([1])
  for (const what of ["agent.edit", "agent.edited", "session.lost", "toString"])
    expect(voided(what, { name: "ann", agent: "ann", id: "s_1" }), what).toEqual([])
})

test("a credential is taken over loopback only, also one that is known already", async () => {
  hub = await startInstance()
  const credential = await hub.agent("ada")
  const known = { ...none, loopback: true }
  expect((await hub.auth.caller(credential, known)).actor.agent).toBe("ada")
  expect(hub.auth.known(credential, known)?.actor.agent).toBe("ada")
  const afar = { ...none, loopback: false }
  expect(hub.auth.known(credential, afar)).toBeNull()
  await expect(hub.auth.caller(credential, afar)).rejects.toMatchObject({ code: "unauthenticated" })
})

test("ten thousand tokens are known without another look, and the oldest are let go for more", async () => {
  hub = await startInstance()
  const credential = await hub.agent("ada")
  const { token } = await hub.auth.exchange(credential, none)
  const known = { ...none, loopback: true }
  await hub.auth.caller(token, known)
  const others = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += 1) await hub.auth.caller(credential, { ...known, workspace: `w${at}` }).catch(() => undefined)
  }
  // Beside the credential itself, its token, and it once more for each workspace that it was shown for.
  await others(2, 10_000)
  expect(hub.auth.known(token, known)?.actor.agent).toBe("ada")
  await others(10_000, 10_001)
  expect([hub.auth.known(credential, known), hub.auth.known(token, known)]).toEqual([null, null])
  expect((await hub.auth.caller(token, known)).actor.agent).toBe("ada")
  expect(hub.auth.known(token, known)?.actor.agent).toBe("ada")
})

test("a retired agent's token is void at once", async () => {
  hub = await startInstance()
  const { token } = await hub.auth.exchange(await hub.agent("ada"), none)
  expect((await status(token)).status).toBe(200)
  await run("agent.retire", { name: "ada", reason: "done" })
  expect((await status(token)).body).toMatchObject({ code: "retired" })
})

test("tokens outlive a restart of the hub, revoked ones stay void", async () => {
  hub = await startInstance()
  const [ada, ben] = [await hub.agent("ada"), await hub.agent("ben")]
  const tokens = [(await hub.auth.exchange(ada, none)).token, (await hub.auth.exchange(ben, none)).token] as const
  await run("credential.revoke", { agent: "ben", id: ben.split("_")[2], reason: "lost" })
  await hub.restart()
  expect((await status(tokens[0])).status).toBe(200)
  expect((await status(tokens[1])).body).toMatchObject({ code: "unauthenticated" })
})

test("a supervisor mints tokens for sessions of workers, and they act as that agent in that session", async () => {
  hub = await startInstance()
  const supervisor = await hub.agent("sup", { role: "supervisor" })
  await hub.agent("ada")
  const { body: session } = await run("session.start", { agent: "ada", owned: true }, supervisor)
  const { body: minted } = await run("token.mint", { agent: "ada", session: session["session"] }, supervisor)
  const token = minted["token"] as string
  expect((await run("task.add", { id: "one", title: "One" }, token)).status).toBe(200)
  const { body: claim } = await run("task.claim", { task: "one" }, token)
  expect(claim).toMatchObject({ task: { owner: "ada", session: session["session"] } })
  expect((await run("task.claim", { task: "one", agent: "ada", session: session["session"], role: "worker", workspace: "main" }, token)).status).toBe(200)
  const { body: second } = await run("session.start", { agent: "ada" }, supervisor)
  const wanted = { ...none, session: second["session"] as string, loopback: true }
  await expect(hub.auth.caller(token, wanted), "the token says which session").rejects.toMatchObject({ code: "claim_mismatch" })
  await run("session.end", { session: session["session"] }, supervisor)
  expect((await status(token)).body).toMatchObject({ code: "wrong_status" })
})

test("nobody is given a token for another's session, nor keeps it alive by a beat, but those who direct others", async () => {
  hub = await startInstance()
  const [supervisor, ben] = [await hub.agent("sup", { role: "supervisor" }), await hub.agent("ben")]
  await hub.agent("ada")
  const { body } = await run("session.start", { agent: "ada", owned: true }, supervisor)
  const session = body["session"] as string
  expect((await run("token.mint", { agent: "ben", session }, supervisor)).body).toMatchObject({ code: "claim_mismatch" })
  expect((await run("session.beat", { sessions: [session] }, ben)).body).toEqual({ heard: [] })
  expect((await run("session.beat", { sessions: [session] }, supervisor)).body).toEqual({ heard: [session] })
})

test("a credential holds 256 random bits, and only its hash is kept", async () => {
  hub = await startInstance()
  const made = makeCredential("a_b-c.d")
  expect(made.credential).toMatch(/^skc_a_b-c\.d_[0-9a-f]{12}_[\w-]{43}$/)
  expect(made.hash).toBe(hashCredential(made.credential))
  const credential = await hub.agent("a_b-c.d")
  expect((await status(credential)).status).toBe(200)
  const entries = await hub.loop.entries(1, 100)
  expect(entries.map(({ bytes }) => bytes).join("")).not.toContain(credential.slice(-43))
})

test("the operator's credential opens every workspace, an agent's its own", async () => {
  hub = await startInstance()
  await run("workspace.create", { name: "other" })
  const fay = await hub.agent("fay", {}, "other")
  const list = (token: string, workspace: string) =>
    ask(hub.url, "/api/orpc/workspace/list", { headers: { authorization: `Bearer ${token}`, "skein-workspace": workspace }, body: "{}" })
  expect((await list(hub.operator, "other")).body).toEqual({
    workspaces: [
      { name: "main", seq: expect.any(Number) as number },
      { name: "other", seq: expect.any(Number) as number },
    ],
  })
  expect((await list(fay, "other")).body).toEqual({ workspaces: [{ name: "other", seq: expect.any(Number) as number }] })
  const { token } = await hub.auth.exchange(fay, none)
  expect((await list(token, "other")).status).toBe(200)
  for (const known of [fay, token]) expect((await list(known, "main")).body).toMatchObject({ code: "foreign_workspace" })
})

test("a token that a supervisor minted is void with the credential that it was minted with, and with the supervisor", async () => {
  hub = await startInstance()
  const [first, second] = [await hub.agent("sup", { role: "supervisor" }), await hub.agent("sup2", { role: "supervisor" })]
  await hub.agent("boss", { role: "orchestrator" })
  const mint = async (credential: string): Promise<string> => (await run("token.mint", { agent: "boss" }, credential)).body["token"] as string
  const [byFirst, bySecond, byOperator] = [await mint(first), await mint(second), await mint(hub.operator)]
  for (const token of [byFirst, bySecond, byOperator]) expect((await status(token)).status).toBe(200)
  await run("credential.revoke", { agent: "sup", id: first.split("_")[2], reason: "lost" })
  await run("agent.retire", { name: "sup2", reason: "done" })
  expect((await status(byFirst)).body).toMatchObject({ code: "unauthenticated", message: expect.stringContaining("sup, who minted") as string })
  expect((await status(bySecond)).body).toMatchObject({ code: "unauthenticated" })
  expect((await status(byOperator)).status).toBe(200)
})

test("what waits ends with its caller's credential, whatever way it came: nothing is claimed by whoever is known no more", async () => {
  hub = await startInstance()
  const credential = await hub.agent("ada")
  const { token } = await hub.auth.exchange(credential, none)
  const { body: session } = await run("session.start", {}, credential)
  const { body: bound } = await ask(hub.url, "/token", {
    headers: { authorization: `Bearer ${credential}` },
    body: JSON.stringify({ session: session["session"] }),
  })
  const waits = { filler: null, waitMs: 60_000 }
  const parked = [run("task.claimNext", waits, credential), run("work.wait", { waitMs: 60_000 }, token)]
  const ofSession = run("task.claimNext", waits, bound["token"] as string)
  // It never answers the close.
  const deaf = new WebSocket(`${hub.url.replace("http", "ws")}/ws`)
  await new Promise((resolve) => deaf.once("open", resolve))
  deaf.send(JSON.stringify({ hello: { token } }))
  deaf.send(JSON.stringify({ id: 1, op: "task.claimNext", in: waits }))
  const client = await connectMcp(hub.url, credential)
  const tool = useTool(client, "claim_task", { waitMs: 60_000 })
  await vi.waitFor(() => expect(hub.loop.stats()["parked"]).toBe(4))
  deaf.pause()
  await run("session.end", { session: session["session"] })
  expect((await ofSession).body).toMatchObject({ code: "unauthenticated" })
  expect(hub.loop.stats()["parked"]).toBe(3)
  await run("credential.revoke", { agent: "ada", id: credential.split("_")[2], reason: "lost" })
  for (const waiting of parked) expect((await waiting).body).toMatchObject({ code: "unauthenticated" })
  expect((await tool).data).toMatchObject({ code: "unauthenticated" })
  await vi.waitFor(() => expect(hub.loop.stats()["parked"]).toBe(0))
  await run("task.add", { id: "t", title: "T" })
  expect((await run("task.show", { task: "t" })).body).toMatchObject({ task: { status: "pending" } })
  deaf.terminate()
  await client.close()
})
