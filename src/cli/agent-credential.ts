import { mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { readRegular } from "../client/regular-file.ts"
import { SkeinError } from "../contract/errors.ts"
import { replacePrivately } from "../ledger/private-file.ts"
import type { HubConnection } from "./connection.ts"
import { folderOf, type Instance } from "./instance.ts"

/** Where an agent's credential lies. */
export function credentialPath(instance: Instance, workspace: string, name: string): string {
  return join(folderOf(instance, workspace, "agents"), `${name}.credential`)
}

/** Has the hub make a credential; the secret goes to its file (mode 0600) and nowhere else. */
export async function issueCredential(hub: HubConnection, path: string, name: string): Promise<{ id: string; path: string }> {
  const { id, credential } = await hub.call("credential.issue", { agent: name })
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    replacePrivately(path, `${credential}\n`)
  } catch (error) {
    throw new SkeinError(
      "invalid",
      `agent ${name} is there, and its credential ${id} could not be kept: ${(error as Error).message}`,
      `See that ${dirname(path)} can be written to, then have another made: skein agent credential ${name}`,
    )
  }
  return { id, path }
}

/** The id of the credential in a file, which is no secret; null where there is none. */
export function credentialId(path: string): string | null {
  try {
    return /^skc_.+_([A-Za-z0-9]{1,32})_[A-Za-z0-9_-]{43}\s*$/.exec(readRegular(path))?.[1] ?? null
  } catch {
    return null
  }
}
