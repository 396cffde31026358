import { expect, test } from "vitest"
import { findingText } from "./doctor.ts"
import { Terminal } from "./terminal.ts"

test("on a narrow terminal what was found goes on in the next line, a remedy stays as it can be copied, and a pipe gets a line of each", () => {
  const said = (isLive: boolean): string[] =>
    findingText(Object.defineProperties(new Terminal({ colour: false }), { isLive: { value: isLive }, columns: { value: 40 } }), {
      level: "problem",
      about: "permissions",
      text: ".skein/keys can be read by others",
      remedy: "Close it: chmod go= .skein/keys; then have new ones made",
    }).split("\n")
  const remedy = "         Close it: chmod go= .skein/keys; then have new ones made"
  expect(said(true)).toEqual(["problem  permissions: .skein/keys can be", "         read by others", remedy])
  expect(said(false)).toEqual(["problem  permissions: .skein/keys can be read by others", remedy])
})
