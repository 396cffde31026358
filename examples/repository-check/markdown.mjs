/** Markdown from data that nobody vouches for: file names, commit messages, the output of tools. */
import { redact } from "./secret.mjs"

// Control, format (bidirectional overrides, zero width) and unassigned characters, lone surrogates, line separators, and what
// ends a code span, a table cell or begins a tag. The backslash too, so that an escape can only be read one way.
const UNSAFE = /[\p{C}\u2028\u2029`|<\\]/gu
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" }

function visible(character) {
  const point = character.codePointAt(0)
  return SHORT[character] ?? (point < 0x100 ? `\\x${point.toString(16).padStart(2, "0")}` : `\\u{${point.toString(16)}}`)
}

/** `text` as one code span that is safe anywhere, in a table too; longer than `limit` characters, its middle is left out. */
export function code(text, limit = 160) {
  // First, because half of a secret would no longer look like one.
  const whole = Array.from(redact(String(text)))
  const kept = whole.length <= limit ? whole : [...whole.slice(0, Math.ceil(limit * 0.7)), "…", ...whole.slice(whole.length - Math.floor(limit * 0.3))]
  const safe = kept.join("").replace(UNSAFE, visible)
  return safe.trim() === "" ? "`(empty)`" : `\`${safe}\``
}

/** A table of cells that are Markdown already. */
export function table(heads, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n")
}

/** A list of at most `limit` items that are Markdown already, and how many more there were. */
export function list(items, limit = 20) {
  const shown = items.slice(0, limit).map((item) => `- ${item}`)
  return [...shown, ...(items.length > limit ? [`- … and ${items.length - limit} more`] : [])].join("\n")
}

/** The first lines of a tool's output that say something, as a list. */
export function outputLines(output, limit = 20) {
  const lines = redact(output)
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "")
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean)
  return list(
    lines.map((line) => code(line)),
    limit,
  )
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`
}

export function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
  let unit = 0
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`
}

/** `text` cut at the end of a line so that it has at most `limit` bytes of UTF-8; every line here stands by itself. */
export function cut(text, limit, note = "… (cut)") {
  if (Buffer.byteLength(text) <= limit) return text
  const room = limit - Buffer.byteLength(note) - 2
  let kept = ""
  for (const line of text.split("\n")) {
    if (Buffer.byteLength(kept) + Buffer.byteLength(line) + 1 > room) break
    kept += `${line}\n`
  }
  return `${kept}\n${note}`
}
