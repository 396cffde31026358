import { existsSync } from "node:fs"
import { z } from "zod"
import { SkeinError } from "../contract/errors.ts"
import { readPrivately, replacePrivately } from "../ledger/private-file.ts"

/** Sign-ins of the page that were ended, by their id, with when their cookies would have been over, in ms since 1970. */
type SignOuts = ReadonlyMap<string, number>

/** Where ended sign-ins are kept, so that a copy of a cookie stays void after the hub's next start. */
export type SignOutStore = {
  /** What is kept. Throws `SkeinError` on what cannot be read, with its place and the remedy. */
  load(): SignOuts
  /** Keeps these instead. Throws `Error` where they cannot be written. */
  keep(left: SignOuts): void
}

/** For a hub that has no disk: they are forgotten with it. */
export const FORGOTTEN: SignOutStore = { load: () => new Map(), keep: () => undefined }

const kept = z.record(z.string(), z.int().nonnegative())

/** In a file of mode 0600 that is replaced whole, and on the disk before the answer. */
export function signOutFile(path: string): SignOutStore {
  return {
    load: () => {
      if (!existsSync(path)) return new Map()
      try {
        return new Map(Object.entries(kept.parse(JSON.parse(readPrivately(path)))))
      } catch {
        throw new SkeinError(
          "invalid",
          `${path} holds no list of sign-outs`,
          "Put back the file, or remove it: then copies of cookies that were signed out within the last 12 hours count again. Replacing the operator's credential ends them all.",
        )
      }
    },
    keep: (left) => replacePrivately(path, `${JSON.stringify(Object.fromEntries(left))}\n`),
  }
}
