import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { replacePrivately } from "./private-file.ts"

let folder = ""
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "skein-private-file-"))))
afterEach(() => rmSync(folder, { recursive: true }))

test("a file that is replaced is its owner's alone, whoever could read the one before it", () => {
  const path = join(folder, "hub.json")
  writeFileSync(path, "old")
  chmodSync(path, 0o644)
  replacePrivately(path, "new")
  expect(readFileSync(path, "utf8")).toBe("new")
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(["hub.json"])
})

test("what cannot be put in its place is not left beside it", () => {
  const path = join(folder, "goose.credential")
  mkdirSync(path)
  expect(() => replacePrivately(path, "secret")).toThrow(/EISDIR|directory/)
  expect(readdirSync(folder)).toEqual(["goose.credential"])
})
