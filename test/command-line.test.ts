import { spawnSync } from "node:child_process"
import { resolve } from "node:path"
import { expect, test } from "vitest"

const ROOT = resolve(import.meta.dirname, "..")

const WRONG = [
  ["scripts/simulate.ts", "--seeds", "x"],
  ["scripts/simulate.ts", "--from", ""],
  ["scripts/simulate.ts", "--seeds", "-1"],
  ["scripts/crash.ts", "--kills", "0"],
  ["scripts/crash.ts", "stray"],
  ["scripts/fuzz.ts", "--target", "plan,none"],
  ["scripts/fuzz.ts", "--cases", "0.5"],
  ["bench/main.ts"],
  ["bench/main.ts", "constructor"],
  ["bench/main.ts", "claims", "--rounds", "0"],
  ["bench/main.ts", "claims", "--engines", "floor,foo", "--json"],
  ["bench/main.ts", "cli", "--entries", "5"],
  ["bench/main.ts", "claims", "--none"],
]

test.each(WRONG.map((words) => [words.join(" "), words] as const))(
  "a wrong command line ends with status 2, what is wrong and how it is right: %s",
  (_, words) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", ...words], { cwd: ROOT, encoding: "utf8" })
    expect(status).toBe(2)
    expect(stdout).toBe("")
    expect(stderr).toMatch(/^\S.*\nusage: npm run (simulate|crash|fuzz|bench) -- .*\n$/)
  },
)
