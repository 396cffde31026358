import { expect, test } from "vitest"
import { badRequest, checkOrigin, guardFor, rawAnswer } from "./request.ts"

const GUARD = guardFor("192.168.1.5", 4100, ["Skein.Example", "proxy.example:8443"])

/** What a request by this Host, from a page of this Origin, hears; null: it is let in. */
function heard(host: string | undefined, origin?: string, url?: string): string | null {
  try {
    checkOrigin({ url, headers: { ...(host === undefined ? {} : { host }), ...(origin === undefined ? {} : { origin }) } }, GUARD)
    return null
  } catch (error) {
    return (error as { code: string }).code
  }
}

test("who does not end its request in time hears 408, as of a request that was not carried out", () => {
  const late = Object.assign(new Error("Request timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" })
  expect(rawAnswer(badRequest(late)).toString()).toMatch(/^HTTP\/1\.1 408 [^]*Connection: close[^]*"code":"request_timeout"/)
})

test("a hub is asked by the names of this machine with its port, by its address, and by the names that are allowed", () => {
  for (const host of ["localhost:4100", "LOCALHOST:4100", "127.0.0.1:4100", "[::1]:4100", "192.168.1.5:4100", "skein.example", "proxy.example:8443"])
    expect(heard(host), host).toBeNull()
  for (const host of [undefined, "localhost:4100, evil.example"]) expect(heard(host), host).toBe("invalid_input")
  for (const host of ["", "localhost", "127.0.0.1", "localhost:4101", "evil.example", "evil.example:4100", "skein.example:4100", "proxy.example"])
    expect(heard(host), host).toBe("origin_refused")
})

test("a hub on HTTP's own port is asked without it too, as clients ask", () => {
  const guard = guardFor("10.0.0.5", 80, [])
  for (const host of ["localhost", "127.0.0.1", "[::1]", "10.0.0.5", "10.0.0.5:80"])
    expect(() => checkOrigin({ url: "/", headers: { host, origin: `http://${host}` } }, guard), host).not.toThrow()
  expect(() => checkOrigin({ url: "http://localhost:80/health", headers: { host: "localhost" } }, guard)).not.toThrow()
  expect(() => checkOrigin({ url: "/", headers: { host: "localhost", origin: "https://localhost" } }, guard)).toThrow()
})

test("an address that names its host says which one is asked", () => {
  expect(heard("evil.example", undefined, "http://localhost:4100/health")).toBeNull()
  for (const url of ["http://evil.example/health", "HTTPS://localhost/health", "ws://evil.example:4100/ws", "http://:0"])
    expect(heard("localhost:4100", undefined, url), url).toBe("origin_refused")
})

test("a page is of the hub's own origin, or of one that is allowed: no other port, scheme or site", () => {
  const host = "localhost:4100"
  for (const origin of ["http://localhost:4100", "http://127.0.0.1:4100", "https://skein.example", "http://skein.example", "https://proxy.example:8443"])
    expect(heard(host, origin), origin).toBeNull()
  for (const origin of [
    "http://localhost",
    "http://localhost:4101",
    "https://localhost:4100",
    "null",
    "",
    "https://evil.example",
    "http://localhost:4100.evil.example",
  ])
    expect(heard(host, origin), origin).toBe("origin_refused")
})
