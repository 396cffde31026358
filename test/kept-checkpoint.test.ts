import { copyFileSync, readFileSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, skein, tidyUp } from "./cli-driver.ts"

afterAll(tidyUp)

test("a hub does not start on a ledger that was cut, or on another history, and keeps the checkpoint that shows it", async () => {
  const folder = newRepository()
  const at = (...names: string[]): string => join(folder, ".skein", ...names)
  const ledger = at("ledger", "main.sqlite")
  const kept = at("checkpoint", "main")
  await json(folder, ["up"])
  await json(folder, ["task", "add", "first", "First"])
  await json(folder, ["ledger", "backup", at("older.sqlite")])
  await json(folder, ["task", "add", "second", "Second"])
  await json(folder, ["ledger", "checkpoint"])
  await json(folder, ["down"])
  await json(folder, ["up"])
  await json(folder, ["down"])
  const evidence = readFileSync(kept, "utf8")

  renameSync(ledger, at("newer.sqlite"))
  copyFileSync(at("older.sqlite"), ledger)
  const cut = await skein(folder, ["up"])
  expect(cut).toMatchObject({
    status: 69,
    stderr: expect.stringMatching(/ends at entry \d+; .skein\/checkpoint\/main has a checkpoint of \d+ entries/) as string,
  })
  expect(cut.stderr).toContain("remedy: Put back the ledger that reaches it.")
  expect(readFileSync(kept, "utf8")).toBe(evidence)

  // Whoever says so goes on from the older one, and so makes another history.
  renameSync(kept, at("kept.note"))
  await json(folder, ["up"])
  for (const id of ["a", "b", "c", "d", "e", "f"]) await json(folder, ["task", "add", id, id])
  await json(folder, ["down"])
  copyFileSync(at("kept.note"), kept)
  expect(await skein(folder, ["up"])).toMatchObject({ status: 69, stderr: expect.stringContaining("holds another history at entry") as string })
  expect(readFileSync(kept, "utf8")).toBe(evidence)

  rmSync(ledger)
  renameSync(at("newer.sqlite"), ledger)
  await json(folder, ["up"])
  expect((await json(folder, ["task", "list"])).length).toBe(2)
})
