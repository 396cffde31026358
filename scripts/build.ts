/** Compiles src/ to dist/ when something changed since the last build, bundles libraries and the web page, and removes from dist/ what has no source any more. */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { bundle, BUNDLED } from "./bundle.ts"
import { buildPage, IN_PAGE } from "./page.ts"

const STAMP = "dist/.stamp"
const OUTPUTS = [/\.c?js$/, /\.d\.ts$/]

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

/** Changes whenever a file that the output depends on was edited, added or removed. */
function fingerprint(sources: string[]): string {
  const hash = createHash("sha256")
  for (const file of [
    ...sources,
    "tsconfig.json",
    "tsconfig.build.json",
    "node_modules/typescript/package.json",
    "scripts/build.ts",
    "scripts/bundle.ts",
    "scripts/page.ts",
    ...BUNDLED,
    ...IN_PAGE,
  ]) {
    hash.update(file).update("\0").update(readFileSync(file)).update("\0")
  }
  return hash.digest("hex")
}

function stamp(): string {
  try {
    return readFileSync(STAMP, "utf8")
  } catch {
    return ""
  }
}

/** The stem that source and output share: `src/a/b.ts`, `dist/a/b.js`, `dist/a/b.cjs` and `dist/a/b.d.ts` are all `a/b`. */
function stem(file: string): string {
  return file.replace(/^(src|dist)\//, "").replace(/(\.d\.ts|\.tsx?|\.c?js)$/, "")
}

function prune(sources: string[]): void {
  const alive = new Set(sources.filter((file) => !/\.(test|contract)\.tsx?$/.test(file)).map(stem))
  for (const file of filesUnder("dist")) {
    if (OUTPUTS.some((output) => output.test(file)) && !alive.has(stem(file))) rmSync(file, { force: true })
  }
}

const sources = filesUnder("src")
const wanted = fingerprint(sources)
const complete = sources.length > 0 && statSync("dist/cli/main.cjs", { throwIfNoEntry: false }) !== undefined
if (!(complete && stamp() === wanted)) {
  const startedMs = performance.now()
  // Unstamped until it is whole: a build that was interrupted is done again.
  rmSync(STAMP, { force: true })
  const compiled = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], { stdio: "inherit" })
  if (compiled.status !== 0) process.exit(compiled.status ?? 1)
  prune(sources)
  await bundle(await buildPage())
  mkdirSync(dirname(STAMP), { recursive: true })
  writeFileSync(STAMP, wanted)
  console.log(`built dist/ from ${sources.length} files in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
}
