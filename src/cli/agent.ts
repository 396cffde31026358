import type { Command } from "commander"
import type { Profile } from "../core/agent.ts"
import { ROLES } from "../core/role.ts"
import { showUsd } from "../core/money.ts"
import { shellWord } from "../repo/shell-word.ts"
import { credentialPath, issueCredential } from "./agent-credential.ts"
import { registerRunning } from "./agent-run.ts"
import { act, collect, type Context, duration, examples, integer, number, oneOf, usd } from "./context.ts"
import { registerManifest } from "./manifest.ts"
import { paged } from "./paging.ts"
import { isPrintable, printable } from "./printable.ts"
import { showSkills } from "./quantity.ts"
import { showTime } from "./local-time.ts"
import { renderFields, renderTable } from "./table.ts"
import { skill } from "./task-spec.ts"

type ProfileOptions = {
  kind?: string
  capability?: [string, number][]
  maxActive?: number
  model?: string
  account?: string
  costPerHour?: number
  heartbeat?: number
  baseWeight?: number
  successBonus?: number
  successThreshold?: number
  tier?: number
}

/** `skein agent`: who works here. */
export function register(program: Command): void {
  const agent = program.command("agent").description("Agents: who they are, what they can, what they may.")
  withProfile(agent.command("add <name>").description("Add an agent, and write a credential for it into .skein/agents/ (mode 0600)."))
    .option("--role <role>", ROLES.join(", "), oneOf(ROLES), "worker")
    .option("--no-credential", "write none")
    .addHelpText(
      "after",
      examples(
        ["skein agent add goose --capability docs:3 --capability node", "then, as that agent: SKEIN_TOKEN_FILE=.skein/agents/goose.credential skein task next"],
        ["skein agent add fix-bot --kind claude", "a second Claude Code: SKEIN_TOKEN_FILE=.skein/agents/fix-bot.credential claude"],
      ),
    )
    .action(act(addAgent))
  agent
    .command("list")
    .description("List the agents with what they hold.")
    .addHelpText("after", examples(["skein agent list --json", "one agent a line"]))
    .action(act(listAgents))
  agent
    .command("show <name>")
    .description("Show one agent with its sessions.")
    .addHelpText("after", examples(["skein agent show goose", "capabilities, tasks, sessions, credentials by id"]))
    .action(act(showAgent))
  registerManifest(agent)
  withProfile(agent.command("edit <name>").description("Change an agent's profile. What it holds already stays with it."))
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein agent edit goose --max-active 2 --reason 'it is fast'", "from its next claim on"]))
    .action(
      act(async (context: Context, name: string, { reason, ...options }: ProfileOptions & { reason: string }) => {
        const answer = await (await context.hub()).call("agent.edit", { ...profileOf(options), name, reason })
        context.terminal.answer({ agent: name, ...answer }, `${printable(name)} is changed (entry ${answer.seq})`)
      }),
    )
  agent
    .command("retire <name>")
    .description("Retire an agent for good: its leases and sessions end, its credentials are void, its name stays taken.")
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein agent retire goose --reason 'the project is over'", "what it held is open again"]))
    .action(
      act(async (context: Context, name: string, { reason }: { reason: string }) => {
        const answer = await (await context.hub()).call("agent.retire", { name, reason })
        context.terminal.answer({ agent: name, ...answer }, `${printable(name)} is retired (entry ${answer.seq})`)
      }),
    )
  agent
    .command("credential <name>")
    .description("Write another credential for an agent into .skein/agents/. Those before it stay good: skein agent revoke.")
    .addHelpText("after", examples(["skein agent credential goose", "prints the file's path, never the secret"]))
    .action(
      act(async (context: Context, name: string) => {
        const { id, path } = await issue(context, name)
        context.terminal.answer({ agent: name, id, path }, `credential ${id} of ${printable(name)} is in ${printable(path)}`)
      }),
    )
  agent
    .command("revoke <name> <id>")
    .description("Make a credential void, and every token that came from it.")
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein agent revoke goose 1f2e3d4c5b6a --reason 'it was in a log'", "connections that use it end at once"]))
    .action(
      act(async (context: Context, name: string, id: string, { reason }: { reason: string }) => {
        const answer = await (await context.hub()).call("credential.revoke", { agent: name, id, reason })
        context.terminal.answer({ agent: name, id, ...answer }, `credential ${printable(id)} of ${printable(name)} is void (entry ${answer.seq})`)
      }),
    )
  registerRunning(agent)
}

function withProfile(command: Command): Command {
  return command
    .option("--kind <word>", "how it runs: script, claude, codex, gemini, opencode, human")
    .option("--capability <skill[:level]>", "what it knows, level 1 to 5; may be repeated", collect(skill))
    .option("--max-active <n>", "tasks that it may work on at once", integer(1, 1_000_000))
    .option("--model <name>", "its model")
    .option("--account <name>", "its account")
    .option("--cost-per-hour <usd>", "in US dollars", usd)
    .option(
      "--base-weight <n>",
      "the chance of success that is believed of a skill it declares, 0.05 to 0.95, before anything was seen (0.8)",
      number(0.05, 0.95),
    )
    .option("--success-bonus <n>", "how many times as much a success of it is worth, 0.1 to 10", number(0.1, 10))
    .option("--success-threshold <n>", "what counts as its success, 0 to 1: 1 with tests that pass or approved, 0.8 without a word on tests", number(0, 1))
    .option("--tier <n>", "1 to 3: so many tasks at once unless --max-active says, and a success worth 1, 1.25 or 1.5 times as much", integer(1, 3))
    .option("--heartbeat <duration>", "time between two signs of life: 200ms to 5m", duration(200, 300_000))
}

