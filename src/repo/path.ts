import { lstatSync, readlinkSync, realpathSync } from "node:fs"
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path"
import { SkeinError } from "../contract/errors.ts"

/**
 * A path as leases name it: relative to the top of the worktree, with `/`, symbolic links followed as far as it exists (it need not). What is edited
 * through a link is the file behind it. Throws `SkeinError` `outside_repository` where it leads out of the worktree, as written or by a link.
 */
export function repositoryPath(top: string, cwd: string, given: string): string {
  const root = realpathSync(top)
  const path = relative(root, followed(resolve(cwd, given)))
  if (path === "" || path === ".." || path.startsWith(`..${sep}`) || isAbsolute(path)) {
    throw new SkeinError(
      "outside_repository",
      `${JSON.stringify(given)} is not below ${root}`,
      "Name a file within the worktree: nothing else can be reserved.",
      {
        path: given,
      },
    )
  }
  return sep === "/" ? path : path.split(sep).join("/")
}

/** The path with all links in it followed, also one to what does not exist yet; of what does not exist, its folder's. */
function followed(path: string): string {
  const missing: string[] = []
  for (let at = path; ; at = dirname(at)) {
    try {
      return join(realpathSync(at), ...missing)
    } catch (error) {
      if (dirname(at) === at || !["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error
      if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true) return followed(resolve(realpathSync(dirname(at)), readlinkSync(at), ...missing))
      missing.unshift(basename(at))
    }
  }
}
