import { expect, test } from "vitest"
import { shownPolicy } from "./policy-file.ts"

test("a policy with the line ends of Windows is shown as one that can be set again, and nothing in it is obeyed by a terminal", () => {
  expect(shownPolicy("// \u001b[2J\r\npermit (\r\n\tprincipal, action, resource);\r\n")).toBe("// \\x1b[2J\npermit (\n\tprincipal, action, resource);")
})
