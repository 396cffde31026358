import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { makeFolder } from "./folder.ts"

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), "skein-folder-"))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

test("a folder is made with those above it, and is left as it is where it is there", () => {
  const path = join(place(), "a", "b", "c")
  makeFolder(path, 0o700)
  writeFileSync(join(path, "file"), "")
  makeFolder(`${path}/`)
  expect([statSync(join(path, "..")).mode & 0o777, statSync(path).mode & 0o777]).toEqual([0o700, 0o700])
})

test("what lies below a file is refused, and made nowhere", () => {
  const folder = place()
  writeFileSync(join(folder, "file"), "")
  for (const path of ["file", "file/a", "file/a/b"]) expect(() => makeFolder(join(folder, path))).toThrow(/EEXIST|ENOTDIR/)
})

test.skipIf(!existsSync("/proc/self"))("a place that takes no folder is told, and not tried for ever", () => {
  for (const path of ["/proc/skein", "/proc/skein/a/b"]) expect(() => makeFolder(path)).toThrow('the folder "/proc/skein" cannot be made: "/proc" takes none')
})

test("a folder without a name is told as that", () => {
  expect(() => makeFolder("")).toThrow("the folder has no name")
})
