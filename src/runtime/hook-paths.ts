import { lstatSync, realpathSync, type Stats, statSync } from "node:fs"
import { basename, dirname, join, parse, relative, resolve, sep } from "node:path"
import { PATH_MAX, pathFault } from "../core/glob.ts"
import { textOf } from "../repo/text-file.ts"

/** A file that is about to be written, or a folder with all in it, which has a slash at its end: its path from the top of the worktree that it lies in, with `/`, as leases name it. */
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
    // Nothing can be written under such a name, and what else the call names is to be looked at all the same.
    if (name.includes("\0") || name.length > PATH_MAX) continue
    const named = resolve(cwd, name)
    const end = name.endsWith("/") && statOf(named, lstatSync)?.isDirectory() === true ? "/" : ""
    for (const place of [join(followed(dirname(named)), basename(named)), followed(named)]) {
      const top = topFor(dirname(place), isOurs)
      if (top === null) continue
      const path = relative(top, place).split(sep).join("/")
      // What git and Skein keep for themselves is nobody's file, and nobody can hold what no lease can name.
      if (pathFault(path) === null && !/^\.(git|skein)(\/|$)/.test(path)) found.set(path, { given: name, path: `${path}${end}` })
    }
  }
  return [...found.values()]
}

/** The path with its links followed as far as it exists, and spelled as the disk has it; what does not exist yet keeps its name. */
function followed(path: string): string {
  const { root } = parse(path)
  const parts = path.slice(root.length).split(sep)
  let there = 0
  // From the top: of a name that is thousands of folders deep only the first ones exist.
  while (there < parts.length && statOf(join(root, ...parts.slice(0, there + 1)), lstatSync) !== undefined) there += 1
  for (; there > 0; there -= 1) {
    try {
      return join(realpathSync.native(join(root, ...parts.slice(0, there))), ...parts.slice(there))
    } catch {
      // A link that leads nowhere keeps its own name.
    }
  }
  return path
}

/** Undefined also where the name is too long, or a folder above cannot be entered. */
function statOf(path: string, stat: typeof statSync = statSync): Stats | undefined {
  try {
    return stat(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** The top of the nearest worktree of ours, out of submodules and no other repositories. */
function topFor(folder: string, isOurs: (top: string) => boolean): string | null {
  for (let top = topOf(folder); top !== null; top = isSubmodule(top) ? topOf(dirname(top)) : null) if (isOurs(top)) return top
  return null
}

/** Git keeps what belongs to a submodule in the repository around it: gitrepository-layout(5), `modules`. */
function isSubmodule(top: string): boolean {
  return /^gitdir: .*[/\\]modules[/\\]/.test(textOf(join(top, ".git")) ?? "")
}

function topOf(folder: string): string | null {
  for (let at = folder; ; at = dirname(at)) {
    if (statOf(join(at, ".git")) !== undefined) return at
    if (dirname(at) === at) return null
  }
}
