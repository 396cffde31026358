import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SkeinError } from "../contract/errors.ts"
import type { Entry } from "../core/entry.ts"
import type { PlanAgent } from "../core/plan.ts"
import { viewPlan } from "../core/view.ts"
import { git } from "../repo/git.ts"
import { findRepository, type Repository } from "../repo/instance.ts"
import { removeWorktree } from "../repo/worktree.ts"
import { Crew, type CrewEvent, worktreeOf } from "../runtime/crew.ts"
import { Chaos } from "./chaos.ts"
import { openConnection, type HubConnection } from "./connection.ts"
import type { Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { HubKeeper } from "./hub-keeper.ts"
import { ensureHub } from "./hub-start.ts"
import { stopHub } from "./hub-stop.ts"
import { prepareInstance } from "./instance-files.ts"
import { folderOf } from "./instance.ts"
import { auditLedger, ledgerFile, openLedgerFile, ownCheckpoints, type Audit } from "./ledger-source.ts"
import { LiveScreen } from "./live-screen.ts"
import type { PlanFile } from "./plan-file.ts"
import { printable, printableLines } from "./printable.ts"
import { measure } from "./run-measure.ts"
import { IDLE_TOLERANCE_MS, RunRecord } from "./run-record.ts"
import { reportRecord, reportText, type RunReport } from "./run-report.ts"
import { addPlan, nothingToDo, teamOf } from "./run-team.ts"
import { boardLines, progressLine } from "./run-view.ts"
import type { RunOptions } from "./run.ts"
import { signalStatus } from "../runtime/signal-status.ts"
import { StallTeller } from "./stall.ts"

type Options = RunOptions & { planDirectory: string }

/** Everything of one run that its steps share. */
type Run = {
  context: Context
  file: PlanFile
  options: Options
  hub: HubConnection
  repository: Repository
  plan: string
  commit: string | null
  team: PlanAgent[]
  record: RunRecord
  stop: AbortController
  /** The signal that stopped it; null where none did. */
  stoppedBy(): NodeJS.Signals | null
}

/** Brings up what is missing, runs the plan to its end or to Ctrl-C, and reports. */
export async function runPlan(context: Context, file: PlanFile, options: Options): Promise<void> {
  const { terminal } = context
  const instance = context.instance()
  const repository = await repositoryOf(context)
  const commit = await headOf(repository)
  if (file.plan.worktrees && commit === null)
    throw new UsageError("the plan asks for worktrees, and this repository has no commit", "Commit something first, or say `worktrees: false` in the plan.")
  const team = teamOf(file, options)
  await prepareInstance(instance)
  const stop = new AbortController()
  // From here on: a Ctrl-C while the hub comes up would leave it behind.
  const { stoppedBy, undo } = interruptible(stop)
  const started = await ensureHub(instance, { host: "127.0.0.1", port: null, allowedHosts: [] }, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error
    return null
  })
  if (started === null) return tellInterrupted(context, null, stoppedBy())
  const { hub: running, already } = started
  const hub = openConnection({ url: running.url, identity: { credentialFile: join(instance.directory, "operator.credential") }, workspace: context.workspace })
  const keeper = new HubKeeper({
    instance,
    hub: running,
    told: (line) => {
      terminal.record({ kind: "notice", text: line })
      terminal.notice(`${terminal.colours.cyan("skein")}  ${line}`)
    },
    lost: (error) => stop.abort(error),
  })
  try {
    const added = await addPlan(hub, { ...file.plan, commit }, team)
    const { seq: head } = await hub.call("ledger.head", {})
    const record = new RunRecord(
      added.plan,
      team.map(({ name }) => name),
    )
    const run: Run = { context, file, options, hub, repository, plan: added.plan, commit, team, record, stop, stoppedBy }
    const outcome = await follow(run, head, added.created)
    await close(run, outcome)
  } finally {
    await keeper.stop()
    const mayStop = !already && options.keepHub !== true
    const others = mayStop && (await othersAtWork(hub, running.url))
    await hub.close()
    if (others) terminal.notice(terminal.colours.dim("the hub that this run started stays up: others are at work; `skein down` stops it"))
    else if (mayStop) {
      const isDown = await stopHub(keeper.pid)
      const how = isDown ? "is down again; `skein up` starts one that stays" : "has not ended yet; look into .skein/logs/hub.log"
      terminal.notice(terminal.colours.dim(`the hub that this run started ${how}`))
    }
    // Not before: a Ctrl-C that comes as the plan is finished would leave the hub behind.
    undo()
  }
}

