import { shellWord } from "./shell-word.ts"

type Holder = { agent: string; mode: string; glob: string; task: string | null; endsAtMs: number | null; reason: string }

/** What `files.check` answers, as far as the guard needs it. */
export type Checked = {
  paths: readonly { path: string; allowed: boolean; heldBy: Holder | null }[]
  /** The tasks that the caller's agent works on. */
  claimed: readonly string[]
}

export type Verdict = {
  /** Whether the update of the refs goes ahead. */
  passes: boolean
  /** What is said about it, line by line; nothing where there is nothing to say. Foreign text in it is not made printable. */
  lines: string[]
}

/** Who changes the files: an agent by name, or a person, about whom `people` decides. */
export type Changer = { agent: string } | { people: "warn" | "refuse" }

/** How a moment, in ms since 1970, is told to whoever reads the lines. */
type Moment = (ms: number) => string

/** More would push the reason and the remedy out of sight. */
const SHOWN_MAX = 8

/**
 * What becomes of an update that changes these files. An agent is stopped at files that another holds, and without a claimed task where `requireClaim` asks for
 * one; a person only where the guard is installed to do so. Each line says who holds what, by which glob, until when; the last what to do.
 */
export function judge({
  checked,
  changer,
  requireClaim,
  nowMs,
  moment,
}: {
  checked: Checked
  changer: Changer
  requireClaim: boolean
  nowMs: number
  moment: Moment
}): Verdict {
  const held = checked.paths.flatMap(({ path, allowed, heldBy }) => (allowed || heldBy === null ? [] : [{ path, heldBy }]))
  if (held.length > 0) return heldByOthers(held, "agent" in changer || changer.people === "refuse", (holder) => describe(holder, nowMs, moment))
  if ("agent" in changer && requireClaim && checked.claimed.length === 0 && checked.paths.length > 0) return withoutTask(changer.agent, checked.paths)
  return { passes: true, lines: [] }
}

/** What becomes of an update that nobody could look at, where that is not for want of a hub: it may change anything that others hold. */
export function unseen(changer: Changer, { why, note, remedy }: { why: string; note: string; remedy: string }): Verdict {
  const passes = "people" in changer && changer.people === "warn"
  return {
    passes,
    lines: [
      `skein: ${passes ? "warning" : "refused"}: ${why}`,
      passes
        ? `note: ${note}`
        : `remedy: ${remedy} Where it must go unchecked, the operator lets it: skein guard remove. No ref has moved, and your files are as git left them.`,
    ],
  }
}

function heldByOthers(held: readonly { path: string; heldBy: Holder }[], stops: boolean, told: (holder: Holder) => string): Verdict {
  const opening = stops ? "skein: refused" : "skein: warning"
  const lines = held.slice(0, SHOWN_MAX).map(({ path, heldBy }) => `${opening}: ${path} is held by ${told(heldBy)}`)
  if (held.length > SHOWN_MAX) lines.push(`${opening}: and ${held.length - SHOWN_MAX} more files that others hold`)
  const who = [...new Set(held.map(({ heldBy }) => heldBy.agent))].sort().join(", ")
  if (!stops) return { passes: true, lines: [...lines, `note: people are not stopped (skein guard install --people refuse would); tell ${who}.`] }
  const them = held.length === 1 ? "it" : "them"
  const words = held.slice(0, SHOWN_MAX).map(({ path }) => shellWord(pathspec(path)))
  return {
    passes: false,
    lines: [
      ...lines,
      `remedy: leave ${them} out (git reset -q -- ${words.join(" ")}${held.length > SHOWN_MAX ? " …" : ""}), or wait until ${who} has released ${them}: skein files list. No ref has moved, and your files are as git left them.`,
    ],
  }
}

/** What a terminal does not show as it is, or git told in bytes that are no UTF-8: nobody can type it. */
const UNTYPABLE = /\ufffd+|[\p{C}\p{Zl}\p{Zp}]/gu

/**
 * As git takes the name of that file and no other, in whichever folder it is called: gitglossary(7), pathspec. After `:/` punctuation would be more magic, which
 * git refuses, or obeys (`!`). For what cannot be typed a wildcard stands: `?` for each byte, `*` where they are not known.
 */
function pathspec(path: string): string {
  if (path.search(UNTYPABLE) < 0) return /^[A-Za-z0-9.][^*?[\\]*$/.test(path) ? `:/${path}` : `:(top,literal)${path}`
  const typed = path.replace(/[*?[\\]/g, "\\$&").replace(UNTYPABLE, (odd) => (odd.startsWith("\ufffd") ? "*" : "?".repeat(Buffer.byteLength(odd))))
  return `:(top,glob)${typed}`
}

function withoutTask(agent: string, paths: Checked["paths"]): Verdict {
  const files = `${paths[0]?.path ?? ""}${paths.length > 1 ? ` and ${paths.length - 1} more` : ""}`
  return {
    passes: false,
    lines: [
      `skein: refused: ${agent} holds no task, and may change files only for one: ${files}`,
      "remedy: claim the task that this is for (skein task next, or skein task claim ID), and do it again. The rule is requireClaim in .skein/config.yaml.",
    ],
  }
}

function describe({ agent, mode, glob, task, endsAtMs, reason }: Holder, nowMs: number, moment: Moment): string {
  const facts = [mode, glob, ...(task === null ? [] : [`task ${task}`]), ...(reason === "" ? [] : [JSON.stringify(reason)])]
  const until = endsAtMs === null ? "while it holds it" : `until ${moment(endsAtMs)}, in ${inWords(endsAtMs - nowMs)}`
  return `${agent} (${facts.join(", ")}) ${until}`
}

function inWords(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1_000))
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`
}
