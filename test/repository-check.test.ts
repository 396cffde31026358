import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const examples = resolve(import.meta.dirname, "../examples")
const checkout = resolve(import.meta.dirname, "..")
const scratch = mkdtempSync(join(tmpdir(), "repository-check-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

type Inputs = Record<string, { title: string; text: string; evidence: unknown }>
type Asked = { args?: string[]; main?: string; inputs?: Inputs }
type Delivered = { head: string; text: string; evidence: { testsPass: boolean | null; commit: string; links: string[] }; printed: string }

function git(repo: string, ...args: string[]): string {
  const names = { GIT_AUTHOR_NAME: "A`u|thor b", GIT_AUTHOR_EMAIL: "a@example.org", GIT_COMMITTER_NAME: "C", GIT_COMMITTER_EMAIL: "c@example.org" }
  return execFileSync("git", args, { cwd: repo, encoding: "utf8", env: { ...process.env, ...names, GIT_CONFIG_GLOBAL: "/dev/null" } })
}

function makeRepository(name: string, files: Record<string, string>, message = "First"): string {
  const repo = join(scratch, name)
  mkdirSync(repo)
  git(repo, "init", "-q", "-b", "main")
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(repo, path)), { recursive: true })
    writeFileSync(join(repo, path), text)
  }
  git(repo, "add", "-A")
  git(repo, "commit", "-q", "-m", message)
  return repo
}

/** Runs one check as an agent would: the repository as working directory, the variables of the runner, nothing of this test run. */
function check(script: string, repo: string, { args = [], main = repo, inputs = {} }: Asked = {}): Delivered {
  const out = mkdtempSync(join(scratch, "out-"))
  const inputsFile = join(out, "inputs.json")
  writeFileSync(inputsFile, JSON.stringify(inputs))
  const { PATH = "", HOME = "" } = process.env
  const skein = { SKEIN_TASK: "t", SKEIN_OUT: out, SKEIN_REPO: repo, SKEIN_MAIN: main, SKEIN_INPUTS: inputsFile, SKEIN_EXAMPLES: examples }
  const command = [join(examples, "repository-check", script), ...args]
  const printed = execFileSync(process.execPath, command, { cwd: repo, encoding: "utf8", env: { PATH, HOME, ...skein }, timeout: 60_000, stdio: "pipe" })
  const text = readFileSync(join(out, "deliverable.md"), "utf8")
  return { head: text.split("\n")[0] ?? "", text, evidence: JSON.parse(readFileSync(join(out, "evidence.json"), "utf8")) as Delivered["evidence"], printed }
}

// Built from parts, so that no scanner takes this file for a leak.
const awsKey = ["AKIA", "Q7Z2MXN4", "RTLP5WJK"].join("")
const apiToken = ["gh", "p_", "x9Kd02mQz7Lr", "8TvBn3WcYp5H", "s1JfGa6UeRi4"].join("")
const password = ["k9#vLq", "2!xTz8", "@wPm4rB"].join("")
const keyLine = "MIIEvQ1bADaNBgkqh3kiG9w0BAQEFxASCBKcw"
const keyLabel = ["PRIVATE", "KEY"].join(" ")
const privateKey = `-----BEGIN ${keyLabel}-----\n${keyLine.repeat(4)}\n-----END ${keyLabel}-----\n`
const secrets = [awsKey, apiToken, password, keyLine]

const hostile = "docs/a|b`c`<img src=x>\n# owned\u202e\u0007.md"
const lockfile = {
  lockfileVersion: 3,
  packages: {
    "": { name: "planted" },
    "node_modules/mild": { version: "1.0.0", license: "(GPL-3.0-only OR MIT)" },
    "node_modules/strict": { version: "2.0.0", license: "AGPL-3.0-or-later" },
    "node_modules/both": { version: "3.0.0", license: "MIT AND GPL-2.0-only", dev: true },
    "node_modules/mute": { version: "4.0.0" },
    "node_modules/weak": { version: "5.0.0", license: "MPL-2.0" },
    "node_modules/installed": { version: "6.0.0" },
    "node_modules/../../outside": { version: "7.0.0", license: "AGPL-3.0-only" },
    "node_modules/e`vil|<b>": { version: "8\n| x |", license: "GPL`|\u001b[31m" },
  },
}

