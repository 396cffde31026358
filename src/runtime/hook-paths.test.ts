import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { repositoryPaths } from "./hook-paths.ts"

const root = realpathSync(mkdtempSync(join(tmpdir(), "skein-paths-")))
afterAll(() => rmSync(root, { recursive: true }))
const top = join(root, "repo")
const other = join(root, "other")
const linked = join(root, "linked")
for (const folder of [join(top, ".git"), join(top, "src"), join(other, ".git"), linked]) mkdirSync(folder, { recursive: true })
writeFileSync(join(linked, ".git"), `gitdir: ${top}/.git/worktrees/linked\n`)
writeFileSync(join(top, "src", "a.ts"), "")
symlinkSync(join(top, "src"), join(top, "alias"))
symlinkSync(join(root, "elsewhere.txt"), join(top, "out"))
symlinkSync(join(top, "src", "a.ts"), join(root, "into"))

const ours = (folder: string): boolean => folder === top || folder === linked
const pathsOf = (given: string[], cwd = top): string[] => repositoryPaths(given, cwd, ours).map(({ path }) => path)

test("a path is told from the top of its worktree, whichever way it is given", () => {
  expect(pathsOf([join(top, "src/a.ts")])).toEqual(["src/a.ts"])
  expect(pathsOf(["a.ts"], join(top, "src"))).toEqual(["src/a.ts"])
  expect(pathsOf(["../src/./new/deep.ts"], join(top, "src"))).toEqual(["src/new/deep.ts"])
})

test("what is written whole is told from a file where it is a folder, and not a link to one", () => {
  expect(pathsOf(["src/", "src/a.ts/", "gone/"])).toEqual(["src/", "src/a.ts", "gone"])
  expect(pathsOf(["alias/"]).sort()).toEqual(["alias", "src"])
})

test("a file of another worktree of the repository is the same file to a lease", () => {
  expect(pathsOf([join(linked, "src/a.ts")])).toEqual(["src/a.ts"])
})

test("what lies outside, in another repository, or in .git and .skein is nobody's business", () => {
  expect(pathsOf([join(root, "x"), "/etc/hosts", join(other, "a.ts"), "../other/a.ts", ".git/config", ".skein/hub.json", ".", "a\0b"])).toEqual([])
})

test("a file of a submodule is one of the repository around it; one of a clone that merely lies there is not", () => {
  mkdirSync(join(top, "vendor", "lib", "src"), { recursive: true })
  writeFileSync(join(top, "vendor", "lib", ".git"), "gitdir: ../../.git/modules/vendor/lib\n")
  mkdirSync(join(top, "tmp", "clone", ".git"), { recursive: true })
  expect(pathsOf(["vendor/lib/src/a.ts", "tmp/clone/a.ts"])).toEqual(["vendor/lib/src/a.ts"])
})

test("links are followed, and the link itself counts too", () => {
  expect(pathsOf(["alias/a.ts"]).sort()).toEqual(["src/a.ts"])
  expect(pathsOf(["out"])).toEqual(["out"])
  expect(pathsOf([join(root, "into")])).toEqual(["src/a.ts"])
})

test("a name that no file can have, or that no lease can name, does not keep the others from being looked at", () => {
  const odd = ["x".repeat(300), "x".repeat(9_000), "d/".repeat(2_000), "d/".repeat(30_000), "C:/x", "\\x", "C:\\x"]
  expect(pathsOf([...odd, "src/a.ts", ...odd])).toEqual(["x".repeat(300), `${"d/".repeat(1_999)}d`, "src/a.ts"])
})

test("a file whose name only begins with two dots lies in the repository", () => {
  expect(pathsOf(["..a.ts", "src/..b"])).toEqual(["..a.ts", "src/..b"])
})
