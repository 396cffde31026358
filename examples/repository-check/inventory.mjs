/** What is in the tree: files, kinds, sizes, and names that break somebody's checkout. */
import { extname } from "node:path"
import { isSymlink, trackedFiles } from "./checkout.mjs"
import { deliver } from "./delivery.mjs"
import { code, list, plural, size, table } from "./markdown.mjs"

const LARGE_BYTES = 5 << 20
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

const files = trackedFiles()
const blobs = files.filter((file) => file.kind === "blob" && !isSymlink(file))
const bytes = blobs.reduce((sum, file) => sum + file.bytes, 0)

const kinds = new Map()
for (const file of blobs) {
  const kind = extname(file.path).toLowerCase() || "(none)"
  const row = kinds.get(kind) ?? { count: 0, bytes: 0 }
  kinds.set(kind, { count: row.count + 1, bytes: row.bytes + file.bytes })
}

const folded = new Map()
for (const { path } of files) folded.set(path.toLowerCase(), [...(folded.get(path.toLowerCase()) ?? []), path])

const findings = [
  ...blobs.filter((file) => file.bytes > LARGE_BYTES).map((file) => `${code(file.path)} is large: ${size(file.bytes)}`),
  ...files.filter(({ path }) => /[\p{C}\ufffd]/u.test(path)).map(({ path }) => `${code(path)} has control or undecodable characters in its name`),
  ...files
    .filter(({ path }) => /[<>:"|?*\\]|[. ]$/.test(path) || path.split("/").some((part) => RESERVED.test(part)))
    .map(({ path }) => `${code(path)} cannot be checked out on Windows`),
  ...[...folded.values()].filter((paths) => paths.length > 1).map((paths) => `${paths.map((path) => code(path)).join(", ")} differ only in case`),
]

const byBytes = [...kinds].sort((a, b) => b[1].bytes - a[1].bytes)
const biggest = [...blobs].sort((a, b) => b.bytes - a.bytes).slice(0, 10)
const submodules = files.filter((file) => file.kind === "commit").length
const links = files.filter(isSymlink).length

deliver({
  check: "inventory",
  verdict: findings.length > 0 ? "findings" : "ok",
  findings: findings.length,
  summary: `${plural(blobs.length, "file")}, ${size(bytes)}, ${plural(kinds.size, "kind")}; ${plural(links, "symbolic link")}, ${plural(submodules, "submodule")}`,
  body: [
    list(findings),
    table(
      ["kind", "files", "size"],
      byBytes.slice(0, 12).map(([kind, row]) => [code(kind), row.count, size(row.bytes)]),
    ),
    "Biggest files:",
    list(biggest.map((file) => `${code(file.path)} ${size(file.bytes)}`)),
  ]
    .filter(Boolean)
    .join("\n\n"),
})
