import type { Terminal } from "./terminal.ts"
import { wrap } from "./text-width.ts"
import { VERBS } from "./verbs.ts"

const USAGE = "skein [OPTIONS] VERB [ARGUMENTS]"

/** What every verb takes; `main.ts` declares the same. */
const OPTIONS: [string, string][] = [
  ["--json", "print one JSON object a line, errors too; the fields are stable"],
  ["-w, --workspace NAME", "which workspace of the hub (default: main)"],
  ["-C, --repo PATH", "as if started in PATH"],
  ["--global", "the instance of this user, which belongs to no repository"],
  ["--url URL", "the hub at this address, instead of the repository's own"],
  ["--no-color", "plain text"],
  ["-V, --version", "print the version"],
  ["-h, --help", "print this, or the help of a verb: skein VERB --help"],
]

const EXAMPLES: [string, string][] = [
  ["skein run examples/hello.yaml", "bring up a hub, do a plan's tasks, print the report"],
  ["skein run PLAN --chaos", "the same, and kill an agent on the way: nothing is lost"],
  ["skein plan check PLAN", "every fault of a plan file with its line and column"],
  ["skein up && skein task add fix-login 'Mend the login'", "a hub in the background, and a task in it"],
  ["skein task next --wait 1m --json", "claim the best task that fits, or wait for one"],
  ["skein status --follow", "watch the team at work"],
  ["skein ledger verify && skein ledger replay", "check every entry; rebuild the state and compare"],
]

export const EXIT: readonly [string, string][] = [
  ["0", "done; of what serves, such as skein up --foreground: ended as asked"],
  ["1", "refused: the message says why, the remedy what to do"],
  ["2", "usage: an unknown verb or option, a wrong argument, a plan file with faults"],
  ["69", "no hub is there to answer: skein up"],
  ["75", "throttled or overloaded, nothing was done: try again"],
  ["130", "interrupted (Ctrl-C), everything stopped cleanly: the same command goes on; 143 after SIGTERM, 129 after SIGHUP"],
]

export const FILES: readonly [string, string][] = [
  [".skein/", "the instance: beside .git, shared by all worktrees, never committed"],
  [".skein/hub.json", "the running hub: its process and address"],
  [".skein/ledger/", "one file a workspace: the whole truth"],
  [".skein/checkpoint/", "the last signed checkpoint, to find a ledger that was cut"],
  [".skein/operator.credential", "your own credential: keep it to yourself"],
  [".skein/runs/", "what agents wrote, and the reports of runs"],
  [".skein/logs/hub.log", "what the hub has to tell"],
]

export const ENVIRONMENT: readonly [string, string][] = [
  ["SKEIN_TOKEN_FILE", "credential or token to act with, before the operator's own; set for every agent"],
  ["SKEIN_URL", "the hub's address, as --url; set for every agent"],
  ["SKEIN_WORKSPACE", "which workspace, as --workspace; set for every agent"],
  ["SKEIN_TASK, SKEIN_FENCE", "the task that an agent works on, and its fence: taken where a verb is given none"],
  ["NO_COLOR, FORCE_COLOR", "without colour, or with colour in a pipe"],
  ["SKEIN_LOG_LEVEL", "what the hub logs: trace, debug (each call), info (the default), warn, error, fatal, silent"],
  ["SKEIN_DEBUG", "print the whole story of an error"],
]

/** The manual page: `skein --help`. */
export function manual({ colours: { bold, cyan, dim }, columns }: Terminal): string {
  const width = Math.min(columns, 110)
  const section = (title: string, lines: string[]): string => `${bold(title)}\n${lines.join("\n")}\n`
  const rows = (pairs: readonly [string, string][], indent = 2, paint: (text: string) => string = (text) => text): string[] => {
    const left = Math.max(...pairs.map(([key]) => key.length)) + 2
    return pairs.flatMap(([key, text]) =>
      wrap(text, width - indent - left).map(
        (line, at) => `${" ".repeat(indent)}${at === 0 ? paint(key) : " ".repeat(key.length)}${" ".repeat(left - key.length)}${line}`,
      ),
    )
  }
  return [
    section("NAME", ["  skein: keeps a team of coding agents in formation"]),
    section("SYNOPSIS", [`  ${USAGE}`]),
    section(
      "DESCRIPTION",
      wrap(
        "One hub gives any number of agents, and the person who directs them, one shared truth: who does what, who waits for whom, what it cost, and why. Every decision is an entry of a hash-chained ledger that anyone can verify and replay.",
        width - 2,
      ).map((line) => `  ${line}`),
    ),
    section(
      "VERBS",
      VERBS.flatMap(({ group, verbs }, at) => [
        ...(at === 0 ? [] : [""]),
        `  ${dim(group)}`,
        ...rows(
          verbs.map(({ name, summary }): [string, string] => [name, summary]),
          4,
          cyan,
        ),
      ]),
    ),
    section("OPTIONS", rows(OPTIONS, 2, cyan)),
    section(
      "EXAMPLES",
      EXAMPLES.flatMap(([command, what]) => [`  ${cyan(command)}`, `      ${what}`]),
    ),
    section("EXIT STATUS", rows(EXIT)),
    section("FILES", rows(FILES)),
    section("ENVIRONMENT", rows(ENVIRONMENT)),
  ].join("\n")
}
