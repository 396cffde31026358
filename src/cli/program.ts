import { Command, CommanderError } from "commander"
import { SkeinError } from "../contract/errors.ts"
import { UsageError } from "./failure.ts"

/** The root of the command line, with what every verb takes; `manual.ts` tells the same. */
export function program(): Command {
  return new Command("skein")
    .option("--json", "one JSON object a line, errors too")
    .option("-w, --workspace <name>", "which workspace of the hub (default: main)")
    .option("-C, --repo <path>", "as if started in PATH")
    .option("--global", "the instance of this user, which belongs to no repository")
    .option("--url <url>", "the hub at this address")
    .option("--no-color", "plain text")
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(process.stdout.columns ?? 100, 110) })
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
}

/** Parses and runs. What commander has to complain of becomes a `UsageError`; help ends well. */
export async function told(root: Command, args: readonly string[]): Promise<void> {
  inherit(root)
  try {
    await root.parseAsync(args, { from: "user" })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    const [named, command] = namedBy(root, args)
    if (!(error instanceof CommanderError)) throw inWordsOf(named, error)
    // A verb that was given no subcommand shows its help: as a fault, since nothing was done. With --json an object is all there is.
    if (error.code === "commander.help") {
      if (args.includes("--json")) throw new UsageError("say what to do", `skein ${named} --help lists it.`)
      process.stderr.write(command.helpInformation())
      throw new UsageError("say what to do", "The lines above list it.")
    }
    const [message = "", hint = ""] = error.message
      .replace(/^error: (command-argument value )?/, "")
      .replaceAll("'", '"')
      .split("\n")
    throw new UsageError(message, `${hint.replace(/^\((.*)\)$/, "$1 ")}skein ${named} --help says more.`)
  }
}

/** The hub names its operation to programs of any kind; whoever stands at a command line is told the verb that asked it. */
function inWordsOf(named: string, error: unknown): unknown {
  if (!(error instanceof SkeinError) || !/ \/api#[A-Za-z.]+$/.test(error.remedy)) return error
  return new SkeinError(error.code, error.message, `skein ${named} --help says what it takes.`, error.details, error.retryAfterMs)
}

/** The settings of the root hold for every command under it, however it was added. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    inherit(child)
  }
}

/** The command that a command line names (`task add`), as far as it names one; values of the root's options are passed over. */
function namedBy(root: Command, args: readonly string[]): [path: string, command: Command] {
  const path: string[] = []
  let command = root
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] as string
    if (root.options.some(({ short, long, required }) => required && (arg === short || arg === long))) at += 1
    else if (!arg.startsWith("-")) {
      const child = command.commands.find((one) => one.name() === arg)
      if (child === undefined) break
      path.push(arg)
      command = child
    }
  }
  return [path.join(" "), command]
}
