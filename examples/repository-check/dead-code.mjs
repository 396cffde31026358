/** Files, exports and dependencies that nothing uses, found by Knip where the repository has it. */
import { hasTool, jsonAt, linkDependencies, runTool, trackedFiles } from "./checkout.mjs"
import { decline, deliver } from "./delivery.mjs"
import { code, list, outputLines, plural } from "./markdown.mjs"

const check = "dead code"

/** Knip's JSON: `{ issues: [{ file, exports: [{ name, line }], … }] }`, one row a file; a list under each kind of issue. */
function readIssues(stdout) {
  try {
    const { issues } = JSON.parse(stdout.slice(stdout.indexOf("{")))
    return Array.isArray(issues) ? issues : undefined
  } catch {
    return undefined
  }
}

function* issuesOf({ file, ...kinds }) {
  for (const [kind, found] of Object.entries(kinds)) {
    if (!Array.isArray(found)) continue
    for (const one of found.flat()) yield { kind, file, name: one.name ?? file, line: one.line }
  }
}

const manifest = jsonAt("package.json", trackedFiles())
const uses = { ...manifest?.dependencies, ...manifest?.devDependencies }.knip !== undefined

if (manifest === undefined) {
  decline(check, "no package.json")
} else if (!linkDependencies() && uses) {
  decline(check, "dependencies are not installed", "not run")
} else if (!hasTool("knip")) {
  decline(check, "knip, which finds it, is not among the repository's tools", uses ? "not run" : "not applicable")
} else {
  const { status, stdout, output } = runTool("knip --reporter json --no-exit-code --no-progress --no-config-hints")
  const rows = status === 0 ? readIssues(stdout) : undefined
  if (rows === undefined) {
    deliver({ check, verdict: "not run", summary: `knip gave no result, exit status ${status ?? "none (stopped)"}`, body: outputLines(output, 8) })
  } else {
    const found = rows.flatMap((row) => [...issuesOf(row)])
    const counts = new Map()
    for (const { kind } of found) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    const kinds = [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ")
    deliver({
      check,
      verdict: found.length > 0 ? "findings" : "ok",
      findings: found.length,
      summary: found.length === 0 ? "nothing unused" : `${plural(found.length, "thing")} unused or unlisted (${kinds})`,
      body: list(
        found.map((one) => `${one.kind}: ${code(one.name)}${one.name === one.file ? "" : ` in ${code(one.line ? `${one.file}:${one.line}` : one.file)}`}`),
        40,
      ),
    })
  }
}
