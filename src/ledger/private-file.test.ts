import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { readPrivately, replacePrivately } from "./private-file.ts"

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
  expect(() => replacePrivately(path, "secret")).toThrow(`${path} is a folder`)
  expect(readdirSync(folder)).toEqual(["goose.credential"])
})

test("a file is read and nothing that stands in its place: a pipe without a writer, a folder, a device or a hole without end are named", () => {
  const path = join(folder, "token.pem")
  const places = [
    (): unknown => execFileSync("mkfifo", [path]),
    (): unknown => mkdirSync(path),
    (): void => symlinkSync("/dev/zero", path),
    (): void => {
      writeFileSync(path, "")
      truncateSync(path, 2 ** 36)
    },
  ]
  for (const put of places) {
    put()
    const remedy = "Put back the file that belongs there, or move away what is in its place."
    expect(() => readPrivately(path)).toThrow(expect.objectContaining({ message: expect.stringContaining(`${path} is `) as string, remedy }))
    rmSync(path, { recursive: true })
  }
  writeFileSync(path, "sound\n")
  expect(readPrivately(path)).toBe("sound\n")
})
