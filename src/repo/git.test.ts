import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test, vi } from "vitest"
import { gitDone } from "./git.ts"
import { findRepository } from "./instance.ts"

/** A repository whose configuration another git is writing, and the lock that says so. */
async function locked(): Promise<{ at: string; lock: string }> {
  const at = mkdtempSync(join(tmpdir(), "skein-git-"))
  onTestFinished(() => rmSync(at, { recursive: true, force: true }))
  await gitDone(at, ["init", "-q"])
  const lock = join(at, ".git", "config.lock")
  writeFileSync(lock, "")
  return { at, lock }
}

test("configuration that another git is writing is written once that one is done", async () => {
  const { at, lock } = await locked()
  const written = gitDone(at, ["config", "--local", "core.hooksPath", "mine"])
  setTimeout(() => rmSync(lock), 100)
  await written
  expect(await gitDone(at, ["config", "--local", "core.hooksPath"])).toBe("mine\n")
})

test("a lock that nobody takes away is told as git tells it", async () => {
  const { at } = await locked()
  await expect(gitDone(at, ["config", "--local", "core.hooksPath", "mine"])).rejects.toMatchObject({
    code: "git_failed",
    message: expect.stringContaining("could not lock config file") as string,
  })
})

test.each([
  ["repeats an option that it does not know", 'for one in "$@"; do case $one in --path*) echo "$one" ;; esac; done; echo .git; echo true'],
  ["says nothing", "exit 0"],
])("a git that %s is told as that, with what to do about it", async (_, does) => {
  const { at } = await locked()
  const bin = join(at, "bin")
  mkdirSync(bin)
  writeFileSync(join(bin, "git"), `#!/bin/sh\n${does}\n`, { mode: 0o755 })
  vi.stubEnv("PATH", `${bin}:${process.env["PATH"]}`)
  onTestFinished(() => void vi.unstubAllEnvs())
  expect(execFileSync("git", ["--version"], { encoding: "utf8" })).not.toContain("version 2")
  await expect(findRepository(at)).rejects.toMatchObject({ code: "git_failed", remedy: expect.stringContaining("2.36") as string })
})

test("a NUL byte is given to no git, and told", async () => {
  const { at } = await locked()
  for (const call of [gitDone(at, ["rev-parse", "a\0b"]), gitDone(at, ["rev-parse"], { env: { GIT_INDEX_FILE: "a\0b" } })])
    await expect(call).rejects.toMatchObject({ code: "git_failed", message: "git rev-parse cannot be given a NUL byte" })
})
