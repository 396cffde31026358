import { report, UsageError } from "./failure.ts"
import { findVerb, underOthers, verbNames } from "./verbs.ts"

/** Options of every verb that take a value of their own: it is no verb. */
const WITH_VALUE = new Set(["-w", "--workspace", "-C", "--repo", "--url"])

/** The verb in a command line, if there is one. */
function verbOf(args: readonly string[]): string | undefined {
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] as string
    if (WITH_VALUE.has(arg)) at += 1
    else if (!arg.startsWith("-")) return arg
  }
  return undefined
}

async function main(args: readonly string[]): Promise<void> {
  // What the git guard's hook runs: every commit waits for it, so nothing is loaded that parses options.
  if (args[0] === "guard" && args[1] === "check" && args.length === 4) {
    const { guardCheck } = await import("./guard-check.ts")
    process.exitCode = await guardCheck(args[2] as string, args[3] as string)
    return
  }
  const name = verbOf(args)
  if (name === undefined || (name === "help" && args.length === 1)) {
    if (args.includes("-V") || args.includes("--version")) return printVersion(args.includes("--json"))
    const last = args.at(-1) ?? ""
    if (WITH_VALUE.has(last)) throw new UsageError(`${last} needs a value, and a verb after it`, "skein --help lists verbs and options.")
    const unknown = args.find((arg) => arg.startsWith("-") && !KNOWN_ALONE.has(arg))
    if (unknown !== undefined) throw new UsageError(`there is no option ${unknown}, or it needs a verb`, "skein --help lists verbs and options.")
    const [{ manual }, { Terminal }] = await Promise.all([import("./manual.ts"), import("./terminal.ts")])
    process.stdout.write(manual(new Terminal({ colour: !args.includes("--no-color") })))
    return
  }
  // `skein --help VERB` and `skein help VERB`, as people try it.
  const first = args[0] as string
  if (first === "-h" || first === "--help") return main([...args.slice(1), "--help"])
  if (name === "help") return main([...args.filter((arg) => arg !== "help"), "--help"])
  const verb = findVerb(name)
  if (verb === undefined) {
    const { didYouMean } = await import("./spelling.ts")
    const meant = underOthers(name)
    const hint = meant.length > 0 ? `Did you mean ${meant.join(" or ")}? ` : didYouMean(name, verbNames)
    throw new UsageError(`there is no verb "${name}"`, `${hint}skein --help lists the verbs.`)
  }
  const [{ program, told }, { register }] = await Promise.all([import("./program.ts"), verb.load()])
  const root = program()
  register(root)
  await told(root, args)
}

const KNOWN_ALONE = new Set(["-h", "--help", "--json", "--no-color", "--global"])

async function printVersion(json: boolean): Promise<void> {
  const { version } = await import("./version.ts")
  process.stdout.write(json ? `${JSON.stringify({ version, node: process.versions.node })}\n` : `skein ${version}\n`)
}

const args = process.argv.slice(2)

let isUnheard = false
// A reader that has seen enough (`| head`) is no failure. What else keeps the answer from being written, such as a full disk, is told.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") {
    // Who works while it tells, such as `skein run`, ends what it began as when its terminal goes.
    if (!isUnheard && !process.emit("SIGHUP", "SIGHUP")) process.exit(process.exitCode ?? 0)
    isUnheard = true
    return
  }
  error.message = `the answer could not be written to standard output: ${error.message}`
  process.exit(report(error, args.includes("--json")))
})
// There is nobody left to tell: the exit status says it.
process.stderr.on("error", () => undefined)

// Nothing is awaited at the top: what is loaded by `require` cannot be.
main(args).catch((error: unknown) => {
  const status = report(error, args.includes("--json"))
  // To an agent that calls its hooks, exit status 2 refuses the edit: a line in its settings that is wrong must not stop it.
  process.exitCode = verbOf(args) === "hook" ? 0 : status
})
