/** Writes docs/reference/cli.md: every verb of the command line as its own help tells it. A test says when the file is stale. */
import type { Command, Option } from "commander"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { pathToFileURL } from "node:url"
import { wholeProgram } from "../src/cli/completion.ts"
import { EXIT, ENVIRONMENT, FILES } from "../src/cli/manual.ts"
import { VERBS } from "../src/cli/verbs.ts"

export const CLI_REFERENCE = "docs/reference/cli.md"

export async function cliReference(): Promise<string> {
  const root = await wholeProgram()
  const groups = VERBS.map(({ group, verbs }) => {
    const commands = verbs.flatMap(({ name }) => root.commands.find((command) => command.name() === name) ?? [])
    return `## ${group}\n\n${commands.map((command) => section(command, "skein", 3)).join("\n")}`
  })
  return [
    "# The command line\n",
    "Made from the command line's own help by `node scripts/cli-reference.ts`; `skein VERB --help` says the same, with examples.\n",
    `Options of every verb:\n\n${options(root.options)}`,
    ...groups,
    `## Exit status\n\n${table(["status", "meaning"], EXIT)}`,
    `## Files\n\n${table(
      ["file", "what it is"],
      FILES.map(([file, what]) => [`\`${file}\``, what]),
    )}`,
    `## Environment\n\n${table(
      ["variable", "what it does"],
      ENVIRONMENT.map(([name, what]) => [`\`${name}\``, what]),
    )}`,
  ].join("\n")
}

/** One command with its options; a group of commands with each of them. */
function section(command: Command, above: string, level: number): string {
  const path = `${above} ${command.name()}`
  const head = `${"#".repeat(level)} ${path}\n\n${command.description()}\n`
  if (command.commands.length > 0) return [head, ...command.commands.map((child) => section(child, path, level + 1))].join("\n")
  const usage = `\`\`\`\n${path} ${command.usage()}\n\`\`\`\n`
  return [head, usage, ...(command.options.length > 0 ? [options(command.options)] : [])].join("\n")
}

function options(all: readonly Option[]): string {
  const said = ({ defaultValue }: Option): string => {
    if (defaultValue === undefined || defaultValue === "" || typeof defaultValue === "boolean" || typeof defaultValue === "object") return ""
    return ` (default: ${String(defaultValue)})`
  }
  return table(
    ["option", "what it does"],
    all.map((option) => [`\`${option.flags}\`${option.mandatory ? " (needed)" : ""}`, `${option.description}${said(option)}`]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("")
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  mkdirSync(dirname(CLI_REFERENCE), { recursive: true })
  writeFileSync(CLI_REFERENCE, await cliReference())
}
