import { expect, test } from "vitest"
import { hubAddress } from "./hub-address.ts"

test("a hub's address is one of http or https, and all else is refused with an example of one", () => {
  expect(hubAddress("http://127.0.0.1:7700").host).toBe("127.0.0.1:7700")
  expect(hubAddress("https://hub.example.org/").protocol).toBe("https:")
  for (const wrong of ["", "127.0.0.1:7700", "localhost:7700", "ttp://127.0.0.1", "ws://127.0.0.1", "file:///etc/passwd", "\0"]) {
    expect(() => hubAddress(wrong)).toThrow(expect.objectContaining({ code: "invalid_input", remedy: expect.stringContaining("http://127.0.0.1:7700") }))
  }
})
