import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
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
