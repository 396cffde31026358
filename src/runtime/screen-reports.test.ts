import { expect, test } from "vitest"
import { lastText } from "./screen-reports.ts"

test("what a terminal shows is told without its colours, titles and controls, and only the end of it", () => {
  expect(lastText("\u001b[1;31mred\u001b[0m \u001b]0;title\u0007a\u0000b\u009bc\r\n> \n\n")).toBe("red abc\n>")
  expect(lastText(`${"x".repeat(20_000)}end`)).toHaveLength(16_384)
  expect(lastText(`${"x".repeat(20_000)}end`).endsWith("xend")).toBe(true)
})
