import { lstat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { ensureInstanceDir, findRepository } from "../repo/instance.ts"
import { UsageError } from "./failure.ts"
import { makeFolder } from "./folder.ts"
import { closedTo, type Instance } from "./instance.ts"

/** Makes the instance's folder where it is missing: mode 0700, ignored by git. Asks git itself, since what is about to be written is written once. */
export async function prepareInstance(instance: Instance): Promise<void> {
  const closed = closedTo(instance)
  if (closed !== null) throw closed
  const { directory, repository } = instance
  if (repository !== null) {
    const found = await findRepository(repository)
    if (found.instanceDir !== directory)
      throw new UsageError(
        `git takes ${found.instanceDir} for the instance of this repository, and not ${directory}`,
        `Start from the repository itself: skein --repo ${JSON.stringify(found.top ?? found.commonDir)} up`,
      )
    await ensureInstanceDir(found)
    return
  }
  makeFolder(directory, 0o700)
  if ((await lstat(join(directory, ".gitignore")).catch(() => null)) === null) await writeFile(join(directory, ".gitignore"), "*\n", { mode: 0o600 })
}
