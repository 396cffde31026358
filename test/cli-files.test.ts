import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { httpClient } from "../src/client/http.ts"
import { git, json, newRepository, skein, tidyUp } from "./cli-driver.ts"

afterAll(tidyUp)

let folder = ""
let ann: Record<string, string>
let bob: Record<string, string>
beforeAll(async () => {
  folder = newRepository()
  await json(folder, ["up"])
  const credential = async (name: string): Promise<Record<string, string>> => {
    const [made] = await json<{ credentialFile: string }>(folder, ["agent", "add", name])
    return { SKEIN_TOKEN_FILE: made?.credentialFile ?? "" }
  }
  ann = await credential("ann")
  bob = await credential("bob")
})

test("reserve keeps others out by name, and release lets them in", async () => {
  const [reserved] = await json<{ lease: string }>(folder, ["files", "reserve", "src/core/**", "--reason", "rename the fold"], ann)
  const lease = reserved?.lease ?? ""
  const refused = await skein(folder, ["files", "reserve", "**/*.ts"], bob)
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringMatching(/\*\*\/\*\.ts meets src\/core\/\*\* [^]*ann holds exclusive until/) as string })
  expect(await json(folder, ["files", "list"], bob)).toMatchObject([{ lease, agent: "ann", globs: ["src/core/**"], reason: "rename the fold" }])
  expect((await skein(folder, ["files", "check", "src/core/task.ts"], bob)).stdout).toMatch(
    /^src\/core\/task.ts: ann holds src\/core\/\*\* \(exclusive\) until/,
  )
  expect(await skein(folder, ["files", "check", "src/core/task.ts", "lib/a.ts"], ann)).toMatchObject({
    status: 0,
    stdout: "src/core/task.ts: yours\nlib/a.ts: free\n",
  })
  expect((await skein(folder, ["files", "release", lease], bob)).status).toBe(1)
  expect(await json(folder, ["files", "renew", lease], ann)).toMatchObject([{ lease }])
  expect((await skein(folder, ["files", "release", lease], ann)).stdout).toBe("released: src/core/**\n")
  await json(folder, ["files", "reserve", "**/*.ts", "--mode", "shared", "--ttl", "10m"], bob)
  await json(folder, ["files", "release"], bob)
})

test("a folder is asked about with all that is or may be in it, by its name or with a slash at its end", async () => {
  mkdirSync(join(folder, "deep", "[x]"), { recursive: true })
  await json(folder, ["files", "reserve", "deep/[[]x]/a.ts", "new/*.md", "--reason", "r"], ann)
  await json(folder, ["files", "reserve", "both/**", "--mode", "shared", "--reason", "r"], ann)
  await json(folder, ["files", "reserve", "both/b.ts", "--mode", "shared", "--reason", "r"], bob)
  for (const [path, agent, said] of [
    ["deep", bob, "deep/: ann holds deep/[[]x]/a.ts"],
    ["deep/[x]", bob, "deep/[x]/: ann holds deep/[[]x]/a.ts"],
    ["new/", bob, "new/: ann holds new/*.md"],
    ["new", bob, "new: free"],
    ["both/", bob, "both/: ann holds both/** (shared)"],
    ["both/b.ts", bob, "both/b.ts: yours"],
    ["both/", ann, "both/: yours"],
    ["deep", ann, "deep/: free"],
  ] as const)
    expect((await skein(folder, ["files", "check", path], agent)).stdout, path).toContain(said)
  expect(await json(folder, ["files", "list", "--path", "deep"], bob)).toMatchObject([{ agent: "ann" }])
  for (const agent of [ann, bob]) await json(folder, ["files", "release"], agent)
})

test("a glob that cannot be read is named with the place, a path outside the repository is refused, by a link too", async () => {
  expect(await skein(folder, ["files", "reserve", "src/[a"], ann)).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/globs\[0\]: at character 5: /) as string,
  })
  expect(await skein(folder, ["files", "reserve", "../x"], ann)).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("reaches out of the repository") as string,
  })
  symlinkSync("/etc", join(folder, "out"))
  for (const path of ["../x", "/etc/passwd", "out/passwd"]) {
    expect(await skein(folder, ["files", "check", path], ann), path).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("is not below") as string,
    })
  }
})

test("what would conflict between agents at work is shown by conflicts, status and doctor before anybody merges", async () => {
  writeFileSync(join(folder, "a.ts"), "1\n2\n3\n")
  git(folder, "add", "a.ts")
  git(folder, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "a")
  for (const name of ["ann", "bob"]) {
    const tree = join(realpathSync(folder), ".skein", "worktrees", name)
    mkdirSync(join(folder, ".skein", "worktrees"), { recursive: true })
    git(folder, "worktree", "add", "-q", "--detach", tree)
    writeFileSync(join(tree, "a.ts"), `1\n${name}\n3\n`)
  }
  const [found] = await json<{ conflicts: { a: { agent: string }; b: { agent: string }; files: string[] }[] }>(folder, ["files", "conflicts"])
  expect(found?.conflicts).toMatchObject([{ a: { agent: "ann" }, b: { agent: "bob" }, files: ["a.ts"] }])
  expect((await skein(folder, ["files", "conflicts"])).stdout).toContain("ann and bob would conflict in a.ts\n")
  // The hub, which stands beside the repository, tells the page.
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const hub = httpClient({ url, credentialFile: join(folder, ".skein", "operator.credential"), timeoutMs: 10_000 })
  expect(await hub.call("files.conflicts", {})).toMatchObject({ known: true, conflicts: [{ a: "ann", b: "bob", files: ["a.ts"] }], why: null })
  hub.close()
  // Nobody works yet: nothing to warn of.
  expect((await skein(folder, ["status"])).stdout).not.toContain("would conflict")
  for (const [task, who] of [
    ["one", ann],
    ["two", bob],
  ] as const) {
    await json(folder, ["task", "add", task, "T"])
    await json(folder, ["task", "claim", task], who)
  }
  expect((await skein(folder, ["status"])).stdout).toContain("ann and bob would conflict in a.ts")
  expect(await json(folder, ["status"])).toMatchObject([{ conflicts: [{ a: "ann", b: "bob", files: ["a.ts"] }] }])
  expect((await skein(folder, ["doctor", "--quick"])).stdout).toMatch(/warning {2}conflict ahead: ann and bob would conflict in a.ts/)
})
