import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, parseLines, skein, startSkein, tidyUp, until } from "./cli-driver.ts"

afterAll(tidyUp)

test("a healthy instance is well; a credential that others can read and a task that nobody fits are problems with a remedy", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  await json(folder, ["task", "add", "plain", "Plain"])
  const well = await skein(folder, ["doctor"])
  expect({ status: well.status, stdout: well.stdout }).toEqual({ status: 0, stdout: expect.not.stringMatching(/problem/) as string })
  chmodSync(join(folder, ".skein", "operator.credential"), 0o644)
  await json(folder, ["task", "add", "far", "Far", "--requires", "alchemy:5"])
  const ill = await skein(folder, ["doctor", "--json"])
  expect(ill.status).toBe(1)
  const problems = parseLines<{ level: string; about: string; remedy: string }>(ill.stdout).filter(({ level }) => level === "problem")
  expect(problems.map(({ about }) => about)).toEqual(["permissions", "nobody fits"])
  for (const { remedy } of problems) expect(remedy).not.toBe("")
})

test("a machine without git is told so", async () => {
  const folder = newRepository()
  const { status, stdout } = await skein(folder, ["doctor", "--quick"], { PATH: folder })
  expect(status).toBe(1)
  expect(stdout).toMatch(/^problem {2}git: git is not installed, or not on the PATH\n\s+Install git/m)
  expect((await skein(folder, ["doctor", "--quick"])).stdout).toMatch(/^ok {7}git: 2\.\d/m)
})

test("while git has not answered yet, what else was looked at is told; one that does not answer is given up soon", async () => {
  const folder = newRepository()
  const bin = join(folder, "bin")
  mkdirSync(bin)
  writeFileSync(join(bin, "git"), `#!/bin/sh\nwhile [ ! -e '${folder}/goes on' ]; do sleep 0.05; done; echo git version 2.99.0\n`, { mode: 0o755 })
  const doctor = startSkein(folder, ["doctor", "--quick"], { PATH: `${bin}:${process.env["PATH"]}` })
  await until(() => (/^ok {7}node: /m.test(doctor.output()) ? true : undefined), "Node is told", 8_000)
  writeFileSync(join(folder, "goes on"), "")
  expect((await doctor.ended).stdout).toMatch(/^ok {7}git: 2\.99/m)
})

test("a hub of another version than the command is told, with what makes it the same", async () => {
  const repository = newRepository()
  await json(repository, ["up"])
  const file = join(repository, ".skein", "hub.json")
  const hub = readFileSync(file, "utf8")
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(hub) as object), version: "0.0.9" }))
  const { status, stdout } = await skein(repository, ["doctor", "--quick"])
  writeFileSync(file, hub)
  expect(status).toBe(0)
  expect(stdout).toMatch(/^warning {2}hub: process \d+ answers at \S+, of Skein 0\.0\.9; this is .*\n\s+Start it anew: skein down && skein up$/m)
})
