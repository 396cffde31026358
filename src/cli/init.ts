import { existsSync } from "node:fs"
import { join, normalize, sep } from "node:path"
import { isatty } from "node:tty"
import type { Command } from "commander"
import { AGENT_KINDS, agentKind } from "../repo/agent-kinds.ts"
import { type Joining, planInit, planUndo } from "../repo/init-plan.ts"
import { type InitRecord, readRecord, writeRecord } from "../repo/init-record.ts"
import { findRepository } from "../repo/instance.ts"
import { type FileChange, removeEmptyFolders, writeChanges } from "../repo/settings-files.ts"
import { type HubConnection, connectHub } from "./connection.ts"
import { saysYes } from "./consent.ts"
import { act, examples, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { ensureHub, isHealthy } from "./hub-start.ts"
import { stopHub } from "./hub-stop.ts"
import { chosenKinds, isInstalled, likelyNames, namesAtHub, retireAgents, setUpAgents, skeinCommand, withoutCredential, WORKSPACE } from "./init-agents.ts"
import { deed, shownDiff, unifiedDiff } from "./init-diff.ts"
import { takeTurn } from "./init-turn.ts"
import { prepareInstance } from "./instance-files.ts"
import { type Instance, isAlive, readHubFile } from "./instance.ts"
import { printable } from "./printable.ts"

type InitOptions = { agents?: string; yes?: boolean; dryRun?: boolean; undo?: boolean; keepAgents?: boolean }
type Here = { context: Context; options: InitOptions; instance: Instance; top: string; record: InitRecord | null }

/** `skein init`: plugs the agents of this machine into the repository. */
export function register(program: Command): void {
  program
    .command("init")
    .description(
      "Plug coding agents into this repository: MCP server, hooks, a paragraph of instructions, and a credential for each. Shows every change first, and asks.",
    )
    .option("--agents <list>", `which, with commas between: ${AGENT_KINDS.join(", ")} (default: those that are installed)`)
    .option("-y, --yes", "do not ask")
    .option("--dry-run", "show what would be done, and do nothing")
    .option("--undo", "take back all that it did: files as they were, agents retired, credentials removed")
    .option("--keep-agents", "with --undo: leave the agents and their credentials")
    .addHelpText(
      "after",
      examples(
        ["skein init", "a diff of each file, then a question; once more, and there is nothing to do"],
        ["skein init --agents claude,codex --yes", "for a script"],
        ["skein init --undo", "as if it had never been"],
      ),
    )
    .action(
      act(async (context: Context, options: InitOptions) => {
        const here = await standing(context, options)
        await (options.undo === true ? undo(here) : init(here))
      }),
    )
}

async function standing(context: Context, options: InitOptions): Promise<Here> {
  const { global, url, repo } = context.options
  if (options.undo === true && options.agents !== undefined) throw new UsageError("--undo takes back all agents", "Leave --agents out.")
  if (options.undo !== true && options.keepAgents === true) throw new UsageError("--keep-agents goes with --undo", "Leave it out, or say --undo.")
  if (global === true || url !== undefined)
    throw new UsageError("agents are plugged into a repository", "Leave --global and --url out, and stand in the repository or name it: --repo PATH")
  if (context.workspace !== WORKSPACE)
    throw new UsageError(
      `agents are plugged into the workspace ${WORKSPACE}, not ${context.workspace}`,
      "Leave --workspace and SKEIN_WORKSPACE out. For another one: skein -w NAME agent add, then start the agent with SKEIN_WORKSPACE and SKEIN_TOKEN_FILE set.",
    )
  if ((process.env["SKEIN_TOKEN_FILE"] ?? "") !== "")
    throw new UsageError(
      "SKEIN_TOKEN_FILE is set: you are an agent here, and agents are plugged in by the operator",
      "Run it in a shell of your own: unset SKEIN_TOKEN_FILE",
    )
  const instance = context.instance()
  const { top } = await findRepository(repo ?? process.cwd())
  if (top === null) throw new UsageError("there is no worktree here whose files could be changed", "Go into one: git worktree list shows them.")
  return { context, options, instance, top, record: readRecord(instance.directory) }
}

async function init(here: Here): Promise<void> {
  const { context, options, instance, top, record } = here
  const kinds = chosenKinds(options.agents, process.env)
  const files = record?.places.find((place) => place.top === top)?.files ?? []
  const plan = (joining: readonly Joining[]): ReturnType<typeof planInit> => planInit({ top, joining, command: skeinCommand(process.env), files })
  let hub = await runningHub(here)
  let endTurn: (() => void) | null = null
  try {
    let joining = hub === null ? likelyNames(kinds, record) : await namesAtHub(hub, kinds, record)
    let planned = plan(joining)
    for (;;) {
      const missing = await withoutCredential(hub, instance, joining)
      if (planned.changes.length === 0 && missing.length === 0) return tellNothing(context, joining)
      const lines = missing.map(({ agent }) => `agent ${agent}, with a credential in .skein/agents/`)
      if (hub === null && missing.length > 0) lines.push(`the hub is started, in ${instance.directory}`)
      show(here, planned.changes, lines)
      if (options.dryRun === true) return
      await consent(here, "Do this?")
      hub ??= await startedHub(here)
      endTurn ??= await takeTurn(instance, record)
      const names = await namesAtHub(hub, kinds, record)
      if (names.every(({ agent }, index) => agent === joining[index]?.agent)) break
      context.terminal.notice("A retired agent's name stays taken, so that others are needed:")
      joining = names
      planned = plan(joining)
    }
    const agents = await setUpAgents(hub, instance, joining, record)
    apply(here, planned, agents)
    tellDone(context, joining, planned.changes)
  } finally {
    endTurn?.()
    await hub?.close()
  }
}

/** Writes the files, with the record of them before and after: whatever breaks in between can be taken back. */
function apply({ instance, top, record }: Here, { changes, files }: ReturnType<typeof planInit>, agents: InitRecord["agents"]): void {
  const before = record?.places.find((place) => place.top === top)
  const others = record?.places.filter((place) => place.top !== top) ?? []
  const kept = (folders: readonly string[], now: typeof files): void =>
    writeRecord(instance.directory, { version: 1, places: [...others, { top, files: now, folders: [...(before?.folders ?? []), ...folders] }], agents })
  kept([], files)
  try {
    kept(writeChanges(changes), files)
  } catch (error) {
    kept([], before?.files ?? [])
    throw error
  }
}

async function undo(here: Here): Promise<void> {
  const { context, options, instance, top, record } = here
  const place = record?.places.find((one) => one.top === top)
  const others = record?.places.filter((one) => one.top !== top && existsSync(one.top)) ?? []
  if (record === null || (place === undefined && others.length > 0)) {
    const elsewhere = others.map((one) => one.top).join(", ")
    context.terminal.answer(
      { undone: false, files: [], agents: [] },
      `nothing to undo here${elsewhere === "" ? "" : `: skein init was run in ${printable(elsewhere)}`}`,
    )
    return
  }
  const changes = planUndo(top, place?.files ?? [])
  // Other worktrees' settings still name them.
  const agents = others.length > 0 || options.keepAgents === true ? [] : record.agents.filter(({ added, credential }) => added || credential !== null)
  const besides = agents.map(({ name, added }) =>
    added ? `agent ${name} is retired, and its credential removed` : `the credential made for ${name} is removed`,
  )
  if (agents.length > 0 && (await runningUrl(instance)) === null) besides.push(`the hub is started for that, in ${instance.directory}, and stopped again`)
  show(here, changes, besides)
  if (options.dryRun === true) return
  if (changes.length > 0) await consent(here, "Change these files back?")
  const retire = agents.length > 0 && (await agreed(here, "Retire these agents? What they hold is open again, and their names stay taken."))
  const endTurn = await takeTurn(instance, record)
  let told: string[]
  try {
    const left = { ...record, places: others }
    writeChanges(changes)
    // The record is a file that somebody may have put there: nothing outside is touched on its word.
    removeEmptyFolders(place?.folders.filter((folder) => normalize(folder).startsWith(join(top, sep))) ?? [])
    writeRecord(instance.directory, { ...left, agents: record.agents })
    told = retire ? await retired(here, agents) : []
    writeRecord(instance.directory, others.length > 0 ? { ...left, agents: record.agents } : null)
  } finally {
    endTurn()
  }
  const lines = [...changes.map((change) => `${deed(change)} ${change.file}`), ...told]
  if (agents.length > 0 && !retire)
    lines.push(`The agents stay, with their credentials: ${agents.map(({ name }) => name).join(", ")}. skein agent retire NAME --reason … ends one.`)
  context.terminal.answer(
    { undone: true, files: changes.map((change) => ({ file: change.file, deed: deed(change) })), agents: retire ? agents.map(({ name }) => name) : [] },
    [...lines, `Undone. ${await whatStays(instance)}`].join("\n"),
  )
}

async function whatStays(instance: Instance): Promise<string> {
  if ((await runningUrl(instance)) === null) return "The ledger stays: the folder .skein is yours to delete."
  return "The hub and its ledger stay: skein down stops it, and the folder .skein is then yours to delete."
}

async function retired(here: Here, agents: InitRecord["agents"]): Promise<string[]> {
  const running = await runningHub(here)
  const hub = running ?? (await startedHub(here))
  try {
    return await retireAgents(hub, here.instance, agents)
  } finally {
    await hub.close()
    const started = running === null ? readHubFile(here.instance) : null
    if (started !== null) await stopHub(started.pid)
  }
}

async function runningUrl(instance: Instance): Promise<string | null> {
  const file = readHubFile(instance)
  return file !== null && isAlive(file.pid) && (await isHealthy(file.url)) ? file.url : null
}

async function runningHub({ context, instance, top }: Here): Promise<HubConnection | null> {
  return (await runningUrl(instance)) === null ? null : connectHub({ ...context.options, repo: top }, () => instance)
}

async function startedHub({ context, instance, top }: Here): Promise<HubConnection> {
  await prepareInstance(instance)
  const { hub } = await ensureHub(instance, { host: "127.0.0.1", port: null, allowedHosts: [] })
  context.terminal.notice(`the hub is up at ${hub.url} (process ${hub.pid})`)
  return connectHub({ ...context.options, repo: top }, () => instance)
}

function show({ context: { terminal }, options }: Here, changes: readonly FileChange[], besides: readonly string[]): void {
  if (options.dryRun === true)
    terminal.record({ dryRun: true, files: changes.map((change) => ({ file: change.file, deed: deed(change), diff: unifiedDiff([change]) })), besides })
  if (changes.length > 0) terminal.print(shownDiff(terminal, changes))
  if (besides.length > 0) terminal.print(`${changes.length > 0 ? "\nBesides:" : "To do:"}\n${besides.map((line) => `  ${line}`).join("\n")}`)
}

/** Throws `UsageError` unless the answer is yes: nothing was done then. */
async function consent(here: Here, question: string): Promise<void> {
  if (!(await agreed(here, question))) throw new UsageError("nothing was changed", "Answer y, or say --yes, where you do want it.")
}

async function agreed({ options }: Here, question: string): Promise<boolean> {
  if (options.yes === true) return true
  if (!isatty(0) || !isatty(2)) throw new UsageError("there is no terminal to ask at, and nothing was changed", "Look at what --dry-run shows, then say --yes.")
  return saysYes(question, { input: process.stdin, output: process.stderr })
}

function tellNothing({ terminal }: Context, joining: readonly Joining[]): void {
  terminal.answer(
    { files: [], agents: joining },
    `nothing to do: ${joining.map(({ agent }) => agent).join(", ")} ${joining.length === 1 ? "is" : "are"} plugged in`,
  )
}

function tellDone({ terminal }: Context, joining: readonly Joining[], changes: readonly FileChange[]): void {
  const lines = joining.flatMap(({ kind, agent }) => {
    const { title, trust, npmPackage } = agentKind(kind)
    const missing = isInstalled(kind, process.env) ? [] : [`  It is not installed yet: npm install --global ${npmPackage}`]
    return [`${title} is plugged in as ${agent}.`, `  ${trust}`, ...missing]
  })
  if (changes.length > 0)
    lines.push(
      "Commit these files, and every worktree has them. skein init --undo takes all of it back.",
      "skein guard install has git itself stop commits of files that another agent holds.",
    )
  terminal.answer({ files: changes.map((change) => ({ file: change.file, deed: deed(change) })), agents: joining }, lines.join("\n"))
}
