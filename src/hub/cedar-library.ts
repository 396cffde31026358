import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import {
  type AuthorizationAnswer,
  initSync,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  schemaToText,
  statefulIsAuthorized,
  validate,
} from "@cedar-policy/cedar-wasm/web"

/**
 * All that Skein takes of Cedar, in one module: the build replaces its output by a bundle with the WASM file beside it, so that the published package
 * needs none of the library's own.
 */
const cedar = { policySetTextToParts, policyToJson, preparsePolicySet, schemaToText, statefulIsAuthorized, validate }
export type Cedar = typeof cedar
export type CedarAnswer = AuthorizationAnswer

const WASM = "cedar_wasm_bg.wasm"

/** Cedar, ready to use. The WASM is read and compiled at the first call (some 30 ms), and waited for: a decision must not be asked of half an engine. */
export function loadCedar(): Cedar {
  initSync({ module: readFileSync(wasmFile()) })
  return cedar
}

/** Beside this module in the published package, in the library's own folder in a checkout. */
function wasmFile(): string {
  const own = join(dirname(fileURLToPath(import.meta.url)), WASM)
  if (existsSync(own)) return own
  // The library lets `require` find its build for Node alone; the one that is used here is its neighbour.
  return join(dirname(createRequire(import.meta.url).resolve("@cedar-policy/cedar-wasm/nodejs")), "..", "web", WASM)
}
