import { randomBytes } from "node:crypto"
import { renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as z from "zod"
import { AGENT_KINDS, type JsonValue } from "./agent-kinds.ts"
import { RepositoryError } from "./git.ts"
import { textOf } from "./text-file.ts"

const value: z.ZodType<JsonValue> = z.json()
const at = z.array(z.string()).min(1).readonly()
const edit = z.union([
  z.strictObject({ do: z.literal("set"), file: z.string(), format: z.literal("json"), at, value }),
  z.strictObject({ do: z.literal("set"), file: z.string(), format: z.literal("toml"), at, value }),
  z.strictObject({ do: z.literal("include"), file: z.string(), format: z.literal("json"), at, value }),
  z.strictObject({ do: z.literal("write"), file: z.string(), format: z.literal("text"), text: z.string() }),
  z.strictObject({ do: z.literal("paragraph"), file: z.string(), format: z.literal("text"), text: z.string() }),
])
const fileRecord = z.strictObject({
  file: z.string(),
  /** What stood there; null: nothing did. */
  before: z.string().nullable(),
  /** SHA-256 of what `init` left there, hex: as long as that is there, `before` is what there was. */
  after: z.string(),
  edits: z.array(edit),
})
const agentRecord = z.strictObject({
  kind: z.enum(AGENT_KINDS),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** Whether `init` added the agent; else somebody had. */
  added: z.boolean(),
  /** The id of the credential that `init` had made; null: there was one. */
  credential: z.string().nullable(),
})
const schema = z.strictObject({
  version: z.literal(1),
  places: z.array(z.strictObject({ top: z.string(), files: z.array(fileRecord), folders: z.array(z.string()) })),
  agents: z.array(agentRecord),
})

export type InitEdit = z.infer<typeof edit>
export type FileRecord = z.infer<typeof fileRecord>
/** An agent that `init` set up. */
export type AgentRecord = z.infer<typeof agentRecord>
/** What `init` did, worktree by worktree: enough to take it all back. */
export type InitRecord = z.infer<typeof schema>

const FILE = "init.json"

/** The record of an instance; null where `init` did nothing, or took it back. Throws `RepositoryError` where the file is not one of Skein's. */
export function readRecord(instanceDirectory: string): InitRecord | null {
  const path = join(instanceDirectory, FILE)
  const text = textOf(path)
  if (text === null) return null
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new RepositoryError(
      "settings_unreadable",
      `${path} is damaged, or from another version of Skein`,
      "Remove it: what init wrote then has to be taken out by hand, wherever it says skein.",
      { cause: error },
    )
  }
}

/** Replaces the record whole, mode 0600, since settings may hold secrets; null removes it. */
export function writeRecord(instanceDirectory: string, record: InitRecord | null): void {
  const path = join(instanceDirectory, FILE)
  if (record === null) return rmSync(path, { force: true })
  const draft = `${path}.${randomBytes(6).toString("hex")}`
  try {
    writeFileSync(draft, `${JSON.stringify(record, null, 1)}\n`, { mode: 0o600, flag: "wx", flush: true })
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
