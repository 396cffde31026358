/** The linter, as the repository itself calls it, else the one that it configures. It reports; it must not rewrite. */
import { hasTool, jsonAt, linkDependencies, runTool, trackedFiles } from "./checkout.mjs"
import { decline, deliver } from "./delivery.mjs"
import { code, outputLines, plural } from "./markdown.mjs"

const CONFIGURED = [
  ["oxlint", /^\.oxlintrc\.json$/, "oxlint"],
  ["eslint", /^(eslint\.config\.[cm]?[jt]s|\.eslintrc(\.\w+)?)$/, "eslint ."],
  ["biome", /^biome\.jsonc?$/, "biome lint ."],
]
// "Found 2 warnings and 1 error." (oxlint), "5 problems (…)" (ESLint), "Found 3 errors." (Biome)
const COUNTS = /\b(\d+) (?:problems?|errors?|warnings?)\b(?! potentially)/g

const files = trackedFiles()
const scripts = jsonAt("package.json", files)?.scripts ?? {}
const script = typeof scripts.lint === "string" ? scripts.lint.replace(/\s--(?:fix|write)(?:-[a-z]+)?\b/g, "") : undefined
const configured = CONFIGURED.find(([, pattern]) => files.some(({ path }) => pattern.test(path)))

function countFindings(output) {
  const problems = /\b(\d+) problems?\b/.exec(output)
  if (problems) return Number(problems[1])
  const counts = [...output.matchAll(COUNTS)].map((match) => Number(match[1]))
  return counts.reduce((sum, count) => sum + count, 0)
}

if (script === undefined && configured === undefined) {
  decline("lint", "no lint script and no linter configured")
} else if (!linkDependencies()) {
  decline("lint", "dependencies are not installed", "not run")
} else if (script === undefined && !hasTool(configured[0])) {
  decline("lint", `${configured[0]} is configured, but not installed`, "not run")
} else {
  const command = script ?? configured[2]
  const { status, output } = runTool(command)
  const count = countFindings(output) || (status === 0 ? 0 : 1)
  if (status === undefined) decline("lint", `${code(command)} took too long and was stopped`, "not run")
  else
    deliver({
      check: "lint",
      verdict: count > 0 ? "findings" : "ok",
      findings: count,
      summary: `${code(command)}: ${count === 0 ? "nothing found" : plural(count, "finding")}, exit status ${status}`,
      body: count === 0 ? "" : outputLines(output, 30),
    })
}
