import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { findRepository } from "../repo/instance.ts"
import { UsageError } from "./failure.ts"
import { findInstance, hubMissing, isAlive, readHubFile } from "./instance.ts"

let root = ""
const git = (folder: string, ...args: string[]): void =>
  void execFileSync("git", ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always", ...args], {
    cwd: folder,
    stdio: "ignore",
  })

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "skein instance-"))
  const main = join(root, "main")
  mkdirSync(join(main, "src", "deep"), { recursive: true })
  git(root, "init", "-q", "-b", "main", main)
  git(main, "commit", "-q", "--allow-empty", "-m", "first")
  git(main, "worktree", "add", "-q", join(root, "linked"))
  mkdirSync(join(root, "linked", "in"))
  git(root, "clone", "-q", "--bare", main, join(root, "bare.git"))
  git(join(root, "bare.git"), "worktree", "add", "-q", join(root, "of-bare"), "main")
  git(root, "clone", "-q", main, join(root, "new\nline\n"))
  git(join(root, "new\nline\n"), "worktree", "add", "-q", join(root, "of-newline"))
  git(root, "init", "-q", join(root, "outer"))
  git(join(root, "outer"), "submodule", "add", "-q", main, "sub")
  // "A bare .git and worktrees beside it": common among people who live in worktrees.
  mkdirSync(join(root, "beside"))
  git(root, "clone", "-q", "--bare", main, join(root, "beside", ".git"))
  git(join(root, "beside"), "worktree", "add", "-q", join(root, "beside", "tree"), "main")
  symlinkSync(join(main, "src"), join(root, "link-to-src"))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe("the instance by files alone is the one that git says", () => {
  const PLACES = [
    "main",
    "main/src/deep",
    "main/.git",
    "linked",
    "linked/in",
    "bare.git",
    "of-bare",
    "of-newline",
    "outer",
    "outer/sub",
    "beside/tree",
    "beside",
  ]
  test.each([...PLACES, "link-to-src"])("from %s", async (place) => {
    const path = join(root, place)
    expect(findInstance(path, false).directory).toBe((await findRepository(path)).instanceDir)
  })

  test("outside of any repository there is none, and nothing hidden takes its place", () => {
    expect(() => findInstance(root, false)).toThrow(UsageError)
    expect(() => findInstance(join(root, "nowhere"), false)).toThrow(UsageError)
    expect(findInstance(root, true)).toMatchObject({ repository: null })
  })
})

test("a hub.json that is half written, no JSON, or names what is no process is no hub", () => {
  const directory = join(root, "main", ".skein")
  mkdirSync(directory)
  const address = '"url":"http://127.0.0.1:9"'
  for (const text of ["", "{", "[]", "null", '{"pid":"1","url":"x"}', `{"pid":-1,${address}}`, `{"pid":0,${address}}`, `{"pid":1.5,${address}}`]) {
    writeFileSync(join(directory, "hub.json"), text)
    expect(readHubFile({ directory, repository: null })).toBeNull()
  }
})

// Whoever may do everything becomes nobody for it, in a process of its own; anybody else takes the right from itself.
test("an instance that this user may not look into is another's: whether a hub runs in it is not for it to say", () => {
  const directory = join(root, "closed", ".skein")
  mkdirSync(directory, { recursive: true })
  expect(hubMissing({ directory, repository: root })).toMatchObject({ code: "hub_unreachable" })
  chmodSync(directory, 0)
  const asked = `import(${JSON.stringify(new URL("./instance.ts", import.meta.url))}).then(({ hubMissing }) => {
    if (process.getuid() === 0) process.setuid(65534)
    const { code, message, remedy } = hubMissing({ directory: ${JSON.stringify(directory)}, repository: "/" })
    console.log(JSON.stringify({ code, message, remedy }))
  })`
  chmodSync(root, 0o755)
  try {
    const said: unknown = JSON.parse(execFileSync(process.execPath, ["-e", asked], { encoding: "utf8" }))
    expect(said).toEqual({
      code: "forbidden",
      message: `${directory} is closed to you: it is another user's`,
      remedy: expect.stringContaining("SKEIN_TOKEN_FILE") as string,
    })
  } finally {
    chmodSync(directory, 0o700)
  }
})

test("a process that ended does not live, and this one does", () => {
  expect(isAlive(process.pid)).toBe(true)
  expect(isAlive(0x7ffffff)).toBe(false)
})
