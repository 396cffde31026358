import { statSync } from "node:fs"
import { join } from "node:path"
import { replacePrivately } from "../ledger/private-file.ts"
import { readOwner } from "../ledger/writer-lock.ts"
import { ledgerFile } from "./ledger-source.ts"
import { type HubFile, type Instance, readHubFile } from "./instance.ts"

const EACH_MS = 1_000

/** Keeps a running hub and the files of its instance together. */
export type InstanceWatch = {
  /** Looks now. MUST come before anything is written beside the ledger. */
  look(): void
  stop(): void
}

/**
 * Sees to it that a hub is found as long as its ledger is there, and ends with it. Who removes `.skein` (`git clean -dfx` does) without stopping the hub means
 * to begin anew: a hub that went on would write entries that nobody can read, hold memory for nobody, and put its checkpoint into the new instance, whose own
 * hub would then refuse to start. `hub.json` alone is written again. `gone` is called at most once.
 */
export function watchInstance(instance: Instance, file: HubFile, gone: () => void): InstanceWatch {
  const ledger = ledgerFile(instance, "main")
  const opened = numberOf(ledger)
  let isOver = false
  const look = (): void => {
    if (isOver) return
    const owner = readOwner(ledger)
    let isGone = false
    try {
      // A ledger of the same name may be another hub's, in an instance that was made since, or a copy that was put in the place of the one that is open here.
      isGone = numberOf(ledger) !== opened || (owner !== null && owner.pid !== process.pid)
      if (!isGone && readHubFile(instance) === null) replacePrivately(join(instance.directory, "hub.json"), `${JSON.stringify(file)}\n`)
    } catch {
      // A full disk, or a folder that is closed for a moment, is no reason to end: the next look may see and write more.
    }
    if (!isGone) return
    stop()
    gone()
  }
  const timer = setInterval(look, EACH_MS).unref()
  const stop = (): void => {
    isOver = true
    clearInterval(timer)
  }
  return { look, stop }
}

/** The file's number on its disk, which no other has while somebody holds it open; null where there is none. */
function numberOf(path: string): bigint | null {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? null
}