/** Whether agents are at work through the hub, in any workspace: this run's own have ended. False where nobody answers. */
async function othersAtWork({ identity }: HubConnection, url: string): Promise<boolean> {
  const ask = async <Answer>(workspace: string | undefined, call: (hub: HubConnection) => Promise<Answer>): Promise<Answer> => {
    const hub = openConnection({ url, identity, workspace })
    try {
      return await call(hub)
    } finally {
      await hub.close()
    }
  }
  try {
    const { workspaces } = await ask("main", (hub) => hub.call("workspace.list", {}))
    for (const { name } of workspaces) {
      const { sessions } = await ask(name, (hub) => hub.call("session.list", { status: "live" }))
      if (sessions.some(({ active }) => active)) return true
    }
    return false
  } catch {
    return false
  }
}

async function repositoryOf(context: Context): Promise<Repository> {
  const { directory, repository } = context.instance()
  // The global instance belongs to no repository: work is done where the call stands.
  return repository === null ? { top: process.cwd(), commonDir: process.cwd(), instanceDir: directory } : findRepository(repository)
}

async function headOf(repository: Repository): Promise<string | null> {
  const head = await git(repository.top ?? repository.commonDir, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
  return head.status === 0 ? head.stdout.trim() : null
}

type Outcome = { how: "finished" | "nothing_to_do" | "interrupted" | "stuck"; chaos: Chaos | null }

/** Follows the ledger from its first entry: folds what was, starts the crew, and watches until the plan is finished. */
async function follow(run: Run, head: number, created: boolean): Promise<Outcome> {
  const { context, record, hub, stop, plan, options } = run
  const { terminal } = context
  const startedMs = performance.now()
  let skewMs = 0
  const screen = new LiveScreen(terminal, () => boardLines(terminal, record, startedMs, Date.now() + skewMs))
  let crew: Crew | null = null
  const chaos =
    options.chaos === true
      ? new Chaos({
          kill: async (agent) => crew?.kill(agent),
          isAtWork: (task, fence) => record.state.tasks.get(task)?.fence === fence,
          told: (line) => tell(run, screen, line),
        })
      : null
  const stall = new StallTeller((line) => tell(run, screen, line), record)
  const over = new AbortController()
  const ends = AbortSignal.any([over.signal, stop.signal])
  let how: Outcome["how"] = "interrupted"
  const finish = (as: Outcome["how"]): void => {
    // Agents that were stopped are no sign that the plan is stuck.
    if (ends.aborted) return
    how = as
    over.abort()
  }
  try {
    for await (const entry of hub.events({ from: 1, signal: ends })) {
      record.take(entry)
      if (entry.seq < head) continue
      if (crew === null) {
        if (isFinished(run)) {
          finish("nothing_to_do")
          continue
        }
        for (const { line, message, remedy } of run.file.warnings) tell(run, screen, `warning, line ${line}: ${message}. ${remedy}`)
        tell(run, screen, `${created ? "begins" : "goes on"}: ${plan} with ${run.team.map(({ name }) => name).join(", ")}`)
        crew = newCrew(run, !created, (event) => onCrew(run, screen, event))
        void crew.start(run.team.map(({ name }) => name)).then(
          () =>
            void watchCrew(
              crew as Crew,
              async () => !ends.aborted && !(await hub.call("plan.show", { plan })).plan.finished,
              () => finish("stuck"),
            ).catch((error: unknown) => run.stop.abort(error)),
          (error: unknown) => {
            run.stop.abort(error)
          },
        )
        screen.start()
      }
      skewMs = entry.atMs - Date.now()
      show(run, screen, entry, startedMs)
      const { id } = entry.data as { id?: unknown }
      const task = typeof id === "string" ? record.state.tasks.get(id) : undefined
      if (task?.plan === plan) chaos?.take(entry, task.fence, record.isFiller(task.id))
      if (isFinished(run)) finish("finished")
      else stall.moved()
    }
  } finally {
    chaos?.stop()
    stall.stop()
    screen.stop()
    if (crew !== null) {
      if (how === "interrupted") terminal.notice("stopping: agents give back what they hold")
      await crew.stop()
    }
  }
  if (stop.signal.aborted && stop.signal.reason instanceof Error && stop.signal.reason.name !== "AbortError") throw stop.signal.reason
  await catchUp(run).catch((error: unknown) => {
    if (how !== "interrupted" || !(error instanceof SkeinError)) throw error
    terminal.notice("no hub answers any more: what agents held is given back when the plan goes on")
  })
  return { how, chaos }
}

/** What the agents did when they were stopped belongs to the record too. */
async function catchUp({ hub, record }: Run): Promise<void> {
  for (;;) {
    const page = await hub.call("ledger.read", { from: record.state.seq + 1, limit: 1_000 })
    for (const { bytes } of page.entries) record.take(JSON.parse(bytes) as Entry)
    if (page.next === null) return
  }
}

function isFinished({ record, plan }: Run): boolean {
  return viewPlan(record.state, plan)?.finished === true
}

function newCrew({ context, options, hub, repository, plan, commit, file }: Run, goesOn: boolean, onEvent: (event: CrewEvent) => void): Crew {
  const instance = context.instance()
  return new Crew({
    port: hub,
    url: hub.url,
    workspace: context.workspace,
    plan,
    repository,
    worktreesAt: file.plan.worktrees ? commit : null,
    goesOn,
    planDirectory: options.planDirectory,
    agentsDirectory: folderOf(instance, context.workspace, "agents"),
    runsDirectory: join(folderOf(instance, context.workspace, "runs"), plan),
    speed: options.speed,
    onEvent,
  })
}

/**
 * When all processes are gone and the plan is not finished, nothing will move any more. `isOpen` MUST ask the hub: agents end once that has the plan as finished,
 * which the stream may have yet to tell here.
 */
async function watchCrew(crew: Crew, isOpen: () => Promise<boolean>, stuck: () => void): Promise<void> {
  await crew.finished()
  if (await isOpen()) stuck()
}

function onCrew(run: Run, screen: LiveScreen, event: CrewEvent): void {
  const { terminal } = run.context
  if (terminal.json) terminal.record({ ...event, kind: "agent", did: event.kind })
  else if (event.kind === "started" && event.again) tell(run, screen, `another process goes on as ${event.agent}`)
  else if (event.kind === "given_up") tell(run, screen, `${event.agent} is not started again: ${event.detail}`)
  else if (event.kind === "ended" && (event.how === "killed" || event.how === "crashed"))
    tell(run, screen, `${event.agent} ${event.how === "killed" ? "was killed" : "crashed"} (${event.detail})`)
}

/** A line of the run's own, with the live board or without it. */
function tell({ context: { terminal } }: Run, screen: LiveScreen, line: string): void {
  terminal.record({ kind: "notice", text: line })
  if (!terminal.json) screen.print(`${terminal.colours.cyan("skein")}  ${printable(line)}`)
}

function show(run: Run, screen: LiveScreen, entry: Entry, startedMs: number): void {
  const { terminal } = run.context
  const line = progressLine(run.record, entry)
  if (terminal.isLive) screen.changed()
  else if (line !== null) {
    const { id } = entry.data as { id: string }
    if (terminal.json) terminal.record({ kind: "event", seq: entry.seq, atMs: entry.atMs, type: entry.type, agent: entry.actor.agent, task: id })
    else terminal.print(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(7)} s  ${line}`)
  }
}

/** The report, what it rests on, and the exit status. */
async function close(run: Run, { how, chaos }: Outcome): Promise<void> {
  const { context, record, file, options } = run
  const { terminal } = context
  if (how === "interrupted") return tellInterrupted(context, run.plan, run.stoppedBy())
  const figures = measure(record, IDLE_TOLERANCE_MS)
  const audit = await auditOwn(run)
  const advice = how === "finished" ? await advise(run) : []
  const { speed } = options
  const scale = isAllStandIn(file) ? speed : 1
  const report: RunReport = { measure: figures, speed, scale, figures: file.figures, chaos: chaos?.report ?? null, audit, advice }
  if (how === "nothing_to_do") terminal.answer({ kind: "nothing_to_do", plan: run.plan }, `${nothingToDo(run.plan)}\n`)
  const delivered = await deliver(run, report)
  if (delivered !== null) terminal.print(`${printableLines(delivered.text).trimEnd()}\n`)
  terminal.answer(reportRecord(report), () => reportText(terminal, report))
  if (delivered !== null) terminal.print(`report         ${printable(delivered.path)}`)
  if (chaos !== null && chaos.report === null) terminal.notice("chaos: no task lasted long enough to kill its agent in the middle of it")
  if (how === "stuck")
    throw new SkeinError(
      "invalid",
      `${run.plan} is not finished, and none of its agents runs any more`,
      `See what they wrote in ${join(folderOf(context.instance(), context.workspace, "runs"), run.plan)}, then run the same command again.`,
    )
  if (file.plan.worktrees && how === "finished") await tidyWorktrees(run)
  const bad = figures.counts.failed > 0 || figures.counts.unreachable > 0 || !audit.verified.ok || audit.replayed?.mismatch !== null
  if (bad) process.exitCode = 1
}

/** `plan` null: it was stopped before the plan was there. */
function tellInterrupted({ terminal }: Context, plan: string | null, by: NodeJS.Signals | null): void {
  terminal.answer(
    { kind: "interrupted", plan },
    plan === null ? "stopped before the hub was there; the same command goes on" : `${plan} is stopped; the same command goes on with it`,
  )
  process.exitCode = signalStatus(by ?? "SIGINT")
}

/** Whether nothing of a plan takes its own time: neither commands nor gates. */
function isAllStandIn({ plan: { tasks } }: PlanFile): boolean {
  return tasks.every(({ run = null, gates = [] }) => run !== null && "standIn" in run && gates.length === 0)
}

/** Simulates the plan with one agent more, and again; loaded only where a plan was finished. */
async function advise({ file, team }: Run): Promise<string[]> {
  const { furtherAgents } = await import("./simulation/advice.ts")
  return furtherAgents(file.plan, team)
}

/** The ledger's own file, read beside the hub: verified and replayed from its bytes alone. */
async function auditOwn({ context, hub }: Run): Promise<Audit> {
  await hub.call("ledger.checkpoint", {})
  const instance = context.instance()
  const source = await openLedgerFile(ledgerFile(instance, context.workspace))
  try {
    return await auditLedger(source, (await ownCheckpoints(instance, context.workspace)).outside)
  } finally {
    await source.close()
  }
}

/** Saves the run's report; where the plan names a task as report, that task's deliverable is it. */
async function deliver({ context, hub, plan, file }: Run, report: RunReport): Promise<{ path: string; text: string } | null> {
  const folder = join(folderOf(context.instance(), context.workspace, "runs"), plan)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, "run.json"), `${JSON.stringify(reportRecord(report), null, 2)}\n`)
  if (file.report === null) return null
  const { task } = await hub.call("task.show", { task: `${plan}/${file.report}` })
  if (task.deliverable === null) return null
  const path = join(folder, "report.md")
  writeFileSync(path, task.deliverable.text)
  return { path, text: task.deliverable.text }
}

/** Worktrees are of no use once the plan is finished; one with somebody's work in it stays, and says so. */
async function tidyWorktrees({ context: { terminal, workspace }, repository, team }: Run): Promise<void> {
  for (const { name } of team) {
    await removeWorktree({ repository, name: worktreeOf(workspace, name) }).catch((error: unknown) => {
      terminal.notice(`the worktree of ${name} stays: ${printable(error instanceof Error ? error.message : String(error))}`)
    })
  }
}

/** Ctrl-C once stops cleanly; twice ends at once. */
function interruptible(stop: AbortController): { stoppedBy: Run["stoppedBy"]; undo(): void } {
  let by: NodeJS.Signals | null = null
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(signalStatus(signal))
    by = signal
    stop.abort()
  }
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    stoppedBy: () => by,
    undo: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
