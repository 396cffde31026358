import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { runGit } from "./git.contract.ts"
import { ensureInstanceDir, findRepository, type Repository } from "./instance.ts"

let folder = ""
let main = ""

const run = (cwd: string, ...args: string[]): string => runGit(folder, cwd, args)

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "skein instance ")))
  main = join(folder, "main\nrepo")
  mkdirSync(join(main, "src", "deep"), { recursive: true })
  run(main, "init")
  writeFileSync(join(main, "src", "deep", "file.txt"), "text\n")
  run(main, "add", ".")
  run(main, "commit", "-m", "first")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("where the instance lies", () => {
  test("beside .git, from the root and from every folder below it", async () => {
    const expected = { top: main, commonDir: join(main, ".git"), instanceDir: join(main, ".skein") }
    expect(await findRepository(main)).toEqual(expected)
    expect(await findRepository(join(main, "src", "deep"))).toEqual(expected)
  })

  test("a linked worktree shares the instance of its repository", async () => {
    const linked = join(folder, "linked")
    run(main, "worktree", "add", "--detach", linked)
    expect(await findRepository(linked)).toEqual({ top: linked, commonDir: join(main, ".git"), instanceDir: join(main, ".skein") })
  })

  test("inside the git directory there is no worktree, and still the same instance", async () => {
    expect(await findRepository(join(main, ".git", "refs"))).toEqual({ top: null, commonDir: join(main, ".git"), instanceDir: join(main, ".skein") })
  })

  test("in the common directory of a bare repository, and of the worktrees that belong to it", async () => {
    const bare = join(folder, "bare.git")
    run(folder, "clone", "--bare", main, bare)
    expect(await findRepository(bare)).toEqual({ top: null, commonDir: bare, instanceDir: join(bare, ".skein") })
    run(bare, "worktree", "add", "--detach", join(folder, "of bare"))
    expect(await findRepository(join(folder, "of bare", "src"))).toEqual({ top: join(folder, "of bare"), commonDir: bare, instanceDir: join(bare, ".skein") })
  })

  test("a bare repository that is named .git is a bare repository", async () => {
    const bare = join(folder, "project", ".git")
    run(folder, "clone", "--bare", main, bare)
    expect(await findRepository(bare)).toMatchObject({ top: null, instanceDir: join(bare, ".skein") })
    run(bare, "worktree", "add", "--detach", join(folder, "project", "one"))
    expect(await findRepository(join(folder, "project", "one"))).toMatchObject({ commonDir: bare, instanceDir: join(bare, ".skein") })
  })

  test("in the common directory of a submodule, apart from the repository around it", async () => {
    const outer = join(folder, "outer")
    mkdirSync(outer)
    run(outer, "init")
    run(outer, "submodule", "add", main, "inner")
    const commonDir = join(outer, ".git", "modules", "inner")
    expect(await findRepository(join(outer, "inner", "src"))).toEqual({ top: join(outer, "inner"), commonDir, instanceDir: join(commonDir, ".skein") })
    expect((await findRepository(outer)).instanceDir).toBe(join(outer, ".skein"))
  })

  test("a path through a symbolic link gives the real one", async () => {
    symlinkSync(join(main, "src"), join(folder, "shortcut"))
    expect((await findRepository(join(folder, "shortcut"))).instanceDir).toBe(join(main, ".skein"))
  })

  test("GIT_DIR and its kin, which a hook sets, mislead nobody", async () => {
    const other = join(folder, "other")
    mkdirSync(other)
    run(other, "init")
    for (const [name, value] of [
      ["GIT_DIR", join(other, ".git")],
      ["GIT_WORK_TREE", other],
      ["GIT_COMMON_DIR", join(other, ".git")],
      ["GIT_CEILING_DIRECTORIES", main],
    ] as const) {
      process.env[name] = value
      onTestFinished(() => void delete process.env[name])
    }
    expect(await findRepository(join(main, "src"))).toMatchObject({ top: main, commonDir: join(main, ".git") })
  })

  test("a path that is no repository, or not there, is said with a remedy", async () => {
    await expect(findRepository(folder)).rejects.toMatchObject({
      name: "RepositoryError",
      code: "not_a_repository",
      remedy: expect.stringContaining("git init") as string,
    })
    await expect(findRepository(join(folder, "nowhere"))).rejects.toMatchObject({ code: "path_missing" })
    await expect(findRepository(join(main, "src", "deep", "file.txt"))).rejects.toMatchObject({ code: "path_missing" })
  })

  test("without git the error says so", async () => {
    const path = process.env["PATH"]
    process.env["PATH"] = "/nowhere"
    onTestFinished(() => void (process.env["PATH"] = path))
    await expect(findRepository(main)).rejects.toMatchObject({ code: "git_missing" })
  })
})

