import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { AgentId, PlanId, Seq, TaskId } from "../core/ids.ts"
import type { Evidence, Run, Usage } from "../core/task.ts"
import { DELIVERABLE_MAX_BYTES, deliverableText, DeliverableError, withoutControls, producedFiles, readDeliverable, readEvidence } from "./deliverable.ts"
import type { Environment } from "./environment.ts"
import type { OutputChunk } from "./output.ts"
import { ProcessError, startProcess, type Exit, type Program, type RunningProcess } from "./process.ts"

/** What of a claimed task is needed to carry it out. */
export type RunnableTask = {
  id: TaskId
  title: string
  plan: PlanId | null
  fence: Seq
  run: Run | null
  /** Declared by the plan. The variables that Skein sets win over it. */
  env: Environment
  gates: readonly string[]
}

/** What the tasks delivered that this one depends on, by their name within the plan. */
export type Inputs = Readonly<Record<string, { title: string; text: string; evidence: Evidence }>>

export type TaskRunOptions = {
  task: RunnableTask
  agent: AgentId
  /** The agent's directory: where commands and gates run. */
  cwd: string
  /** A directory of this attempt alone; made with mode 0700. Afterwards it holds `inputs.json`, `output.log` and what was produced, in `out/`. */
  workDir: string
  inputs: Inputs
  /** Where the task's command reaches the hub, and the file with the token it may use. */
  hub?: { url: string; tokenFile: string }
  /** How many times faster than its estimate stand-in work goes; 1 unless told. It scales nothing else. */
  speed?: number
  /** For the command and its gates together; without it they may take as long as they like. */
  timeoutMs?: number
  /** Between SIGTERM and SIGKILL when it is aborted or runs out of time; 5,000 unless told. */
  graceMs?: number
  /** Aborting ends the whole process group; the outcome is then `aborted`. */
  signal?: AbortSignal
  onOutput?: (chunk: OutputChunk) => void
}

/** `throttled`: it asked to be tried later (exit status 75), so release rather than fail. `aborted`: the caller's signal, nobody's fault. */
export type Outcome = "done" | "failed" | "throttled" | "aborted"

export type TaskRunResult = {
  ok: boolean
  outcome: Outcome
  /** `files` are paths in `workDir/out`. Present where the command itself ended well, also when a gate or its evidence did not. */
  deliverable: { text: string; files: string[] } | null
  evidence: Evidence
  usage: Usage
  durationMs: number
  /** Of the command, not of a gate; null where it did not end by itself, and for stand-in work. */
  exitCode: number | null
  /** Why it is not done, in text that is safe to store and to show; null when it is. */
  reason: string | null
}

/** "Temporary failure, try again later" in sysexits.h: what a throttled command exits with. */
const EXIT_THROTTLED = 75
const LAST_WORDS_MAX_LINES = 12
const LAST_WORDS_MAX_LENGTH = 1_000
/** In UTF-16 units of at most 3 bytes each: the contract takes reasons of 4,096 bytes. */
const REASON_MAX_LENGTH = 1_360
/** Stdout that is kept for a deliverable; more than its limit, because terminal sequences in it do not count. */
const STDOUT_KEPT_UNITS = 4 * DELIVERABLE_MAX_BYTES
/**
 * A SIGTERM to the whole group of whoever runs the task is that one's to hear of, and of the program too that it has forked just now and that is in no group of its
 * own yet. That is dead at once, and the signal's handler may run later than the word of that death: so long it is waited for, in ms.
 */
const TOLD_MS = 1_000
/** The longest delay that a timer takes. */
const TIMER_MAX_MS = 2_147_483_647

const NO_EVIDENCE: Evidence = { testsPass: null, commit: null, links: [] }

type Step = Pick<TaskRunResult, "outcome" | "deliverable" | "exitCode" | "reason"> & Partial<Pick<TaskRunResult, "evidence" | "usage">>

/**
 * Carries out a claimed task: its command, program or stand-in work, then its gates, and gathers what it delivered. Every end of the work is a result;
 * it throws only where `workDir` cannot be used (it was used before, or its disk is full).
 * The command sees `SKEIN_TASK`, `SKEIN_PLAN`, `SKEIN_AGENT`, `SKEIN_FENCE`, `SKEIN_OUT` (a directory for what it produces: `deliverable.md` is taken
 * instead of its stdout, `evidence.json` as its evidence), `SKEIN_INPUTS` (a JSON file with `inputs`), `SKEIN_URL` and `SKEIN_TOKEN_FILE`.
 */
