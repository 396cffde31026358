import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Client } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"

/** The package as a user gets it: packed, and installed into an empty project with nothing of this checkout in reach. */

const MAX_INSTALLED_BYTES = 25e6
const UNREACHABLE = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED)\b/

let project: string
let packed: string[] = []
/** Why the registry could not be reached; null when the package was installed. */
let unreachable: string | null = null

/** This run's own npm settings and node_modules/.bin must not help; where npm finds its packages must. */
const KEPT = new Set(["npm_config_cache", "npm_config_registry", "npm_config_userconfig", "npm_config_globalconfig"])
const OWN_BIN = resolve("node_modules", ".bin")
const env: NodeJS.ProcessEnv = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") || KEPT.has(name)))
env["PATH"] = (process.env["PATH"] ?? "")
  .split(":")
  .filter((directory) => !directory.endsWith("node_modules/.bin"))
  .join(":")
// A user's Node is new enough; the shell's may not be.
const modernEnv = { ...env, PATH: `${resolve("node_modules", "node", "bin")}:${env["PATH"]}` }

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "skein-package-"))
  const report = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], { encoding: "utf8", env: modernEnv })
  const [tarball] = JSON.parse(report) as { filename: string; files: { path: string }[] }[]
  if (tarball === undefined) throw new Error(`npm pack said: ${report}`)
  packed = tarball.files.map(({ path }) => path)
  writeFileSync(join(project, "package.json"), '{ "name": "empty", "private": true, "type": "module" }')
  const args = [
    "install",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=500",
    "--fetch-retry-maxtimeout=1000",
    "--fetch-timeout=30000",
    join(project, tarball.filename),
  ]
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: project, encoding: "utf8", env: modernEnv, timeout: 150_000 })
  if (status === 0) return
  if (!UNREACHABLE.test(stderr)) throw new Error(`npm install failed:\n${stdout}${stderr}`)
  unreachable = stderr.split("\n").find((line) => UNREACHABLE.test(line)) ?? ""
  console.warn(`SKIPPED: the package was not installed, npm's registry is out of reach: ${unreachable}`)
}, 180_000)

beforeEach((context) => context.skip(unreachable !== null, "npm's registry is out of reach"))

afterAll(() => rmSync(project, { recursive: true, force: true }))

/** What a user writes; `expect-error` fails to compile where the types would let anything pass. */
const PROGRAM = `
import * as client from "skein/client"
type IsAny<T> = 0 extends 1 & T ? true : false
const hub = await client.connect({ url: "http://127.0.0.1:1", credentialFile: "operator.credential" })
const { tasks } = await hub.task.list({})
const first: string | undefined = tasks[0]?.id
// @ts-expect-error: there is no such operation
await hub.task.explode({})
// @ts-expect-error: a claim names its task by a string
await hub.task.claim({ task: 1 })
const { fence }: { fence: number } = await hub.task.claim({ task: "1" })
for await (const entry of hub.events({ from: 1 })) { const seq: number = entry.seq; void seq }
const refused: client.ErrorCode = new client.SkeinError("hub_unreachable", "nobody answers", "skein up").code
void [first, refused, fence]
`

/** Bytes that a directory takes on disk, blocks counted whole as `du` does. */
function bytesOnDisk(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0)
}

test("the package holds the launcher, the compiled code, licence and readme, and no test", () => {
  expect(packed).toEqual(
    expect.arrayContaining([
      "package.json",
      "LICENSE",
      "README.md",
      "bin/skein.cjs",
      "dist/cli/main.cjs",
      "dist/client/client.d.ts",
      "dist/THIRD-PARTY.txt",
      "dist/dashboard/index.html",
    ]),
  )
  expect(
    packed.filter(
      (path) =>
        !/^(package\.json|LICENSE|README\.md|bin\/skein\.cjs|dist\/.*\.(c?js|d\.ts)|dist\/dashboard\/.*\.(html|css|js)(\.br|\.gz)?|dist\/hub\/cedar_wasm_bg\.wasm\.br|dist\/THIRD-PARTY\.txt)$/.test(
          path,
        ),
    ),
  ).toEqual([])
  expect(packed.filter((path) => /\.(test|contract)\./.test(path))).toEqual([])
})

