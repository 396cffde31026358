import { expect, test } from "vitest"
import { type JsonEdit, putJson } from "./settings-json.ts"

const FILE = "opencode.json"
const edit: JsonEdit = { do: "set", file: FILE, format: "json", at: ["mcp", "skein"], value: { type: "local" } }

test.each(['{"a": "\\', '{"a": "\\u12', '"', '{"a": /*', "{ //", '{"a": 1', "["])("settings that break off are named, with the place: %s", (text) => {
  expect(() => putJson(FILE, text, edit)).toThrow(
    expect.objectContaining({ code: "settings_unreadable", message: expect.stringMatching(/^opencode\.json:1:\d+: /) }),
  )
})

test("settings that are nested without end are named, with the place", () => {
  const text = `{"mcp":{},"own":${"[".repeat(50_000)}${"]".repeat(50_000)}}`
  expect(() => putJson(FILE, text, edit)).toThrow(
    expect.objectContaining({ code: "settings_unreadable", message: expect.stringMatching(/^opencode\.json:1:\d+: /) }),
  )
})