describe("making the instance", () => {
  const at = (name: string): Repository => ({ top: null, commonDir: join(folder, name), instanceDir: join(folder, name, ".skein") })

  test("it belongs to its owner alone and git sees nothing of it", async () => {
    const repository = await findRepository(main)
    await ensureInstanceDir(repository)
    writeFileSync(join(repository.instanceDir, "key"), "secret")
    expect(statSync(repository.instanceDir).mode & 0o777).toBe(0o700)
    expect(readFileSync(join(repository.instanceDir, ".gitignore"), "utf8")).toBe("*\n")
    expect(run(main, "status", "--porcelain", "--untracked-files=all")).toBe("")
  })

  test("made by twenty at once, and again, it is the same and whole", async () => {
    mkdirSync(join(folder, "many"))
    const made = await Promise.all(Array.from({ length: 20 }, () => ensureInstanceDir(at("many"))))
    expect(new Set(made).size).toBe(1)
    expect(readdirSync(made[0] ?? "")).toEqual([".gitignore"])
  })

  test("rights that are too wide are narrowed, and a .gitignore that lets things through is mended, not replaced", async () => {
    const { instanceDir } = at("wide")
    mkdirSync(instanceDir, { recursive: true })
    chmodSync(instanceDir, 0o755)
    writeFileSync(join(instanceDir, ".gitignore"), "# mine\n*.db")
    await ensureInstanceDir(at("wide"))
    expect(statSync(instanceDir).mode & 0o777).toBe(0o700)
    expect(readFileSync(join(instanceDir, ".gitignore"), "utf8")).toBe("# mine\n*.db\n*\n")
  })

  test("a folder that came with a commit is refused: its keys may be known, its files links", async () => {
    const hostile = join(folder, "hostile")
    mkdirSync(join(hostile, ".skein", "logs"), { recursive: true })
    run(hostile, "init")
    writeFileSync(join(folder, "outside.log"), "mine\n")
    symlinkSync(join(folder, "outside.log"), join(hostile, ".skein", "logs", "hub.log"))
    const repository = await findRepository(hostile)
    run(hostile, "add", "--all")
    await expect(ensureInstanceDir(repository)).rejects.toMatchObject({ code: "instance_unusable", remedy: expect.stringContaining("git rm") as string })
    run(hostile, "rm", "-r", "-q", "--cached", ".skein")
    await expect(ensureInstanceDir(repository)).resolves.toBe(join(hostile, ".skein"))
  })

  test("a symbolic link or a file in its place is refused, and nothing is written through it", async () => {
    mkdirSync(join(folder, "victim"))
    mkdirSync(join(folder, "linking"))
    symlinkSync(join(folder, "victim"), join(folder, "linking", ".skein"))
    await expect(ensureInstanceDir(at("linking"))).rejects.toMatchObject({ code: "instance_unusable" })
    expect(readdirSync(join(folder, "victim"))).toEqual([])
    mkdirSync(join(folder, "filed"))
    writeFileSync(join(folder, "filed", ".skein"), "")
    await expect(ensureInstanceDir(at("filed"))).rejects.toMatchObject({ code: "instance_unusable" })
    mkdirSync(join(folder, "ignoring", ".skein"), { recursive: true })
    symlinkSync(join(folder, "victim", "target"), join(folder, "ignoring", ".skein", ".gitignore"))
    await expect(ensureInstanceDir(at("ignoring"))).rejects.toMatchObject({ code: "instance_unusable" })
    expect(readdirSync(join(folder, "victim"))).toEqual([])
  })

  test("where none can be made it is the folder around it that is named, and nothing that would have to be moved away", async () => {
    await expect(ensureInstanceDir(at("absent"))).rejects.toMatchObject({
      message: expect.stringContaining("cannot be made") as string,
      remedy: `See that ${join(folder, "absent")} can be written to, by you.`,
    })
  })
})