let planted = ""
beforeAll(() => {
  planted = makeRepository(
    "planted",
    {
      "README.md": [
        "# Read me",
        "[good](docs/guide.md#set-up) [folder](docs) [root](/README.md#read-me) [twice](docs/guide.md#set-up-1)",
        "[broken](docs/gone.md) [bad anchor](docs/guide.md#nowhere) [out](../../etc/passwd) ![no image](shot.png)",
        "[web](https://example.org/x) <https://example.org/y> [mail](mailto:a@example.org)",
        "`[not a link](nowhere.md)`",
        "```\n[not a link](nowhere.md)\n```",
        "[ref]: docs/missing.md",
        "[odd](<docs/no|such`file.md>)",
      ].join("\n\n"),
      "docs/guide.md": "# Guide\n\n## Set up\n\n## Set up\n\n[back](../README.md)\n",
      [hostile]: "[x](gone.md)\n",
      "src/config.ts": `const a = "${awsKey}"\nconst password = "${password}"\nconst token = "claim_mismatch"\nconst secret = process.env.SECRET\n`,
      "src/deploy.yml": `url: https://user:${password.replace("@", "%")}@example.org/\ntoken: '${"x".repeat(30)}'\n`,
      "keys/server.pem": privateKey,
      "test/fixture.ts": `// secret-scan: fixtures\nexport const token = "${apiToken}"\n`,
      [`src/${apiToken}.txt`]: "a name can hold a secret too\n",
      "package.json": JSON.stringify({
        name: "planted",
        scripts: { lint: "lint-of-ours --fix src", typecheck: "types-of-ours" },
        devDependencies: { knip: "6.0.0" },
      }),
      "package-lock.json": JSON.stringify(lockfile),
    },
    `Add ${apiToken} | \`code\` <script>`,
  )
})

/** A tool as an installed dependency brings it. */
function installTool(repo: string, name: string, script: string): void {
  const bin = join(repo, "node_modules", ".bin")
  mkdirSync(bin, { recursive: true })
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
}

describe("the secret scan", () => {
  it("names every planted secret by place and kind", () => {
    const { text, head } = check("secrets.mjs", planted)
    expect(head).toMatch(/^Verdict: findings, 4 findings, /)
    expect(text).toContain("`src/config.ts:1` AWS access key, 20 characters")
    expect(text).toContain("`src/config.ts:2` assigned secret")
    expect(text).toContain("`src/deploy.yml:1` password in a URL")
    expect(text).toContain("`keys/server.pem:1` private key")
  })

  it("sets apart what a file declares to be a fixture, and still counts it", () => {
    const { text } = check("secrets.mjs", planted)
    expect(text).toContain("1 more in files that declare themselves fixtures")
    expect(text.slice(text.indexOf("Declared as fixtures:"))).toContain("`test/fixture.ts:2` GitHub token, 40 characters")
  })

  it("leaves identifiers, placeholders and environment variables alone", () => {
    const { text } = check("secrets.mjs", planted)
    expect(text).not.toContain("config.ts:3")
    expect(text).not.toContain("config.ts:4")
    expect(text).not.toContain("deploy.yml:2")
  })

  it("does not follow a link out of the repository", () => {
    const outside = join(scratch, "outside.txt")
    writeFileSync(outside, `key = "${awsKey}"\n`)
    const repo = makeRepository("linked", { "a.txt": "nothing\n" })
    symlinkSync(outside, join(repo, "link.txt"))
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Link")
    expect(check("secrets.mjs", repo).head).toMatch(/^Verdict: ok, 0 findings/)
  })
})

