import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest"
import { runGit } from "./git.contract.ts"
import { findRepository, type Repository } from "./instance.ts"
import { addWorktree, listWorktrees, pruneWorktrees, removeWorktree, uncommittedFiles, worktreePath } from "./worktree.ts"

let folder = ""
let main = ""
let repository: Repository
let first = ""
let second = ""

const run = (cwd: string, ...args: string[]): string => runGit(folder, cwd, args)

function commit(cwd: string, file: string, text: string): string {
  writeFileSync(join(cwd, file), text)
  run(cwd, "add", "-f", file)
  run(cwd, "commit", "-m", `write ${file}`)
  return run(cwd, "rev-parse", "HEAD")
}

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "skein worktree ")))
  main = join(folder, "main")
  mkdirSync(main)
  run(main, "init")
  writeFileSync(join(main, ".gitignore"), "built/\n")
  run(main, "add", ".gitignore")
  first = commit(main, "a.txt", "one\n")
  second = commit(main, "a.txt", "two\n")
  repository = await findRepository(main)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const add = (name: string, at = "HEAD"): ReturnType<typeof addWorktree> => addWorktree({ repository, name, commit: at })
const remove = (name: string, force = false): Promise<void> => removeWorktree({ repository, name, force })

describe("adding", () => {
  test("a worktree stands detached at the given commit, in .skein/worktrees, unseen by the user's own checkout", async () => {
    const made = await add("goose", first)
    expect(made).toEqual({
      name: "goose",
      path: join(main, ".skein", "worktrees", "goose"),
      commit: first,
      branch: null,
      locked: null,
      stale: false,
      reused: false,
    })
    expect(readFileSync(join(made.path, "a.txt"), "utf8")).toBe("one\n")
    expect(run(made.path, "rev-parse", "HEAD")).toBe(first)
    expect(() => run(made.path, "symbolic-ref", "-q", "HEAD")).toThrow()
    expect(run(main, "status", "--porcelain", "--untracked-files=all")).toBe("")
  })

  test("branches, tags and short ids name commits; anything else is refused", async () => {
    run(main, "tag", "-a", "v1", "-m", "tag", first)
    expect((await add("a", "v1")).commit).toBe(first)
    expect((await add("b", "main")).commit).toBe(second)
    expect((await add("c", first.slice(0, 10))).commit).toBe(first)
    for (const wrong of ["nowhere", "", "--help", "-q", "HEAD:a.txt", "HEAD..main", "0".repeat(40)]) {
      await expect(add("d", wrong), wrong).rejects.toMatchObject({ name: "RepositoryError", code: "commit_unknown" })
    }
    expect(existsSync(worktreePath(repository, "d"))).toBe(false)
  })

  test("a repository without commits is told so", async () => {
    const empty = join(folder, "empty")
    mkdirSync(empty)
    run(empty, "init")
    await expect(addWorktree({ repository: await findRepository(empty), name: "goose", commit: "HEAD" })).rejects.toMatchObject({ code: "commit_unknown" })
  })

  test("a name that is no path segment, or that git cannot carry, is refused", async () => {
    const names = ["", ".", "..", "../goose", "a/b", "/tmp/x", "-x", ".hidden", "a..b", "goose.lock", "goose.", "a b", "a\nb", "a\0b", "gänse", "x".repeat(65)]
    for (const name of names) {
      await expect(add(name), JSON.stringify(name)).rejects.toMatchObject({ code: "worktree_name_invalid" })
      await expect(remove(name), JSON.stringify(name)).rejects.toMatchObject({ code: "worktree_name_invalid" })
      expect(() => worktreePath(repository, name), JSON.stringify(name)).toThrow(/cannot name a worktree/)
    }
    expect(existsSync(join(main, ".skein"))).toBe(false)
  })

  test("one that stands clean at that commit is used again, with the ignored files that it has", async () => {
    const { path } = await add("goose", first)
    mkdirSync(join(path, "built"))
    writeFileSync(join(path, "built", "cache"), "warm")
    expect(await add("goose", first)).toMatchObject({ path, commit: first, reused: true })
    expect(readFileSync(join(path, "built", "cache"), "utf8")).toBe("warm")
  })

  test("a clean one at another commit is moved, and taken off a branch that somebody put it on", async () => {
    const { path } = await add("goose", first)
    expect(await add("goose", second)).toMatchObject({ commit: second, reused: true })
    expect(readFileSync(join(path, "a.txt"), "utf8")).toBe("two\n")
    run(path, "switch", "-c", "mine")
    expect(await add("goose", second)).toMatchObject({ branch: null, reused: true })
    expect(await listWorktrees(repository)).toMatchObject([{ name: "goose", branch: null, commit: second }])
    expect(run(main, "rev-parse", "mine")).toBe(second)
  })

  test.each([
    ["changed", (path: string) => writeFileSync(join(path, "a.txt"), "work\n")],
    ["untracked", (path: string) => writeFileSync(join(path, "new file"), "work\n")],
    ["deleted", (path: string) => rmSync(join(path, "a.txt"))],
    ["staged", (path: string) => (writeFileSync(join(path, "b.txt"), "work\n"), run(path, "add", "b.txt"))],
  ])("one with %s files is left alone: neither used again nor removed, and the error says where", async (_, work) => {
    const { path } = await add("goose", first)
    work(path)
    const before = run(path, "status", "--porcelain")
    for (const attempt of [() => add("goose", first), () => add("goose", second), () => remove("goose")]) {
      await expect(attempt()).rejects.toMatchObject({ code: "worktree_dirty", message: expect.stringContaining(path) as string })
    }
    expect(run(path, "status", "--porcelain")).toBe(before)
    expect(run(path, "rev-parse", "HEAD")).toBe(first)
  })

  test("one that stands on commits which nothing else holds is not moved; when the new commit holds them, it is", async () => {
    const { path } = await add("goose", first)
    const work = commit(path, "work.txt", "work\n")
    await expect(add("goose", second)).rejects.toMatchObject({ code: "worktree_unmerged", remedy: expect.stringContaining(work) as string })
    const more = commit(path, "more.txt", "more\n")
    run(path, "checkout", "--detach", work)
    expect(await add("goose", more)).toMatchObject({ commit: more, reused: true })
  })

  test("what lies in its place is never touched; an empty folder is no hindrance", async () => {
    await add("other")
    mkdirSync(worktreePath(repository, "goose"))
    writeFileSync(join(worktreePath(repository, "goose"), "notes"), "mine")
    await expect(add("goose")).rejects.toMatchObject({ code: "worktree_path_occupied" })
    expect(readFileSync(join(worktreePath(repository, "goose"), "notes"), "utf8")).toBe("mine")
    symlinkSync(main, worktreePath(repository, "link"))
    await expect(add("link")).rejects.toMatchObject({ code: "worktree_path_occupied" })
    mkdirSync(worktreePath(repository, "empty"))
    expect(await add("empty")).toMatchObject({ reused: false })
  })

  test("one that lost its link file does not make Skein change the user's own checkout", async () => {
    const { path } = await add("goose", first)
    rmSync(join(path, ".git"))
    await expect(add("goose", first)).rejects.toMatchObject({ code: "worktree_path_occupied" })
    await expect(remove("goose")).rejects.toMatchObject({ code: "worktree_path_occupied" })
    expect(await pruneWorktrees(repository)).toEqual({ pruned: [], kept: [] })
    expect(run(main, "symbolic-ref", "HEAD")).toBe("refs/heads/main")
    expect(existsSync(join(path, "a.txt"))).toBe(true)
  })

  test("one whose directory is gone is made again", async () => {
    const { path } = await add("goose", first)
    rmSync(path, { recursive: true })
    expect(await add("goose", second)).toMatchObject({ path, commit: second, reused: false })
  })

  test("twelve agents that start at once get twelve worktrees", async () => {
    const names = Array.from({ length: 12 }, (_, n) => `goose-${String(n).padStart(2, "0")}`)
    const made = await Promise.all(names.map((name) => add(name)))
    expect(made.map(({ reused }) => reused)).not.toContain(true)
    expect((await listWorktrees(repository)).map(({ name }) => name)).toEqual(names)
  })

  test("of two that ask for the same one at once, one makes it and the other uses it", async () => {
    const made = await Promise.all([add("goose"), add("goose")])
    expect(made.filter(({ reused }) => reused)).toHaveLength(1)
  })

  test("a hook of the user's neither runs nor fails it, and GIT_DIR misleads it not", async () => {
    const hook = join(main, ".git", "hooks", "post-checkout")
    writeFileSync(hook, `#!/bin/sh\ntouch ${JSON.stringify(join(folder, "ran"))}\nexit 1\n`)
    chmodSync(hook, 0o755)
    process.env["GIT_DIR"] = join(folder, "nowhere")
    process.env["GIT_INDEX_FILE"] = join(folder, "index")
    onTestFinished(() => {
      delete process.env["GIT_DIR"]
      delete process.env["GIT_INDEX_FILE"]
    })
    expect(await add("goose", first)).toMatchObject({ reused: false })
    expect(await add("goose", second)).toMatchObject({ reused: true })
    expect(existsSync(join(folder, "ran"))).toBe(false)
    expect(existsSync(join(folder, "index"))).toBe(false)
  })

  test("bare repositories and submodules have theirs in the common directory", async () => {
    run(folder, "clone", "--bare", main, "bare.git")
    run(main, "submodule", "add", join(folder, "bare.git"), "inner")
    for (const [path, common] of [
      [join(folder, "bare.git"), join(folder, "bare.git")],
      [join(main, "inner"), join(main, ".git", "modules", "inner")],
    ] as const) {
      const found = await findRepository(path)
      const made = await addWorktree({ repository: found, name: "goose", commit: first })
      expect(made.path).toBe(join(common, ".skein", "worktrees", "goose"))
      expect(readFileSync(join(made.path, "a.txt"), "utf8")).toBe("one\n")
      expect(await addWorktree({ repository: found, name: "goose", commit: second })).toMatchObject({ reused: true })
      writeFileSync(join(made.path, "a.txt"), "three\n")
      expect(await uncommittedFiles(made.path)).toEqual(["a.txt"])
      await removeWorktree({ repository: found, name: "goose", force: true })
      expect(await listWorktrees(found)).toEqual([])
    }
  })
})

