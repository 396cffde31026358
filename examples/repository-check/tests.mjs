/** One shard of a folder's tests: `tests.mjs FOLDER INDEX/COUNT`, such as `tests.mjs src/core 1/2`. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { hasTool, linkDependencies, runTool, trackedFiles } from "./checkout.mjs"
import { decline, deliver } from "./delivery.mjs"
import { code, list, outputLines, plural } from "./markdown.mjs"

const [folder = "", shard = "1/1"] = process.argv.slice(2)
if (!/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(folder) || !/^[1-9]\d?\/[1-9]\d?$/.test(shard)) throw new Error("usage: tests.mjs FOLDER INDEX/COUNT")
const [index, count] = shard.split("/").map(Number)
const check = `tests of ${folder} ${shard}`

/** Vitest refuses more shards than there are files. */
function shardArguments(files) {
  if (files >= count) return ["--shard", shard]
  return index === 1 ? [] : undefined
}

/** Runs the shard. The results are written apart from what tests print, and removed: they may quote anything. */
function runShard(args) {
  const scratch = mkdtempSync(join(tmpdir(), "shard-"))
  const report = join(scratch, "report.json")
  try {
    const ran = runTool(["vitest", "run", `${folder}/`, ...args, "--reporter=json", `--outputFile='${report}'`].join(" "))
    return existsSync(report) ? { ...ran, results: JSON.parse(readFileSync(report, "utf8")) } : ran
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function deliverResults({ status, output, results }) {
  if (results === undefined) {
    const summary = "vitest ended without results"
    return deliver({ check, verdict: "findings", findings: 1, summary, body: outputLines(output) })
  }
  const broken = results.testResults.filter((file) => file.status === "failed" && file.assertionResults.every((one) => one.status !== "failed"))
  const failed = results.testResults.flatMap((file) => file.assertionResults).filter((one) => one.status === "failed")
  const pass = status === 0
  const findings = failed.length + broken.length || (pass ? 0 : 1)
  const files = results.testResults.length
  deliver({
    check,
    verdict: pass ? "ok" : "findings",
    findings,
    summary: `${results.numPassedTests} passed, ${results.numFailedTests} failed, ${results.numPendingTests + results.numTodoTests} skipped in ${plural(files, "file")}`,
    body: list([
      ...failed.map((one) => `${code(one.fullName)}: ${code((one.failureMessages?.[0] ?? "").split("\n")[0])}`),
      ...broken.map((file) => `${code(file.name.split("/").slice(-2).join("/"))} did not run: ${code(file.message ?? "")}`),
    ]),
    testsPass: pass ? true : null,
  })
}

const testFiles = trackedFiles().filter(({ path }) => path.startsWith(`${folder}/`) && /\.(test|spec)\.[cm]?[jt]sx?$/.test(path))
const args = shardArguments(testFiles.length)
if (testFiles.length === 0) decline(check, `no tests in ${folder}`)
else if (args === undefined) decline(check, `${plural(testFiles.length, "test file")} only, all in the first shard`)
else if (!linkDependencies()) decline(check, "dependencies are not installed", "not run")
else if (!hasTool("vitest")) decline(check, "the tests are not Vitest's, or it is not installed", "not run")
else {
  const ran = runShard(args)
  if (ran.status === undefined) decline(check, "took too long and was stopped", "not run")
  else deliverResults(ran)
}
