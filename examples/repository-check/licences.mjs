/** The licences of everything that the lockfile brings in, or, without a lockfile, of what is installed. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { jsonAt, main, trackedFiles } from "./checkout.mjs"
import { decline, deliver } from "./delivery.mjs"
import { code, list, plural, table } from "./markdown.mjs"
import { licenceClass } from "./licence.mjs"

const installedFolder = join(main, "node_modules")
const installed = existsSync(installedFolder)

const parse = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8"))
  } catch {
    return undefined
  }
}

/** The licence that a package declares, in today's form and in the two old ones. */
function declared(manifest) {
  const { license, licenses } = manifest ?? {}
  if (typeof license === "string") return license
  if (typeof license?.type === "string") return license.type
  if (Array.isArray(licenses))
    return (
      licenses
        .map((one) => one?.type ?? one)
        .filter((one) => typeof one === "string")
        .join(" OR ") || undefined
    )
  return undefined
}

/** `[path, entry]` of each dependency in a lockfile of npm 7 or later; a path that climbs out is no package. */
function locked(lockfile) {
  const entries = Object.entries(typeof lockfile?.packages === "object" ? (lockfile.packages ?? {}) : {})
  return entries.filter(([path, entry]) => /(^|\/)node_modules\//.test(path) && !path.split("/").includes("..") && typeof entry === "object" && !entry?.link)
}

function* installedPackages() {
  for (const name of readdirSync(installedFolder).filter((folder) => !folder.startsWith("."))) {
    const names = name.startsWith("@") ? readdirSync(join(installedFolder, name)).map((inner) => `${name}/${inner}`) : [name]
    for (const each of names) {
      const manifest = parse(join(installedFolder, each, "package.json"))
      if (manifest !== undefined) yield { name: each, version: manifest.version, licence: declared(manifest), dev: false }
    }
  }
}

function* lockedPackages(entries) {
  for (const [path, entry] of entries) {
    const manifest = installed ? parse(join(main, path, "package.json")) : undefined
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)
    yield { name, version: entry.version, licence: declared(manifest) ?? declared(entry), dev: entry.dev === true, read: manifest !== undefined }
  }
}

const files = trackedFiles()
const entries = locked(jsonAt("package-lock.json", files))
const packages = entries.length > 0 ? [...lockedPackages(entries)] : installed && jsonAt("package.json", files) ? [...installedPackages()] : []

if (packages.length === 0) {
  decline("licences", "no dependencies in a package-lock.json, and none installed")
} else {
  const classed = packages.map((one) => ({ ...one, kind: licenceClass(one.licence) }))
  const label = (one) =>
    `${code(`${one.name}@${one.version}`)} ${one.licence === undefined ? "declares none" : code(one.licence)}${one.dev ? " (development only)" : ""}`
  const findings = classed.filter((one) => ["copyleft", "restricted", "unknown"].includes(one.kind))
  const weak = classed.filter((one) => one.kind === "weak copyleft")
  const counts = new Map()
  for (const one of classed) {
    const key = one.licence ?? "(none)"
    const row = counts.get(key) ?? { kind: one.kind, count: 0, shipped: 0 }
    counts.set(key, { kind: one.kind, count: row.count + 1, shipped: row.shipped + (one.dev ? 0 : 1) })
  }
  const source =
    entries.length === 0
      ? "from what is installed"
      : installed
        ? `${classed.filter((one) => one.read).length} read as installed, the rest from the lockfile`
        : "from the lockfile"
  deliver({
    check: "licences",
    verdict: findings.length > 0 ? "findings" : "ok",
    findings: findings.length,
    summary: `${plural(classed.length, "dependency", "dependencies")} under ${plural(counts.size, "licence")} (${source}); ${findings.length} copyleft, restricted or unknown, ${weak.length} weak copyleft`,
    body: [
      list(findings.map((one) => `${one.kind}: ${label(one)}`)),
      table(
        ["licence", "kind", "packages", "shipped"],
        [...counts]
          .sort((a, b) => b[1].count - a[1].count)
          .slice(0, 20)
          .map(([licence, row]) => [code(licence, 60), row.kind, row.count, row.shipped]),
      ),
      ...(weak.length > 0 ? ["Weak copyleft (changes to these packages themselves stay open):", list(weak.map(label), 12)] : []),
    ]
      .filter(Boolean)
      .join("\n\n"),
  })
}
