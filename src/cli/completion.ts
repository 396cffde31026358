import type { Command, Option } from "commander"
import { completionScript, type Completions, FILE, SHELLS } from "./completion-script.ts"
import { act, examples, oneOf, wordsOf, type Context } from "./context.ts"
import { program } from "./program.ts"
import { VERBS } from "./verbs.ts"

/** Placeholders of the help that stand for something on the disk. */
const ON_DISK = /^(?:path|file|plan|folder)$/

const WHERE: Readonly<Record<(typeof SHELLS)[number], string>> = {
  bash: "skein completion bash > ~/.local/share/bash-completion/completions/skein",
  zsh: "skein completion zsh > ~/.zfunc/_skein",
  fish: "skein completion fish > ~/.config/fish/completions/skein.fish",
}

/** `skein completion`: what a shell needs to complete command lines. */
export function register(root: Command): void {
  root
    .command("completion")
    .description("Print a script by which a shell completes verbs, options and fixed values at Tab. It asks nobody: made anew with each version of Skein.")
    .argument("<shell>", SHELLS.join(", "), oneOf(SHELLS))
    .addHelpText(
      "after",
      examples(
        [WHERE.bash, "for every bash that has bash-completion; without it: source the file in ~/.bashrc"],
        [WHERE.zsh, "with ~/.zfunc in fpath before compinit"],
        [WHERE.fish, "for every fish"],
      ),
    )
    .action(
      act(async ({ terminal }: Context, shell: (typeof SHELLS)[number]) => {
        const script = completionScript(shell, completionsOf(await wholeProgram()))
        if (terminal.json) terminal.record({ shell, script })
        else process.stdout.write(script)
      }),
    )
}

/** The command line with all its verbs; one module may register several. */
export async function wholeProgram(): Promise<Command> {
  const root = program()
  const modules = await Promise.all(VERBS.flatMap(({ verbs }) => verbs.map(({ load }) => load())))
  for (const verb of new Set(modules.map((module) => module.register))) verb(root)
  return root
}

function completionsOf(root: Command): Completions {
  const all: Completions = new Map()
  const summaries = new Map(VERBS.flatMap(({ verbs }) => verbs.map(({ name, summary }) => [name, summary] as const)))
  const take = (command: Command, path: string): void => {
    const children = command.commands.map((child): [string, string] => [child.name(), (path === "" && summaries.get(child.name())) || child.description()])
    if (children.length > 0) all.set(`commands${path}`, children)
    const help: [string, string] = ["--help", "what it does and takes"]
    const own = path === "" ? [help, ["--version", "the version"] as [string, string]] : [help]
    const options = [...command.options, ...(command === root ? [] : root.options)]
    all.set(`options${path}`, [...options.flatMap((option) => namesOf(option).map((name): [string, string] => [name, option.description])), ...own])
    for (const option of command.options.filter(({ required }) => required))
      for (const name of namesOf(option)) all.set(`value${path} ${name}`, valuesOf(option.parseArg, placeholder(option)))
    for (const [at, argument] of command.registeredArguments.entries()) {
      const values = valuesOf(argument.parseArg, argument.name())
      if (values.length > 0) all.set(`argument${path} ${argument.variadic ? "all" : at}`, values)
    }
    for (const child of command.commands) take(child, `${path} ${child.name()}`)
  }
  take(root, "")
  return all
}

const namesOf = ({ long, short }: Option): string[] => [long, short].filter((name) => name !== undefined)

const placeholder = ({ flags }: Option): string => /<([\w-]+)/.exec(flags)?.[1] ?? ""

function valuesOf(parse: unknown, name: string): [string, string][] {
  return ON_DISK.test(name) ? [[FILE, ""]] : wordsOf(parse).map((word) => [word, ""])
}
