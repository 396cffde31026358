import { expect, test } from "vitest"
import { hubAddress, isLoopbackUrl } from "./hub-address.ts"

test("a hub's address is one of http or https, and all else is refused with an example of one", () => {
  expect(hubAddress("http://127.0.0.1:7700").host).toBe("127.0.0.1:7700")
  expect(hubAddress("https://hub.example.org/").protocol).toBe("https:")
  for (const wrong of ["", "127.0.0.1:7700", "localhost:7700", "ttp://127.0.0.1", "ws://127.0.0.1", "file:///etc/passwd", "\0"]) {
    expect(() => hubAddress(wrong)).toThrow(expect.objectContaining({ code: "invalid_input", remedy: expect.stringContaining("http://127.0.0.1:7700") }))
  }
})

test("an address is this machine's by its own form, not by how a name begins", () => {
  for (const own of ["http://localhost:1", "http://127.0.0.1:1", "http://127.1:1", "http://127.255.0.9", "http://[::1]:1"])
    expect(isLoopbackUrl(hubAddress(own)), own).toBe(true)
  for (const other of [
    "http://127.example.org",
    "http://127.0.0.1.example.org",
    "http://0.0.0.0:1",
    "http://localhost.example.org",
    "http://10.0.0.1",
    "http://[::2]",
  ])
    expect(isLoopbackUrl(hubAddress(other)), other).toBe(false)
})
