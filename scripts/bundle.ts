/**
 * Makes of the compiled modules the program as it is published: some big files in the place of hundreds, with the libraries in them, and CommonJS: to find
 * and load each module by itself takes longer than all else that a start does, and Node loads an ES module more slowly. The licences of what is in them go beside them.
 */
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { brotliCompressSync, constants } from "node:zlib"
import { rolldown, type InputOptions } from "rolldown"

/** What is begun by its own name: the command, the agents and threads that it starts, and what a thread or a test asks for. */
const ENTRIES = ["cli/main", "runtime/script-agent-main", "hub/replay-hashing", "hub/cedar-library", "ledger/sqlite"]
/** What users import stays as it was compiled, with their own copies of the libraries: the package depends on them. */
const LIBRARY = "dist/client/client.js"
/** Files that a bundled library reads beside itself: compressed, since of Cedar's 4.3 MB a package carries 1.1 so. */
const BESIDE: readonly [from: string, to: string][] = [["node_modules/@cedar-policy/cedar-wasm/web/cedar_wasm_bg.wasm", "dist/hub/cedar_wasm_bg.wasm.br"]]
/** Brotli's best takes forty seconds for a seventh less. */
const QUALITY = 9
const NOTICES = "dist/THIRD-PARTY.txt"
/** What a change of must make a new bundle, besides the sources: which version of each library npm has installed. */
export const BUNDLED = ["node_modules/.package-lock.json"]

/** `pageModules`: what the web page was made of. */
export async function bundle(pageModules: readonly string[]): Promise<void> {
  const kept = await reached(LIBRARY)
  const { modules, files } = await program()
  const texts = [
    "dist/dashboard holds code of these packages.\n",
    ...notices(pageModules),
    "The other modules in dist hold code of these packages.\n",
    ...notices(modules),
  ]
  // What went into the program is not carried twice.
  for (const module of compiled()) if (!kept.has(module) && !files.has(module)) rmSync(module)
  for (const [from, to] of BESIDE) writeFileSync(to, compressed(readFileSync(from)))
  writeFileSync(NOTICES, texts.join(`\n${"-".repeat(80)}\n\n`))
}

function compressed(bytes: Buffer): Buffer {
  const params = { [constants.BROTLI_PARAM_QUALITY]: QUALITY, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  return brotliCompressSync(bytes, { params })
}

const OPTIONS: InputOptions = {
  platform: "node",
  // An old package's `main` may look for its parts in ways that only Node follows.
  resolve: { mainFields: ["module", "main"] },
  onLog(level, { message }) {
    // A module that was not found would only be missed by a user.
    if (level === "warn") throw new Error(message)
  },
}

/**
 * Writes the program. What its entries have in common is in files of their own beside `main.cjs`: modules that look for something by their own address MUST name
 * its folder too (`../hub/name`), which is right there as well as where they were.
 */
async function program(): Promise<{ modules: string[]; files: Set<string> }> {
  const input = Object.fromEntries(ENTRIES.map((entry) => [entry, `dist/${entry}.js`]))
  const build = await rolldown({ ...OPTIONS, input })
  try {
    const { output } = await build.write({ dir: "dist", format: "cjs", entryFileNames: "[name].cjs", chunkFileNames: "cli/[name]-[hash].cjs" })
    const modules = output.flatMap((chunk) => (chunk.type === "chunk" ? Object.keys(chunk.modules) : []))
    return { modules, files: new Set(output.map(({ fileName }) => resolve("dist", fileName))) }
  } finally {
    await build.close()
  }
}

/** What tsc left, and the program's own files among it. */
function compiled(): string[] {
  const folders = readdirSync("dist", { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== "dashboard")
  return folders
    .flatMap(({ name }) => readdirSync(resolve("dist", name), { recursive: true, encoding: "utf8" }).map((file) => resolve("dist", name, file)))
    .filter((file) => /\.c?js$/.test(file))
}

/** The compiled modules that one reaches, libraries left out. */
async function reached(from: string): Promise<Set<string>> {
  const build = await rolldown({ ...OPTIONS, input: from, external: /^[^./]/ })
  try {
    const { output } = await build.generate({ format: "esm" })
    return new Set(output.flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : [])))
  } finally {
    await build.close()
  }
}

/** Name, version and licence text of each package that something was taken from. */
function notices(modules: readonly string[]): string[] {
  const folders = new Set(modules.flatMap((module) => packageFolder(module) ?? []))
  return [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name: string; version: string; license: string }
    const own = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    // Cedar's package comes without the text of the licence that it names, which is ours too.
    if (own === undefined && license !== "Apache-2.0") throw new Error(`${name} comes without the text of its licence`)
    return `${name} ${version} (${license})\n\n${readFileSync(own === undefined ? "LICENSE" : join(folder, own), "utf8").trim()}\n`
  })
}

/** The folder of the package that a module is of: parts of a package may have a manifest too, but no licence. */
function packageFolder(module: string): string | null {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(module)?.[0] ?? null
}
