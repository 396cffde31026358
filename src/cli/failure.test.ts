import { expect, test, vi } from "vitest"
import { report } from "./failure.ts"

test("what the system refuses is no fault of Skein's, whatever its code is made of: a text that is too long for another program, with the remedy", () => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  try {
    expect(report(Object.assign(new Error("spawn E2BIG"), { code: "E2BIG" }), true)).toBe(1)
    expect(write.mock.calls.join("")).toContain('"code":"invalid","message":"spawn E2BIG","remedy":"An argument or a variable of the environment is too long')
  } finally {
    write.mockRestore()
  }
})