function profileOf({
  kind,
  capability,
  maxActive,
  model,
  account,
  costPerHour,
  heartbeat,
  baseWeight,
  successBonus,
  successThreshold,
  tier,
}: ProfileOptions): Partial<Omit<Profile, "role">> {
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(capability === undefined ? {} : { capabilities: Object.fromEntries(capability) }),
    ...(maxActive === undefined ? {} : { maxActive }),
    ...(baseWeight === undefined ? {} : { baseWeight }),
    ...(successBonus === undefined ? {} : { successBonus }),
    ...(successThreshold === undefined ? {} : { successThreshold }),
    ...(tier === undefined ? {} : { tier }),
    ...(model === undefined ? {} : { model }),
    ...(account === undefined ? {} : { account }),
    ...(costPerHour === undefined ? {} : { costPerHourMicroUsd: costPerHour }),
    ...(heartbeat === undefined ? {} : { heartbeatMs: heartbeat }),
  }
}

async function addAgent(
  context: Context,
  name: string,
  { role, credential, ...options }: ProfileOptions & { role: Profile["role"]; credential: boolean },
): Promise<void> {
  const answer = await (await context.hub()).call("agent.add", { ...profileOf(options), name, role })
  const issued = credential ? await issue(context, name) : null
  const where = issued === null ? "" : `\nits credential is in ${printable(issued.path)}\nto act as it: export SKEIN_TOKEN_FILE=${typeable(issued.path)}`
  context.terminal.answer({ ...answer, credentialFile: issued?.path ?? null }, `added ${printable(name)} (entry ${answer.seq})${where}`)
}

/** A word that can be pasted into a shell, and that a terminal can be sent. */
function typeable(text: string): string {
  if (isPrintable(text)) return shellWord(text)
  // The one way to write, in bash and zsh, what no terminal must be sent.
  const bytes = (character: string): string => [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")
  return `$'${[...text].map((character) => (isPrintable(character) && !/['\\]/.test(character) ? character : bytes(character))).join("")}'`
}

async function issue(context: Context, name: string): Promise<{ id: string; path: string }> {
  return issueCredential(await context.hub(), credentialPath(context.instance(), context.workspace, name), name)
}

async function listAgents(context: Context): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const agents = await paged(async (cursor: string | null) => {
    const page = await hub.call("agent.list", { cursor, limit: 1_000 })
    return { items: page.agents, cursor: page.cursor }
  })
  for (const agent of agents) terminal.record(agent)
  if (terminal.json) return
  const rows = agents.map(({ name, kind, role, status, busy, tasks, capabilities }) => [
    name,
    kind,
    role,
    status === "retired" ? status : busy ? "busy" : "free",
    tasks.join(", "),
    showSkills(capabilities),
  ])
  const columns = [{ head: "agent" }, { head: "kind" }, { head: "role" }, { head: "state" }, { head: "holds", max: 50 }, { head: "capabilities", max: 60 }]
  terminal.print(agents.length === 0 ? "there are no agents: skein agent add NAME" : renderTable(terminal, columns, rows))
}

async function showAgent(context: Context, name: string): Promise<void> {
  const { terminal } = context
  const found = await (await context.hub()).call("agent.show", { name })
  terminal.record(found)
  if (terminal.json) return
  const { agent, sessions } = found
  const fields: [string, string | number | null][] = [
    ["agent", agent.name],
    ["kind", agent.kind],
    ["role", agent.role],
    ["state", agent.status === "retired" ? "retired" : agent.busy ? "busy" : "free"],
    ["holds", agent.tasks.join(", ")],
    ["capabilities", showSkills(agent.capabilities)],
    ["max active", agent.maxActive],
    ["model", agent.model],
    ["account", agent.account],
    ["cost", agent.costPerHourMicroUsd === 0 ? null : `${showUsd(agent.costPerHourMicroUsd)} an hour`],
    ["added", showTime(agent.addedAtMs)],
    ["credentials", agent.credentials.join(", ")],
  ]
  const rows = sessions.map(({ id, status, active, runtime, startedAtMs, reason }) => [
    id,
    active ? "active" : status,
    runtime,
    showTime(startedAtMs),
    reason ?? "",
  ])
  const table =
    sessions.length === 0
      ? ""
      : `\n\n${renderTable(terminal, [{ head: "session" }, { head: "status" }, { head: "runtime", max: 20 }, { head: "started" }, { head: "reason", max: 60 }], rows)}`
  terminal.print(`${renderFields(terminal, fields)}${table}`)
}
