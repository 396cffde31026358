import { realpathSync, statSync } from "node:fs"
import { basename, dirname, join, relative, resolve, sep } from "node:path"

/** A file that is about to be written: its path from the top of the worktree that it lies in, with `/`, as leases name it. */
export type RepositoryPath = { given: string; path: string }

/**
 * Of the files that a call names, those that lie in the caller's repository, in whichever of its worktrees. A name is taken both as it stands and with its symbolic
 * links followed: a link can stand in the repository and lead out of it, or the other way round. `ours` says whether a worktree's top belongs to that repository.
 */
export function repositoryPaths(given: readonly string[], cwd: string, ours: (top: string) => boolean): RepositoryPath[] {
  const found = new Map<string, RepositoryPath>()
  const known = new Map<string, boolean>()
  for (const name of given) {
    if (name.includes("\0")) continue
    const named = resolve(cwd, name)
    for (const place of [join(followed(dirname(named)), basename(named)), followed(named)]) {
      const top = topOf(dirname(place))
      if (top === null) continue
      const mine = known.get(top) ?? ours(top)
      known.set(top, mine)
      const path = relative(top, place).split(sep).join("/")
      // What git and Skein keep for themselves is nobody's file.
      if (mine && path !== "" && !path.startsWith("..") && !/^\.(git|skein)(\/|$)/.test(path)) found.set(path, { given: name, path })
    }
  }
  return [...found.values()]
}

/** The path with its links followed as far as it exists; what does not exist yet keeps its name. */
function followed(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(followed(parent), basename(path))
  }
}

function topOf(folder: string): string | null {
  for (let at = folder; ; at = dirname(at)) {
    if (statSync(join(at, ".git"), { throwIfNoEntry: false }) !== undefined) return at
    if (dirname(at) === at) return null
  }
}
