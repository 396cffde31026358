import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { readTeamFile } from "./team-file.ts"

const folder = mkdtempSync(join(tmpdir(), "skein-team-"))
afterAll(() => rmSync(folder, { recursive: true }))

function team(text: string): string {
  const path = join(folder, "team.yaml")
  writeFileSync(path, text)
  return path
}

test("a team file holds agents as a plan does, each as often as it says, with its true chances of success", () => {
  const read = readTeamFile(
    team(
      "agents:\n  - { name: fast, count: 2, capabilities: { node: 3 }, costPerHourUsd: 4, success: { node: 0.7 } }\n  - { name: good, tier: 2 }\n  - { name: off, start: false }\n",
    ),
  )
  const fast = { start: true, capabilities: { node: 3 }, costPerHourMicroUsd: 4_000_000, success: { node: 0.7 } }
  expect(read).toEqual([
    { ...fast, name: "fast" },
    { ...fast, name: "fast-2" },
    { name: "good", start: true, tier: 2 },
  ])
})

test("everything that is wrong with a team file is told, with its place; what is not there as well", () => {
  const path = team("agents:\n  - { name: a, count: 0 }\n  - { name: b, success: { node: 1.5 } }\n  - { name: c, sucess: {} }\n")
  expect(() => readTeamFile(path)).toThrow(/3 faults\n.*:2:\d+: [^]*:3:\d+: [^]*:4:\d+: .*has no key "sucess"/)
  expect(() => readTeamFile(team("agents: []\n"))).toThrow(/has no agent that is started/)
  expect(() => readTeamFile(join(folder, "nothing.yaml"))).toThrow(/cannot be read \(ENOENT\)/)
})

test("a team without end is refused at once", () => {
  const many = Array.from({ length: 200 }, (_, at) => `  - { name: a${at}, count: 1000 }`)
  expect(() => readTeamFile(team(`agents:\n${many.join("\n")}\n`))).toThrow(/more than \d+ agents|fault/)
  expect(() => readTeamFile("/dev/zero")).toThrow(/bytes long/)
})
