import { readdirSync } from "node:fs"
import { join } from "node:path"
import { commandOf, GIT_LIMITS, lastLine, RepositoryError, runGit } from "./git.ts"
import { textOf } from "./text-file.ts"

/** One line of what git tells a `reference-transaction` hook: githooks(5). */
export type RefUpdate = { old: string; new: string; ref: string }

/** A side of a symmetric difference: what the update brings, or what it drops. */
type Sides = { added: Set<string>; dropped: Set<string>; addsCommits: boolean }

const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
const ZERO = /^0+$/
/** Of this worktree, of the main one, of a linked one: gitrevisions(7) and git-worktree(1), REFS. */
const HEAD = /^(?:main-worktree\/|worktrees\/[^/]+\/)?HEAD$/

/** The lines on the hook's standard input. */
export function parseUpdates(text: string): RefUpdate[] {
  return text.split("\n").flatMap((line) => {
    const [old = "", next = "", ...ref] = line.split(" ")
    return OID.test(old) && OID.test(next) && ref.length > 0 ? [{ old, new: next, ref: ref.join(" ") }] : []
  })
}

/**
 * The files that updates of branches and of a detached HEAD change, for a hook that runs while git still holds the old values: those that commits change which
 * no branch, remote branch or HEAD held until now (of a merge, what differs from merging by itself), and those of commits that a branch drops and nothing else
 * holds. A file that a replaced commit (amend, rebase) changes no further is none. Renames count on both sides. Paths relative to the top of the worktree.
 * Runs git in `cwd` with the hook's own environment, which may name objects in quarantine. Throws `RepositoryError` `git_failed`.
 */
export async function changedPaths({ updates, cwd, commonDir }: { updates: readonly RefUpdate[]; cwd: string; commonDir: string }): Promise<string[]> {
  const changed = new Set<string>()
  for (const update of await withOldValues(cwd, concerning(updates))) {
    if (update.old === update.new) continue
    for (const path of await changedBy(cwd, update, knownHeads(commonDir, update))) changed.add(path)
  }
  return [...changed].sort()
}

/** Branches, and HEAD where it is on none: on a branch git names both, and the branch says it all. A deleted branch changes no file. */
function concerning(updates: readonly RefUpdate[]): RefUpdate[] {
  const live = updates.filter((update) => !ZERO.test(update.new) && (HEAD.test(update.ref) || update.ref.startsWith("refs/heads/")))
  const branches = live.filter(({ ref }) => !HEAD.test(ref))
  return live.filter((update) => !HEAD.test(update.ref) || !branches.some((branch) => branch.new === update.new && branch.old === update.old))
}

/** Zeros as old value mean "whatever it is" as well as "it is new": git is asked which. */
async function withOldValues(cwd: string, updates: readonly RefUpdate[]): Promise<RefUpdate[]> {
  const unsure = updates.filter(({ old }) => ZERO.test(old))
  if (unsure.length === 0) return [...updates]
  const current = new Map<string, string>()
  const branches = unsure.filter(({ ref }) => !HEAD.test(ref)).map(({ ref }) => ref)
  if (branches.length > 0) {
    const patterns = branches.length > 100 ? ["refs/heads"] : branches
    for (const line of (await hookGit(cwd, ["for-each-ref", "--format=%(objectname) %(refname)", ...patterns])).split("\n")) {
      const at = line.indexOf(" ")
      if (at > 0) current.set(line.slice(at + 1), line.slice(0, at))
    }
  }
  for (const { ref } of unsure.filter((update) => HEAD.test(update.ref))) {
    const head = await hookGit(cwd, ["rev-parse", "--quiet", "--verify", `${ref}^{commit}`], [0, 1])
    if (head !== "") current.set(ref, head.trim())
  }
  return updates.map((update) => ({ ...update, old: current.get(update.ref) ?? update.old }))
}

/**
 * Commits that detached HEADs of the worktrees stand on: what is under one was looked at when it came there. Of a HEAD that is updated itself its old value is no such.
 * A HEAD on a branch is left to the branches.
 */
function knownHeads(commonDir: string, update: RefUpdate): string[] {
  const linked = join(commonDir, "worktrees")
  const files = [join(commonDir, "HEAD"), ...listed(linked).map((name) => join(linked, name, "HEAD"))]
  const heads = files.map((file) => (textOf(file) ?? "").trim()).filter((value) => OID.test(value))
  return HEAD.test(update.ref) ? heads.filter((oid) => oid !== update.old) : heads
}

