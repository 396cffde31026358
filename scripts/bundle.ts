/** Puts what the published package does not depend on into `dist/`: one bundle, with the licences of all that is in it. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { brotliCompressSync, constants } from "node:zlib"
import { rolldown } from "rolldown"

/** The modules that alone import a library which is bundled, as tsc left them. */
const ENTRIES = ["dist/surface/mcp-library.js", "dist/runtime/acp-library.js", "dist/hub/cedar-library.js"]
/** Files that a bundled library reads beside itself: compressed, since of Cedar's 4.3 MB a package carries 1.1 so. */
const BESIDE: readonly [from: string, to: string][] = [["node_modules/@cedar-policy/cedar-wasm/web/cedar_wasm_bg.wasm", "dist/hub/cedar_wasm_bg.wasm.br"]]
/** Brotli's best takes forty seconds for a seventh less. */
const QUALITY = 9
const NOTICES = "dist/THIRD-PARTY.txt"
/** Real dependencies of the package: one copy of each, the user's. */
const OUTSIDE = [/^node:/, /^zod(?:\/|$)/]

/** What a change of must make a new bundle, besides the sources. */
export const BUNDLED = [
  "node_modules/@agentclientprotocol/sdk/package.json",
  "node_modules/@cedar-policy/cedar-wasm/package.json",
  "node_modules/@modelcontextprotocol/server/package.json",
  "node_modules/@modelcontextprotocol/node/package.json",
  "node_modules/rolldown/package.json",
]

/** `pageModules`: what the web page was made of. */
export async function bundle(pageModules: readonly string[]): Promise<void> {
  const texts: string[] = ["dist/dashboard holds code of these packages.\n", ...notices(pageModules)]
  for (const entry of ENTRIES) texts.push(`${entry} holds code of these packages.\n`, ...notices(await bundled(entry)))
  for (const [from, to] of BESIDE) writeFileSync(to, compressed(readFileSync(from)))
  writeFileSync(NOTICES, texts.join(`\n${"-".repeat(80)}\n\n`))
}

function compressed(bytes: Buffer): Buffer {
  const params = { [constants.BROTLI_PARAM_QUALITY]: QUALITY, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  return brotliCompressSync(bytes, { params })
}

/** The modules that went into it. */
async function bundled(entry: string): Promise<string[]> {
  const build = await rolldown({
    input: entry,
    platform: "node",
    external: OUTSIDE,
    onLog(level, { message }) {
      // A module that was not found would only be missed by a user.
      if (level === "warn") throw new Error(message)
    },
  })
  try {
    const { output } = await build.generate({ format: "esm", minify: true })
    const [{ code, modules, imports }, ...more] = output
    const strange = imports.filter((name) => !OUTSIDE.some((pattern) => pattern.test(name)))
    if (more.length > 0 || strange.length > 0) throw new Error(`the bundle is not whole: ${more.length} further chunks; imports ${strange.join(", ")}`)
    writeFileSync(entry, code)
    return Object.keys(modules)
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
