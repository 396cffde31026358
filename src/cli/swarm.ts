import { InvalidArgumentError, type Command } from "commander"
import { ROLES } from "../core/role.ts"
import type { Profile } from "../core/agent.ts"
import { RUN_BY, type RunBy, type Running } from "../runtime/supervised.ts"
import { typable } from "../runtime/tmux/typable.ts"
import { act, asText, collect, examples, integer, oneOf, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { printable } from "./printable.ts"

type SpawnOptions = {
  agent: string
  count: number
  worktrees?: boolean
  name?: string
  by: RunBy
  role: Profile["role"]
  prompt?: string
  binary?: string
  env?: [string, string][]
  pass?: string[]
  account?: string
}

/** How long agents are waited for until they run, in ms: real ones take seconds each. */
const PATIENCE_MS = 60_000

/** `skein swarm`: teams of agents that the supervisor runs. */
export function register(program: Command): void {
  const swarm = program.command("swarm").description("Teams of agents that the supervisor of this machine runs.")
  swarm
    .command("spawn [args...]")
    .description(
      "Add agents of one kind and have the supervisor run them, each in a terminal that you can attach to; hub and supervisor are started where none runs. " +
        "What stands behind -- is handed to the agent's program. Again with the same names, it changes how they are run.",
    )
    .requiredOption("--agent <kind>", "claude, codex, gemini, opencode, or one of `presets` in .skein/config.yaml", asText)
    .option("--count <n>", "how many", integer(1, 64), 1)
    .option("--worktrees", "each works in a git worktree of its own")
    .option("--name <prefix>", "they are called PREFIX-1, PREFIX-2, … (default: the kind)", asText)
    .option("--by <way>", `how they are run: ${RUN_BY.join(", ")}`, oneOf(RUN_BY), "tmux")
    .option("--role <role>", ROLES.join(", "), oneOf(ROLES), "worker")
    .option("--prompt <text>", "what each is told when it starts, at most 16 KiB (default: nothing, it waits to be woken)", asText)
    .option("--binary <path>", "the agent's program, where it is not on the path", asText)
    .option("--env <name=value>", "a variable that they see; no secrets, it is kept in a file; may be repeated", collect(variable))
    .option("--pass <name>", "a variable that they see as the supervisor has it; may be repeated", collect(asText))
    .option("--account <name>", "whose quota they use: when it is used up, all of the account pause", asText)
    .addHelpText(
      "after",
      examples(
        ["skein swarm spawn --agent claude --count 3 --worktrees", "claude-1 to claude-3, woken when there is something for them to read"],
        ["skein swarm spawn --agent codex -- --sandbox workspace-write", "codex-1, with options of its own"],
      ),
    )
    .action(act(spawn))
}

/** Throws `UsageError` on a first text that no terminal takes. */
function checkPrompt(prompt: string): void {
  try {
    typable(prompt, "body", true)
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--prompt: ${error.message}`, "Put what is long into a file, and have the prompt name it.")
    throw error
  }
}

function variable(text: string): [string, string] {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Write NAME=VALUE.")
  return [name, value]
}

async function spawn(context: Context, args: string[], options: SpawnOptions): Promise<void> {
  const { terminal } = context
  if (options.prompt !== undefined) checkPrompt(options.prompt)
  const [{ addMember, memberNames }, { ensureSupervisor }, { ensureHub }] = await Promise.all([
    import("./swarm-agents.ts"),
    import("./supervisor-start.ts"),
    import("./hub-start.ts"),
  ])
  if (context.options.url === undefined) await ensureHub(context.instance(), { host: "127.0.0.1", port: null, allowedHosts: [] })
  const hub = await context.hub()
  const names = await memberNames(hub, options.name ?? options.agent, options.agent, options.count, new Set())
  for (const agent of names) {
    await addMember(context, hub, {
      agent,
      preset: options.agent,
      by: options.by,
      role: options.role,
      binary: options.binary ?? null,
      args,
      env: Object.fromEntries(options.env ?? []),
      passEnv: options.pass ?? [],
      prompt: options.prompt ?? null,
      worktree: options.worktrees === true,
      account: options.account ?? null,
    })
  }
  await ensureSupervisor(context)
  const states = await settled(context, names)
  for (const one of states) {
    const { agent, state, detail } = one
    const then = state === "given_up" ? `; then skein agent resume ${agent}` : ""
    const line =
      state === "running"
        ? `${agent} runs: skein agent ${options.by === "tmux" ? "attach" : "logs"} ${agent}`
        : `${agent} is ${state.replace("_", " ")}: ${detail}${then}`
    terminal.answer({ agent, state, detail, conversation: one.conversation, session: one.session }, printable(line))
  }
  if (states.some(({ state }) => state !== "running" && state !== "ended")) process.exitCode = 1
}

/** Each as it is once its start is decided. */
async function settled(context: Context, names: readonly string[]): Promise<Running[]> {
  const { supervisorFolder } = await import("./supervisor-place.ts")
  const folder = supervisorFolder(context.instance(), context.workspace)
  const deadline = performance.now() + PATIENCE_MS
  const told = new Map<string, string>()
  for (;;) {
    const states = names.map((name) => folder.runningOf(name))
    // Half a minute may pass before it is given up.
    for (const { agent, state, detail } of states) {
      if (state !== "waiting" || told.get(agent) === detail) continue
      told.set(agent, detail)
      context.terminal.notice(printable(`${agent} does not run yet, and is tried again: ${detail}`))
    }
    const open = states.some(({ agent, state, revision }) => revision !== folder.wantedOf(agent)?.revision || ["starting", "idle", "waiting"].includes(state))
    if (!open || performance.now() > deadline) return states
    await new Promise((settle) => setTimeout(settle, 100))
  }
}
