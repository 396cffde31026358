import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { UsageError } from "./failure.ts"
import { readCases, readPolicy, shownPolicy } from "./policy-file.ts"

const folder = mkdtempSync(join(tmpdir(), "skein-policy-"))
afterAll(() => rmSync(folder, { recursive: true }))

test("a policy with the line ends of Windows is shown as one that can be set again, and nothing in it is obeyed by a terminal", () => {
  expect(shownPolicy("// \u001b[2J\r\npermit (\r\n\tprincipal, action, resource);\r\n")).toBe("// \\x1b[2J\npermit (\n\tprincipal, action, resource);")
})

test("cases that nest without end, or name an alias of nothing or aliases without end, are refused with a remedy", () => {
  const bomb = ["a0: &a0 x", ...Array.from({ length: 9 }, (_, at) => `a${at + 1}: &a${at + 1} [${Array.from({ length: 9 }, () => `*a${at}`).join(",")}]`)]
  for (const text of ["[".repeat(60_000), "- *none\n", `${bomb.join("\n")}\ncases: *a9\n`, "k: 1\n".repeat(40_000)]) {
    const path = join(folder, "odd.yaml")
    writeFileSync(path, text)
    expect(() => readCases(path)).toThrow(UsageError)
  }
})

test("a policy that has no end is no policy", () => {
  expect(() => readPolicy("/dev/zero")).toThrow(/over 262144 bytes/)
  expect(() => readCases("/dev/zero")).toThrow(UsageError)
})