export async function runTask(options: TaskRunOptions): Promise<TaskRunResult> {
  const startedAt = performance.now()
  const step = await carryOut(options)
  const usage = step.usage ?? { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
  return { ...step, ok: step.outcome === "done", evidence: step.evidence ?? NO_EVIDENCE, usage, durationMs: performance.now() - startedAt }
}

async function carryOut(options: TaskRunOptions): Promise<Step> {
  const { task, timeoutMs, signal } = options
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.min(timeoutMs, TIMER_MAX_MS))
  const ends = AbortSignal.any([signal, timeout].filter((one) => one !== undefined))
  if (ends.aborted) return ended(options)
  if (task.run === null) return failed("the task has no `run`: a script agent has nothing to carry out", null)

  const outDir = join(options.workDir, "out")
  await mkdir(options.workDir, { recursive: true, mode: 0o700 })
  await mkdir(outDir, { mode: 0o700 })
  const inputsFile = join(options.workDir, "inputs.json")
  await writeFile(inputsFile, JSON.stringify(options.inputs, null, 2), { mode: 0o600, flag: "wx" })
  const context: Context = { options, outDir, ends, env: taskEnvironment(options, outDir, inputsFile) }

  const step = "standIn" in task.run ? await standIn(context, task.run.standIn) : await command(context, task.run)
  if (step.outcome !== "done") return step
  for (const gate of task.gates) {
    const refusal = await pass(context, gate)
    if (refusal !== null) return { ...step, ...refusal }
  }
  return step
}

type Context = { options: TaskRunOptions; outDir: string; ends: AbortSignal; env: Environment }

function taskEnvironment({ task, agent, hub }: TaskRunOptions, outDir: string, inputsFile: string): Environment {
  return {
    ...task.env,
    SKEIN_TASK: task.id,
    SKEIN_PLAN: task.plan ?? "",
    SKEIN_AGENT: agent,
    SKEIN_FENCE: String(task.fence),
    SKEIN_OUT: outDir,
    SKEIN_INPUTS: inputsFile,
    ...(hub === undefined ? {} : { SKEIN_URL: hub.url, SKEIN_TOKEN_FILE: hub.tokenFile }),
  }
}

async function standIn({ options, ends }: Context, { ms, costMicroUsd }: { ms: number; costMicroUsd: number }): Promise<Step> {
  const speed = options.speed ?? 1
  const wantedMs = ms / speed
  const startedAt = performance.now()
  for (let leftMs = wantedMs; leftMs > 0 && !ends.aborted; leftMs = wantedMs - (performance.now() - startedAt))
    await elapsed(Math.min(leftMs, TIMER_MAX_MS), ends)
  if (ends.aborted) return ended(options)
  const text = deliverableText(
    `Stand-in work for ${options.task.title}: ${ms} ms of work, done in ${Math.round(performance.now() - startedAt)} ms at speed ${speed}.\n`,
  )
  return { outcome: "done", deliverable: { text, files: [] }, exitCode: null, reason: null, usage: { costMicroUsd, inputTokens: 0, outputTokens: 0 } }
}

async function command(context: Context, run: Exclude<Run, { standIn: unknown }>): Promise<Step> {
  const { options, outDir } = context
  let stdout = ""
  let stdoutBytes = 0
  const program = programOf(run)
  if (program === null) return failed("`run.argv` is empty", null)
  const ran = await supervised(context, program, (chunk) => {
    options.onOutput?.(chunk)
    if (chunk.stream !== "stdout") return
    stdoutBytes += Buffer.byteLength(chunk.text)
    if (stdout.length < STDOUT_KEPT_UNITS) stdout += chunk.text
  })
  if ("outcome" in ran) return ran
  const { child, exit } = ran
  if (exit.code === EXIT_THROTTLED)
    return { ...failed(`it asked to be tried later (exit status ${EXIT_THROTTLED})${lastWords(child)}`, exit.code), outcome: "throttled" }
  if (exit.code !== 0) return failed(`${howItEnded(exit)}${lastWords(child)}`, exit.code)
  try {
    const written = await readDeliverable(outDir)
    const text = written ?? deliverableText(stdout, { bytes: stdoutBytes, atLeast: child.output().cut })
    const evidence = await readEvidence(outDir)
    const delivered = { deliverable: { text, files: await producedFiles(outDir) }, evidence, exitCode: 0 }
    if (evidence.testsPass === false) return { ...delivered, outcome: "failed", reason: "its own evidence says that tests do not pass" }
    return { ...delivered, outcome: "done", reason: null }
  } catch (error) {
    if (!(error instanceof DeliverableError)) throw error
    return failed(`it exited with 0, but ${error.message}`, 0)
  }
}