describe("every check", () => {
  const scripts = readdirSync(join(examples, "repository-check")).filter((name) =>
    readFileSync(join(examples, "repository-check", name), "utf8").includes("deliver({"),
  )
  const runs = scripts
    .filter((name) => name !== "delivery.mjs" && name !== "report.mjs")
    .map((name) => ({ name, args: name === "tests.mjs" ? ["src/core", "1/2"] : [] }))

  it("never shows a secret, wherever it stands: in a file, a file name, a commit message or what a tool prints", () => {
    const repo = makeRepository(
      "leaky",
      {
        [`src/${apiToken}.ts`]: `const key = "${awsKey}"\n`,
        "README.md": `[x](${apiToken}.md)\n`,
        "package.json": JSON.stringify({ scripts: { lint: "leak", typecheck: "leak" } }),
        "tsconfig.json": "{}",
      },
      // Long enough to be shortened in the middle of the key.
      `${"word ".repeat(11)}${awsKey} ${"word ".repeat(40)}`,
    )
    installTool(repo, "leak", `echo "error TS1: const password = '${password}'"; printf '%s' '${privateKey}'; exit 1`)
    installTool(repo, "knip", `printf '%s' '{"issues":[{"file":"src/${apiToken}.ts","exports":[{"name":"${awsKey}","line":1}]}]}'`)
    expect(runs.length).toBeGreaterThanOrEqual(9)
    for (const { name, args } of runs) {
      const { text, printed } = check(name, repo, { args })
      for (const secret of secrets) expect(text + printed, name).not.toContain(secret)
      // Nor half of one.
      for (const secret of secrets) expect(text + printed, name).not.toContain(secret.slice(0, 12))
    }
    expect(check("types.mjs", repo).text).toContain("(secret of")
    expect(check("dead-code.mjs", repo).head).toMatch(/^Verdict: findings, 1 finding,/)
  })

  it("keeps hostile names and messages from ending a table cell, a code span or a line, or reaching a terminal", () => {
    for (const { name, args } of runs) {
      const { text, printed } = check(name, planted, { args })
      expect(printed + text, name).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
      for (const line of text.split("\n")) {
        expect((line.match(/`/g) ?? []).length % 2, `${name}: ${line}`).toBe(0)
        expect(line, name).not.toMatch(/<(img|script|b)\b/)
        expect(line, name).not.toMatch(/^# owned/)
        // A row has as many cells as its table's head.
        if (line.startsWith("|")) expect([3, 4, 5], `${name}: ${line}`).toContain(line.split("|").length - 1)
      }
    }
    expect(check("history.mjs", planted).text).toContain("| `A\\x60u\\x7cthor b` | 1 |")
    expect(check("links.mjs", planted).text).toContain("`docs/a\\x7cb\\x60c\\x60\\x3cimg src=x>\\n# owned\\u{202e}\\x07.md:1` to `gone.md`: no such file")
  })

  it("says plainly what does not apply to a repository that has nothing of the kind, and ends well", () => {
    const bare = makeRepository("bare", { "main.c": "int main(void) { return 0; }\n" })
    const heads = Object.fromEntries(runs.map(({ name, args }) => [name, check(name, bare, { args }).text.split("\n").slice(0, 3).join(" ")]))
    for (const name of ["licences.mjs", "types.mjs", "lint.mjs", "tests.mjs", "links.mjs", "dead-code.mjs"]) {
      expect(heads[name]).toMatch(/^Verdict: not applicable, 0 findings, [\d.]+ s, commit [0-9a-f]{40} {2}not applicable: no /)
    }
    for (const name of ["inventory.mjs", "history.mjs", "secrets.mjs"]) expect(heads[name]).toMatch(/^Verdict: ok/)
  })

  it("says that dependencies are not installed where they are needed and missing", () => {
    for (const name of ["types.mjs", "lint.mjs", "dead-code.mjs"]) {
      expect(check(name, planted).text).toMatch(/^Verdict: not run,.*\n\nnot run: dependencies are not installed/)
    }
  })

  it("refuses to join a report about another commit", () => {
    const inputs = { inventory: { title: "Inventory", text: "", evidence: { testsPass: null, commit: "0".repeat(40), links: [] } } }
    expect(() => check("links.mjs", planted, { inputs })).toThrow(/one report speaks of one commit/)
  })
})

describe("the link check", () => {
  it("finds what is not tracked, headings that are not there, and ways out of the repository", () => {
    const { text } = check("links.mjs", planted)
    const wanted = [
      "`README.md:5` to `docs/gone.md`: no such file",
      "`README.md:5` to `docs/guide.md#nowhere`: no such heading",
      "`README.md:5` to `../../etc/passwd`: leaves the repository",
      "`README.md:5` to `shot.png`: no such file",
      "`README.md:15` to `docs/missing.md`: no such file",
      "`README.md:17` to `docs/no\\x7csuch\\x60file.md`: no such file",
    ]
    for (const line of wanted) expect(text).toContain(`- ${line}\n`)
    expect(text).toMatch(/^Verdict: findings, 7 findings, /)
    expect(text).toContain("7 of 12 links in 3 documents lead nowhere; 3 external links not followed")
  })
})

describe("the licence inventory", () => {
  it("names strict, unknown and missing licences, takes the mildest of an OR and the strictest of an AND", () => {
    const { text } = check("licences.mjs", planted)
    expect(text).toContain("- copyleft: `strict@2.0.0` `AGPL-3.0-or-later`")
    expect(text).toContain("- copyleft: `both@3.0.0` `MIT AND GPL-2.0-only` (development only)")
    expect(text).toContain("- unknown: `mute@4.0.0` declares none")
    expect(text).toContain("- `weak@5.0.0` `MPL-2.0`")
    expect(text).not.toMatch(/copyleft: `mild/)
    expect(text).not.toContain("outside")
    expect(text).toMatch(/^Verdict: findings, 5 findings, /)
  })

  it("believes what is installed in the main checkout before what the lockfile says", () => {
    const main = join(scratch, "main-checkout")
    mkdirSync(join(main, "node_modules/installed"), { recursive: true })
    mkdirSync(join(main, "node_modules/strict"), { recursive: true })
    writeFileSync(join(main, "node_modules/installed/package.json"), JSON.stringify({ licenses: [{ type: "SSPL-1.0" }] }))
    writeFileSync(join(main, "node_modules/strict/package.json"), JSON.stringify({ license: "ISC" }))
    const { text } = check("licences.mjs", planted, { main })
    expect(text).toContain("- restricted: `installed@6.0.0` `SSPL-1.0`")
    expect(text).not.toContain("copyleft: `strict@2.0.0`")
    expect(text).toContain("2 read as installed")
  })
})

describe("the inventory and the history", () => {
  it("names files that some checkouts cannot hold", () => {
    const repo = makeRepository("names", { "Read.md": "a\n", "read.md": "b\n", "aux.txt": "c\n", "fine.txt": "d\n", "x\ty": "e\n" })
    const { text } = check("inventory.mjs", repo)
    expect(text).toMatch(/^Verdict: findings, 3 findings, /)
    expect(text).toContain("- `Read.md`, `read.md` differ only in case")
    expect(text).toContain("- `aux.txt` cannot be checked out on Windows")
    expect(text).toContain("- `x\\ty` has control or undecodable characters in its name")
  })

  it("finds what is big in the history though it is gone from the tree", () => {
    const repo = makeRepository("big", { "a.txt": "a\n", "film.bin": "x".repeat(6 << 20) })
    git(repo, "rm", "-q", "film.bin")
    git(repo, "commit", "-q", "-m", "Remove the film")
    const { text } = check("history.mjs", repo)
    expect(text).toMatch(/^Verdict: findings, 1 finding, /)
    expect(text).toContain("- `film.bin` put 6.0 MiB into the history for good")
    expect(text).toContain("2 commits by 1 author")
    expect(check("inventory.mjs", repo).head).toMatch(/^Verdict: ok/)
  })
})

describe("the checks that run the repository's own tools", () => {
  it("report what the tool found, never let it rewrite, and leave no trace in git's status", () => {
    const main = join(scratch, "tools")
    installTool(main, "lint-of-ours", `echo "called with $*"; echo "Found 2 warnings and 1 error."; exit 1`)
    installTool(main, "types-of-ours", `echo "a.ts(1,2): error TS2322: no | good"; echo "identity: [$SKEIN_TASK$SKEIN_OUT]"; exit 2`)
    const worktree = join(scratch, "planted-worktree")
    git(planted, "worktree", "add", "-q", "--detach", worktree)
    const lint = check("lint.mjs", worktree, { main })
    expect(lint.head).toMatch(/^Verdict: findings, 3 findings, /)
    expect(lint.text).toContain("called with src`")
    const types = check("types.mjs", worktree, { main })
    expect(types.head).toMatch(/^Verdict: findings, 1 finding, /)
    expect(types.text).toContain("error TS2322: no \\x7c good")
    // A tool of the repository does not act in the agent's name.
    expect(types.text).toContain("identity: []")
    expect(git(worktree, "status", "--porcelain")).toBe("")
  })

  it("runs the shards of a folder's tests for real, each test in one shard, and a failing test is a finding, not a lie", () => {
    const test = (name: string, expected: number) => `import { expect, it } from "vitest"\nit("${name}", () => expect(2).toBe(${expected}))\n`
    const repo = makeRepository("tested", {
      "package.json": JSON.stringify({ type: "module" }),
      "src/core/a.test.ts": test("a holds", 2),
      "src/core/b.test.ts": test("b does | not", 3),
      "src/core/c.test.ts": "throw new Error('broken before any test')\n",
      "src/ledger/d.test.ts": test("d holds", 2),
    })
    const shards = ["1/2", "2/2"].map((shard) => check("tests.mjs", repo, { args: ["src/core", shard], main: checkout }))
    const all = shards.map(({ text }) => text).join("\n")
    expect(shards.map(({ head }) => /^Verdict: (\w+), (\d)/.exec(head)?.[2]).reduce((sum, count) => sum + Number(count), 0)).toBe(2)
    expect(all).toContain("`b does \\x7c not`")
    expect(all).toContain("`core/c.test.ts` did not run")
    expect(all.match(/(\d) passed/g)?.toSorted()).toEqual(["0 passed", "1 passed"].toSorted())
    expect(shards.some(({ evidence }) => evidence.testsPass === false)).toBe(false)
    const ledger = check("tests.mjs", repo, { args: ["src/ledger", "1/2"], main: checkout })
    expect(ledger.text).toContain("1 passed, 0 failed, 0 skipped in 1 file")
    expect(ledger.evidence.testsPass).toBe(true)
    expect(check("tests.mjs", repo, { args: ["src/ledger", "2/2"], main: checkout }).text).toContain("not applicable: 1 test file only, all in the first shard")
    expect(git(repo, "status", "--porcelain")).toBe("")
  })

  it("refuses a folder that would be more than a folder to a shell", () => {
    expect(() => check("tests.mjs", planted, { args: ["src; touch /tmp/x", "1/2"] })).toThrow(/usage/)
  })
})

describe("the report", () => {
  const delivered = (script: string) => {
    const { text, evidence } = check(script, planted)
    return { title: `Title of ${script}`, text, evidence }
  }

  it("begins with a table of every check: verdict, seconds, findings", () => {
    const inputs = { secrets: delivered("secrets.mjs"), links: delivered("links.mjs"), types: delivered("types.mjs") }
    const { text, head } = check("report.mjs", planted, { inputs })
    expect(head).toMatch(/^Verdict: findings, 11 findings, /)
    const rows = text.split("\n").filter((line) => line.startsWith("| "))
    expect(rows[0]).toBe("| check | verdict | seconds | findings | in short |")
    expect(rows[2]).toMatch(/^\| `secrets` \| \*\*findings\*\* \| \d+\.\d \| 4 \| 4 secrets in /)
    expect(rows[3]).toMatch(/^\| `links` \| \*\*findings\*\* \| \d+\.\d \| 7 \| 7 of 12 links/)
    expect(rows[4]).toMatch(/^\| `types` \| \*\*not run\*\* \| \d+\.\d \| 0 \| not run: dependencies are not installed \|/)
    expect(text.indexOf("| check |")).toBeLessThan(text.indexOf("## `Title of secrets.mjs`"))
    expect(text).toContain("- `src/config.ts:1` AWS access key, 20 characters")
    for (const secret of secrets) expect(text).not.toContain(secret)
  })

  it("stays within what one ledger entry can carry, cut between lines, and says where the rest is", () => {
    const long = { ...delivered("secrets.mjs") }
    long.text += `\n${Array.from({ length: 2000 }, (_, at) => `- \`ü${at}\` line`).join("\n")}`
    const inputs = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`check-${at}`, long]))
    const { text } = check("report.mjs", planted, { inputs })
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(30_001)
    expect(Buffer.byteLength(text)).toBeGreaterThan(20_000)
    expect(text.match(/… \(cut; the rest is in what `check-\d+` delivered\)/g)).toHaveLength(12)
  })

  it("fails rather than leave a check out that delivered no verdict", () => {
    const inputs = { odd: { title: "Odd", text: "fine, I think\n", evidence: null } }
    expect(() => check("report.mjs", planted, { inputs })).toThrow(/task odd delivered no verdict/)
  })
})
