import { once } from "node:events"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, test } from "vitest"
import { json, tidyUp } from "./cli-driver.ts"
import { makeTeam, type Team, Yard } from "./guard-rig.ts"

/** What the guard asks the hub, what it does where there is no answer, and what it tells whoever is stopped. */

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

test.concurrent("names that no lease can spell are guarded by the wildcards and folders that cover them", async () => {
  const at = await yard.guarded()
  const deep = `odd/${"d/".repeat(2_500)}x`
  await team.as("heron").call("files.reserve", { globs: ["?odd", "?:/odd", "odd/**"], reason: "odd" })
  for (const name of ["\\odd", "C:/odd", deep]) {
    const commit = 'git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:free/c.txt),"$NAME"; git commit -qm x'
    const refused = await at.sh("goose", commit, { NAME: name })
    expect(refused.stderr).toContain(`skein: refused: ${name} is held by heron`)
    expect(refused.status).not.toBe(0)
    expect(await at.sh("goose", 'git reset -q -- ":(literal)$NAME"', { NAME: name })).toMatchObject({ status: 0 })
  }
})

test.concurrent("the remedy names the file, and no other, in whichever folder it is typed", async () => {
  const at = await yard.guarded()
  const refused = await at.sh("goose", "echo x > held/a.txt; cp held/a.txt 'held/[ab].*'; git add .; cd held; git commit -qm x")
  const [, remedy = ""] = /leave them out \((.*)\), or wait/.exec(refused.stderr) ?? []
  expect(await at.sh("goose", `echo y >> free/c.txt; git add free; cd held; ${remedy}`)).toMatchObject({ status: 0, stderr: "" })
  expect(at.plain("diff", "--cached", "--name-only")).toBe("free/c.txt\n")
  const one = await at.sh("goose", "echo x > held/b.txt; git add 'held/[[]ab].*' held/b.txt; git commit -qm x -- ':(literal)held/[ab].*'")
  const [, only = ""] = /leave it out \((.*)\), or wait/.exec(one.stderr) ?? []
  expect(await at.sh("goose", only)).toMatchObject({ status: 0, stderr: "" })
  expect(at.plain("diff", "--cached", "--name-only")).toBe("free/c.txt\nheld/b.txt\n")
})

test.concurrent("the remedy works whatever the file is called, and takes nothing else out", async () => {
  const at = await yard.guarded()
  await team.as("heron").call("files.reserve", { globs: ["[-_@!~:#]*/**", "strange/**"], reason: "strange" })
  // As printf(1) writes them: some are no UTF-8.
  const names = [
    "_x/a",
    "@x/a",
    "!x/a",
    "-x/a",
    "~x/a",
    ":x/a",
    "#x/a",
    String.raw`strange/a\nb`,
    String.raw`strange/\342\200\256[a]*`,
    String.raw`strange/caf\351`,
  ]
  for (const name of names) {
    const commit = 'git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:free/c.txt),"$(printf -- "$NAME")"; git commit -qm x'
    const refused = await at.sh("goose", `date +%N > free/c.txt; git add free; ${commit}`, { NAME: name })
    const [, remedy = "false"] = /leave it out \((.*)\), or wait/.exec(refused.stderr) ?? []
    expect(await at.sh("goose", `cd free; ${remedy}`), refused.stderr).toMatchObject({ status: 0, stderr: "" })
    expect(at.plain("diff", "--cached", "--name-only"), remedy).toBe("free/c.txt\n")
  }
})

test.concurrent("the remedy works in a first commit, where there is nothing to go back to", async () => {
  const at = await yard.guarded()
  const refused = await at.sh("goose", "git checkout -q --orphan first; git commit -qm x")
  const [, remedy = "false"] = /leave them out \((.*)\), or wait/.exec(refused.stderr) ?? []
  expect(await at.sh("goose", `${remedy}; git commit -qm x`), refused.stderr).toMatchObject({ status: 0, stderr: "" })
  expect(at.plain("ls-tree", "-r", "--name-only", "HEAD")).toBe("free/c.txt\nfree/d.txt\n")
})

