/** Prints what each dependency weighs installed, alone and with all that it brings: the figures of docs/explanation/dependencies.md. */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"

type Manifest = { dependencies?: Record<string, string>; devDependencies?: Record<string, string>; optionalDependencies?: Record<string, string> }

const readManifest = (directory: string): Manifest => JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest

/** Bytes of the files below `directory`, without the packages nested in it. */
function weigh(directory: string): number {
  return readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) return entry.name === "node_modules" ? sum : sum + weigh(path)
    return entry.isFile() ? sum + statSync(path).size : sum
  }, 0)
}

/** Where Node finds the package `name` from `directory`; null for an optional one that is not meant for this platform. */
function find(directory: string, name: string): string | null {
  const nested = join(directory, "node_modules", name)
  if (existsSync(join(nested, "package.json"))) return nested
  const outer = directory.lastIndexOf("node_modules")
  return outer === -1 ? null : find(directory.slice(0, Math.max(outer - 1, 0)) || ".", name)
}

function closure(directory: string, found = new Set<string>()): Set<string> {
  if (found.has(directory)) return found
  found.add(directory)
  const { dependencies, optionalDependencies } = readManifest(directory)
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const at = find(directory, name)
    if (at !== null) closure(at, found)
  }
  return found
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2)
const sum = (directories: Iterable<string>): number => [...directories].reduce((total, directory) => total + weigh(directory), 0)

const { dependencies = {}, devDependencies = {} } = readManifest(".")
for (const [kind, names] of [
  ["dependencies", Object.keys(dependencies)],
  ["devDependencies", Object.keys(devDependencies)],
] as const) {
  console.log(`${kind}: MB alone, MB and packages with all that it brings`)
  const all = new Set<string>()
  for (const name of names) {
    const at = find(".", name)
    if (at === null) throw new Error(`${name} is not installed: run npm ci`)
    const brought = closure(at)
    for (const directory of brought) all.add(directory)
    console.log(`  ${name.padEnd(18)} ${megabytes(weigh(at)).padStart(7)} ${megabytes(sum(brought)).padStart(7)} ${String(brought.size).padStart(3)}`)
  }
  console.log(`  ${"all".padEnd(18)} ${" ".repeat(7)} ${megabytes(sum(all)).padStart(7)} ${String(all.size).padStart(3)}`)
}
