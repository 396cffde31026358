import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { HookMarkFile } from "./hook-mark.ts"

const folder = mkdtempSync(join(tmpdir(), "skein-mark-"))
afterAll(() => rmSync(folder, { recursive: true }))

test("what is damaged in a mark counts as fresh, and the rest of it stands", () => {
  const mark = new HookMarkFile(join(folder, "marks"), "ann", "s")
  const fresh = mark.read()
  mkdirSync(join(folder, "marks"))
  const written = { warned: "yes", shown: null, pending: { team: 3, x: "y", z: -1 }, atStart: 1, turns: {}, usageBytes: 1e300, usageIds: ["a", 7] }
  writeFileSync(join(folder, "marks", "ann.s.json"), JSON.stringify(written))
  expect(mark.read()).toEqual({ ...fresh, pending: { team: 3 }, usageIds: ["a"] })
  for (const text of ["null", "[]", "7", '"x"', "{", ""]) {
    writeFileSync(join(folder, "marks", "ann.s.json"), text)
    expect(mark.read()).toEqual(fresh)
  }
})

test.each(["", "ann.s.json"])("what stands in the place of the marks (marks/%s) is told, with what to do about it, and nothing is left beside it", (name) => {
  const marks = mkdtempSync(join(folder, "taken-"))
  const mark = new HookMarkFile(join(marks, "marks"), "ann", "s")
  if (name === "") writeFileSync(join(marks, "marks"), "")
  else mkdirSync(join(marks, "marks", name), { recursive: true })
  const told = {
    code: "storage_refused",
    message: expect.stringContaining(join(marks, "marks")) as string,
    remedy: expect.stringContaining("Move away") as string,
  }
  expect(() => mark.write(mark.read())).toThrow(expect.objectContaining(told) as Error)
  if (name === "") expect(() => mark.lock()).toThrow(expect.objectContaining(told) as Error)
  else expect(readdirSync(join(marks, "marks"))).toEqual([name])
})

test("a lock of a day to come, from before the clock was set back, is nobody's", () => {
  const marks = join(folder, "later")
  const mark = new HookMarkFile(marks, "ann", "s")
  const lock = join(marks, "ann.s.json.lock")
  mkdirSync(marks)
  writeFileSync(lock, "")
  expect(mark.lock()).toBeNull()
  const tomorrow = Date.now() / 1_000 + 86_400
  utimesSync(lock, tomorrow, tomorrow)
  mark.lock()?.()
  expect(existsSync(lock)).toBe(false)
})

test("marks of a week ago are swept away, and what stands beside them and is none of ours is in nobody's way", () => {
  const marks = mkdtempSync(join(folder, "swept-"))
  const old = new Date(Date.now() - 8 * 24 * 3_600_000)
  symlinkSync("itself", join(marks, "itself"))
  mkdirSync(join(marks, "a-folder", "in-it"), { recursive: true })
  for (const name of ["ann.old.json", "ann.new.json"]) writeFileSync(join(marks, name), "{}")
  for (const name of ["ann.old.json", "a-folder"]) utimesSync(join(marks, name), old, old)
  new HookMarkFile(marks, "ann", "s").sweep()
  expect(readdirSync(marks).toSorted()).toEqual(["a-folder", "ann.new.json", "itself"])
})
