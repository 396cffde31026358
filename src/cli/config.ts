import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { LineCounter, parseDocument } from "yaml"
import * as z from "zod"
import type { Price } from "../core/usage.ts"
import { UsageError } from "./failure.ts"

/** Where an instance's settings are, below its folder; none need be there. */
const CONFIG_FILE = "config.yaml"
const CONFIG_MAX_BYTES = 256 * 1024

/** US dollars for a million tokens. */
const usdPerMillion = z.number().min(0).max(100_000)
const price = z.strictObject({
  input: usdPerMillion,
  output: usdPerMillion,
  cacheRead: usdPerMillion.optional(),
  cacheWrite: usdPerMillion.optional(),
})

const schema = z.strictObject({
  /** Whether agents may change files only while they hold a task; unset: where the git guard is installed. */
  requireClaim: z.boolean().optional(),
  /** By model, or by the beginning of its name: what agents cost that report only tokens. */
  prices: z.record(z.string().min(1).max(200), price).default({}),
})

/** The settings of an instance. `requireClaim`: null where the file does not say. */
export type Config = { requireClaim: boolean | null; prices: ReadonlyMap<string, Price> }

/**
 * Reads `config.yaml` of an instance's folder; defaults where there is none. Throws `UsageError` with line and column on a file that is no YAML, is over
 * 256 KiB, or says what Skein does not know.
 */
export function readConfig(instanceDirectory: string): Config {
  const path = join(instanceDirectory, CONFIG_FILE)
  return existsSync(path) ? parseConfig(readFileSync(path, "utf8"), path) : parseConfig("", path)
}

export function parseConfig(text: string, path: string): Config {
  if (Buffer.byteLength(text) > CONFIG_MAX_BYTES) throw new UsageError(`${path} is over ${CONFIG_MAX_BYTES} bytes long`, "Keep only settings in it.")
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, version: "1.2", schema: "core", strict: true })
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  }
  const [fault] = document.errors
  if (fault !== undefined)
    throw new UsageError(`${where(fault.pos[0])}: this is no YAML: ${fault.message.split("\n", 1)[0] ?? ""}`, "Mend the indentation, quotes or brackets there.")
  const read = schema.safeParse(document.toJS({ maxAliasCount: 100 }) ?? {})
  if (!read.success) {
    const [issue] = read.error.issues
    const keys = (issue?.path ?? []).map((key) => (typeof key === "symbol" ? String(key) : key))
    const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined
    const node = document.getIn(unknown === undefined ? keys : [...keys, unknown], true) as { range?: [number, number, number] } | undefined
    const said = unknown === undefined ? `${keys.join(".")}: ${issue?.message ?? ""}` : `there is no setting ${[...keys, unknown].join(".")}`
    throw new UsageError(`${where(node?.range?.[0] ?? 0)}: ${said}`, "docs/reference/files.md says what may stand in it.")
  }
  const { requireClaim, prices } = read.data
  return {
    requireClaim: requireClaim ?? null,
    prices: new Map(
      Object.entries(prices).map(([model, { input, output, cacheRead, cacheWrite }]) => [
        model,
        // A dollar for a million tokens is a micro-dollar a token.
        { input, output, cacheRead: cacheRead ?? input, cacheWrite: cacheWrite ?? input },
      ]),
    ),
  }
}
