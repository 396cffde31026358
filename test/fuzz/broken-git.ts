import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { GIT_LIMITS } from "../../src/repo/git.ts"
import type { Choices } from "./choices.ts"
import { mutateBytes, oddText } from "./mutation.ts"

/** What one run of git does instead of its work: a line of shell. `isTold`: nobody can take it for an answer. `isLate`: it is ended for it. */
type Fault = { does: string; isTold: boolean; isLate?: boolean }

/** Counts its calls; at the one that is named in `at` it does what `how` says, else what git does. */
const FAKE = `#!/bin/sh
d=\${0%/*}
read -r n < "$d/count"; read -r at < "$d/at"
echo $((n + 1)) > "$d/count"
[ "$n" = "$at" ] && . "$d/how"
exec "$REAL_GIT" "$@"
`
const COMPLAINTS = [
  "fatal: not a git repository (or any of the parent directories): .git",
  "schwerwiegend: Kein Git-Repository",
  "fatal: detected dubious ownership in repository at '/x'",
  "error: could not lock config file .git/config: File exists",
  "usage: git worktree list [-v | --porcelain [-z]]",
  "\u001b[31mfatal\u001b[0m: bad \u202e",
  "",
]
/** Short ones, so that a git that hangs holds up no campaign, and one that never ends fills no memory. */
const LIMITS = { lookMs: 150, workMs: 150, guardMs: 150, graceMs: 30, outputBytes: 8 * 1024 * 1024 }

/** A git in the place of git that goes wrong once. */
export class BrokenGit {
  readonly #bin: string
  readonly #sound: string

  constructor(folder: string, sound: string) {
    this.#bin = join(folder, "bin")
    this.#sound = sound
    mkdirSync(this.#bin)
    writeFileSync(join(this.#bin, "git"), FAKE, { mode: 0o700 })
  }

  /** While `act` runs, call `at` of git goes wrong as `fault` says. */
  async during<Out>(at: number, { does, isLate = false }: Fault, act: () => Promise<Out>): Promise<Out> {
    const { PATH: path = "", ...env } = process.env
    const limits = { ...GIT_LIMITS }
    const write = (name: string, text: string): void => writeFileSync(join(this.#bin, name), text)
    write("count", "0\n")
    write("at", `${at}\n`)
    write("how", does.includes(" ") ? `${does}\n` : "")
    // Whoever is the system's own may run nothing that nobody may.
    if (does === "unusable") chmodSync(join(this.#bin, "git"), 0o600)
    Object.assign(process.env, { ...env, PATH: does === "missing" ? join(this.#bin, "none") : `${this.#bin}:${path}`, REAL_GIT: realGit(path) })
    if (isLate) Object.assign(GIT_LIMITS, LIMITS)
    try {
      return await act()
    } finally {
      Object.assign(GIT_LIMITS, limits)
      process.env["PATH"] = path
      chmodSync(join(this.#bin, "git"), 0o700)
    }
  }

  fault(choices: Choices): Fault {
    const bytes = Buffer.from(choices.chance(50) ? oddText(choices) : this.#sound)
    writeFileSync(join(this.#bin, "out"), choices.chance(60) ? mutateBytes(bytes, choices, 3) : bytes)
    writeFileSync(join(this.#bin, "err"), choices.pick(COMPLAINTS))
    const cut = choices.pick([0, 1, 10, 41, 100])
    const [no, failed] = [choices.pick([0, 1, 2, 128, 129]), choices.pick([2, 128, 129, 255])]
    const real = `"$REAL_GIT" "$@"`
    if (choices.chance(8)) return { does: choices.pick(late(real)), isTold: true, isLate: true }
    return choices.pick<Fault>([
      { does: `cat "$d/err" >&2; exit ${no}`, isTold: no > 1 },
      { does: `cat "$d/out"; cat "$d/err" >&2; exit ${choices.pick([0, 0, 0, 1])}`, isTold: false },
      { does: `cat "$d/out"; cat "$d/err" >&2; exit ${failed}`, isTold: true },
      { does: `${real} | head -c ${cut}; exit 0`, isTold: false },
      { does: `${real} | tail -c +${cut}; exit 0`, isTold: false },
      { does: `${real} | tr '\\0\\n' '\\n\\0'; exit 0`, isTold: false },
      { does: `${real}; exit 1`, isTold: false },
      { does: `${real}; exit ${failed}`, isTold: true },
      { does: `${real}; cat "$d/out"; exit 0`, isTold: false },
      { does: `${real} | head -c ${cut}; kill -${choices.pick(["KILL", "TERM", "SEGV"])} $$`, isTold: true },
      // One that asks something where nobody sits.
      { does: `read -r answer; cat >/dev/null; [ "$answer" = "" ] || exit 0`, isTold: false },
      { does: "missing", isTold: true },
      { does: "unusable", isTold: true },
    ])
  }
}

/** Hangs, with or without an answer before it, and whatever it is told; never stops talking. Where nobody ends one it ends within half a minute. */
function late(real: string): string[] {
  const goesOn = "i=0; while [ $((i += 1)) -lt 600 ]; do sleep 0.05; done"
  return [
    "exec sleep 20",
    `${real}; exec sleep 20`,
    `trap '' TERM INT HUP; ${goesOn}`,
    `${real} | head -c 10; trap '' TERM PIPE; ${goesOn}`,
    "sleep 2 & sleep 20",
    "exec yes",
    "exec yes >&2",
    "exec cat /dev/zero",
    `trap '' TERM PIPE; yes 2>/dev/null; ${goesOn}`,
    `cat "$d/out"; exec sleep 20 2>&1`,
  ]
}

function realGit(path: string): string {
  return execFileSync("sh", ["-c", "command -v git"], { env: { PATH: path }, encoding: "utf8" }).trim()
}
