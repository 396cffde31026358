import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { type FileChange, readPlace, removeEmptyFolders, writeChanges } from "./settings-files.ts"

const top = mkdtempSync(join(tmpdir(), "skein files-"))
afterAll(() => rmSync(top, { recursive: true, force: true }))

let folder = ""
function fresh(): string {
  folder = mkdtempSync(join(top, "t"))
  writeFileSync(join(folder, "first"), "1")
  chmodSync(join(folder, "first"), 0o640)
  writeFileSync(join(folder, "gone"), "2")
  return folder
}

const become = (file: string, after: string | null): FileChange => ({ ...readPlace(folder, file), after })
const all = (): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()

test("all changes happen, modes stay, and the folders that were made are named", () => {
  fresh()
  const made = writeChanges([become("first", "new"), become("gone", null), become("a/b/c", "deep")])
  expect(all()).toEqual(["a", "a/b", "a/b/c", "first"])
  expect(readFileSync(join(folder, "first"), "utf8")).toBe("new")
  expect(statSync(join(folder, "first")).mode & 0o777).toBe(0o640)
  expect(made).toEqual([join(folder, "a"), join(folder, "a/b")])
  expect(removeEmptyFolders(made)).toEqual([...made].reverse())
})

test.each([1, 2, 3])("where the %i. rename fails, everything is as it was, and no draft is left", (failing) => {
  fresh()
  const before = all()
  let renames = 0
  const rename = (from: string, to: string): void => {
    if ((renames += 1) === failing) throw new Error("no space")
    renameSync(from, to)
  }
  const changes = [become("gone", null), become("first", "new"), become("a/b/c", "deep"), become("z", "last")]
  expect(() => writeChanges(changes, rename)).toThrow("no space")
  expect(renames).toBe(failing)
  expect(all()).toEqual(before)
  expect(["first", "gone"].map((file) => readFileSync(join(folder, file), "utf8"))).toEqual(["1", "2"])
  expect(statSync(join(folder, "first")).mode & 0o777).toBe(0o640)
})

test("a draft that cannot be written leaves everything as it was", () => {
  fresh()
  const changes = [become("first", "new"), become("made/x", "x"), become("later/y", "y")]
  // It became a file after it was looked at.
  writeFileSync(join(folder, "later"), "")
  const before = all()
  expect(() => writeChanges(changes)).toThrow()
  expect(all()).toEqual(before)
  expect(readFileSync(join(folder, "first"), "utf8")).toBe("1")
})

test("a file that somebody changed after it was looked at stops all of it", () => {
  fresh()
  const changes = [become("first", "new"), become("gone", null)]
  writeFileSync(join(folder, "gone"), "theirs")
  expect(() => writeChanges(changes)).toThrow(expect.objectContaining({ code: "settings_changed" }))
  expect(["first", "gone"].map((file) => readFileSync(join(folder, file), "utf8"))).toEqual(["1", "theirs"])
})

test.each(["../x", "/etc/passwd", "a//b", "./a", "", "a/../../b"])("%j is no path of the repository", (file) => {
  fresh()
  expect(() => readPlace(folder, file)).toThrow(expect.objectContaining({ code: "settings_outside" }))
})

test("a folder that still holds something stays", () => {
  fresh()
  mkdirSync(join(folder, "a/b"), { recursive: true })
  writeFileSync(join(folder, "a/theirs"), "")
  expect(removeEmptyFolders([join(folder, "a"), join(folder, "a/b"), join(folder, "never")])).toEqual([join(folder, "a")])
  expect(all()).toEqual(["a", "a/theirs", "first", "gone"])
})
