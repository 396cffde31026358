import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Argument, Command, Option } from "commander"
import type { Choices } from "./choices.ts"
import { ChangedAnswers } from "./changed-answers.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { wholeProgram } from "../../src/cli/completion.ts"
import { RAW, runHere, VARIABLES } from "./cli-run.ts"
import { checkErrorBody, FuzzedHub, type Known } from "./fuzzed-hub.ts"
import { keptLedger, LOG, scratchFolder } from "./kept-ledger.ts"
import { LedgerChanges } from "./ledger-changes.ts"
import { mutateBytes, mutateText, oddText } from "./mutation.ts"

/** Command lines and environments, run in this process against a real hub: made from what the verbs say of themselves, and then changed. */
export const cliTarget: Target = {
  name: "cli",
  entrance: "command lines, environment variables, hub.json and credential files",
  casesPerSubject: 250,
  open: () => CliSubject.open(),
}

/** These start processes, stay for ever, write where they are told or reach for other machines: the target `process` starts some of them. */
const LEFT_OUT = new Set(["up", "down", "run", "mcp", "supervisor", "doctor", "export", "witness serve", "witness add", "ledger backup"])
/** These would stay, wait, write to a path, or lead elsewhere. */
const OPTIONS_LEFT_OUT = ["--follow", "--out", "--url", "--repo", "-C", "--global", "--help", "-h", "--wait"]
const EXITS = new Set([0, 1, 2, 69, 75])
/** As `skein init` leaves it. */
const INIT = {
  version: 1,
  places: [
    {
      top: "/none",
      files: [{ file: "CLAUDE.md", before: null, after: "00", edits: [{ do: "write", file: "CLAUDE.md", format: "text", text: "x" }] }],
      folders: [".claude"],
    },
  ],
  agents: [{ kind: "claude", name: "ann", added: true, credential: null }],
}
type Leaf = { path: string[]; command: Command }

class CliSubject implements Subject {
  readonly #hub: FuzzedHub
  readonly #foreign: ChangedAnswers
  readonly #leaves: Leaf[]
  readonly #repository = scratchFolder()
  #sent = ""

  private constructor(hub: FuzzedHub, foreign: ChangedAnswers, leaves: Leaf[]) {
    this.#hub = hub
    this.#foreign = foreign
    this.#leaves = leaves
  }

  static async open(): Promise<CliSubject> {
    const hub = await FuzzedHub.open()
    const operator = { agent: "operator", session: null, role: "operator" } as const
    // Text that an agent wrote, and that a terminal must not act on.
    await hub.loop.execute("task.add", operator, { id: "loud", title: "Loud", body: "\u001b]0;owned\u0007\u009b31m\u202e\r\nmore" })
    await hub.loop.execute("event.send", operator, {
      kind: "info",
      directive: null,
      to: { everyone: true },
      task: null,
      priority: "normal",
      text: "\u001b[2J\u0000",
      payload: { "\u001b": "\u009b" },
      requiresAck: true,
    } as never)
    return new CliSubject(hub, await ChangedAnswers.open(hub.served.url), leavesOf(await wholeProgram()))
  }

  describe(): string {
    return this.#sent
  }

