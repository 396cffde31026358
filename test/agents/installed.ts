import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs"
import { join, resolve } from "node:path"
import { AGENT_KINDS, agentKind, type AgentKind } from "../../src/repo/agent-kinds.ts"

/** The versions that the tests run against. None of them needs its install script: their binaries are packages of their own. */
const VERSIONS: Readonly<Record<AgentKind, string>> = { claude: "2.1.330", codex: "0.169.0", gemini: "0.61.0", opencode: "1.18.33" }

/** Where they are: `SKEIN_AGENTS_DIR` (a folder with `node_modules/`), else a folder that git ignores. Outside of the package: they weigh 1.2 GB. */
const FOLDER = resolve(process.env["SKEIN_AGENTS_DIR"] ?? ".cache/agents")
const INSTALL_MAX_MS = 300_000

/** The agents that this run is to drive: `npm test` takes the first two, `npm run test:agents` all. */
const NAMED = (process.env["SKEIN_TEST_AGENTS"] ?? "claude,codex").split(",")
export const WANTED: readonly AgentKind[] = AGENT_KINDS.filter((kind) => NAMED.includes(kind))

export type Installed = { binary: string } | { absent: string }

/** Settles when this process alone may install: files of tests run side by side. The lock of one that died is taken over. */
function locked<T>(work: () => T): T {
  const lock = join(FOLDER, "installing")
  mkdirSync(FOLDER, { recursive: true })
  for (;;) {
    try {
      symlinkSync(String(process.pid), lock)
      break
    } catch {
      const holder = holderOf(lock)
      if (holder !== null && !existsSync(`/proc/${holder}`)) rmSync(lock, { force: true })
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  }
  try {
    return work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function holderOf(lock: string): string | null {
  try {
    return readlinkSync(lock)
  } catch {
    return null
  }
}

/** The real agent, installed from npm at its pinned version if it is not there yet; or why it cannot be had. */
export function installed(kind: AgentKind): Installed {
  return locked(() => foundOrInstalled(kind))
}

function foundOrInstalled(kind: AgentKind): Installed {
  const { npmPackage, binaries } = agentKind(kind)
  const name = binaries[0] ?? kind
  // A package without its install script may leave a placeholder as its command: what that script would put there is a package beside it.
  const modules = join(FOLDER, "node_modules")
  const machine = `${process.platform}-${process.arch}`
  const beside = [join(modules, `${npmPackage}-${machine}`, name), join(modules, `${name}-${machine}`, "bin", name)]
  const binary = (): string => beside.find((path) => existsSync(path)) ?? join(modules, ".bin", name)
  if (existsSync(binary())) return answering(binary())
  const wanted = `${npmPackage}@${VERSIONS[kind]}`
  const args = ["install", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000", wanted]
  const { status, stderr, error } = spawnSync("npm", args, { encoding: "utf8", timeout: INSTALL_MAX_MS, cwd: FOLDER })
  if (status !== 0) return { absent: `npm install ${wanted} failed: ${error?.message ?? stderr.trim().split("\n").at(-1) ?? ""}` }
  return answering(binary())
}

function answering(binary: string): Installed {
  const { status, error, stderr } = spawnSync(binary, ["--version"], { encoding: "utf8", timeout: 60_000 })
  return status === 0 ? { binary } : { absent: `${binary} --version failed: ${error?.message ?? stderr.trim()}` }
}
