import { readFileSync, realpathSync, statSync } from "node:fs"
import { basename, dirname, join, relative, resolve, sep } from "node:path"

/** A file that is about to be written: its path from the top of the worktree that it lies in, with `/`, as leases name it. */
export type RepositoryPath = { given: string; path: string }

/**
 * Of the files that a call names, those that lie in the caller's repository, in whichever of its worktrees. A name is taken both as it stands and with its symbolic
 * links followed: a link can stand in the repository and lead out of it, or the other way round. What lies in a submodule lies in the repository around it too.
 * `ours` says whether a worktree's top belongs to that repository.
 */
export function repositoryPaths(given: readonly string[], cwd: string, ours: (top: string) => boolean): RepositoryPath[] {
  const found = new Map<string, RepositoryPath>()
  const known = new Map<string, boolean>()
  const isOurs = (top: string): boolean => {
    const mine = known.get(top) ?? ours(top)
    known.set(top, mine)
    return mine
  }
  for (const name of given) {
    if (name.includes("\0")) continue
    const named = resolve(cwd, name)
    for (const place of [join(followed(dirname(named)), basename(named)), followed(named)]) {
      const top = topFor(dirname(place), isOurs)
      if (top === null) continue
      const path = relative(top, place).split(sep).join("/")
      // What git and Skein keep for themselves is nobody's file.
      if (path !== "" && !path.startsWith("..") && !/^\.(git|skein)(\/|$)/.test(path)) found.set(path, { given: name, path })
    }
  }
  return [...found.values()]
}

/** The path with its links followed as far as it exists, and spelled as the disk has it; what does not exist yet keeps its name. */
function followed(path: string): string {
  try {
    return realpathSync.native(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(followed(parent), basename(path))
  }
}

/** The top of the nearest worktree of ours, out of submodules and no other repositories. */
function topFor(folder: string, isOurs: (top: string) => boolean): string | null {
  for (let top = topOf(folder); top !== null; top = isSubmodule(top) ? topOf(dirname(top)) : null) if (isOurs(top)) return top
  return null
}

/** Git keeps what belongs to a submodule in the repository around it: gitrepository-layout(5), `modules`. */
function isSubmodule(top: string): boolean {
  try {
    return /^gitdir: .*[/\\]modules[/\\]/.test(readFileSync(join(top, ".git"), "utf8"))
  } catch {
    return false
  }
}

function topOf(folder: string): string | null {
  for (let at = folder; ; at = dirname(at)) {
    if (statSync(join(at, ".git"), { throwIfNoEntry: false }) !== undefined) return at
    if (dirname(at) === at) return null
  }
}
