import { Command, CommanderError } from "commander"
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
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return
    // A verb that was given no subcommand shows its help: as a fault, since nothing was done.
    if (error.code === "commander.help") {
      process.stderr.write(helpOf(root, args))
      throw new UsageError("say what to do", "The lines above list it.")
    }
    const path = args.filter((arg) => !arg.startsWith("-")).slice(0, 1)
    const [message = "", hint = ""] = error.message
      .replace(/^error: /, "")
      .replaceAll("'", '"')
      .split("\n")
    throw new UsageError(message, `${hint.replace(/^\((.*)\)$/, "$1 ")}skein ${path.join(" ")} --help says more.`)
  }
}

/** The settings of the root hold for every command under it, however it was added. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    inherit(child)
  }
}

function helpOf(root: Command, args: readonly string[]): string {
  let command = root
  for (const arg of args) command = command.commands.find((child) => child.name() === arg) ?? command
  return command.helpInformation()
}
