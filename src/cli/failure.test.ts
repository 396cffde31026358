import { mkdtempSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test, vi } from "vitest"
import { SkeinError } from "../contract/errors.ts"
import { instant } from "../core/instant.ts"
import { report } from "./failure.ts"

test("what the system refuses is no fault of Skein's, whatever its code is made of: a text that is too long for another program, with the remedy", () => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  try {
    expect(report(Object.assign(new Error("spawn E2BIG"), { code: "E2BIG" }), true)).toBe(1)
    expect(write.mock.calls.join("")).toContain('"code":"invalid","message":"spawn E2BIG","remedy":"An argument or a variable of the environment is too long')
  } finally {
    write.mockRestore()
  }
})

test("an error that a stranger answered in a hub's place is told in order: its details nested beyond our stack, its remedy none", () => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  try {
    let details = {}
    for (let level = 0; level < 20_000; level += 1) details = { details }
    expect(report(new SkeinError("not_found", "gone", "", details), true)).toBe(1)
    const { error } = JSON.parse(write.mock.calls.join("")) as { error: Record<string, unknown> }
    expect(error).toEqual({ code: "not_found", message: "gone", remedy: expect.stringMatching(/./) as string, details: {}, retryAfterMs: null })
  } finally {
    write.mockRestore()
  }
})

test("where temporary files cannot be made, the remedy names the variable that says where", () => {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  try {
    expect(() => mkdtempSync("/dev/null/skein-")).toThrow(expect.toSatisfy((error) => report(error, false) === 1) as Error)
    expect(write.mock.calls.join("")).toContain("set TMPDIR")
  } finally {
    write.mockRestore()
  }
})

test("a folder in the place of a file is named, with the remedy, whether the file was to be opened or to be replaced", () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-failure-"))
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  try {
    writeFileSync(`${folder}.draft`, "")
    for (const act of [() => openSync(folder, "a"), () => renameSync(`${folder}.draft`, folder)]) {
      write.mockClear()
      expect(act).toThrow(expect.toSatisfy((error: unknown) => report(error, false) === 1))
      expect(write.mock.calls.flat().join("")).toContain(`skein: ${folder} is a folder, and a file belongs there\nremedy: Move it away`)
    }
  } finally {
    write.mockRestore()
    rmSync(folder, { recursive: true })
    rmSync(`${folder}.draft`)
  }
})

test("until when a refusal holds is told to people on their own clock, and to programs as the hub said it", () => {
  const retryAtMs = new Date(2026, 10, 23, 10, 42, 7, 890).getTime()
  const error = new SkeinError("files_conflict", `src/** bob holds until ${instant(retryAtMs)}`, `Ask again after ${instant(retryAtMs)}.`, { retryAtMs })
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  try {
    report(error, false)
    expect(write.mock.calls.join("")).toMatch(/until (2026-11-23 )?10:42:07\n,?remedy: Ask again after (2026-11-23 )?10:42:07\.\n/)
    write.mockClear()
    report(error, true)
    expect(write.mock.calls.join("")).toContain(`until ${instant(retryAtMs)}`)
    write.mockClear()
    // A stranger in a hub's place may say any number.
    report(new SkeinError("files_conflict", "no", "wait", { retryAtMs: 1e300 }), false)
    expect(write.mock.calls.join("")).toContain("skein: no\n")
  } finally {
    write.mockRestore()
  }
})
