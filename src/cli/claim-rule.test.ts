import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { requiresClaim } from "./claim-rule.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "skein-rule-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const faults: string[] = []
const rule = (): Promise<boolean> => requiresClaim(folder, (why) => faults.push(why))

const installGuard = (): void => {
  mkdirSync(join(folder, "hooks"))
  writeFileSync(join(folder, "hooks", "guard.json"), "{}")
}

test("where nothing is said a task is needed with the guard, and not without it", async () => {
  expect(await rule()).toBe(false)
  installGuard()
  expect(await rule()).toBe(true)
  writeFileSync(join(folder, "config.yaml"), "prices: {}\n")
  expect(await rule()).toBe(true)
})

test.each([
  ["requireClaim: true\n", true],
  ["prices: {}\nrequireClaim: true # for all\r\n", true],
  ["requireClaim: false\n", false],
  ["# requireClaim: true\n", false],
  ["{ requireClaim: true }\n", true],
  ['"requireClaim": true\n', true],
  ["requireClaim: True\n", true],
  ["requireClaim:\n  true\n", true],
])("%j says %j", async (text, expected) => {
  writeFileSync(join(folder, "config.yaml"), text)
  expect(await rule()).toBe(expected)
})

test("settings win over the guard; those that cannot be read require nothing, and it is told", async () => {
  installGuard()
  writeFileSync(join(folder, "config.yaml"), "requireClaim: false\n")
  expect(await rule()).toBe(false)
  writeFileSync(join(folder, "config.yaml"), "requireClaim: perhaps\n")
  expect(await rule()).toBe(false)
  expect(faults).toEqual([expect.stringContaining("config.yaml:1:15: requireClaim")])
})
