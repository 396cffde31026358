import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const TMPFS = 0x0102_1994
const REMOVE_AGAIN_MS = 20

/** A fresh directory on a disk, removed when the process ends. A file system in memory would make every fsync free. */
export function scratch(): string {
  const above = process.env["SKEIN_BENCH_DIR"] ?? (statfsSync(tmpdir()).type === TMPFS ? join(import.meta.dirname, "..", ".cache") : tmpdir())
  mkdirSync(above, { recursive: true })
  if (statfsSync(above).type === TMPFS) throw new Error(`${above} is in memory, where a sync costs nothing`)
  const directory = mkdtempSync(join(above, "skein-bench-"))
  remove = () => removed(directory, 100)
  process.on("exit", remove)
  return directory
}

/** What was started has just been sent its signal, and may write and remove for a moment yet: `rmSync` then breaks off, with an error or without one. */
function removed(directory: string, tries: number): void {
  let why = "others write there"
  try {
    rmSync(directory, { recursive: true, force: true })
  } catch (error) {
    why = (error as Error).message
  }
  if (!existsSync(directory)) return
  if (tries === 0) return void process.stderr.write(`bench: ${directory} could not be removed: ${why}\n`)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REMOVE_AGAIN_MS)
  removed(directory, tries - 1)
}

let remove = (): void => undefined
/** For who starts what ends by an `exit` listener of its own: the directory is removed after that. */
export function removeLast(): void {
  process.off("exit", remove).on("exit", remove)
}

/** A port of the loopback interface that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** Between two pieces of work that wait for nothing: a Ctrl-C is heard then. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
