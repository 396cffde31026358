import { realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"

/** Does something with a file; where that fails and the system does not say with which (a read, a write), the error does. */
export function naming<Result>(path: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw named(path, error)
  }
}

export function named(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("syscall" in error) || (error as NodeJS.ErrnoException).path !== undefined) return error
  return Object.assign(error, { path, message: `${error.message} '${path}'` })
}

/** Writes a file that somebody named, whole or not at all: what was there stays until then. A device or a pipe is written to as it is. */
export function writeWhole(path: string, text: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found !== undefined && !found.isFile()) {
    naming(path, () => writeFileSync(path, text))
    return
  }
  const place = found === undefined ? path : realpathSync(path)
  const draft = `${place}.${process.pid}`
  try {
    writeFileSync(draft, text, { mode: found?.mode ?? 0o666 })
    renameSync(draft, place)
  } catch (error) {
    rmSync(draft, { force: true })
    throw named(path, error)
  }
}
