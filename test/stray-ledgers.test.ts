import { copyFileSync, readFileSync, renameSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, parseLines, skein, tidyUp } from "./cli-driver.ts"

afterAll(tidyUp)

test("a copy among the ledgers is served as no workspace and told with its file, and the others are served", async () => {
  const folder = newRepository()
  const ledger = (name: string): string => join(folder, ".skein", "ledger", `${name}.sqlite`)
  await json(folder, ["up"])
  await json(folder, ["task", "add", "first", "First"])
  await json(folder, ["workspace", "create", "research"])
  await json(folder, ["down"])
  for (const name of ["backup", "main copy"]) copyFileSync(ledger("main"), ledger(name))
  const copy = readFileSync(ledger("backup"))
  const faults = [`${ledger("backup")} holds the ledger of workspace main under another name`, `${ledger("main copy")} is named as no workspace is`]

  const up = await skein(folder, ["up"])
  expect(up.status).toBe(0)
  for (const fault of faults) expect(up.stderr).toContain(`${fault}, and is not served. Each file there is the ledger of one workspace: move it elsewhere.`)
  expect((await json(folder, ["workspace", "list"])).map(({ name }) => name)).toEqual(["main", "research"])
  const findings = parseLines<{ level: string; text: string }>((await skein(folder, ["doctor", "--quick", "--json"])).stdout)
  for (const fault of faults) expect(findings).toContainEqual(expect.objectContaining({ level: "problem", text: `${fault}, and is not served` }))
  expect(await skein(folder, ["workspace", "create", "backup"])).toMatchObject({ status: 1, stderr: expect.stringContaining(faults[0] ?? "") as string })
  expect(readFileSync(ledger("backup")).equals(copy)).toBe(true)

  // Without `main` there is no hub.
  await json(folder, ["down"])
  renameSync(ledger("research"), ledger("main"))
  const other = await skein(folder, ["up"])
  expect(other).toMatchObject({
    status: 69,
    stderr: expect.stringContaining(`${ledger("main")} holds the ledger of workspace research under another name`) as string,
  })
})
