import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliDecompressSync } from "node:zlib"
import { initSync, policySetTextToParts, policyToJson, preparsePolicySet, schemaToText, statefulIsAuthorized, validate } from "@cedar-policy/cedar-wasm/web"

/**
 * All that Skein takes of Cedar, in one module: the build puts it into the program, and the WASM file into `dist/hub`, so that the published
 * package needs none of the library's own.
 */
const cedar = { policySetTextToParts, policyToJson, preparsePolicySet, schemaToText, statefulIsAuthorized, validate }
export type Cedar = typeof cedar

const WASM = "cedar_wasm_bg.wasm"

let isLoaded = false

/** Cedar, ready to use. The WASM is read and compiled at the first call (some 60 ms), and waited for: a decision must not be asked of half an engine. */
export function loadCedar(): Cedar {
  if (!isLoaded) initSync({ module: wasm() })
  isLoaded = true
  return cedar
}

/** Compressed beside this module in the published package, in the library's own folder in a checkout. */
function wasm(): Uint8Array {
  const own = fileURLToPath(new URL(`../hub/${WASM}.br`, import.meta.url))
  if (existsSync(own)) return brotliDecompressSync(readFileSync(own))
  // The library lets `require` find its build for Node alone; the one that is used here is its neighbour.
  return readFileSync(join(dirname(createRequire(import.meta.url).resolve("@cedar-policy/cedar-wasm/nodejs")), "..", "web", WASM))
}
