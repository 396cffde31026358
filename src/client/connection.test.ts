import { SignJWT } from "jose"
import { afterEach, expect, test } from "vitest"
import { PING_MS } from "../surface/http.ts"
import { type Instance, startInstance } from "../surface/served.contract.ts"
import { Connection, type ConnectionOptions, SILENCE_MS } from "./connection.ts"
import { type Proxy, startProxy } from "./proxy.contract.ts"

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

type Given = Pick<ConnectionOptions, "identity"> & Partial<ConnectionOptions>

/** An open connection to a hub, by a proxy that can be made deaf. */
async function connected(options: (instance: Instance) => Given | Promise<Given>): Promise<{ connection: Connection; proxy: Proxy; instance: Instance }> {
  const instance = await startInstance()
  closing.push(() => instance.close())
  const proxy = await startProxy(() => instance.url)
  closing.push(() => proxy.close())
  const given = await options(instance)
  const usual = { workspace: undefined, session: undefined, timeoutMs: 30_000, reconnect: { baseMs: 5, capMs: 50 }, random: Math.random }
  const connection = new Connection({ url: new URL(proxy.url), ...usual, ...given })
  closing.push(() => connection.close())
  await connection.open()
  return { connection, proxy, instance }
}

const until = (holds: () => unknown): Promise<void> => expect.poll(holds, { timeout: 30_000, interval: 10 }).toBe(true)

test("a token whose renewal failed is renewed by the next try, on the same connection", async () => {
  const expSec = Math.floor(Date.now() / 1_000) + 1
  let minted = 0
  const { connection, proxy } = await connected(async (instance) => {
    await instance.agent("ada")
    // The hub's clock is behind: no token is over before the test is.
    instance.wall.aheadMs = -600_000
    const token = async (): Promise<string> => {
      minted += 1
      if (minted === 2 || minted === 3) throw new Error("no token today")
      return new SignJWT({ agent: "ada", workspace: "main", role: "worker", session: null })
        .setProtectedHeader({ alg: "EdDSA" })
        .setIssuer("skein")
        .setIssuedAt()
        .setJti(`.${minted}`)
        .setExpirationTime(expSec + minted)
        .sign(instance.key)
    }
    return { identity: { token }, renewAgainMs: 20 }
  })
  await until(() => connection.welcome?.expiresAtMs === (expSec + 4) * 1_000)
  expect(proxy.connections).toBe(1)
})

test("a hub of which nothing is heard any more, no ping either, is taken for gone, and connected to anew", async () => {
  expect(SILENCE_MS).toBeGreaterThan(2 * PING_MS)
  const { connection, proxy } = await connected(async (instance) => ({ identity: { credential: await instance.agent("ada") }, silenceMs: 100 }))
  const { connections } = proxy
  proxy.loseAnswers = true
  await until(() => proxy.connections > connections)
  proxy.loseAnswers = false
  expect(await connection.call("hub.status", {}, {})).toMatchObject({ workspace: "main" })
})

test("a hub that is heard of again and again is not taken for gone, however long that goes on", async () => {
  const { connection, proxy } = await connected(async (instance) => ({ identity: { credential: await instance.agent("ada") }, silenceMs: 1_000 }))
  const { connections } = proxy
  const untilMs = performance.now() + 2_500
  while (performance.now() < untilMs) {
    await connection.call("hub.status", {}, {})
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(proxy.connections).toBe(connections)
})