test.concurrent("with no hub, or one that is gone, the work goes on with one warning", async () => {
  const at = await yard.guarded()
  const where = at.path(".skein/hub.json")
  writeFileSync(where, readFileSync(where, "utf8").replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"))
  const gone = await at.sh("goose", EDIT_HELD)
  expect(gone).toMatchObject({ status: 0 })
  expect(gone.stderr.match(/skein: warning: not checked/g)).toHaveLength(1)
  expect(await at.sh("person", EDIT_HELD)).toMatchObject({ status: 0, stderr: "" })
  rmSync(where)
  expect((await at.sh("goose", EDIT_HELD)).stderr).toMatch(/^skein: warning: not checked .*: no hub is running\n$/)
  expect(await at.sh("goose", EDIT_FREE, { SKEIN_TOKEN_FILE: "/nowhere" })).toMatchObject({ status: 0 })
  expect((await at.sh("goose", "git branch one")).stderr).toBe("")
})

test("a hub that takes the call and says nothing is asked once, and the commit goes on without it", async () => {
  const at = await yard.guarded()
  let asked = 0
  const silent = createServer(() => (asked += 1)).listen(0, "127.0.0.1")
  await once(silent, "listening")
  const where = at.path(".skein/hub.json")
  writeFileSync(where, readFileSync(where, "utf8").replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${(silent.address() as AddressInfo).port}`))
  // More files than one question holds.
  const passed = await at.sh("goose", "for i in $(seq 600); do echo x > free/n$i.txt; done; git add free; git commit -qm x")
  expect(passed).toMatchObject({ status: 0, stderr: expect.stringMatching(/^skein: warning: not checked .*\n$/) as string })
  expect(asked).toBe(1)
  silent.close()
})

test("what is known to be held is refused, though the hub says nothing of the rest", async () => {
  const at = await yard.guarded()
  const where = at.path(".skein/hub.json")
  const told = readFileSync(where, "utf8")
  const { url } = JSON.parse(told) as { url: string }
  let asked = 0
  // Hands the first question on, and leaves the others without an answer.
  const halfway = createServer((question, answer) => {
    if ((asked += 1) > 1) return
    const headers = { ...question.headers, host: new URL(url).host }
    question.pipe(request(`${url}${question.url}`, { method: "POST", headers }, (found) => found.pipe(answer.writeHead(found.statusCode ?? 0, found.headers))))
  }).listen(0, "127.0.0.1")
  await once(halfway, "listening")
  writeFileSync(where, told.replace(url, `http://127.0.0.1:${(halfway.address() as AddressInfo).port}`))
  const many = "mkdir -p later; for i in $(seq 300); do echo x > later/n$i.txt; done; git add later"
  const refused = await at.sh("goose", `${many}; ${EDIT_HELD}`)
  expect(refused.stderr).toContain("skein: refused: held/a.txt is held by heron")
  expect(asked).toBe(2)
  halfway.closeAllConnections()
  halfway.close()
})

test.concurrent("whom the hub does not know is stopped as at a held file, or warned, where there is a hub to say so", async () => {
  const at = await yard.guarded()
  await json(team.home, ["agent", "add", "crow"])
  writeFileSync(at.path("../crow"), readFileSync(team.credential("crow")))
  await json(team.home, ["agent", "retire", "crow", "--reason", "it is over"])
  const before = at.refs()
  for (const env of [{ SKEIN_TOKEN_FILE: at.path("../crow") }, { SKEIN_TOKEN_FILE: "/nowhere" }, { SKEIN_WORKSPACE: "elsewhere" }]) {
    const refused = await at.sh("goose", EDIT_FREE, env)
    expect(refused.stderr).toMatch(
      /^skein: refused: the hub does not say who holds the files that this changes: .*\nremedy: have SKEIN_TOKEN_FILE name a credential/,
    )
    expect(at.refs()).toBe(before)
  }
  writeFileSync(at.path(".skein/operator.credential"), readFileSync(at.path("../crow")))
  expect(await at.sh("person", EDIT_FREE)).toMatchObject({ status: 0, stderr: expect.stringContaining("skein: warning: the hub does not say") as string })
  writeFileSync(at.path(".skein/hub.json"), readFileSync(at.path(".skein/hub.json"), "utf8").replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"))
  expect(await at.sh("goose", EDIT_FREE, { SKEIN_TOKEN_FILE: at.path("../crow") })).toMatchObject({ status: 0 })
})

test.concurrent("what git cannot read stops an agent as a held file does, warns a person, and depends on no hub", async () => {
  // A commit whose tree is nowhere: git moves a branch to it, and cannot tell what it changes.
  const move = `oid=$(printf 'tree %040d\\nauthor T <t@example.org> 0 +0000\\ncommitter T <t@example.org> 0 +0000\\n\\nx\\n' 7 | git hash-object -t commit -w --stdin) && git update-ref refs/heads/broken $oid`
  const at = await yard.guarded()
  const refused = await at.sh("goose", move)
  expect(refused.stderr).toMatch(/skein: refused: git cannot tell which files this changes.*\nremedy: have git fsck say/)
  expect(refused.status).not.toBe(0)
  expect(at.plain("branch", "--list", "broken")).toBe("")
  expect(await at.sh("person", move)).toMatchObject({ status: 0, stderr: expect.stringContaining("skein: warning: git cannot tell") as string })
  expect((await (await yard.guarded("refuse")).sh("person", move)).stderr).toContain("skein: refused: git cannot tell")
  at.plain("branch", "-D", "broken")
  // A branch whose own commit is gone: nobody knows what of it would be dropped. It is in the way of no other.
  writeFileSync(at.path(".git/refs/heads/gone"), `${"7".repeat(40)}\n`)
  const over = await at.sh("goose", `git update-ref refs/heads/gone ${at.unseen("held/a.txt", "over\n")}`)
  expect(over.stderr).toContain("skein: refused: git cannot tell which files this changes")
  expect(await at.sh("goose", EDIT_FREE)).toMatchObject({ status: 0, stderr: "" })
  rmSync(at.path(".git/refs/heads/gone"))
  rmSync(at.path(".skein/hub.json"))
  expect(await at.sh("goose", move)).toMatchObject({ status: 0, stderr: expect.stringMatching(/^skein: warning: not checked/) as string })
})