  async attempt(choices: Choices): Promise<string> {
    const skein = join(this.#repository, ".skein")
    const args = this.#commandLine(choices)
    const isForeign = choices.chance(20)
    if (isForeign) this.#foreign.by(choices)
    await this.#lay(skein, { url: (isForeign ? this.#foreign : this.#hub.served).url, isRead: args[0] === "ledger" }, choices)
    const environment = choices.chance(20) ? this.#environment(choices) : {}
    this.#sent += `${JSON.stringify(args)} ${JSON.stringify(environment)}`
    const { exit, output, error, stray } = await runHere(args, environment, this.#repository)
    if (!EXITS.has(exit)) throw new Broken(`exit status ${exit}`)
    // What a check finds is its answer, and its status is 1 then.
    if (exit !== 0 && error === null && (exit !== 1 || output.trim() === ""))
      throw new Broken(`exit status ${exit}, and no word of why: ${stray.slice(0, 300)}`)
    // With colours asked for, our own are in it; an export is of the bytes as they are.
    if (
      !("FORCE_COLOR" in environment) &&
      !args.includes("export") &&
      RAW.test(args.includes("--json") ? output.replaceAll(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/gu, "") : output)
    )
      throw new Broken(`a terminal would act on this: ${JSON.stringify(RAW.exec(output)?.[0])} in ${JSON.stringify(output.slice(0, 600))}`)
    this.#hub.checkSound()
    const verb = this.#leaves.find(({ path }) => path.every((word, at) => args[at] === word))?.path[0] ?? "none"
    // Answers are no more looked at than those of a hub are: what is wrong in one ends the verb, and that in order.
    if (isForeign && error?.code === "internal") return `${verb}: not understood`
    return `${verb}: ${error === null ? "done" : checkErrorBody(error)}`
  }

  async close(): Promise<void> {
    rmSync(this.#repository, { recursive: true, force: true })
    await this.#foreign.close()
    await this.#hub.close()
  }

  /** The instance's files: as they should be, or one of them changed. `url`: of the hub; `isRead`: whether the ledger is. */
  async #lay(skein: string, { url, isRead }: { url: string; isRead: boolean }, choices: Choices): Promise<void> {
    rmSync(skein, { recursive: true, force: true })
    for (const folder of ["ledger", "hooks", "supervisor/wanted"]) mkdirSync(join(skein, folder), { recursive: true })
    mkdirSync(join(this.#repository, ".git", "objects"), { recursive: true })
    writeFileSync(join(this.#repository, ".git", "HEAD"), "ref: refs/heads/main\n")
    writeFileSync(join(this.#repository, "plan.yaml"), "plan: p\ntasks:\n  - { id: a, title: A }\n")
    const files: [string, Buffer][] = [
      ["hub.json", Buffer.from(JSON.stringify({ pid: process.pid, url, startedAtMs: 1, version: "0" }))],
      ["operator.credential", Buffer.from(`${this.#hub.bearers.operator}\n`)],
      ["worker.credential", Buffer.from(`${this.#hub.bearers.token}\n`)],
      ["witnesses-main.json", Buffer.from(JSON.stringify([{ url: "http://127.0.0.1:1/", vkey: LOG.verifier.vkey, seenSize: 3 }]))],
      ["init.json", Buffer.from(JSON.stringify(INIT))],
      ["hooks/guard.json", Buffer.from(JSON.stringify({ version: 1, before: [".husky"], own: "/none/hooks", people: "refuse" }))],
      ["config.yaml", Buffer.from("requireClaim: true\npermissions: [{ answer: ask }]\n")],
      ["supervisor/wanted/ann.json", Buffer.from("{}")],
    ]
    const spoilt = choices.chance(25) ? choices.below(files.length) : -1
    for (const [at, [name, bytes]] of files.entries()) {
      const written = at === spoilt ? mutateBytes(bytes, choices, 2) : bytes
      // A changed address could be anybody's: only what stays where it was, or is none, is tried.
      const address = /"(http:[^"]*)"/.exec(bytes.toString("utf8"))?.[0]
      const astray = address !== undefined && written.includes("http") && !written.includes(address)
      this.#sent = at === spoilt ? `${name}: ${JSON.stringify(written.toString("latin1"))}\n` : at === 0 ? "" : this.#sent
      writeFileSync(join(skein, name), astray ? bytes : written)
    }
    const kept = await keptLedger()
    const ledger = join(skein, "ledger", "main.sqlite")
    if (isRead && choices.chance(50)) {
      const changes = new LedgerChanges(kept)
      changes.write(ledger, choices)
      this.#sent += `${changes.told}\n`
    } else writeFileSync(ledger, kept.clean.main)
    writeFileSync(join(this.#repository, "note"), kept.checkpoint.note)
    copyFileSync(join(this.#repository, "note"), join(this.#repository, "proof.json"))
  }

  #commandLine(choices: Choices): string[] {
    const { path, command } = choices.pick(this.#leaves)
    const args = [...path]
    for (const argument of command.registeredArguments) args.push(...this.#valuesOf(argument, choices))
    for (const option of command.options) if (isTried(option) && (option.mandatory || choices.chance(25))) args.push(...this.#flagOf(option, choices))
    if (choices.chance(50)) args.push("--json")
    if (choices.chance(10)) args.push("-w", choices.pick(["main", "none", "..", oddText(choices)]))
    for (let changes = choices.chance(50) ? choices.between(1, 2) : 0; changes > 0; changes -= 1) spoil(args, choices)
    return args
      .map((arg) => arg.replaceAll("\0", "").slice(0, 70_000))
      .filter((arg) => arg !== "-" && !OPTIONS_LEFT_OUT.some((option) => arg.startsWith(option.slice(0, 5))))
  }

  #valuesOf(argument: Argument, choices: Choices): string[] {
    if (!argument.required && choices.chance(50)) return []
    return Array.from({ length: argument.variadic ? choices.between(1, 3) : 1 }, () => valueFor(argument.name(), this.#hub.known, choices))
  }

  #flagOf(option: Option, choices: Choices): string[] {
    const flag = option.long ?? option.short ?? ""
    if (option.isBoolean() || !(option.required || option.optional)) return [flag]
    const hint = /<([^>]+)>/.exec(option.flags)?.[1] ?? ""
    return [flag, valueFor(`${flag} ${hint}`, this.#hub.known, choices)]
  }

  #environment(choices: Choices): Record<string, string> {
    const name = choices.pick(VARIABLES)
    const values: Record<string, string[]> = {
      SKEIN_URL: [this.#hub.served.url, "", "x", "http://", "http://127.0.0.1:1", "http://[", "ftp://127.0.0.1:1", "http://127.0.0.1:99999"],
      SKEIN_TOKEN_FILE: ["worker.credential", ".skein/worker.credential", "", "none", ".", "plan.yaml", "/dev/null"],
      SKEIN_TASK: ["a", "none", ""],
      SKEIN_FENCE: [String(this.#hub.known.fences[0]), "x", "-1", "1e3", ""],
    }
    const value = choices.chance(60)
      ? choices.pick(values[name] ?? ["main", "0", "1", "xterm", "-5", ""])
      : name === "SKEIN_URL"
        ? "http://127.0.0.1:1/%"
        : oddText(choices)
    return { [name]: value.replaceAll("\0", "").slice(0, 70_000) }
  }
}

function isTried({ long, short }: Option): boolean {
  return !OPTIONS_LEFT_OUT.includes(long ?? "") && !OPTIONS_LEFT_OUT.includes(short ?? "")
}

function valueFor(hint: string, known: Known, choices: Choices): string {
  const named = (word: string): boolean => hint.includes(word)
  if (named("task") || named("depends")) return choices.pick([...known.tasks, "loud", "none"])
  if (named("agent") || named("owner") || named("prefers")) return choices.pick([...known.agents, "new", "constructor"])
  if (named("session")) return choices.pick([...known.sessions, "s_0"])
  if (named("plan")) return choices.pick([...known.plans, "plan.yaml"])
  if (named("file") || named("path") || named("checkpoint"))
    return choices.pick(["plan.yaml", "note", "proof.json", ".skein/ledger/main.sqlite", "none", ".", "/dev/null"])
  if (named("fence")) return String(choices.pick(known.fences))
  if (named("<seq>") || named("seq") || named("<n>") || named(" n")) return String(choices.pick([0, 1, 5, 40, 1e6, -1]))
  if (named("duration")) return choices.pick(["1s", "5m", "0s", "200ms", "1.5h", "x"])
  if (named("usd")) return choices.pick(["1", "0.5", "-1", "1e9", "x"])
  if (named("word") || named("status") || named("state") || named("kind") || named("role"))
    return choices.pick(["worker", "high", "ready", "live", "info", "directive", "ack", "task_update", "x"])
  if (named("json")) return choices.pick(["{}", '{"status":"constructor"}', "[]", "null", "{", '{"__proto__":1}'])
  if (named("skill")) return choices.pick(["js:3", "js", "constructor:1", "js:9", ":1", "__proto__:1"])
  if (named("vkey")) return choices.pick(["x", "a+00000000+AAAA", ""])
  if (named("what") || named("target")) return choices.pick(["task:b", "agent:ann", "external:rain", "role:worker", "everyone", "x:y"])
  return choices.pick([`n${choices.below(100)}`, "some text", "x"])
}

function spoil(args: string[], choices: Choices): void {
  if (args.length === 0) args.push(oddText(choices))
  const at = choices.below(args.length)
  switch (choices.below(7)) {
    case 0:
      args.splice(at, 1)
      break
    case 1:
      args.splice(at, 0, args[choices.below(args.length)] as string)
      break
    case 2:
      args.push(oddText(choices))
      break
    case 3:
      args.push(
        choices.pick([
          "--",
          "--json=1",
          "-j",
          "--no-color",
          "--none",
          "-wmain",
          "--workspace=",
          "--reason",
          "--reason=",
          "-x",
          "=",
          "--__proto__=1",
          "--constructor",
        ]),
      )
      break
    case 4:
      args[at] = oddText(choices)
      break
    default:
      args[at] = mutateText(args[at] as string, choices)
  }
}

function leavesOf(root: Command): Leaf[] {
  const walk = (command: Command, path: string[]): Leaf[] =>
    command.commands.length === 0 ? [{ path, command }] : command.commands.flatMap((child) => walk(child, [...path, child.name()]))
  return walk(root, []).filter(({ path }) => !LEFT_OUT.has(path.join(" ")) && !LEFT_OUT.has(path[0] ?? ""))
}
