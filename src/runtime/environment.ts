import { constants } from "node:fs"
import { access, stat } from "node:fs/promises"
import { delimiter, join, resolve } from "node:path"

/** What a child may always see of its parent's environment. Everything else has to be declared. */
const INHERITED = ["PATH", "HOME", "LANG", "TERM", "TMPDIR"] as const

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string>>

/** An executable or a directory that a child needs and that cannot be used. */
export type Unusable = { code: "not_found" | "not_executable" | "not_a_directory" | "not_accessible"; path: string }

/**
 * The environment of a child: `PATH`, `HOME`, `LANG`, `TERM`, `TMPDIR` as the parent has them, and on top what is declared.
 * A secret in the parent's environment therefore never reaches an agent that was not given it.
 * Throws `RangeError` on a name that no shell would carry or a value with a NUL byte: mend the declaration.
 */
export function childEnvironment(declared: Environment, parent: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const name of INHERITED) {
    const value = parent[name]
    if (value !== undefined) environment[name] = value
  }
  for (const [name, value] of Object.entries(declared)) {
    if (!VARIABLE.test(name)) throw new RangeError(`environment variable ${JSON.stringify(name)}: a name is letters, digits and _, not beginning with a digit`)
    if (value.includes("\0")) throw new RangeError(`environment variable ${name}: a value cannot hold a NUL byte`)
    environment[name] = value
  }
  return environment
}

/**
 * The absolute path of the program that `name` means for a child in `cwd` with that `PATH`, or why there is none. Asked before the
 * start, because the launcher's shell would say it only as exit status 126 or 127.
 */
export async function findExecutable(name: string, cwd: string, path: string): Promise<string | Unusable> {
  if (name.includes("/")) return usableProgram(resolve(cwd, name))
  let found: Unusable = { code: "not_found", path: name }
  for (const folder of path.split(delimiter)) {
    const candidate = await usableProgram(resolve(cwd, join(folder || ".", name)))
    if (typeof candidate === "string") return candidate
    // As execvp does: a file that may not be run is only the answer when no later folder has one that may.
    if (candidate.code === "not_executable") found = candidate
  }
  return found
}

/** Null when `path` is a directory that can be entered, else why not. */
export async function unusableDirectory(path: string): Promise<Unusable | null> {
  try {
    if (!(await stat(path)).isDirectory()) return { code: "not_a_directory", path }
    await access(path, constants.X_OK)
    return null
  } catch (error) {
    return { code: codeOf(error) === "ENOENT" ? "not_found" : "not_accessible", path }
  }
}

async function usableProgram(path: string): Promise<string | Unusable> {
  try {
    if (!(await stat(path)).isFile()) return { code: "not_executable", path }
    await access(path, constants.X_OK)
    return path
  } catch (error) {
    return { code: codeOf(error) === "EACCES" ? "not_executable" : "not_found", path }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : ""
}
