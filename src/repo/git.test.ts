import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { gitDone } from "./git.ts"

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