/** Null when the gate passed. */
async function pass(context: Context, gate: string): Promise<Pick<Step, "outcome" | "reason"> | null> {
  const ran = await supervised(context, { command: gate }, context.options.onOutput)
  const shown = withoutControls(gate).slice(0, 200)
  if ("outcome" in ran) return { outcome: ran.outcome, reason: storable(`gate \`${shown}\`: ${ran.reason ?? "it did not end"}`) }
  if (ran.exit.code === 0) return null
  return { outcome: "failed", reason: storable(`gate \`${shown}\`: ${howItEnded(ran.exit)}${lastWords(ran.child)}`) }
}

/** Runs a program to its end, or to the end of the task's time; `Step` where it could not start or did not end by itself. */
async function supervised(context: Context, program: Program, onOutput?: (chunk: OutputChunk) => void): Promise<{ child: RunningProcess; exit: Exit } | Step> {
  const { options, ends, env } = context
  if (ends.aborted) return ended(options)
  const logFile = join(options.workDir, "output.log")
  let child: RunningProcess
  try {
    child = await startProcess({ ...program, name: options.task.id, cwd: options.cwd, env, logFile, ...(onOutput === undefined ? {} : { onOutput }) })
  } catch (error) {
    if (!(error instanceof ProcessError)) throw error
    return failed(`${error.message}. ${error.remedy}`, null)
  }
  let stopped = false
  const stop = (): void => {
    // Between its exit and our hearing of it there is nothing to stop: what it did counts.
    stopped = child.alive()
    void child.stop({ graceMs: options.graceMs ?? 5_000 })
  }
  // It may have been aborted while the process was being started.
  if (ends.aborted) stop()
  ends.addEventListener("abort", stop)
  const exit = await child.exited
  if (!stopped && exit.signal === "SIGTERM") stopped = await abortedWithin(TOLD_MS, ends)
  ends.removeEventListener("abort", stop)
  return stopped ? ended(options) : { child, exit }
}

/** Whether it is aborted, or becomes so within that time. */
async function abortedWithin(ms: number, ends: AbortSignal): Promise<boolean> {
  if (!ends.aborted) await elapsed(ms, ends)
  return ends.aborted
}

/** The end that came from outside: the caller's signal, else the time limit. */
function ended({ signal, timeoutMs }: TaskRunOptions): Step {
  if (signal?.aborted === true) return { ...failed("it was aborted", null), outcome: "aborted" }
  return failed(`it was not done after ${timeoutMs} ms`, null)
}

function failed(reason: string, exitCode: number | null): Step {
  return { outcome: "failed", deliverable: null, exitCode, reason: storable(reason) }
}

function storable(reason: string): string {
  return withoutControls(reason).slice(0, REASON_MAX_LENGTH).toWellFormed()
}

function howItEnded({ code, signal }: Exit): string {
  return code === null ? `it was killed by ${signal}` : `it exited with ${code}`
}

/** The last lines of stderr, or of stdout where it said nothing there. */
function lastWords(child: RunningProcess): string {
  const said = withoutControls(child.tail("stderr")).trim() || withoutControls(child.tail("stdout")).trim()
  const lines = said.split("\n").slice(-LAST_WORDS_MAX_LINES).join("\n").slice(-LAST_WORDS_MAX_LENGTH)
  return lines === "" ? "" : `: ${lines.toWellFormed()}`
}

function programOf(run: Exclude<Run, { standIn: unknown }>): Program | null {
  if ("command" in run) return { command: run.command }
  const [program, ...rest] = run.argv
  return program === undefined ? null : { argv: [program, ...rest] }
}

function elapsed(ms: number, ends: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer)
      ends.removeEventListener("abort", over)
      resolve()
    }
    const timer = setTimeout(over, ms)
    ends.addEventListener("abort", over)
  })
}
