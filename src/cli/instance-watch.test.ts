import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { watchInstance, type InstanceWatch } from "./instance-watch.ts"

const file = { pid: process.pid, url: "http://127.0.0.1:9", startedAtMs: 1, version: "0" }
let directory: string
let ends: number
let watch: InstanceWatch

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "skein watch-"))
  mkdirSync(join(directory, "ledger"))
  writeFileSync(join(directory, "ledger", "main.sqlite"), "")
  writeFileSync(join(directory, "ledger", "main.sqlite.owner"), JSON.stringify({ pid: process.pid, address: file.url }))
  writeFileSync(join(directory, "hub.json"), JSON.stringify(file))
  ends = 0
  watch = watchInstance({ directory, repository: null }, file, () => (ends += 1))
})
afterEach(() => {
  watch.stop()
  rmSync(directory, { recursive: true, force: true })
})

test("a hub whose files are there goes on", () => {
  watch.look()
  expect(ends).toBe(0)
})

test("a hub whose instance was removed ends, once, and writes nothing there", () => {
  rmSync(directory, { recursive: true })
  watch.look()
  watch.look()
  expect(ends).toBe(1)
  expect(() => readFileSync(join(directory, "hub.json"))).toThrow("ENOENT")
})

test("a hub whose instance was made anew by another ends", () => {
  writeFileSync(join(directory, "ledger", "main.sqlite.owner"), JSON.stringify({ pid: 1, address: null }))
  watch.look()
  expect(ends).toBe(1)
})

test("a hub in the place of whose ledger another file was put ends, and announces itself no more", () => {
  const path = join(directory, "ledger", "main.sqlite")
  const open = openSync(path, "r")
  for (const name of [path, `${path}.owner`, join(directory, "hub.json")]) rmSync(name)
  writeFileSync(path, "")
  watch.look()
  closeSync(open)
  expect(ends).toBe(1)
  expect(() => readFileSync(join(directory, "hub.json"))).toThrow("ENOENT")
})

test("a hub goes on where hub.json cannot be written, and writes it once it can", () => {
  const path = join(directory, "hub.json")
  rmSync(path)
  mkdirSync(path)
  watch.look()
  rmSync(path, { recursive: true })
  watch.look()
  expect({ ends, file: JSON.parse(readFileSync(path, "utf8")) as unknown }).toEqual({ ends: 0, file })
})

test("a hub.json that was lost is written again", () => {
  rmSync(join(directory, "hub.json"))
  watch.look()
  expect({ ends, file: JSON.parse(readFileSync(join(directory, "hub.json"), "utf8")) as unknown }).toEqual({ ends: 0, file })
})
