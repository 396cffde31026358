import { createReadStream } from "node:fs"
import { mkdir, open, readdir, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import type { SnapshotStore } from "./snapshots.ts"

/** Snapshots as files `NAME-SEQ.ndjson` of mode 0600 in a directory; each is written aside, synced and renamed. */
export function snapshotFiles(directory: string): SnapshotStore {
  const path = (workspace: string, seq: number): string => join(directory, `${workspace}-${seq}.ndjson`)
  const writing = new Set<string>()
  return {
    async keep(workspace, seq, lines) {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const part = `${workspace}-${seq}.ndjson.${process.pid}.part`
      const aside = join(directory, part)
      writing.add(part)
      await tidy(directory, writing)
      const file = await open(aside, "w", 0o600)
      try {
        for await (const line of lines) await file.write(line)
        await file.sync()
        await file.close()
        await rename(aside, path(workspace, seq))
      } catch (error) {
        await file.close().catch(() => undefined)
        await rm(aside, { force: true })
        throw error
      } finally {
        writing.delete(part)
      }
    },
    async open(workspace, seq) {
      const file = await open(path(workspace, seq), "r").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return null
        throw error
      })
      return file === null ? null : createReadStream("", { fd: file, encoding: "utf8", highWaterMark: 1 << 18 })
    },
    async drop(workspace, seq) {
      await rm(path(workspace, seq), { force: true })
    },
    async list(workspace) {
      const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
      // A pipe would hold up whoever reads it, and a link may lead to one. A seq that is written otherwise than we do names no file of ours.
      return entries
        .filter((entry) => entry.isFile() && entry.name.startsWith(`${workspace}-`) && /^[1-9]\d{0,14}\.ndjson$/.test(entry.name.slice(workspace.length + 1)))
        .map(({ name }) => Number.parseInt(name.slice(workspace.length + 1), 10))
        .sort((a, b) => a - b)
    },
  }
}

/** What a process that was killed was writing is nobody's: one hub at a time keeps snapshots here. */
async function tidy(directory: string, writing: ReadonlySet<string>): Promise<void> {
  const left = (await readdir(directory)).filter((name) => name.endsWith(".part") && !writing.has(name))
  await Promise.all(left.map((name) => rm(join(directory, name), { force: true })))
}
