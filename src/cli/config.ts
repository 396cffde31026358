import { existsSync } from "node:fs"
import { join } from "node:path"
import * as z from "zod"
import type { Price } from "../core/usage.ts"
import { WAKE_NUMBERS, type WakeNumber } from "../core/wake-policy.ts"
import { SUPERVISOR_DEFAULTS, SUPERVISOR_NUMBERS, type SupervisorNumber, type SupervisorNumbers } from "../runtime/supervisor-numbers.ts"
import type { AgentPreset } from "../runtime/presets/preset.ts"
import { type PermissionRule, RULE_ANSWERS } from "../runtime/permission-desk.ts"
import { readPrivately } from "../ledger/private-file.ts"
import { expression, presetSchema } from "./config-preset.ts"
import { UsageError } from "./failure.ts"
import { readYaml } from "./yaml-document.ts"

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
  /** Numbers by which agents are woken: the supervisor's own, and the hub's. */
  wake: z.strictObject({ ...numbers(SUPERVISOR_NUMBERS), ...numbers(WAKE_NUMBERS) }).default({}),
  /** What agents without a terminal may do without asking the operator: the first that fits decides. */
  permissions: z
    .array(
      z.strictObject({
        agents: z.array(z.string().max(64)).optional(),
        kinds: z.array(z.string().max(64)).optional(),
        title: expression.optional(),
        answer: z.enum(RULE_ANSWERS),
      }),
    )
    .max(1_000)
    .default([]),
  /** Kinds of agents besides those that Skein knows, or in their place. */
  presets: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "a name is letters, digits, _ and -"), presetSchema).default({}),
})

function numbers<Name extends string>(table: Record<Name, { min: number; max: number }>): Record<Name, z.ZodOptional<z.ZodInt>> {
  const rows = Object.entries<{ min: number; max: number }>(table).map(([name, { min, max }]) => [name, z.int().min(min).max(max).optional()])
  return Object.fromEntries(rows) as Record<Name, z.ZodOptional<z.ZodInt>>
}

/** The settings of an instance. `requireClaim`: null where the file does not say. `wake`: what the file says of the hub's numbers, and nothing else. */
export type Config = {
  requireClaim: boolean | null
  prices: ReadonlyMap<string, Price>
  wake: Partial<Record<WakeNumber, number>>
  supervisor: SupervisorNumbers
  permissions: readonly PermissionRule[]
  presets: ReadonlyMap<string, AgentPreset>
}

/**
 * Reads `config.yaml` of an instance's folder; defaults where there is none. Throws `UsageError` with line and column on a file that is no YAML, is over
 * 256 KiB, or says what Skein does not know.
 */
export function readConfig(instanceDirectory: string): Config {
  const path = join(instanceDirectory, CONFIG_FILE)
  return existsSync(path) ? parseConfig(readPrivately(path), path) : parseConfig("", path)
}

export function parseConfig(text: string, path: string): Config {
  if (Buffer.byteLength(text) > CONFIG_MAX_BYTES) throw new UsageError(`${path} is over ${CONFIG_MAX_BYTES} bytes long`, "Keep only settings in it.")
  const { value, document, where } = readYaml(text, path)
  const read = schema.safeParse(value ?? {})
  if (!read.success) {
    const [issue] = read.error.issues
    const keys = (issue?.path ?? []).map((key) => (typeof key === "symbol" ? String(key) : key))
    const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined
    const node = document?.getIn(unknown === undefined ? keys : [...keys, unknown], true) as { range?: [number, number, number] } | undefined
    const said = unknown === undefined ? `${keys.join(".")}: ${issue?.message ?? ""}` : `there is no setting ${[...keys, unknown].join(".")}`
    throw new UsageError(`${where(node?.range?.[0] ?? 0)}: ${said}`, "docs/reference/files.md of Skein says what may stand in it.")
  }
  const { requireClaim, prices, wake, permissions, presets } = read.data
  const said = Object.entries(wake).filter((row): row is [string, number] => row[1] !== undefined)
  const own = (name: string): name is SupervisorNumber => Object.hasOwn(SUPERVISOR_NUMBERS, name)
  return {
    wake: Object.fromEntries(said.filter(([name]) => !own(name))),
    supervisor: { ...SUPERVISOR_DEFAULTS, ...Object.fromEntries(said.filter(([name]) => own(name))) },
    permissions,
    presets: new Map(Object.entries(presets).map(([name, preset]) => [name, { name, ...preset }])),
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
