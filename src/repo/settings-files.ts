import { randomBytes } from "node:crypto"
import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path"
import { RepositoryError } from "./git.ts"

/** A file as it was found. */
export type Place = {
  /** Relative to the worktree's top, as settings name it. */
  file: string
  /** Where it lies: absolute, without links. */
  path: string
  /** Null: there is none. */
  text: string | null
  /** Permission bits; null where there is none. */
  mode: number | null
}

/** What a file is to become; `after` null: it is removed. */
export type FileChange = Place & { after: string | null }

const MAX_BYTES = 4 * 1024 * 1024

/**
 * Reads a file of the worktree at `top` that is about to be changed, or finds that there is none. Links are followed inside the worktree only. Throws
 * `RepositoryError`: `settings_outside`, `settings_unwritable`, `settings_unreadable`; each says which file and what to do.
 */
export function readPlace(top: string, file: string): Place {
  const outside = (what: string): RepositoryError =>
    new RepositoryError("settings_outside", `${file}: ${what}`, "Replace the link by a file or folder of the repository. Nothing was changed.")
  const parts = file.split("/")
  if (isAbsolute(file) || file === "" || parts.some((part) => part === "" || part === "." || part === ".."))
    throw outside("this path does not lie in the repository")
  let path = top
  for (const [index, part] of parts.entries()) {
    path = join(path, part)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found === undefined) return missing(file, path, parts.slice(index + 1))
    if (found.isSymbolicLink()) {
      try {
        path = realpathSync(path)
      } catch {
        throw outside("this is a symbolic link that leads nowhere")
      }
      if (!isInside(top, path)) throw outside(`this leads out of the repository, to ${path}`)
    }
    if (index < parts.length - 1 && !statSync(path).isDirectory()) throw unwritable(file, `${relative(top, path)} is no folder`)
  }
  return found(file, path)
}

function isInside(top: string, path: string): boolean {
  const way = relative(top, path)
  return way !== "" && !way.startsWith(`..${sep}`) && way !== ".." && !isAbsolute(way) && way.split(sep)[0] !== ".git"
}

function missing(file: string, path: string, rest: readonly string[]): Place {
  mayWriteIn(file, dirname(path))
  return { file, path: join(path, ...rest), text: null, mode: null }
}

function found(file: string, path: string): Place {
  const { mode, size } = statSync(path)
  if (!statSync(path).isFile()) throw unwritable(file, "this is no regular file")
  // Asked of the file itself, since it will be replaced: its folder's rights alone would let that pass, and so would root's.
  if ((mode & 0o222) === 0) throw unwritable(file, "this is read-only")
  mayWriteIn(file, dirname(path))
  if (size > MAX_BYTES)
    throw new RepositoryError("settings_unreadable", `${file}: this is over ${MAX_BYTES} bytes long`, "Look whether it is what you take it for.")
  try {
    accessSync(path, constants.W_OK)
    return { file, path, text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(path)), mode: mode & 0o7777 }
  } catch (error) {
    if (error instanceof TypeError)
      throw new RepositoryError("settings_unreadable", `${file}: this is no UTF-8 text`, "Save it as UTF-8, then run skein init again.")
    throw unwritable(file, "this cannot be read and written", error)
  }
}

function mayWriteIn(file: string, folder: string): void {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw unwritable(file, `nothing can be written in ${folder}`, error)
  }
}

function unwritable(file: string, what: string, cause?: unknown): RepositoryError {
  return new RepositoryError(
    "settings_unwritable",
    `${file}: ${what}`,
    "Give yourself the right to write it (chmod u+w), or leave that agent out: --agents. Nothing was changed.",
    {
      cause,
    },
  )
}

/**
 * Carries out all changes or none: looks first whether every file still is as it was found, writes all drafts, then puts each in its place by a rename that
 * keeps the mode. Where one fails, those before it are put back, and the error is thrown. Gives the folders that it made, outermost first.
 * `rename`: what puts a draft in its place.
 */
export function writeChanges(changes: readonly FileChange[], rename: (from: string, to: string) => void = renameSync): string[] {
  for (const { file, path, text } of changes) {
    if (textAt(path) !== text)
      throw new RepositoryError(
        "settings_changed",
        `${file} was changed by somebody else meanwhile`,
        "Run it again, and look at what it shows. Nothing was changed.",
      )
  }
  const made: string[] = []
  const drafts = new Map<FileChange, string>()
  const done: FileChange[] = []
  try {
    for (const change of changes) {
      if (change.after === null) continue
      made.push(...makeFolders(dirname(change.path)))
      drafts.set(change, writeDraft(change.path, change.after, change.mode))
    }
    for (const change of changes) {
      const draft = drafts.get(change)
      if (draft === undefined) rmSync(change.path)
      else rename(draft, change.path)
      done.push(change)
    }
    return made
  } catch (error) {
    for (const { path, text, mode } of done.reverse()) {
      if (text === null) rmSync(path, { force: true })
      else renameSync(writeDraft(path, text, mode), path)
    }
    for (const draft of drafts.values()) rmSync(draft, { force: true })
    removeEmptyFolders(made)
    throw error
  }
}

/** Removes those of the folders that are empty, the innermost first. Gives those that stay, innermost first. */
export function removeEmptyFolders(folders: readonly string[]): string[] {
  return [...folders].reverse().filter((folder) => {
    try {
      rmdirSync(folder)
      return false
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== "ENOENT"
    }
  })
}

function textAt(path: string): string | null {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null
    throw error
  }
}

function makeFolders(folder: string): string[] {
  const absent: string[] = []
  for (let at = folder; lstatSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) absent.unshift(at)
  for (const path of absent) mkdirSync(path)
  return absent
}

function writeDraft(path: string, text: string, mode: number | null): string {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`)
  try {
    writeFileSync(draft, text, { flag: "wx", flush: true, ...(mode === null ? {} : { mode: mode & 0o777 }) })
    if (mode !== null) chmodSync(draft, mode)
    return draft
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
