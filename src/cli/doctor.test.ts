import { expect, test } from "vitest"
import { diskOf, findingText } from "./doctor.ts"
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

test("a disk that has room for bytes, but for no more files, is full; one that does not count files is not", () => {
  const disk = (files: number, ffree: number): string => {
    const { level, text } = diskOf({ bavail: 2 ** 20, bsize: 4096, files, ffree })
    return `${level} ${text}`
  }
  expect([disk(1_000_000, 12), disk(1_000_000, 5_000), disk(0, 0)]).toEqual([
    "problem 4096 MiB free, and room for 12 files more",
    "ok 4096 MiB free",
    "ok 4096 MiB free",
  ])
})
