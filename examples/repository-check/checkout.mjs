/** The repository that is checked: what git has at HEAD, and the tools that its main checkout has installed. */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"

export const repo = resolve(process.env.SKEIN_REPO || process.cwd())
/** The checkout where dependencies were installed; a worktree has none of its own. */
export const main = resolve(process.env.SKEIN_MAIN || repo)

const CHUNK_BYTES = 16 << 20

/** The repository's own tools must not take this agent's identity, nor another repository, for theirs. */
export function toolEnvironment() {
  const kept = Object.entries(process.env).filter(([name]) => !/^(SKEIN_|GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|COMMON_DIR)$)/.test(name))
  return Object.fromEntries(kept)
}

/** Runs git, never through a shell. Returns the bytes it wrote; throws when it fails or takes longer than `timeoutMs`. */
export function git(args, { input, timeoutMs = 60_000 } = {}) {
  const options = { cwd: repo, env: { ...toolEnvironment(), GIT_OPTIONAL_LOCKS: "0", LC_ALL: "C" }, maxBuffer: 1 << 30, timeout: timeoutMs }
  const safe = ["-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.warnAmbiguousRefs=false"]
  return execFileSync("git", [...safe, ...args], { ...options, stdio: ["pipe", "pipe", "pipe"], ...(input === undefined ? {} : { input }) })
}

export const headCommit = () => git(["rev-parse", "HEAD"]).toString().trim()

/** Every entry of the tree at HEAD: `{ mode, kind, oid, bytes, path }`; kind is `blob` or, for a submodule, `commit`. */
export function trackedFiles() {
  const rows = git(["ls-tree", "-r", "-l", "-z", "--full-tree", "HEAD"]).toString().split("\0")
  return rows.filter(Boolean).map((row) => {
    const tab = row.indexOf("\t")
    const [mode, kind, oid, size] = row.slice(0, tab).split(/ +/)
    return { mode, kind, oid, bytes: size === "-" ? 0 : Number(size), path: row.slice(tab + 1) }
  })
}

export const isSymlink = (file) => file.mode === "120000"

/**
 * The contents of `files`, read as objects: neither a link that leaves the repository nor an odd file name can lead astray,
 * and a tool that rewrote the worktree changes nothing.
 */
export function* contents(files) {
  for (let from = 0; from < files.length;) {
    let to = from
    let bytes = 0
    do bytes += files[to++].bytes
    while (to < files.length && bytes + files[to].bytes <= CHUNK_BYTES)
    const chunk = files.slice(from, to)
    const output = git(["cat-file", "--batch"], { input: chunk.map((file) => `${file.oid}\n`).join("") })
    let at = 0
    for (const file of chunk) {
      at = output.indexOf(10, at) + 1
      yield [file, output.subarray(at, at + file.bytes)]
      at += file.bytes + 1
    }
    from = to
  }
}

/** The text of one file at HEAD, or nothing when there is none. */
export function textAt(path, files = trackedFiles()) {
  const file = files.find((candidate) => candidate.path === path && candidate.kind === "blob" && !isSymlink(candidate))
  return file === undefined ? undefined : git(["cat-file", "blob", file.oid]).toString()
}

/** The parsed JSON of one file at HEAD, or nothing when there is none or it does not parse to an object. */
export function jsonAt(path, files) {
  try {
    const value = JSON.parse(textAt(path, files) ?? "null")
    return typeof value === "object" && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * Gives the worktree the dependencies of the main checkout. Returns whether there are any.
 * A folder of links, not one link: `node_modules/` in a .gitignore does not match a link, and tools write their caches here.
 * Its own .gitignore keeps it out of `git status` in repositories that ignore nothing, without touching their settings.
 */
export function linkDependencies() {
  const installed = join(main, "node_modules")
  const linked = join(repo, "node_modules")
  if (existsSync(linked)) return true
  if (!existsSync(installed)) return false
  mkdirSync(linked)
  writeFileSync(join(linked, ".gitignore"), "*\n")
  for (const name of readdirSync(installed)) {
    if (name === ".gitignore" || name === ".cache" || name.startsWith(".vite")) continue
    symlinkSync(join(installed, name), join(linked, name), lstatSync(join(installed, name)).isDirectory() ? "dir" : "file")
  }
  return true
}

export const hasTool = (name) => existsSync(join(repo, "node_modules", ".bin", name))

/**
 * Runs a shell command with the repository's tools first in the path; a tool of its own version of Node runs on that.
 * Returns `{ status, output, stdout }`; status is undefined when it was stopped after `timeoutMs`.
 */
export function runTool(command, timeoutMs = 100_000) {
  const path = [join(repo, "node_modules", ".bin"), process.env.PATH ?? ""].join(delimiter)
  const env = { ...toolEnvironment(), PATH: path, NO_COLOR: "1", FORCE_COLOR: "0", CI: "1" }
  const ended = spawnSync("sh", ["-c", command], { cwd: repo, env, encoding: "utf8", timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: 1 << 28 })
  return { status: ended.status ?? undefined, output: `${ended.stdout ?? ""}\n${ended.stderr ?? ""}`, stdout: ended.stdout ?? "" }
}
