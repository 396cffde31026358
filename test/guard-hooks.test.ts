import { spawnSync } from "node:child_process"
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { afterAll, beforeAll, expect, test } from "vitest"
import { guardStatus, installGuard, removeGuard } from "../src/repo/guard.ts"
import { ensureInstanceDir, findRepository } from "../src/repo/instance.ts"
import { setWorktreeAgent } from "../src/repo/worktree-agent.ts"
import { json, tidyUp } from "./cli-driver.ts"
import { type Checkout, LAUNCHER, makeTeam, type Team, Yard } from "./guard-rig.ts"

/** Who is guarded by whom, and that the user's own hooks go on as they did. */

let team: Team
let yard: Yard
beforeAll(async () => {
  team = await makeTeam()
  yard = new Yard(team)
})
afterAll(async () => {
  yard.tidyUp()
  await tidyUp()
})

// Never the same twice: two that commit the same at the same second make one commit, which whoever may has made.
const EDIT_HELD = "date +%N > held/a.txt; git commit -qam x"
const EDIT_FREE = "date +%N > free/c.txt; git commit -qam x"

/** A hook that tells its name, arguments and input in a file beside the repository, and ends with that status. */
function hook(at: Checkout, path: string, status = 0): void {
  at.write(path, `#!/bin/sh\n{ echo "\${0##*/} $*"; [ -t 0 ] || cat; } >> "${at.path("../told")}"\nexit ${status}\n`)
  chmodSync(at.path(path), 0o755)
}

const told = (at: Checkout): string => (existsSync(at.path("../told")) ? at.read("../told") : "")

async function repositoryOf(at: Checkout) {
  return findRepository(at.folder)
}

