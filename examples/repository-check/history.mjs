/** What was committed, by whom, how often, and what is big in it. */
import { git } from "./checkout.mjs"
import { deliver } from "./delivery.mjs"
import { code, list, plural, size, table } from "./markdown.mjs"

const LARGE_BYTES = 5 << 20
const RECENT_COMMITS = 500

// Author names may hold anything but NUL and newline, hence %x00 between the fields and -z between the commits.
const commits = git(["log", "-z", "--no-color", "--format=%H%x00%at%x00%aN%x00%s", "HEAD"]).toString().split("\0")
const rows = []
for (let at = 0; at + 3 < commits.length; at += 4) {
  rows.push({ commit: commits[at], atS: Number(commits[at + 1]), author: commits[at + 2], subject: commits[at + 3] })
}

const authors = new Map()
for (const { author } of rows) authors.set(author, (authors.get(author) ?? 0) + 1)

const changes = new Map()
for (const path of git(["log", "-z", "--no-color", "--no-renames", "--name-only", "--format=", "-n", String(RECENT_COMMITS), "HEAD"])
  .toString()
  .split("\0")) {
  const name = path.replace(/^\n/, "")
  if (name !== "") changes.set(name, (changes.get(name) ?? 0) + 1)
}

/** Every blob that HEAD's history reaches, biggest first; git cuts a name at its first newline here. */
function blobsOfHistory() {
  const objects = git(["rev-list", "--objects", "HEAD"])
  const format = "--batch-check=%(objecttype) %(objectsize) %(rest)"
  const rest = objects.toString().split("\n").filter(Boolean)
  const output = git(["cat-file", format], { input: rest.join("\n") + "\n" })
    .toString()
    .split("\n")
  const blobs = output
    .map((line) => /^blob (\d+) (.*)$/s.exec(line))
    .filter(Boolean)
    .map(([, bytes, path]) => ({ bytes: Number(bytes), path }))
  return blobs.sort((a, b) => b.bytes - a.bytes)
}

const blobs = blobsOfHistory()
const large = blobs.filter((blob) => blob.bytes > LARGE_BYTES)
const packed = Object.fromEntries(
  git(["count-objects", "-v"])
    .toString()
    .trim()
    .split("\n")
    .map((line) => line.split(": ")),
)
const storeBytes = (Number(packed["size"]) + Number(packed["size-pack"])) * 1024
const shallow = git(["rev-parse", "--is-shallow-repository"]).toString().trim() === "true"
const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10)
const times = rows.map((row) => row.atS).sort((a, b) => a - b)
const top = (counts, limit) => [...counts].sort((a, b) => b[1] - a[1]).slice(0, limit)

deliver({
  check: "history",
  verdict: large.length > 0 ? "findings" : "ok",
  findings: large.length,
  summary: [
    `${plural(rows.length, "commit")} by ${plural(authors.size, "author")} from ${day(times[0])} to ${day(times.at(-1))}`,
    `${size(blobs.reduce((sum, blob) => sum + blob.bytes, 0))} of contents in ${size(storeBytes)} of store`,
    ...(shallow ? ["a shallow clone: older history is not here"] : []),
  ].join("; "),
  body: [
    list(large.map((blob) => `${code(blob.path)} put ${size(blob.bytes)} into the history for good`)),
    table(
      ["author", "commits"],
      top(authors, 10).map(([author, count]) => [code(author), count]),
    ),
    `Changed most often in the last ${plural(Math.min(rows.length, RECENT_COMMITS), "commit")}:`,
    list(top(changes, 10).map(([path, count]) => `${code(path)} ${count}`)),
    "Biggest in the history:",
    list(blobs.slice(0, 8).map((blob) => `${code(blob.path)} ${size(blob.bytes)}`)),
    "Last commits:",
    list(rows.slice(0, 8).map((row) => `${row.commit.slice(0, 10)} ${code(row.subject, 100)}`)),
  ]
    .filter(Boolean)
    .join("\n\n"),
})
