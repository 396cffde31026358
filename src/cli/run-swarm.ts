import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { SkeinError } from "../contract/errors.ts"
import { git } from "../repo/git.ts"
import { type HubConnection, openConnection } from "./connection.ts"
import type { Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { ensureHub } from "./hub-start.ts"
import { prepareInstance } from "./instance-files.ts"
import type { PlanFile } from "./plan-file.ts"
import { printable } from "./printable.ts"
import { addPlan, nothingToDo } from "./run-team.ts"
import { signalStatus } from "../runtime/signal-status.ts"
import { supervisorFolder } from "./supervisor-place.ts"
import { ensureSupervisor } from "./supervisor-start.ts"
import { addMember, memberNames } from "./swarm-agents.ts"

const LOOK_MS = 1_000
/** An agent that idles while there is work for it is told of it this often, in ms: it may be about to claim by itself. */
const NUDGE_MS = 15_000
const CLOSED = new Set(["completed", "failed", "cancelled"])

type SwarmRun = {
  context: Context
  hub: HubConnection
  plan: string
  members: readonly string[]
  nudgedAtMs: Map<string, number>
  shown: Map<string, string>
  stoppedBy(): NodeJS.Signals
}

/**
 * Takes a plan to its end with coding agents in terminals: adds it, has the supervisor run them, tells whoever idles while there is work, and ends them when
 * the plan is finished. Ctrl-C ends them too; the same command goes on with the plan.
 */
export async function runSwarm(context: Context, file: PlanFile, words: readonly string[]): Promise<void> {
  const kinds = words.map(kindAndCount)
  const instance = context.instance()
  await prepareInstance(instance)
  const { hub: running } = await ensureHub(instance, { host: "127.0.0.1", port: null, allowedHosts: [] })
  const hub = openConnection({ url: running.url, identity: { credentialFile: join(instance.directory, "operator.credential") }, workspace: context.workspace })
  const stop = new AbortController()
  let stoppedBy: NodeJS.Signals = "SIGINT"
  const members: string[] = []
  const endMembers = (): void => {
    const folder = supervisorFolder(instance, context.workspace)
    for (const agent of members) {
      const wanted = folder.wantedOf(agent)
      if (wanted !== null) folder.want({ ...wanted, want: "stopped", reason: "its plan is over", revision: wanted.revision + 1 })
    }
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    // The second ends this process where it stands, and its agents all the same.
    if (stop.signal.aborted) {
      endMembers()
      process.exit(signalStatus(signal))
    }
    stoppedBy = signal
    stop.abort()
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal)
  try {
    const commit = instance.repository === null ? null : await headOf(instance.repository)
    const { plan, created } = await addPlan(hub, { ...file.plan, commit }, [])
    if ((await hub.call("plan.show", { plan })).plan.finished) context.terminal.answer({ kind: "nothing_to_do", plan }, nothingToDo(plan))
    else {
      for (const { kind, count } of kinds)
        for (const agent of await memberNames(hub, kind, kind, count, new Set(members))) {
          members.push(agent)
          await addMember(context, hub, memberOf(agent, kind, plan, file))
        }
      await ensureSupervisor(context)
      context.terminal.answer({ kind: "begun", plan, created, agents: members }, `${plan} with ${members.join(", ")}: skein agent attach NAME shows one`)
    }
    await follow({ context, hub, plan, members, nudgedAtMs: new Map(), shown: new Map(), stoppedBy: () => stoppedBy }, stop.signal)
  } finally {
    endMembers()
    await hub.close()
  }
}

function kindAndCount(word: string): { kind: string; count: number } {
  const [, kind, count] = /^([\w-]+)=(\d{1,2})$/.exec(word) ?? []
  if (kind === undefined || Number(count) < 1)
    throw new UsageError(`${JSON.stringify(word)} says no kind and number of agents`, "Write --agents claude=2,codex=1")
  return { kind, count: Number(count) }
}

async function headOf(folder: string): Promise<string | null> {
  const head = await git(folder, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
  return head.status === 0 ? head.stdout.trim() : null
}

/** One that may take any task of the plan: who is fit for what is the plan's word about script agents. */
function memberOf(agent: string, kind: string, plan: string, { plan: { agents, tasks, worktrees } }: PlanFile): Parameters<typeof addMember>[2] {
  const capabilities: Record<string, number> = {}
  for (const skills of [...agents.map((one) => one.capabilities ?? {}), ...tasks.map((task) => task.requires ?? {})])
    for (const [skill, level] of Object.entries(skills)) capabilities[skill] = Math.max(level, capabilities[skill] ?? 0)
  return {
    agent,
    preset: kind,
    by: "tmux",
    role: "worker",
    binary: null,
    args: [],
    env: {},
    passEnv: [],
    prompt: workPrompt(agent, plan),
    worktree: worktrees,
    account: null,
    capabilities,
  }
}

function workPrompt(agent: string, plan: string): string {
  return `You are ${agent}. Work on plan ${plan} with Skein's tools: claim_task takes the next task that fits, do what it says, complete_task delivers it; then take the next. When nothing is ready for you, end your turn: you are told when there is more.`
}

/** Until the plan is finished. Throws `SkeinError` where none of its agents can go on. */
async function follow(run: SwarmRun, signal: AbortSignal): Promise<void> {
  const { context, hub, plan, members } = run
  const folder = supervisorFolder(context.instance(), context.workspace)
  for (;;) {
    const { plan: view } = await asked(() => hub.call("plan.show", { plan }))
    const { tasks } = await asked(() => hub.call("plan.report", { plan }))
    for (const { id, state, owner } of tasks) show(run, id, owner === null || CLOSED.has(state) ? state : `${state} (${owner})`)
    if (view.finished) {
      const { completed, failed, unreachable } = view.counts
      context.terminal.answer({ kind: "finished", plan, counts: view.counts }, `${plan} is finished: ${completed} of ${tasks.length} tasks are done`)
      if (failed + unreachable > 0) process.exitCode = 1
      return
    }
    if (signal.aborted) {
      context.terminal.answer({ kind: "interrupted", plan }, `${plan} is stopped; the same command goes on with it`)
      process.exitCode = signalStatus(run.stoppedBy())
      return
    }
    if (members.every((agent) => folder.runningOf(agent).state === "given_up"))
      throw new SkeinError(
        "invalid",
        `${plan} is not finished, and none of its agents can be started`,
        "See .skein/logs/supervisor.log, then run the same command again.",
        { plan },
      )
    if (tasks.some(({ state }) => state === "ready")) for (const agent of members) await nudge(run, agent)
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
  }
}

function show({ context: { terminal }, shown }: SwarmRun, task: string, state: string): void {
  const before = shown.get(task)
  if (before === state) return
  shown.set(task, state)
  if (before !== undefined) terminal.answer({ kind: "task", task, state }, `${printable(task)}: ${printable(state)}`)
}

/** Tells an agent that holds nothing of ready tasks; the hub sees to it that one at work is left alone, and that it is told once at a time. */
async function nudge({ hub, plan, nudgedAtMs }: SwarmRun, agent: string): Promise<void> {
  const nowMs = performance.now()
  // It was just told, by its first prompt or the last nudge.
  const lastMs = nudgedAtMs.get(agent)
  if (lastMs === undefined) nudgedAtMs.set(agent, nowMs)
  if (lastMs === undefined || nowMs - lastMs < NUDGE_MS) return
  const { agent: view } = await asked(() => hub.call("agent.show", { name: agent }))
  const { triggers } = await asked(() => hub.call("trigger.list", { target: agent, live: true, limit: 1 }))
  if (view.tasks.length > 0 || triggers.length > 0) return
  nudgedAtMs.set(agent, nowMs)
  await asked(() =>
    hub.call("trigger.participant", {
      thread: `agent/${agent}`,
      target: agent,
      reason: `tasks of plan ${plan} are ready`,
      prompt: "claim_task takes the next that fits; go on until nothing is ready for you.",
    }),
  )
}

/** A hub that is just being started again is waited for. */
async function asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof SkeinError) || error.code !== "hub_unreachable" || attempt === 20) throw error
      await sleep(LOOK_MS)
    }
  }
}