test.concurrent("whoever holds the files commits them, and a person is warned, stopped or let be as the guard was installed", async () => {
  expect(await (await yard.guarded()).sh("heron", EDIT_HELD)).toMatchObject({ status: 0, stderr: "" })
  const warned = await (await yard.guarded()).sh("person", EDIT_HELD)
  expect(warned).toMatchObject({ status: 0 })
  expect(warned.stderr).toContain("skein: warning: held/a.txt is held by heron")
  // On that person's own clock.
  expect(warned.stderr).toMatch(/ until (?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d, in \d+ min/)
  const stopped = await (await yard.guarded("refuse")).sh("person", EDIT_HELD)
  expect(stopped.stderr).toContain("skein: refused: held/a.txt is held by heron")
  expect(stopped.status).not.toBe(0)
  expect(await (await yard.guarded("ignore")).sh("person", EDIT_HELD)).toMatchObject({ status: 0, stderr: "" })
  expect(await (await yard.guarded()).sh("person", EDIT_FREE)).toMatchObject({ status: 0, stderr: "" })
})

test.concurrent("an agent without a task commits nothing, unless requireClaim is off", async () => {
  const at = await yard.guarded()
  const refused = await at.sh("duck", EDIT_FREE)
  expect(refused.stderr).toContain("skein: refused: duck holds no task, and may change files only for one: free/c.txt")
  expect(refused.status).not.toBe(0)
  at.write(".skein/config.yaml", "requireClaim: false\n")
  expect(await at.sh("duck", EDIT_FREE)).toMatchObject({ status: 0, stderr: "" })
  expect((await at.sh("duck", EDIT_HELD)).stderr).toContain("skein: refused: held/a.txt")
  at.plain("reset", "-q", "--hard")
  at.write(".skein/config.yaml", "requireClaim: perhaps\n")
  const faulty = await at.sh("duck", EDIT_FREE)
  expect(faulty).toMatchObject({ status: 0 })
  expect(faulty.stderr).toContain("config.yaml:1:15: requireClaim")
  expect((await at.sh("duck", EDIT_HELD)).stderr).toContain("skein: refused: held/a.txt")
})

test.concurrent("what was refused passes when its holder has released it", async () => {
  const at = await yard.guarded()
  const { lease } = await team.as("heron").call("files.reserve", { globs: ["free/d.*"], reason: "for a moment" })
  const commit = "echo x > free/d.txt; git commit -qam x"
  expect((await at.sh("goose", commit)).stderr).toContain('held by heron (exclusive, free/d.*, "for a moment")')
  await team.as("heron").call("files.release", { lease })
  expect(await at.sh("goose", commit)).toMatchObject({ status: 0, stderr: "" })
})

test.concurrent("files that two reserved together may be changed by both, and by nobody else", async () => {
  const at = await yard.guarded()
  for (const agent of ["goose", "heron"]) await team.as(agent).call("files.reserve", { globs: ["both/**"], mode: "shared", reason: "together" })
  const commit = "mkdir -p both; date +%N > both/x.txt; git add .; git commit -qm x"
  expect(await at.sh("goose", commit)).toMatchObject({ status: 0, stderr: "" })
  expect((await at.sh("duck", commit)).stderr).toContain("skein: refused: both/x.txt is held by")
})

test.concurrent("an agent is known by its worktree, where nothing else says who it is", async () => {
  const at = await yard.guarded()
  at.plain("worktree", "add", "-q", "../goose", "-b", "goose-work")
  at.plain("worktree", "add", "-q", "../heron", "-b", "heron-work")
  const repository = await repositoryOf(at)
  for (const agent of ["goose", "heron"]) {
    at.write(`.skein/agents/${agent}.credential`, readFileSync(team.credential(agent), "utf8"))
    await setWorktreeAgent({ repository, top: at.path(`../${agent}`), agent })
  }
  const refused = await at.at(at.path("../goose")).sh("person", EDIT_HELD)
  expect(refused.stderr).toContain("skein: refused: held/a.txt is held by heron")
  expect(refused.status).not.toBe(0)
  expect(await at.at(at.path("../heron")).sh("person", EDIT_HELD)).toMatchObject({ status: 0, stderr: "" })
  expect((await at.sh("person", EDIT_HELD)).stderr).toContain("skein: warning: held/a.txt")
  // In a folder below the top, and in a worktree whose own configuration leads elsewhere.
  expect(await at.at(at.path("../goose/free")).sh("person", "git commit -qam x")).toMatchObject({
    status: 128,
    stderr: expect.stringContaining("skein: refused") as string,
  })
  // From outside, by the names that git takes for it.
  const made = at.at(at.path("../goose")).unseen("held/b.txt", "from outside\n")
  const outside = { GIT_DIR: at.path(".git/worktrees/goose"), GIT_WORK_TREE: at.path("../goose") }
  const elsewhere = await at.at(at.path("..")).sh("person", `git update-ref refs/heads/goose-work ${made}`, outside)
  expect(elsewhere.stderr).toContain("skein: refused: held/b.txt is held by heron")
  at.plain("-C", "../goose", "config", "--worktree", "core.hooksPath", "/dev/null")
  expect((await guardStatus(repository)).past).toEqual([at.at(at.path("../goose")).plain("rev-parse", "--show-toplevel").trim()])
})

test.concurrent("a bare repository with worktrees keeps being one when worktrees get agents of their own", async () => {
  const at = yard.bare()
  at.plain("clone", "-q", "--bare", ".", "../bare.git")
  const bare = at.at(at.path("../bare.git"))
  bare.plain("worktree", "add", "-q", "../tree", "main")
  await bare.guard()
  const tree = at.at(at.path("../tree"))
  bare.write(".skein/agents/goose.credential", readFileSync(team.credential("goose"), "utf8"))
  for (let time = 0; time < 2; time += 1) await setWorktreeAgent({ repository: await repositoryOf(bare), top: tree.folder, agent: "goose" })
  expect(bare.plain("rev-parse", "--is-bare-repository").trim()).toBe("true")
  expect(tree.plain("rev-parse", "--is-inside-work-tree").trim()).toBe("true")
  expect((await repositoryOf(bare)).instanceDir).toBe((await repositoryOf(tree)).instanceDir)
  expect((await tree.sh("person", `git config user.name T; git config user.email t@example.org; ${EDIT_HELD}`)).stderr).toContain("skein: refused")
})

test.concurrent("the user's own hooks get the same arguments and input, and decide as before", async () => {
  const at = yard.bare()
  for (const name of ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-push", "reference-transaction"]) hook(at, `.git/hooks/${name}`)
  const doings = "echo x > free/c.txt; git commit -qam x; git clone -q --bare . ../to.git; git push -q ../to.git HEAD:refs/heads/new"
  at.plain("branch", "-q", "begin")
  expect(await at.sh("goose", doings)).toMatchObject({ status: 0 })
  const before = told(at)
  rmSync(at.path("../told"))
  rmSync(at.path("../to.git"), { recursive: true })
  at.plain("reset", "-q", "--hard", "begin")
  await at.guard()
  expect(await at.sh("goose", doings)).toMatchObject({ status: 0, stderr: "" })
  const oids = /[0-9a-f]{40}/g
  expect(told(at).replace(oids, "OID")).toBe(before.replace(oids, "OID"))
  expect(before).toContain("reference-transaction prepared\n")
  hook(at, ".git/hooks/pre-commit", 1)
  expect(await at.sh("goose", EDIT_FREE)).toMatchObject({ status: 1 })
  rmSync(at.path(".git/hooks/pre-commit"))
  hook(at, ".git/hooks/reference-transaction", 1)
  expect((await at.sh("goose", EDIT_FREE)).stderr).toContain("ref updates aborted by hook")
  chmodSync(at.path(".git/hooks/reference-transaction"), 0o644)
  hook(at, ".git/hooks/commit-msg", 3)
  // One that came after the guard.
  expect(await at.sh("goose", "git commit -qam x")).toMatchObject({ status: 1 })
})

test.concurrent("husky's hooks path, which is relative, is handed on to and given back; when husky takes it again, install finds it", async () => {
  const at = yard.bare()
  hook(at, ".husky/_/pre-commit")
  at.write(".husky/_/.gitignore", "*\n")
  at.plain("config", "core.hooksPath", ".husky/_")
  const config = at.read(".git/config")
  expect(await at.guard()).toEqual({ changed: true, ownHooks: ".husky/_" })
  expect((await at.guard()).changed).toBe(false)
  expect(await at.sh("goose", EDIT_FREE)).toMatchObject({ status: 0, stderr: "" })
  expect(told(at)).toContain("pre-commit")
  expect((await at.sh("goose", EDIT_HELD)).stderr).toContain("skein: refused")
  // As npm install does, where `prepare` runs husky.
  at.plain("config", "core.hooksPath", ".husky/_")
  const repository = await repositoryOf(at)
  expect(await guardStatus(repository)).toMatchObject({ installed: true, inForce: false, hooksPath: ".husky/_" })
  expect((await at.guard()).changed).toBe(true)
  expect(await guardStatus(repository)).toMatchObject({ inForce: true, handsOnTo: ["pre-commit"], past: [] })
  expect(await removeGuard(repository)).toBe(true)
  expect(at.read(".git/config")).toBe(config)
  expect(existsSync(at.path(".skein/hooks"))).toBe(false)
  expect(await removeGuard(repository)).toBe(false)
})

test.concurrent("lefthook's hooks in .git/hooks run; what it writes among the guard's own is neither run over nor thrown away", async () => {
  const at = yard.bare()
  hook(at, ".git/hooks/pre-commit", 1)
  await at.guard()
  expect(await at.sh("goose", EDIT_FREE)).toMatchObject({ status: 1 })
  hook(at, ".skein/hooks/pre-push")
  const repository = await repositoryOf(at)
  await expect(at.guard("refuse")).rejects.toMatchObject({ code: "guard_hooks_foreign" })
  await expect(removeGuard(repository)).rejects.toMatchObject({ code: "guard_hooks_foreign" })
  expect(existsSync(at.path(".skein/hooks/pre-push"))).toBe(true)
  expect(at.plain("config", "--default", "unset", "--local", "core.hooksPath")).toBe("unset\n")
})

test.concurrent("remove gives git its configuration back byte by byte, however many hooks paths there were", async () => {
  for (const paths of [[], ["/one"], ["/one", "~/two"]]) {
    const at = yard.bare()
    for (const path of paths) at.plain("config", "--add", "core.hooksPath", path)
    const config = at.read(".git/config")
    await at.guard()
    expect(at.read(".git/config")).not.toBe(config)
    expect(readdirSync(at.path(".skein/hooks")).length).toBeGreaterThan(15)
    await removeGuard(await repositoryOf(at))
    expect(at.read(".git/config")).toBe(config)
  }
})

test.concurrent("a hook whose mere presence changes what git does is there only where the user has one", async () => {
  const at = yard.bare()
  hook(at, ".git/hooks/post-index-change")
  await at.guard()
  expect(readdirSync(at.path(".skein/hooks"))).toContain("post-index-change")
  expect(readdirSync(at.path(".skein/hooks"))).not.toContain("push-to-checkout")
  rmSync(at.path(".git/hooks/post-index-change"))
  await at.guard()
  expect(readdirSync(at.path(".skein/hooks"))).not.toContain("post-index-change")
})

test.concurrent("configuration that comes after the repository's is found out, and nothing is left behind", async () => {
  const at = yard.bare()
  at.write("../included", "[core]\n\thooksPath = /elsewhere\n")
  at.plain("config", "include.path", at.path("../included"))
  const config = at.read(".git/config")
  await expect(at.guard()).rejects.toMatchObject({ code: "guard_overridden" })
  expect(existsSync(at.path(".skein/hooks"))).toBe(false)
  expect(at.read(".git/config").replace(/\s/g, "")).toBe(config.replace(/\s/g, ""))
})

test.concurrent("where Skein or Node is gone the work goes on with one warning", async () => {
  const at = yard.bare()
  const repository = await repositoryOf(at)
  await installGuard({ repository, node: "/gone/node", launcher: "/gone/skein.cjs" })
  const ran = await at.sh("goose", EDIT_HELD)
  expect(ran).toMatchObject({ status: 0 })
  expect(ran.stderr).toContain("skein: the guard could not look, and lets this pass. Mend it: skein guard install")
})

test.concurrent("whatever was done to core.hooksPath since, nothing of the guard's stays in it", async () => {
  const at = yard.bare()
  const repository = await repositoryOf(at)
  const values = (): string => [...at.plain("config", "--local", "--list").matchAll(/^core\.hookspath=(.*)$/gm)].map(([, value]) => value).join(" ")
  for (const [before, since, left] of [
    [null, ["core.hooksPath", ".husky/_"], ".husky/_"],
    [null, ["--add", "core.hooksPath", ".husky/_"], ".husky/_"],
    [".husky/_", ["--unset", "core.hooksPath"], ""],
    [".husky/_", ["core.hooksPath", "elsewhere"], "elsewhere"],
    [".husky/_", ["user.name", "T"], ".husky/_"],
  ] as const) {
    if (before !== null) at.plain("config", "core.hooksPath", before)
    await at.guard()
    at.plain("config", ...since)
    expect(await removeGuard(repository)).toBe(true)
    expect(values(), since.join(" ")).toBe(left)
    expect(existsSync(at.path(".skein/hooks"))).toBe(false)
    if (left !== "") at.plain("config", "--unset-all", "core.hooksPath")
  }
})

test.concurrent("in a repository that was moved, or copied, the user's own hooks go on, and remove leaves no path of where it was", async () => {
  for (const [paths, own] of [
    [[], ".git/hooks"],
    [[".husky/_"], ".husky/_"],
  ] as const) {
    const at = yard.bare()
    hook(at, `${own}/pre-commit`)
    for (const path of paths) at.plain("config", "core.hooksPath", path)
    const config = at.read(".git/config")
    await at.guard()
    renameSync(at.folder, at.path("../moved"))
    for (const place of ["../moved", "../copied"]) {
      const other = at.at(at.path(place))
      if (!existsSync(other.folder)) cpSync(at.path("../moved"), other.folder, { recursive: true })
      expect(await guardStatus(await repositoryOf(other))).toMatchObject({ inForce: false, handsOnTo: ["pre-commit"] })
      await other.guard()
      expect(await guardStatus(await repositoryOf(other))).toMatchObject({ inForce: true, handsOnTo: ["pre-commit"] })
      rmSync(other.path("../told"), { force: true })
      expect(await other.sh("goose", EDIT_FREE)).toMatchObject({ status: 0, stderr: "" })
      expect(told(other)).toContain("pre-commit")
      expect((await other.sh("goose", EDIT_HELD)).stderr).toContain("skein: refused")
      other.plain("reset", "-q", "--hard")
    }
    const copied = at.at(at.path("../copied"))
    await removeGuard(await repositoryOf(copied))
    expect(copied.read(".git/config")).toBe(config)
  }
})

test.concurrent("many that install the guard at once are not in each other's way", async () => {
  const at = yard.bare()
  const repository = await repositoryOf(at)
  const launchers = Array.from({ length: 6 }, (_, n) => `/skein-${n}.cjs`)
  await Promise.all(launchers.map((launcher) => installGuard({ repository, node: process.execPath, launcher })))
  expect((await at.guard()).changed).toBe(true)
  expect(await guardStatus(repository)).toMatchObject({ inForce: true })
  expect(readdirSync(at.path(".skein")).sort()).toEqual([".gitignore", "hooks", "hub.json", "operator.credential"])
})

test.concurrent("a script that cannot be put in its place is left nowhere else", async () => {
  const at = yard.bare()
  const repository = await repositoryOf(at)
  await installGuard({ repository, node: process.execPath, launcher: "/skein.cjs" })
  const script = readdirSync(at.path(".skein/hooks")).find((name) => !name.endsWith(".json")) ?? ""
  rmSync(at.path(`.skein/hooks/${script}`))
  mkdirSync(at.path(`.skein/hooks/${script}`))
  await expect(installGuard({ repository, node: process.execPath, launcher: "/skein.cjs" })).rejects.toThrow()
  expect(readdirSync(at.path(".skein")).filter((name) => name.startsWith("hooks"))).toEqual(["hooks"])
})

// A file system that can only be read, for this process and its children alone.
const READ_ONLY = ["--mount", "--map-root-user", "sh", "-ec", 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; cd "$1"; shift; "$@"', "sh"]

test.skipIf(spawnSync("unshare", [...READ_ONLY, tmpdir(), "true"]).status !== 0)("a disk that can only be read is named as such", async () => {
  const at = yard.bare()
  await ensureInstanceDir(await repositoryOf(at))
  const ran = spawnSync("unshare", [...READ_ONLY, at.folder, process.execPath, "--", LAUNCHER, "guard", "install"], { encoding: "utf8" })
  expect(ran).toMatchObject({ status: 1, stdout: "" })
  expect(ran.stderr).toMatch(/^skein: EROFS: read-only file system, .*\nremedy: It lies on a file system that is read-only: .*\n$/)
})

test.concurrent("skein guard, as typed: install twice, status, remove", async () => {
  const at = yard.bare()
  expect(await json(at.folder, ["guard", "install"])).toMatchObject([{ installed: true, changed: true, agent: null }])
  expect(await json(at.folder, ["guard", "install"])).toMatchObject([{ changed: false }])
  expect(await json(at.folder, ["guard", "status"])).toMatchObject([{ installed: true, inForce: true, people: "warn", agents: [], hub: null }])
  await expect(json(at.folder, ["guard", "install", "--agent", "goose"])).rejects.toThrow("there is no credential")
  at.write(".skein/agents/goose.credential", readFileSync(team.credential("goose"), "utf8"))
  expect(await json(at.folder, ["guard", "install", "--agent", "goose"])).toMatchObject([{ changed: false, agent: "goose" }])
  expect(await json(at.folder, ["guard", "status"])).toMatchObject([{ agents: [{ agent: "goose" }] }])
  expect(await json(at.folder, ["guard", "remove"])).toEqual([{ removed: true }])
  expect(await json(at.folder, ["guard", "status"])).toMatchObject([{ installed: false, inForce: false }])
})
