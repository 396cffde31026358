import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { type InitRecord, writeRecord } from "../repo/init-record.ts"
import { takeTurn } from "./init-turn.ts"

const instance = { directory: mkdtempSync(join(tmpdir(), "skein turn-")), repository: null }
const record: InitRecord = { version: 1, places: [], agents: [] }

afterEach(() => writeRecord(instance.directory, null))
process.on("exit", () => rmSync(instance.directory, { recursive: true, force: true }))

test("one init at a time has its turn, and the next when it has ended", async () => {
  const end = await takeTurn(instance, null)
  await expect(takeTurn(instance, null)).rejects.toMatchObject({ message: expect.stringContaining("at work") as string })
  end()
  const next = await takeTurn(instance, null)
  next()
})

test("what was planned before another init had its turn is not carried out: its record would be lost, and with it what can be taken back", async () => {
  writeRecord(instance.directory, record)
  await expect(takeTurn(instance, null)).rejects.toMatchObject({ message: expect.stringContaining("faster") as string })
  const end = await takeTurn(instance, record)
  end()
})
