import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test, vi } from "vitest"
import { predictConflicts } from "./conflict.ts"
import { GIT_LIMITS, gitDone } from "./git.ts"
import { changedPaths } from "./guard-changes.ts"
import { installGuard, removeGuard } from "./guard.ts"
import { findRepository } from "./instance.ts"
import { setWorktreeAgent } from "./worktree-agent.ts"

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

/** Has a script stand in the place of git; `real` is what it is in that. */
function inItsPlace(at: string, does: (real: string) => string): void {
  const real = execFileSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).trim()
  const bin = join(at, "bin")
  mkdirSync(bin)
  writeFileSync(join(bin, "git"), `#!/bin/sh\n${does(real)}\n`, { mode: 0o755 })
  vi.stubEnv("PATH", `${bin}:${process.env["PATH"]}`)
  onTestFinished(() => void vi.unstubAllEnvs())
}

/** Has git be given up after so many ms, or 1 MiB. */
function givenUpAfter(ms: number): void {
  const limits = { ...GIT_LIMITS }
  Object.assign(GIT_LIMITS, { lookMs: ms, workMs: ms, guardMs: ms, graceMs: 50, outputBytes: 1024 * 1024 })
  onTestFinished(() => void Object.assign(GIT_LIMITS, limits))
}

test.each([
  ["repeats an option that it does not know", 'for one in "$@"; do case $one in --path*) echo "$one" ;; esac; done; echo .git; echo true'],
  ["says nothing", "exit 0"],
])("a git that %s is told as that, with what to do about it", async (_, does) => {
  const { at } = await locked()
  inItsPlace(at, () => does)
  expect(execFileSync("git", ["--version"], { encoding: "utf8" })).not.toContain("version 2")
  await expect(findRepository(at)).rejects.toMatchObject({ code: "git_failed", remedy: expect.stringContaining("2.36") as string })
})

test.each([
  ["hangs", 100, "exec sleep 9", "has not ended within 0.1 s"],
  ["hangs, and takes no SIGTERM", 100, "trap '' TERM; i=0; while [ $((i += 1)) -lt 200 ]; do sleep 0.05; done", "has not ended within 0.1 s"],
  ["leaves somebody behind who holds its output", 100, "sleep 9 & sleep 9", "has not ended within 0.1 s"],
  ["never stops talking", 20_000, "exec yes", "has said more than 1 MiB"],
  ["never stops complaining", 400, "exec yes no >&2", "has not ended within 0.4 s"],
  ["dies", 20_000, "echo .git; kill -KILL $$", "was ended by SIGKILL"],
])("a git that %s is ended, and told as that, to verbs and to the guard", async (_, ms, does, why) => {
  const { at } = await locked()
  givenUpAfter(ms)
  inItsPlace(at, () => does)
  const failed = {
    code: "git_failed",
    message: expect.stringContaining(`git rev-parse ${why}`) as string,
    remedy: expect.stringContaining("Run git rev-parse by hand") as string,
  }
  const update = { old: "0".repeat(40), new: "1".repeat(40), ref: "HEAD" }
  const calls = [findRepository(at), changedPaths({ updates: [update], cwd: at, commonDir: join(at, ".git") })]
  for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) expect([status, reason]).toMatchObject(["rejected", failed])
})

test("of a git that does not even say its version nobody waits as long as for a disk", async () => {
  const { at } = await locked()
  const { sayMs } = GIT_LIMITS
  GIT_LIMITS.sayMs = 100
  onTestFinished(() => void (GIT_LIMITS.sayMs = sayMs))
  inItsPlace(at, () => "exec sleep 30")
  await expect(gitDone(at, ["--version"])).rejects.toMatchObject({ message: "git --version has not ended within 0.1 s" })
})

test("a git that asks something is told that nobody is there", async () => {
  const { at, lock } = await locked()
  inItsPlace(at, (real) => `read -r answer; exec ${real} "$@"`)
  expect(await findRepository(at)).toMatchObject({ commonDir: join(at, ".git") })
  const update = { old: "0".repeat(40), new: "0".repeat(40), ref: "refs/heads/x" }
  expect(await changedPaths({ updates: [update], cwd: at, commonDir: join(at, ".git") })).toEqual([])
  rmSync(lock)
})

test("a git that cannot say what is set is not taken for one that says that nothing is", async () => {
  const { at, lock } = await locked()
  rmSync(lock)
  await gitDone(at, ["config", "--local", "core.hooksPath", "mine"])
  const repository = await findRepository(at)
  const guard = { repository, node: process.execPath, launcher: "/none/skein" }
  await installGuard(guard)
  inItsPlace(at, (real) => `case "$*" in *--get*) echo "fatal: bad config line 1" >&2; exit 128 ;; esac; exec ${real} "$@"`)
  const failed = { code: "git_failed", message: expect.stringContaining("failed: fatal: bad config line 1") as string }
  const acts = [
    () => removeGuard(repository),
    () => installGuard(guard),
    () => findRepository(at),
    () => setWorktreeAgent({ repository, top: at, agent: "ada" }),
  ]
  for (const act of acts) await expect(act()).rejects.toMatchObject(failed)
  vi.unstubAllEnvs()
  await removeGuard(repository)
  expect(await gitDone(at, ["config", "--local", "core.hooksPath"])).toBe("mine\n")
})

test("a git that names no path where the index should be has a worktree compared as it is committed", async () => {
  const { at, lock } = await locked()
  rmSync(lock)
  const who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
  await gitDone(at, [...who, "commit", "-q", "--allow-empty", "-m", "one"])
  const repository = await findRepository(at)
  inItsPlace(at, (real) => `case "$*" in *"--git-path index") printf 'a\\0b\\n'; exit ;; esac; exec ${real} "$@"`)
  expect((await predictConflicts(repository)).sides).toMatchObject([{ path: at, uncommitted: false }])
})

test("a NUL byte is given to no git, and told", async () => {
  const { at } = await locked()
  for (const call of [gitDone(at, ["rev-parse", "a\0b"]), gitDone(at, ["rev-parse"], { env: { GIT_INDEX_FILE: "a\0b" } })])
    await expect(call).rejects.toMatchObject({ code: "git_failed", message: "git rev-parse cannot be given a NUL byte" })
})
