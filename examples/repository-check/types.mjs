/** The type check, as the repository itself defines it, else with the compiler on its tsconfig.json. */
import { hasTool, jsonAt, linkDependencies, runTool, trackedFiles } from "./checkout.mjs"
import { decline, deliver } from "./delivery.mjs"
import { code, outputLines, plural } from "./markdown.mjs"

const files = trackedFiles()
const scripts = jsonAt("package.json", files)?.scripts ?? {}
const script = ["typecheck", "type-check", "check:types", "tsc"].map((name) => scripts[name]).find((text) => typeof text === "string")
const configured = files.some(({ path }) => path === "tsconfig.json")

if (script === undefined && !configured) {
  decline("types", "no type check script and no tsconfig.json")
} else if (!linkDependencies()) {
  decline("types", "dependencies are not installed", "not run")
} else if (script === undefined && !hasTool("tsc")) {
  decline("types", "there is a tsconfig.json, but no compiler is installed", "not run")
} else {
  const command = script ?? "tsc --noEmit -p tsconfig.json"
  const { status, output } = runTool(command)
  const errors = output.match(/\berror TS\d+:/g)?.length ?? (status === 0 ? 0 : 1)
  if (status === undefined) decline("types", `${code(command)} took too long and was stopped`, "not run")
  else
    deliver({
      check: "types",
      verdict: status === 0 ? "ok" : "findings",
      findings: status === 0 ? 0 : errors,
      summary: `${code(command)}: ${status === 0 ? "no errors" : `${plural(errors, "error")}, exit status ${status}`}`,
      body: status === 0 ? "" : outputLines(output),
    })
}