describe("removing", () => {
  test("a clean worktree goes, with its ignored files", async () => {
    const { path } = await add("goose")
    mkdirSync(join(path, "built"))
    writeFileSync(join(path, "built", "cache"), "warm")
    await remove("goose")
    expect(existsSync(path)).toBe(false)
    expect(await listWorktrees(repository)).toEqual([])
  })

  test("by force it goes with everything in it", async () => {
    const { path } = await add("goose")
    commit(path, "work.txt", "work\n")
    writeFileSync(join(path, "untracked"), "work\n")
    await remove("goose", true)
    expect(existsSync(path)).toBe(false)
  })

  test("commits that only this worktree holds are not lost by removing it; on a branch they are safe", async () => {
    const { path } = await add("goose")
    const work = commit(path, "work.txt", "work\n")
    await expect(remove("goose")).rejects.toMatchObject({ code: "worktree_unmerged", message: expect.stringContaining(work) as string })
    expect(existsSync(path)).toBe(true)
    run(main, "branch", "kept", work)
    await remove("goose")
    expect(existsSync(path)).toBe(false)
  })

  test("in a checkout without any branch, as in CI, a worktree that added nothing goes", async () => {
    run(main, "checkout", "--detach", "HEAD")
    run(main, "branch", "-D", "main")
    await add("goose")
    await remove("goose")
    expect(await listWorktrees(repository)).toEqual([])
  })

  test("a locked one stays, also by force", async () => {
    const { path } = await add("goose")
    run(main, "worktree", "lock", "--reason", "on a trip", path)
    await expect(remove("goose", true)).rejects.toMatchObject({ code: "worktree_locked", message: expect.stringContaining("on a trip") as string })
    expect(await listWorktrees(repository)).toMatchObject([{ name: "goose", locked: "on a trip" }])
  })

  test("what is not there is said to be unknown", async () => {
    await expect(remove("goose")).rejects.toMatchObject({ code: "worktree_unknown" })
  })

  test("the user's own worktrees are neither listed nor reached", async () => {
    run(main, "worktree", "add", "--detach", join(folder, "own"))
    await add("goose")
    expect((await listWorktrees(repository)).map(({ name }) => name)).toEqual(["goose"])
    await expect(remove("own", true)).rejects.toMatchObject({ code: "worktree_unknown" })
  })
})