async function changedBy(cwd: string, update: RefUpdate, heads: readonly string[]): Promise<Iterable<string>> {
  const { added, dropped, addsCommits } = await bothSides(cwd, update, heads)
  // A HEAD that leaves a commit behind for another is a checkout: it takes nothing from anybody. With a new commit in its place it is an amend.
  if (dropped.size === 0 || (HEAD.test(update.ref) && !addsCommits)) return added
  const differs = new Set(await differing(cwd, update.old, update.new))
  const replaced = [...added].filter((path) => differs.has(path) || !dropped.has(path))
  return [...replaced, ...[...dropped].filter((path) => differs.has(path))]
}

/** One walk for both sides: a hook has no time for more processes than it must start. */
async function bothSides(cwd: string, update: RefUpdate, heads: readonly string[]): Promise<Sides> {
  const range = ZERO.test(update.old) ? update.new : `${update.old}...${update.new}`
  // The branch itself does not hold what the update takes from it.
  const own = update.ref.startsWith("refs/heads/") ? [`--exclude=${update.ref.slice("refs/heads/".length)}`] : []
  const log = ["-c", "log.showRoot=true", "log", "--left-right", "--format=%m%H %P%x00", "-z", "--name-only", "--no-renames", "--ignore-submodules=none"]
  // Only what is to be left out may be missing: another's broken branch is in nobody's way.
  const walk = ["--no-show-signature", "--diff-merges=remerge", range, "--ignore-missing", "--not", ...own, "--branches", "--remotes", ...heads, "--"]
  const sides: Sides = { added: new Set(), dropped: new Set(), addsCommits: false }
  const tokens = (await hookGit(cwd, [...log, ...walk])).split("\0")
  // After the last NUL comes nothing.
  tokens.pop()
  let side = sides.added
  let isFirst = false
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] as string
    // No path is empty: an empty token follows the head of a commit and nothing else.
    if (tokens[at + 1] === "") {
      side = token.startsWith("<") ? sides.dropped : sides.added
      sides.addsCommits ||= side === sides.added
      isFirst = true
      at += 1
      const [oid = "", ...parents] = token.slice(1).trim().split(" ")
      if (parents.length > 2) for (const path of await octopus(cwd, oid, parents)) side.add(path)
      continue
    }
    side.add(isFirst ? token.replace(/^\n/, "") : token)
    isFirst = false
  }
  return sides
}

/**
 * A merge of more than two is not made anew by git. Its own is what differs from every parent, and what it has as the first parent has it and not as another that
 * has changed it, or the other way round: a change that it throws away.
 */
async function octopus(cwd: string, oid: string, [first = "", ...others]: readonly string[]): Promise<string[]> {
  const own = await differing(cwd, "-c", "--no-commit-id", oid)
  const besideFirst = new Set(await differing(cwd, first, oid))
  for (const other of others) {
    const base = (await hookGit(cwd, ["merge-base", first, other], [0, 1])).trim()
    if (base === "") continue
    const besideOther = new Set(await differing(cwd, other, oid))
    own.push(...(await differing(cwd, base, other)).filter((path) => besideOther.has(path) && !besideFirst.has(path)))
    own.push(...(await differing(cwd, base, first)).filter((path) => besideFirst.has(path) && !besideOther.has(path)))
  }
  return own
}

async function differing(cwd: string, ...args: readonly string[]): Promise<string[]> {
  const paths = await hookGit(cwd, ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", ...args])
  return paths.split("\0").filter(Boolean)
}

/** Unlike `git` in git.ts with the environment that git gave the hook: with another it would look into another repository, or miss what is being pushed. */
async function hookGit(cwd: string, args: readonly string[], statuses: readonly number[] = [0]): Promise<string> {
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" }
  // Whatever the repository's settings say of encodings and orders: what comes back is read as UTF-8, and an order that is nowhere would end git.
  const settings = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "i18n.logOutputEncoding=UTF-8", "diff.orderFile=/dev/null"]
  const all = ["--no-replace-objects", ...settings.flatMap((setting) => ["-c", setting]), ...args]
  const { status, stdout, stderr } = await runGit(all, { cwd, env, ms: GIT_LIMITS.guardMs })
  if (statuses.includes(status)) return stdout
  throw new RepositoryError("git_failed", `git ${commandOf(args)}: ${lastLine(stderr) || `exit status ${status}`}`, "Run it by hand and look.")
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
