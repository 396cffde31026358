import fc from "fast-check"
import { expect, test } from "vitest"
import { operations } from "../contract/operations.ts"
import { type Glob, PATH_MAX, parseGlob, pathFault } from "../core/glob.ts"
import { matches } from "../core/glob-match.ts"
import { askablePath } from "./askable-path.ts"

/** Pieces of which a tree can make names, by hand where git's own commands would not. */
const piece = fc.oneof(
  fc.constantFrom(
    "a",
    "/",
    "//",
    ".",
    "..",
    "\\",
    "C:",
    "c:\\",
    ":",
    "~",
    "!",
    "-",
    " ",
    "\n",
    "\t",
    '"',
    "*",
    "[a]",
    "{a,b}",
    "\ufffd",
    "\u202e",
    "e\u0301",
    "😀",
  ),
  fc.string({ unit: "binary", minLength: 1 }),
  fc.constantFrom(1, 2, 3, 100).map((less) => "x".repeat(PATH_MAX - less)),
  fc.constantFrom("/", "./", "../", "a/").map((text) => text.repeat(PATH_MAX / 3)),
)
const gitPath = fc
  .array(piece, { minLength: 1, maxLength: 6 })
  .map((pieces) => pieces.join("").replaceAll("\0", ""))
  .filter((path) => path !== "")

const { input } = operations["files.check"]

test("whatever a tree can name can be asked about, and as a file", () => {
  fc.assert(
    fc.property(gitPath, (path) => {
      const asked = askablePath(path)
      expect(pathFault(asked), JSON.stringify(asked.slice(0, 100))).toBeNull()
      expect(asked.endsWith("/")).toBe(false)
      expect(input.safeParse({ paths: [asked] }).success).toBe(true)
    }),
  )
})

test("what the hub takes as it is, is asked about as it is: whatever covers it is found", () => {
  fc.assert(
    fc.property(gitPath, (path) => {
      if (pathFault(path) === null) expect(askablePath(path)).toBe(path)
    }),
  )
})

test.each([
  ["\\x/z.ts", ["?x/z.ts", "?x/", "*/z.ts"]],
  ["C:/x/z.ts", ["?:/x/z.ts", "?:/", "**/z.ts"]],
  ["held/../z.ts", ["held/**", "held/*/z.ts", "**/z.ts"]],
  ["/held//z.ts", ["*/held/*/z.ts", "**/z.ts"]],
  [`held/${"d/".repeat(PATH_MAX)}z.ts`, ["held/", "held/**/z.ts", "**/d/z.ts", "**/*.ts"]],
  [`${"//".repeat(PATH_MAX)}z.ts`, ["**/z.ts"]],
  [`held/${"d".repeat(2 * PATH_MAX)}.ts`, ["held/*", "held/*.ts", "held/d*d.ts"]],
])("what no lease can spell is asked about as what the same wildcards and folders cover: %#", (path, globs) => {
  for (const text of globs) expect(matches(parseGlob(text) as Glob, askablePath(path)), text).toBe(true)
})
