import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { agentIdentity } from "./agent-identity.ts"
import { findInstance, type Instance } from "./instance.ts"

let top: string
let instance: Instance

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "skein-identity-")))
  git("init", "-q", "-b", "main")
  git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "first")
  instance = findInstance(top, false)
  mkdirSync(join(instance.directory, "agents"), { recursive: true })
})

afterEach(() => rmSync(top, { recursive: true, force: true }))

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: top, encoding: "utf8", env: { PATH: process.env["PATH"], HOME: top } })
}

function credential(name: string): string {
  const file = join(instance.directory, "agents", `${name}.credential`)
  writeFileSync(file, `skc_${name}_0123456789ab_${"x".repeat(43)}\n`)
  return file
}

const ask = (given: { env?: NodeJS.ProcessEnv; fallback?: string | null; cwd?: string } = {}) =>
  agentIdentity({ instance, env: given.env ?? {}, fallback: given.fallback ?? null, cwd: given.cwd ?? top })

test("SKEIN_TOKEN_FILE comes first, and its credential says the name", () => {
  credential("claude")
  const file = join(top, "elsewhere")
  writeFileSync(file, `skc_grey_goose_0123456789ab_${"y".repeat(43)}`)
  git("config", "skein.agent", "claude")
  expect(ask({ env: { SKEIN_TOKEN_FILE: file }, fallback: "claude" })).toEqual({ agent: "grey_goose", file })
})

test("a token in SKEIN_TOKEN_FILE says its agent too", () => {
  const file = join(top, "token")
  writeFileSync(file, `e30.${Buffer.from('{"agent":"heron"}').toString("base64url")}.c2ln`)
  expect(ask({ env: { SKEIN_TOKEN_FILE: file } })).toEqual({ agent: "heron", file })
})

test("a SKEIN_TOKEN_FILE that cannot be read is nobody, not somebody else", () => {
  credential("claude")
  expect(ask({ env: { SKEIN_TOKEN_FILE: join(top, "gone") }, fallback: "claude" })).toBeNull()
})

test("each worktree says who works in it, and a folder deep inside it says the same", () => {
  const files = { swan: credential("swan"), tern: credential("tern") }
  git("worktree", "add", "-q", "nest/one")
  git("worktree", "add", "-q", "nest/two")
  git("config", "extensions.worktreeConfig", "true")
  git("-C", "nest/one", "config", "--worktree", "skein.agent", "swan")
  git("-C", "nest/two", "config", "--worktree", "skein.agent", "tern")
  mkdirSync(join(top, "nest/one/deep/er"), { recursive: true })
  expect(ask({ cwd: join(top, "nest/one") })).toEqual({ agent: "swan", file: files.swan })
  expect(ask({ cwd: join(top, "nest/one/deep/er") })).toEqual({ agent: "swan", file: files.swan })
  expect(ask({ cwd: join(top, "nest/two") })).toEqual({ agent: "tern", file: files.tern })
  expect(ask()).toBeNull()
})

test("what the main worktree says is not said of the others", () => {
  credential("swan")
  git("config", "skein.agent", "swan")
  git("worktree", "add", "-q", "other")
  expect(ask()?.agent).toBe("swan")
  expect(ask({ cwd: join(top, "other") })).toBeNull()
})

test("the fallback comes last, and serves where the worktree names an agent without a credential", () => {
  const file = credential("claude")
  git("config", "skein.agent", "nobody")
  expect(ask({ fallback: "claude" })).toEqual({ agent: "claude", file })
})

test("a name that would leave the folder of the agents is no name", () => {
  writeFileSync(join(instance.directory, "loose.credential"), `skc_loose_0123456789ab_${"x".repeat(43)}`)
  git("config", "skein.agent", "../loose")
  expect(ask({ fallback: "../loose" })).toBeNull()
})

test("credentials of another workspace lie in its own folder", () => {
  credential("claude")
  const folder = join(instance.directory, "agents", "night")
  mkdirSync(folder)
  writeFileSync(join(folder, "claude.credential"), `skc_claude_ba9876543210_${"z".repeat(43)}`)
  expect(ask({ env: { SKEIN_WORKSPACE: "night" }, fallback: "claude" })?.file).toBe(join(folder, "claude.credential"))
})

test("what holds no credential is nobody", () => {
  writeFileSync(join(instance.directory, "agents", "claude.credential"), "hello")
  expect(ask({ fallback: "claude" })).toBeNull()
})
