import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brotliCompressSync, gzipSync } from "node:zlib"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { makeOperatorCredential } from "./auth.ts"
import { LINK_MS, PAGE_SESSION_MS, PageSessions } from "./page-sessions.ts"
import { type Instance, startInstance } from "./served.contract.ts"
import { signOutFile } from "./sign-outs.ts"
import { type Answer, ask, talk } from "./wire.contract.ts"

const SCRIPT = "console.log(1)\n".repeat(100)
let pageDirectory: string
let hub: Instance

beforeAll(() => {
  pageDirectory = mkdtempSync(join(tmpdir(), "skein-page-"))
  mkdirSync(join(pageDirectory, "assets"))
  writeFileSync(join(pageDirectory, "index.html"), "<!doctype html><title>Skein</title>")
  writeFileSync(join(pageDirectory, "assets", "main-abc.js"), SCRIPT)
  writeFileSync(join(pageDirectory, "assets", "main-abc.js.br"), brotliCompressSync(SCRIPT))
  writeFileSync(join(pageDirectory, "assets", "main-abc.js.gz"), gzipSync(SCRIPT))
})
afterAll(() => rmSync(pageDirectory, { recursive: true }))
beforeEach(async () => {
  hub = await startInstance({ pageDirectory })
})
afterEach(() => hub.close())

const link = (bearer: string): Promise<Answer> => ask(hub.url, "/enter/link", { headers: { authorization: `Bearer ${bearer}` } })
const codeOf = ({ body }: Answer): string => String(body["path"]).replace("/enter#", "")
const fromPage = (): Record<string, string> => ({ origin: hub.url })
const enter = (code: string, headers = fromPage()): Promise<Answer> => ask(hub.url, "/enter", { headers, body: JSON.stringify({ code }) })
/** `name=value` of the cookie that an answer sets. */
const cookieOf = ({ headers }: Answer): string => headers["set-cookie"]?.[0]?.split(";", 1)[0] ?? ""
const signIn = async (): Promise<string> => cookieOf(await enter(codeOf(await link(hub.operator))))

