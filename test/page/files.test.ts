import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect } from "vitest"
import { foreseeBeside } from "../../src/cli/files-foreseen.ts"
import type { Client } from "../../src/client/client.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

const HOSTILE = `<b>bold</b> \u202Egpj.exe \u001b[2J`

withBrowser()
let rig: PageRig
let ann: Client
let bob: Client

beforeAll(async () => {
  const repository = repositoryInConflict()
  rig = await startPageRig({ foresee: foreseeBeside(join(repository, ".skein")) })
  ann = await rig.agent("ann")
  bob = await rig.agent("bob")
  for (const [id, touches] of [
    ["core", ["src/core/**", "docs/core.md"]],
    ["later", ["src/core/x.ts"]],
    ["apart", ["test/**"]],
  ] as const)
    await rig.operator.call("task.add", { id, title: `Task ${id}`, touches: [...touches] })
  await ann.call("task.claim", { task: "core" })
  await bob.call("files.reserve", { globs: ["src/<img src=x>/**"], mode: "exclusive", reason: HOSTILE })
  await ann.call("files.reserve", { globs: ["shared/*.json"], mode: "shared", reason: "both read" })
  await bob.call("files.reserve", { globs: ["shared/{a,b}.json"], mode: "shared", reason: "both read" })
})
afterAll(async () => {
  await rig.close()
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})

const made: string[] = []

/** A repository in whose worktrees ann and bob have written different things into one file. */
function repositoryInConflict(): string {
  const folder = mkdtempSync(join(tmpdir(), "skein-page-files-"))
  made.push(folder)
  const git = (...words: string[]): void => void execFileSync("git", ["-c", "user.name=T", "-c", "user.email=t@example.org", ...words], { cwd: folder })
  git("init", "-q")
  writeFileSync(join(folder, "a.ts"), "1\n2\n3\n")
  git("add", "a.ts")
  git("commit", "-qm", "a")
  mkdirSync(join(folder, ".skein", "worktrees"), { recursive: true })
  for (const name of ["ann", "bob"]) {
    git("worktree", "add", "-q", "--detach", join(folder, ".skein", "worktrees", name))
    writeFileSync(join(folder, ".skein", "worktrees", name, "a.ts"), `1\n${name}\n3\n`)
  }
  return folder
}

inChromium("what would conflict between agents is merged in memory and named before anybody merges", async () => {
  const { page, complaints } = await rig.open("#/files")
  const foreseen = page.getByRole("region", { name: "Conflicts between branches" })
  await foreseen.getByRole("listitem").waitFor()
  expect(await foreseen.getByRole("listitem").innerText()).toMatch(/ann.*bob.*a\.ts/)
  expect(complaints).toEqual([])
})

inChromium("files shows who holds what and until when, and who is in whose way", async () => {
  const { page, complaints } = await rig.open("#/files")
  const held = page.getByRole("table", { name: "Held files" })
  const core = held.getByRole("row").filter({ hasText: "src/core/**" })
  await core.waitFor()
  expect(await core.textContent()).toMatch(/docs\/core\.md.*ann.*exclusive.*core.*(min|s)/)
  const strange = held.getByRole("row").filter({ hasText: "src/<img src=x>/**" })
  expect(await strange.textContent()).toContain("⟨U+202E⟩gpj.exe ␛[2J")
  expect(await page.locator("main img, main b").count()).toBe(0)
  const ways = page.getByRole("table", { name: "Who is in whose way" })
  expect(await ways.getByRole("row").filter({ hasText: "later" }).textContent()).toContain("src/core/x.ts")
  expect(await ways.getByRole("row").filter({ hasText: "shared/*.json" }).textContent()).toMatch(/ann.*bob/)
  expect(await ways.textContent()).not.toContain("apart")
  expect(await faultsOf(page)).toEqual([])
  await keepPicture(page, "files")
  expect(complaints).toEqual([])
})

inChromium("a path that is asked for is answered in a sentence, as it changes", async () => {
  const { page, complaints } = await rig.open("#/files", { viewport: { width: 360, height: 740 } })
  await page.getByRole("table", { name: "Held files" }).waitFor()
  await page.keyboard.press("/")
  await page.keyboard.type("lib/y.ts")
  const answer = page.locator(".held-answer")
  await answer.getByText("Nobody holds").waitFor()
  const { lease } = await bob.call("files.reserve", { globs: ["lib/**"], reason: "mine" })
  await answer.getByText("bob").waitFor()
  expect(await answer.textContent()).toMatch(/^bob holds lib\/y\.ts alone, for /)
  expect(await page.getByRole("table", { name: "Held files" }).locator("tbody tr").count()).toBe(1)
  await bob.call("files.release", { lease })
  await answer.getByText("Nobody holds").waitFor()
  await page.fill("[data-search]", "../outside")
  await expect.poll(() => answer.textContent()).not.toContain("Nobody")
  // The address says what was asked: it can be shared.
  await expect.poll(() => page.url()).toContain("path=")
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360)
  expect(await faultsOf(page)).toEqual([])
  expect(complaints).toEqual([])
})

inChromium("at a moment of the past files are held by whoever held them then", async () => {
  const { lease, seq } = await bob.call("files.reserve", { globs: ["once/**"], reason: "for a while" })
  await bob.call("files.release", { lease })
  const { page, complaints } = await rig.open("#/files?path=once%2Fz.ts")
  const answer = page.locator(".held-answer")
  await answer.getByText("Nobody holds").waitFor()
  await page.goto(`${rig.hub.url}/#/files?path=once%2Fz.ts@${seq}`)
  await answer.getByText("bob").waitFor()
  expect(await answer.textContent()).toMatch(/^bob holds once\/z\.ts alone, for 1\d min/)
  expect(complaints).toEqual([])
})
