import type { Command, Option } from "commander"
import { completionScript, type Completions, FILE, SHELLS } from "./completion-script.ts"
import type { HubConnection } from "./connection.ts"
import { act, examples, oneOf, wordsOf, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { program } from "./program.ts"
import { VERBS } from "./verbs.ts"

/** Placeholders of the help that stand for something on the disk. */
const ON_DISK = /^(?:path|file|plan|folder)$/

const OPEN = ["pending", "claimed", "in_progress", "blocked", "review", "failed"] as const
const AT_MOST = 500
/** Nobody waits longer at Tab. */
const PATIENCE = { timeoutMs: 1_000 }

/** Names that the hub knows. */
const NAMES = {
  tasks: async (hub) => (await hub.call("task.list", { state: [...OPEN], limit: AT_MOST }, PATIENCE)).tasks.map(({ id }) => id),
  agents: async (hub) => (await hub.call("agent.list", {}, PATIENCE)).agents.map(({ name }) => name),
  plans: async (hub) => (await hub.call("plan.list", {}, PATIENCE)).plans.map(({ id }) => id),
  threads: async (hub) => (await hub.call("thread.list", {}, PATIENCE)).threads.map(({ id }) => id),
  workspaces: async (hub) => (await hub.call("workspace.list", {}, PATIENCE)).workspaces.map(({ name }) => name),
} satisfies Record<string, (hub: HubConnection) => Promise<string[]>>
type Named = keyof typeof NAMES

/** Whose names stand there: by the command and the placeholder of its argument, or the option and its. */
const NAMED: readonly [where: RegExp, what: Named][] = [
  [/ task$| --(task <id|depends-on <)/, "tasks"],
  [/^(?! hook| run).* (agents?|--agent <name|--(owner|prefers|with) <agent)$|^ agent (?!add )\w+ name$/, "agents"],
  [/^ plan \w+ plan$| --plan <id$/, "plans"],
  [/ thread$| --thread <id$/, "threads"],
  [/ --workspace <name$/, "workspaces"],
]

const WHERE: Readonly<Record<(typeof SHELLS)[number], string>> = {
  bash: "skein completion bash > ~/.local/share/bash-completion/completions/skein",
  zsh: "skein completion zsh > ~/.zfunc/_skein",
  fish: "skein completion fish > ~/.config/fish/completions/skein.fish",
}

/** `skein completion`: what a shell needs to complete command lines. */
export function register(root: Command): void {
  root
    .command("completion")
    .description(
      "Print a script by which a shell completes verbs, options, values and names at Tab. Names of tasks, agents, plans, threads and workspaces come from the hub, where one runs. Make it anew with each version of Skein.",
    )
    .argument("[shell]", SHELLS.join(", "), oneOf(SHELLS))
    .option(
      "--names <what>",
      `print the names of these, one a line, as the script asks for them: ${Object.keys(NAMES).join(", ")}; none where no hub answers`,
      oneOf(Object.keys(NAMES) as Named[]),
    )
    .addHelpText(
      "after",
      examples(
        [WHERE.bash, "for every bash that has bash-completion; without it: source the file in ~/.bashrc"],
        [WHERE.zsh, "with ~/.zfunc in fpath before compinit"],
        [WHERE.fish, "for every fish"],
      ),
    )
    .action(
      act(async (context: Context, shell: (typeof SHELLS)[number] | undefined, { names }: { names?: Named }) => {
        const { terminal } = context
        if (names !== undefined) {
          // Whoever presses Tab asked for no error.
          const found = await context
            .hub()
            .then(NAMES[names])
            .catch(() => [])
          terminal.record({ names: found })
          for (const name of found) terminal.print(name)
          return
        }
        if (shell === undefined) throw new UsageError("say which shell", `Write one of ${SHELLS.join(", ")}.`)
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
      for (const name of namesOf(option))
        all.set(`value${path} ${name}`, valuesOf(option.parseArg, placeholder(option), `${path} ${option.long} <${placeholder(option)}`))
    for (const [at, argument] of command.registeredArguments.entries()) {
      const values = valuesOf(argument.parseArg, argument.name(), `${path} ${argument.name()}`)
      if (values.length > 0) all.set(`argument${path} ${argument.variadic ? "all" : at}`, values)
    }
    for (const child of command.commands) take(child, `${path} ${child.name()}`)
  }
  take(root, "")
  return all
}

const namesOf = ({ long, short }: Option): string[] => [long, short].filter((name) => name !== undefined)

const placeholder = ({ flags }: Option): string => /<([\w-]+)/.exec(flags)?.[1] ?? ""

function valuesOf(parse: unknown, name: string, where: string): [string, string][] {
  const named = NAMED.find(([place]) => place.test(where))
  if (named !== undefined) return [[`@${named[1]}`, ""]]
  return ON_DISK.test(name) ? [[FILE, ""]] : wordsOf(parse).map((word) => [word, ""])
}