describe("a sign-in link", () => {
  test("is for the operator's own credential: no agent gets one, whatever its role, and nobody without a credential", async () => {
    const agent = await hub.agent("vice", { role: "operator" })
    expect((await link(agent)).body["code"]).toBe("forbidden")
    expect((await ask(hub.url, "/enter/link")).body["code"]).toBe("unauthenticated")
    expect((await link(hub.operator)).body).toMatchObject({ path: expect.stringMatching(/^\/enter#[\w-]{43}$/) as string, lastsMs: LINK_MS })
  })

  test("works once", async () => {
    const code = codeOf(await link(hub.operator))
    expect((await enter(code)).status).toBe(200)
    const again = await enter(code)
    expect(again.body).toMatchObject({ code: "unauthenticated", remedy: expect.stringContaining("skein dash") as string })
    expect(cookieOf(again)).toBe("")
  })

  test("is over after two minutes, and gone with its hub", async () => {
    const code = codeOf(await link(hub.operator))
    hub.wall.aheadMs += LINK_MS
    expect((await enter(code)).status).toBe(401)
    const other = codeOf(await link(hub.operator))
    await hub.restart()
    expect((await enter(other)).status).toBe(401)
  })

  test("is taken from the hub's own page alone: not from another port, and not from whoever has no origin", async () => {
    const code = codeOf(await link(hub.operator))
    const elsewhere = `http://127.0.0.1:${Number(new URL(hub.url).port) + 1}`
    expect((await enter(code, { origin: elsewhere })).body["code"]).toBe("origin_refused")
    expect((await ask(hub.url, "/enter", { body: JSON.stringify({ code }) })).body["code"]).toBe("origin_refused")
    const byOtherName = hub.url.replace("127.0.0.1", "localhost")
    expect((await enter(code, { origin: byOtherName })).body["code"]).toBe("origin_refused")
    expect((await enter(code)).status).toBe(200)
  })
})

describe("the cookie", () => {
  test("is out of reach of scripts and of other sites, and named for this instance", async () => {
    const answer = await enter(codeOf(await link(hub.operator)))
    const [given = ""] = answer.headers["set-cookie"] ?? []
    expect(given).toMatch(/^skein_[0-9a-f]{16}=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/)
    const other = await startInstance()
    expect(other.auth.page.cookieName).not.toBe(hub.auth.page.cookieName)
    await other.close()
  })

  test("opens a WebSocket to the hub's own page, as the operator; without a token, and in the workspace that is asked for", async () => {
    const cookie = await signIn()
    const { frames } = await talk(hub.url, ['{"hello":{"workspace":"main"}}'], { count: 1, headers: { cookie, ...fromPage() } })
    expect(frames[0]).toMatchObject({ welcome: { agent: "operator", role: "operator", workspace: "main" } })
    const { frames: foreign } = await talk(hub.url, ['{"hello":{"workspace":"none"}}'], { headers: { cookie, ...fromPage() } })
    expect(foreign[0]).toMatchObject({ error: { code: "not_found" } })
  })

  test("opens nothing where the request is not the page's own", async () => {
    const cookie = await signIn()
    const { frames, closed } = await talk(hub.url, ['{"hello":{}}'], { headers: { cookie } })
    expect(frames[0]).toMatchObject({ error: { code: "invalid_input" } })
    expect(closed).toBe(4401)
    const snapshot = (headers: Record<string, string>): Promise<Answer> => ask(hub.url, "/snapshots/main/1", { method: "GET", headers: { cookie, ...headers } })
    expect((await snapshot({})).body["code"]).toBe("unauthenticated")
    expect((await snapshot({ "sec-fetch-site": "same-site" })).body["code"]).toBe("unauthenticated")
    // Past the door there is none in this hub.
    expect((await snapshot({ "sec-fetch-site": "same-origin" })).body["code"]).toBe("not_found")
  })

  test("is no bearer, a bearer is no cookie, and no operation is called by cookie alone", async () => {
    const cookie = await signIn()
    const value = cookie.slice(cookie.indexOf("=") + 1)
    const bare = fromPage()
    const status = (headers: Record<string, string>): Promise<Answer> => ask(hub.url, "/api/orpc/hub/status", { headers, body: "{}" })
    expect((await status({ authorization: `Bearer ${value}` })).body["code"]).toBe("unauthenticated")
    expect((await status({ cookie, ...bare })).body["code"]).toBe("unauthenticated")
    const { body } = await ask(hub.url, "/token", { headers: { authorization: `Bearer ${hub.operator}` }, body: "{}" })
    const forged = `${hub.auth.page.cookieName}=${String(body["token"])}`
    expect((await ask(hub.url, "/enter", { headers: { ...fromPage(), cookie: forged } })).body["code"]).toBe("unauthenticated")
  })

  test("is renewed while the page is open, over after twelve hours, and outlives a restart of the hub", async () => {
    const cookie = await signIn()
    const renew = (given: string): Promise<Answer> => ask(hub.url, "/enter", { headers: { ...fromPage(), cookie: given } })
    await hub.restart()
    hub.wall.aheadMs += PAGE_SESSION_MS - 10_000
    const renewed = await renew(cookie)
    expect(renewed.status).toBe(200)
    hub.wall.aheadMs += 20_000
    expect((await renew(cookie)).body["code"]).toBe("unauthenticated")
    expect((await renew(cookieOf(renewed))).status).toBe(200)
  })

  test("is void when the operator's credential was replaced", async () => {
    const options = { key: hub.key, wallMs: () => Date.now() }
    const before = new PageSessions({ ...options, operatorHash: makeOperatorCredential().hash })
    const after = new PageSessions({ ...options, operatorHash: makeOperatorCredential().hash })
    const { value } = await before.redeem(before.makeLink().code)
    expect((await before.verify(value)).expiresAtMs).toBeGreaterThan(Date.now())
    await expect(after.verify(value)).rejects.toMatchObject({ code: "unauthenticated" })
  })

  test("stays void after it was signed out, however often the hub is started again, and that of another sign-in goes on", async () => {
    const folder = mkdtempSync(join(tmpdir(), "skein-sign-outs-"))
    const path = join(folder, "signed-out.json")
    let aheadMs = 0
    const options = { key: hub.key, operatorHash: makeOperatorCredential().hash, wallMs: () => Date.now() + aheadMs }
    const start = (): PageSessions => new PageSessions({ ...options, signOuts: signOutFile(path) })
    const first = start()
    const [mine, other] = [await first.redeem(first.makeLink().code), await first.redeem(first.makeLink().code)]
    const renewed = await first.renew(mine.value)
    await first.leave(mine.value)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    for (const hubOf of [first, start(), start()]) {
      for (const { value } of [mine, renewed]) await expect(hubOf.verify(value)).rejects.toMatchObject({ code: "unauthenticated" })
      expect((await hubOf.verify(other.value)).signIn).not.toBe("")
    }
    // A copy that was renewed later than the one that was signed out is void for as long as it would have lasted.
    const early = await first.redeem(first.makeLink().code)
    aheadMs = PAGE_SESSION_MS / 2
    const late = await first.renew(early.value)
    await first.leave(early.value)
    aheadMs = PAGE_SESSION_MS + 500
    await first.leave(other.value)
    for (const hubOf of [first, start()]) await expect(hubOf.verify(late.value)).rejects.toMatchObject({ code: "unauthenticated" })
    // What is over by itself need not be kept.
    aheadMs = 2 * PAGE_SESSION_MS
    const later = start()
    const next = await later.redeem(later.makeLink().code)
    await later.leave(next.value)
    expect(Object.keys(JSON.parse(readFileSync(path, "utf8")) as object)).toHaveLength(1)
    writeFileSync(path, "{]")
    expect(start).toThrow(expect.objectContaining({ message: `${path} holds no list of sign-outs`, remedy: expect.stringContaining("remove it") as string }))
    rmSync(folder, { recursive: true })
    // Its folder is gone: it is void here, and whoever signs out hears that it was not kept.
    const unkept = await first.redeem(first.makeLink().code)
    await expect(first.leave(unkept.value)).rejects.toMatchObject({ code: "storage_refused" })
    await expect(first.verify(unkept.value)).rejects.toMatchObject({ code: "unauthenticated" })
  })

  test("is taken back by signing out, which only the page can do", async () => {
    const cookie = await signIn()
    const open = talk(hub.url, ['{"hello":{"workspace":"main"}}'], { headers: { cookie, ...fromPage() } })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect((await ask(hub.url, "/leave", { headers: { cookie } })).body["code"]).toBe("origin_refused")
    const left = await ask(hub.url, "/leave", { headers: { cookie, ...fromPage() } })
    expect(left.headers["set-cookie"]?.[0]).toMatch(/^skein_[0-9a-f]{16}=; .*Max-Age=0$/)
    expect((await open).closed, "the page that is open is signed out too").toBe(4401)
    // A copy of it is void too.
    expect((await ask(hub.url, "/enter", { headers: { ...fromPage(), cookie } })).body["code"]).toBe("unauthenticated")
  })
})

describe("the page's files", () => {
  const get = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> => ask(hub.url, path, { method, headers })

  test("allow a script of the hub's own and nothing else, wherever the page is asked for", async () => {
    for (const path of ["/", "/enter", "/w/main/"]) {
      const { status, headers, text } = await get(path)
      expect([status, text]).toEqual([200, "<!doctype html><title>Skein</title>"])
      const policy = String(headers["content-security-policy"])
      expect(policy.split("; ")).toEqual(expect.arrayContaining(["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]))
      expect(policy).not.toContain("unsafe")
      expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY" })
    }
  })

  test("are kept for ever where their name says what is in them; the index is asked for anew, and answered with 304 while it is the same", async () => {
    const index = await get("/")
    expect(index.headers["cache-control"]).toBe("no-cache")
    const again = await get("/", { "if-none-match": String(index.headers.etag) })
    expect([again.status, again.text]).toEqual([304, ""])
    const { headers } = await get("/assets/main-abc.js")
    expect(headers["cache-control"]).toBe("public, max-age=31536000, immutable")
    expect(headers["etag"]).toBe(`"${createHash("sha256").update(SCRIPT).digest("base64url").slice(0, 22)}"`)
  })

  test("come compressed as the browser takes them", async () => {
    const path = `${hub.url}/assets/main-abc.js`
    const encoding = async (accepted: string): Promise<string | null> => {
      const response = await fetch(path, { headers: { "accept-encoding": accepted } })
      expect(await response.text()).toBe(SCRIPT)
      return response.headers.get("content-encoding")
    }
    expect(await encoding("gzip, deflate, br, zstd")).toBe("br")
    expect(await encoding("gzip")).toBe("gzip")
    expect(await encoding("br;q=0, gzip")).toBe("gzip")
    expect(await encoding("identity")).toBeNull()
    const head = await get("/assets/main-abc.js", {}, "HEAD")
    expect([head.status, head.text, head.headers["content-length"]]).toEqual([200, "", String(SCRIPT.length)])
  })

  test("are those of the page and no others on the disk", async () => {
    for (const path of [
      "/assets/none.js",
      "/assets/../index.html",
      "/assets/%2e%2e/index.html",
      "/assets/..%2findex.html",
      "/assets/",
      "/assets//etc/passwd",
    ]) {
      const { status, body } = await get(path)
      expect([path, status, body["code"]]).toEqual([path, 404, "unknown_operation"])
    }
    expect((await get("/", {}, "DELETE")).body["code"]).toBe("method_not_allowed")
  })

  test("say how to get them where nobody built them", async () => {
    const bare = await startInstance({ pageDirectory: join(pageDirectory, "none") })
    const { status, body } = await ask(bare.url, "/", { method: "GET" })
    expect([status, body["remedy"]]).toEqual([500, expect.stringContaining("npm run build")])
    await bare.close()
  })
})