describe("pruning", () => {
  test("only Skein's own are forgotten, and only those whose directory is gone", async () => {
    await add("here")
    rmSync((await add("gone")).path, { recursive: true })
    run(main, "worktree", "add", "--detach", join(folder, "own"))
    rmSync(join(folder, "own"), { recursive: true })
    expect((await listWorktrees(repository)).map(({ name, stale }) => [name, stale])).toEqual([
      ["gone", true],
      ["here", false],
    ])
    expect(await pruneWorktrees(repository)).toEqual({ pruned: ["gone"], kept: [] })
    expect(await listWorktrees(repository)).toMatchObject([{ name: "here" }])
    expect(run(main, "worktree", "list")).toContain(join(folder, "own"))
  })

  test("one whose commits nothing else holds is kept and named, until they are on a branch", async () => {
    const { path } = await add("gone")
    const work = commit(path, "work.txt", "work\n")
    rmSync(path, { recursive: true })
    expect(await pruneWorktrees(repository)).toMatchObject({ pruned: [], kept: [{ name: "gone", commit: work }] })
    await expect(add("gone")).rejects.toMatchObject({ code: "worktree_unmerged" })
    run(main, "branch", "kept", work)
    expect(await pruneWorktrees(repository)).toEqual({ pruned: ["gone"], kept: [] })
  })
})
