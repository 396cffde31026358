import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { predictConflicts } from "./conflict.ts"
import { findRepository, type Repository } from "./instance.ts"

let root: string
let repository: Repository

function run(cwd: string, ...args: string[]): string {
  return execFileSync("git", args, { cwd, encoding: "utf8", env: { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" } })
}

function commit(cwd: string, message: string): void {
  run(cwd, "add", "--all")
  run(cwd, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", message)
}

/** A worktree on a branch of its own, as an agent has it. */
function worktree(name: string): string {
  const path = join(root, name)
  run(join(root, "main"), "worktree", "add", "-q", "-b", name, path)
  run(join(root, "main"), "config", "extensions.worktreeConfig", "true")
  run(path, "config", "--worktree", "skein.agent", name)
  return path
}

beforeEach(async () => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "conflict-")))
  const main = join(root, "main")
  mkdirSync(join(main, "src"), { recursive: true })
  run(main, "init", "-q", "-b", "main")
  writeFileSync(join(main, ".gitignore"), "*.log\n")
  for (const file of ["a", "b", "c d\u00e9"]) writeFileSync(join(main, "src", `${file}.ts`), "1\n2\n3\n4\n5\n")
  commit(main, "first")
  repository = await findRepository(main)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function named({ conflicts }: Awaited<ReturnType<typeof predictConflicts>>): string[][] {
  const rows = conflicts.map(({ a, b, files }) => [[a.name, b.name].sort().join(" and "), ...files.toSorted()])
  return rows.sort(([a = ""], [b = ""]) => (a < b ? -1 : 1))
}

test("in a sparse worktree a file outside what it shows hides no change of the others", async () => {
  const [ann, bob] = [worktree("ann"), worktree("bob")]
  run(ann, "sparse-checkout", "set", "src")
  mkdirSync(join(ann, "besides"))
  writeFileSync(join(ann, "besides", "new.ts"), "1\n")
  writeFileSync(join(ann, "src/a.ts"), "ANN\n")
  writeFileSync(join(bob, "src/a.ts"), "BOB\n")
  expect(named(await predictConflicts(repository))).toEqual([["ann and bob", "src/a.ts"]])
})

test("two agents that changed the same lines are told, with the files; others are not", async () => {
  const [ann, bob, cat] = [worktree("ann"), worktree("bob"), worktree("cat")]
  writeFileSync(join(ann, "src/a.ts"), "1\nANN\n3\n4\n5\n")
  writeFileSync(join(ann, "src/c dé.ts"), "ANN\n")
  commit(ann, "ann")
  writeFileSync(join(bob, "src/a.ts"), "1\nBOB\n3\n4\n5\n")
  writeFileSync(join(bob, "src/c dé.ts"), "BOB\n")
  commit(bob, "bob")
  // The same file, other lines: git merges that.
  writeFileSync(join(cat, "src/a.ts"), "1\n2\n3\n4\nCAT\n")
  commit(cat, "cat")
  const found = await predictConflicts(repository)
  expect(found.sides.map(({ name }) => name).sort()).toEqual(["ann", "bob", "cat", "main"])
  expect(named(found)).toEqual([["ann and bob", "src/a.ts", "src/c dé.ts"]])
  expect(found.pairs).toBe(6)
})

test("work counts that nobody has committed, and files that git does not know yet; what is ignored does not", async () => {
  const [ann, bob] = [worktree("ann"), worktree("bob")]
  writeFileSync(join(ann, "src/a.ts"), "ANN\n")
  writeFileSync(join(ann, "new.ts"), "ann\n")
  writeFileSync(join(ann, "x.log"), "ann\n")
  run(ann, "add", "src/a.ts")
  writeFileSync(join(bob, "src/a.ts"), "BOB\n")
  writeFileSync(join(bob, "new.ts"), "bob\n")
  writeFileSync(join(bob, "x.log"), "bob\n")
  const found = await predictConflicts(repository)
  expect(named(found)).toEqual([["ann and bob", "new.ts", "src/a.ts"]])
  expect(found.sides.find(({ agent }) => agent === "ann")).toMatchObject({ branch: "ann", path: ann, uncommitted: true })
})

test("a change counts that came in the moment of the checkout and left the file as long as it was", async () => {
  for (const name of ["ann", "bob"]) writeFileSync(join(worktree(name), "src/a.ts"), `${name}\n3\n4\n5\n`.slice(0, 10).padEnd(10, "\n"))
  // Git tells times apart by the second.
  await new Promise((settle) => setTimeout(settle, 1_100))
  expect(named(await predictConflicts(repository))).toEqual([["ann and bob", "src/a.ts"]])
})

test("nothing is changed by looking: no object, no index, no file", async () => {
  const [ann, bob] = [worktree("ann"), worktree("bob")]
  writeFileSync(join(ann, "src/a.ts"), "ANN\n")
  writeFileSync(join(bob, "src/a.ts"), "BOB\n")
  const look = (): string[] => [run(ann, "status", "--porcelain"), run(ann, "count-objects", "-v"), run(ann, "for-each-ref"), ...readdirSync(ann)]
  const before = look()
  expect(named(await predictConflicts(repository))).toHaveLength(1)
  expect(look()).toEqual(before)
})

test("a file that one changed and another deleted is a conflict; a rename with an edit is none", async () => {
  const [ann, bob, cat] = [worktree("ann"), worktree("bob"), worktree("cat")]
  rmSync(join(ann, "src/b.ts"))
  commit(ann, "gone")
  writeFileSync(join(bob, "src/b.ts"), "1\n2\n3\n4\n5\n6\n")
  run(cat, "mv", "src/b.ts", "src/moved.ts")
  commit(cat, "moved")
  expect(named(await predictConflicts(repository))).toEqual([
    ["ann and bob", "src/b.ts"],
    ["ann and cat", "src/moved.ts"],
  ])
})

test("branches that are checked out nowhere are compared when they are named, and an unknown one is refused", async () => {
  const ann = worktree("ann")
  writeFileSync(join(ann, "src/a.ts"), "ANN\n")
  run(join(root, "main"), "branch", "idle")
  const other = worktree("other")
  writeFileSync(join(other, "src/a.ts"), "OTHER\n")
  commit(other, "other")
  run(other, "checkout", "-q", "--detach", "main")
  expect(named(await predictConflicts(repository))).toEqual([])
  expect(named(await predictConflicts(repository, ["other", "idle"]))).toEqual([["ann and other", "src/a.ts"]])
  await expect(predictConflicts(repository, ["--all"])).rejects.toMatchObject({ code: "commit_unknown" })
})

test("a pair without a common past is named, and does not hide the others", async () => {
  const [ann, bob] = [worktree("ann"), worktree("bob")]
  const lone = join(root, "lone")
  run(join(root, "main"), "worktree", "add", "-q", "--detach", lone)
  run(lone, "checkout", "-q", "--orphan", "lone")
  commit(lone, "lone")
  writeFileSync(join(ann, "src/a.ts"), "ANN\n")
  writeFileSync(join(bob, "src/a.ts"), "BOB\n")
  const found = await predictConflicts(repository)
  expect(named(found)).toEqual([["ann and bob", "src/a.ts"]])
  expect(found.unmergeable.map(({ a, b }) => [a.name, b.name].includes("lone"))).toEqual([true, true, true])
})

test("a worktree whose folder is gone is left out", async () => {
  const ann = worktree("ann")
  rmSync(ann, { recursive: true })
  expect(existsSync(ann)).toBe(false)
  expect((await predictConflicts(repository)).sides.map(({ name }) => name)).toEqual(["main"])
})

test("of a worktree on a disk that is not there, and that is locked for it, what is committed counts", async () => {
  const [ann, bob] = [worktree("ann"), worktree("bob")]
  writeFileSync(join(ann, "src/a.ts"), "1\nANN\n3\n4\n5\n")
  commit(ann, "ann")
  writeFileSync(join(bob, "src/a.ts"), "1\nBOB\n3\n4\n5\n")
  run(join(root, "main"), "worktree", "lock", "--reason", "on a stick", ann)
  rmSync(ann, { recursive: true })
  const { conflicts } = await predictConflicts(repository)
  expect(conflicts.map(({ a, b, files }) => [new Set([a.branch, b.branch]), files])).toEqual([[new Set(["ann", "bob"]), ["src/a.ts"]]])
})