test("installed with all its dependencies it takes less than 25 MB of disk, and none of them runs a script", () => {
  const bytes = bytesOnDisk(join(project, "node_modules"))
  console.log(`installed: ${(bytes / 1e6).toFixed(1)} MB`)
  expect(bytes).toBeLessThan(MAX_INSTALLED_BYTES)
  const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")) as { packages: Record<string, { hasInstallScript?: boolean }> }
  expect(Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript === true)).toEqual([])
})

test("npx skein --version says the version", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string }
  const { status, stdout, stderr } = spawnSync("npx", ["--loglevel=error", "skein", "--version"], { cwd: project, encoding: "utf8", env: modernEnv })
  expect({ status, stdout: stdout.trim(), stderr }).toEqual({ status: 0, stdout: `skein ${version}`, stderr: "" })
})

test("skein mcp serves its tools with nothing of the MCP library installed", async () => {
  const client = new Client({ name: "test", version: "1" })
  const args = [join(project, "node_modules/skein/bin/skein.cjs"), "mcp", "--agent", "claude"]
  await client.connect(new StdioClientTransport({ command: join(OWN_BIN, "node"), args, cwd: project, env: { PATH: modernEnv.PATH, HOME: project } }))
  const { tools } = await client.listTools()
  await client.close()
  expect(tools.map(({ name }) => name)).toContain("claim_task")
  expect(readdirSync(join(project, "node_modules"))).not.toContain("@modelcontextprotocol")
})

test("a policy is decided with nothing of Cedar installed", () => {
  const load = `import("./node_modules/skein/dist/hub/cedar-library.cjs").then(({ loadCedar }) => {
    const cedar = loadCedar()
    cedar.preparsePolicySet("p", { staticPolicies: 'permit (principal == User::"ann", action, resource);' })
    const decide = (id) => cedar.statefulIsAuthorized({
      principal: { type: "User", id }, action: { type: "Action", id: "a" }, resource: { type: "Thing", id: "t" }, context: {}, preparsedPolicySetId: "p", entities: [],
    }).response.decision
    console.log(decide("ann"), decide("bob"))
  })`
  expect(execFileSync(join(OWN_BIN, "node"), ["-e", load], { cwd: project, encoding: "utf8", env }).trim()).toBe("allow deny")
  expect(readdirSync(join(project, "node_modules"))).not.toContain("@cedar-policy")
})

test("skein/client loads, and a strict program compiles against it with every type resolved", () => {
  const list = "import('skein/client').then((client) => console.log(JSON.stringify(Object.keys(client))))"
  const names = JSON.parse(execFileSync(join(OWN_BIN, "node"), ["-e", list], { cwd: project, encoding: "utf8", env })) as string[]
  expect(names.length).toBeGreaterThan(0)
  // A type that does not resolve turns into `any` without an error in the user's own file.
  const checks = names.map((name, index) => `const known${index}: IsAny<typeof client.${name}> = false; void known${index}`)
  writeFileSync(join(project, "program.ts"), [PROGRAM, ...checks].join("\n"))
  const compilerOptions = { strict: true, noEmit: true, target: "es2024", module: "nodenext", types: [], skipLibCheck: false }
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }))
  const { stdout } = spawnSync(join(OWN_BIN, "node"), [resolve("node_modules/typescript/bin/tsc"), "-p", "."], { cwd: project, encoding: "utf8", env })
  // What others' declarations get wrong among themselves is not ours to judge; ours and the program's must be free of errors.
  expect(stdout.split("\n").filter((line) => /^(?:program\.ts|node_modules\/skein\/)/.test(line))).toEqual([])
})
