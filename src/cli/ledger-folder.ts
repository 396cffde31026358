import { existsSync, readdirSync } from "node:fs"
import { basename, dirname } from "node:path"
import { SkeinError } from "../contract/errors.ts"
import { decodeEntry } from "../core/entry.ts"
import { isName, isWorkspaceName } from "../core/ids.ts"
import type { Instance } from "./instance.ts"
import { keptFile, ledgerFile, lostLedger, openLedgerFile } from "./ledger-source.ts"

const END = ".sqlite"

/**
 * The workspaces whose ledgers lie in the instance, in order; and what is served as none, each with the remedy: what lies beside them, such as a copy, and a
 * workspace of which only its checkpoint is left.
 */
export async function ledgersIn(instance: Instance): Promise<{ workspaces: string[]; strays: SkeinError[] }> {
  const workspaces: string[] = []
  const strays: SkeinError[] = []
  const files = namesIn(dirname(ledgerFile(instance, "main"))).flatMap((file) => (file.endsWith(END) ? [basename(file, END)] : []))
  const kept = namesIn(dirname(keptFile(instance, "main"))).filter(isWorkspaceName)
  for (const name of [...new Set([...files, ...kept])].sort()) {
    const stray = await strayLedger(instance, name)
    if (stray === null) workspaces.push(name)
    else strays.push(stray)
  }
  return { workspaces, strays }
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

/**
 * What is wrong with a file as the ledger of the workspace that it is named after, by name and first entry; null where it is that or is empty, or where there
 * is none and never was.
 */
export async function strayLedger(instance: Instance, workspace: string): Promise<SkeinError | null> {
  const path = ledgerFile(instance, workspace)
  if (!existsSync(path)) return lostLedger(instance, workspace)
  const madeAs = isName(workspace) ? await firstName(path) : null
  if (isName(workspace) && (madeAs === null || madeAs === workspace)) return null
  const how = madeAs === null ? "is named as no workspace is" : `holds the ledger of workspace ${madeAs} under another name`
  return new SkeinError(
    "invalid",
    `${path} ${how}, and is not served`,
    "Each file there is the ledger of one workspace: move it elsewhere. skein ledger verify --file FILE reads it there.",
  )
}

/** The name that a ledger's first entry gives to its workspace; null where it says none. What else is wrong with the file is told by whoever opens it. */
async function firstName(path: string): Promise<string | null> {
  try {
    const source = await openLedgerFile(path)
    try {
      const [first] = await source.read(1, 1)
      const { type, data } = decodeEntry(first?.bytes ?? "")
      return type === "workspace.created" ? (data as { name: string }).name : null
    } finally {
      await source.close()
    }
  } catch {
    return null
  }
}
