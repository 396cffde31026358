import { open } from "node:fs/promises"
import { SkeinError } from "../contract/errors.ts"
import { UsageError } from "./failure.ts"
import { PLAN_FILE_MAX_BYTES } from "./plan-document.ts"
import { parsePlanFile, type PlanFile } from "./plan-file.ts"

/** Reads and checks a plan file (`-`: standard input). Throws `SkeinError` `invalid_input` whose details hold every fault, and whose message tells them. */
export async function readPlanFile(path: string): Promise<PlanFile> {
  const result = parsePlanFile(await readBytes(path))
  if ("ok" in result) return result.ok
  const { faults } = result
  const shown = path === "-" ? "standard input" : path
  const lines = faults.map(({ line, column, message, remedy }) => `  ${shown}:${line}:${column}: ${message}\n      ${remedy}`)
  const count = faults.length === 1 ? "a fault" : `${faults.length} faults`
  throw new SkeinError(
    "invalid_input",
    `the plan has ${count}; nothing was written\n${lines.join("\n")}`,
    "Mend the file; skein plan check tells whether it is sound.",
    { file: shown, faults },
  )
}

async function readBytes(path: string): Promise<Uint8Array> {
  if (path === "-") {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > PLAN_FILE_MAX_BYTES) break
    }
    return Buffer.concat(chunks)
  }
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `the plan ${JSON.stringify(path)} cannot be read (${error.code})`,
      error.code === "ENOENT" ? "Nothing is there: look at the name." : "Name a plan file that you may read.",
    )
  })
  try {
    const stat = await file.stat()
    if (stat.isDirectory()) throw new UsageError(`${JSON.stringify(path)} is a folder`, "Name the plan file in it.")
    // One byte more than a plan may have: enough to know that it is too long, whatever is there.
    const buffer = Buffer.alloc(Math.min(stat.isFile() ? stat.size : PLAN_FILE_MAX_BYTES, PLAN_FILE_MAX_BYTES) + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      length += bytesRead
      if (bytesRead === 0 || length === buffer.length) return buffer.subarray(0, length)
    }
  } finally {
    await file.close()
  }
}
