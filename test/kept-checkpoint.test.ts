import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, parseLines, skein, tidyUp } from "./cli-driver.ts"

afterAll(tidyUp)

/** A repository whose hub is up, and where the ledger of a workspace and its checkpoint lie. */
async function begun(workspace: string): Promise<{ folder: string; at: (...names: string[]) => string; ledger: string; kept: string }> {
  const folder = newRepository()
  const at = (...names: string[]): string => join(folder, ".skein", ...names)
  await json(folder, ["up"])
  return { folder, at, ledger: at("ledger", `${workspace}.sqlite`), kept: at("checkpoint", workspace) }
}

test("a hub does not start on a ledger that was cut, or on another history, and keeps the checkpoint that shows it", async () => {
  const { folder, at, ledger, kept } = await begun("main")
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

test("a workspace of which only its checkpoint is left is told, and not begun anew until a person says so; the others go on", async () => {
  const { folder, at, ledger, kept } = await begun("night")
  await json(folder, ["workspace", "create", "night"])
  await json(folder, ["-w", "night", "task", "add", "first", "First"])
  await json(folder, ["-w", "night", "ledger", "checkpoint"])
  await json(folder, ["down"])
  renameSync(ledger, at("night.sqlite"))
  const gone = `the ledger of workspace night is gone: there is no ${ledger}, but a checkpoint of it in ${kept}`
  const told = async (args: string[], status: number): Promise<void> => {
    const { status: ended, stdout, stderr } = await skein(folder, args)
    expect([args, ended, stdout + stderr]).toEqual([args, status, expect.stringContaining(gone)])
    expect(stdout + stderr).toContain("Put back the ledger, or a backup that reaches the checkpoint.")
  }
  await told(["up"], 0)
  await told(["workspace", "create", "night"], 1)
  await told(["doctor"], 1)
  await told(["-w", "night", "ledger", "verify"], 1)
  await json(folder, ["task", "add", "elsewhere", "Elsewhere"])
  await json(folder, ["down"])
  renameSync(at("night.sqlite"), ledger)
  await json(folder, ["up"])
  expect((await json(folder, ["-w", "night", "task", "list"])).length).toBe(1)
  await json(folder, ["down"])
  rmSync(ledger)
  rmSync(kept)
  await json(folder, ["up"])
  await json(folder, ["workspace", "create", "night"])
})

test("a ledger that cannot be opened is named to whoever makes its workspace", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  const path = join(folder, ".skein", "ledger", "night.sqlite")
  writeFileSync(path, "not a ledger".repeat(400))
  expect(await skein(folder, ["workspace", "create", "night"])).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(`${path} is not a sound`) as string,
  })
})

test.each(["night.cosigned", "night.Unreadable", "goose.credential", "wanted", "Running", "supervisor.json"])(
  "%s names no workspace: a file of another lies there",
  async (name) => {
    const folder = newRepository()
    await json(folder, ["up"])
    expect(await skein(folder, ["workspace", "create", name])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("files of other workspaces are called so") as string,
    })
  },
)

test("a kept checkpoint that cannot be read keeps nobody from work, and is told until a person has removed it", async () => {
  const { folder, at, kept } = await begun("main")
  await json(folder, ["task", "add", "first", "First"])
  await json(folder, ["ledger", "checkpoint"])
  await json(folder, ["down"])
  const note = readFileSync(kept, "utf8")
  const told = async (what: string): Promise<void> => {
    const verified = await skein(folder, ["ledger", "verify"])
    expect(verified).toMatchObject({ status: 1, stdout: expect.stringMatching(/^ok /) as string, stderr: expect.stringContaining(what) as string })
    expect(verified.stderr).toMatch(/^remedy: .*/m)
    const findings = parseLines<{ level: string; about: string; text: string }>((await skein(folder, ["doctor", "--json"])).stdout)
    expect(findings.find(({ about }) => about === "checkpoint")).toMatchObject({ level: "problem", text: expect.stringContaining(what) as string })
    expect(findings.find(({ about }) => about === "ledger")).toMatchObject({ level: "ok" })
  }

  // What follows from the secret key is no loss: the hub reads the checkpoint all the same.
  rmSync(at("keys", "checkpoint-main.pub"))
  await told(`${at("keys", "checkpoint-main.pub")} holds no public key`)
  await json(folder, ["up"])
  expect(await skein(folder, ["ledger", "verify"])).toMatchObject({ status: 0 })
  await json(folder, ["down"])

  // The ledger itself proves an entry by a fresh checkpoint, where there is a hub to sign one.
  await json(folder, ["up"])
  writeFileSync(kept, note.slice(0, -20))
  writeFileSync(`${kept}.cosigned`, "no note")
  const proved = await skein(folder, ["ledger", "prove", "1", "--out", at("1.proof")])
  expect(proved).toMatchObject({ status: 0, stderr: expect.stringContaining(".skein/checkpoint/main cannot be read as a checkpoint") as string })
  expect(proved.stderr).toContain(".skein/checkpoint/main.cosigned cannot be read")
  expect(await skein(folder, ["ledger", "check", at("1.proof")])).toMatchObject({ status: 0 })
  rmSync(`${kept}.cosigned`)
  await json(folder, ["down"])

  for (const spoil of [() => writeFileSync(kept, note.slice(0, -20)), () => mkdirSync(kept)]) {
    rmSync(kept)
    spoil()
    await told(`${kept} cannot be read: `)
    await json(folder, ["up"])
    await json(folder, ["ledger", "checkpoint"])
    await told(`${kept}.unreadable is a checkpoint that a hub could not read at its start`)
    rmSync(`${kept}.unreadable`, { recursive: true })
    expect(await skein(folder, ["ledger", "verify"])).toMatchObject({ status: 0 })
    await json(folder, ["down"])
  }
})
