import { join } from "node:path"
import type { Input, Output } from "../contract/operations.ts"
import type { OperationName } from "../contract/names.ts"
import { SkeinError } from "../contract/errors.ts"
import type { Entry } from "../core/entry.ts"
import type { AgentId, PlanId, Seq, SessionId, TaskId } from "../core/ids.ts"
import type { Environment } from "./environment.ts"
import { type Inputs, runTask, type TaskRunResult } from "./task-run.ts"

/** What the agent needs of a client: any that speaks the contract will do. */
export type AgentPort = {
  call<Name extends OperationName>(name: Name, input: Input<Name>, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<Output<Name>>
  events(options: { from: Seq; signal?: AbortSignal }): AsyncIterable<Entry>
}

export type ScriptAgentOptions = {
  agent: AgentId
  /** The session by which the port calls. */
  session: SessionId
  /** Takes tasks of this plan only, and ends with it; null: of all, until it is stopped. */
  plan: PlanId | null
  /** Where commands run. */
  cwd: string
  /** Each attempt gets a directory of its own in here. */
  workDir: string
  hub: { url: string; tokenFile: string }
  speed: number
  /** Variables that every command of this agent sees. */
  env: Environment
  signal: AbortSignal
  /** One line on what it does, for the log. */
  say(line: string): void
}

type Claimed = Output<"task.claimNext">["claims"][number]

/** How long one call waits for work, in ms. */
const WAIT_MS = 60_000
/** Entries after which a plan may be finished. */
const CLOSING = new Set(["task.completed", "task.failed", "task.cancelled", "plan.cancelled"])
/** Progress is reported at least this often, in ms. */
const PROGRESS_MS = 5 * 60_000

/**
 * The life of an agent that is a script: claim the next task that fits, carry it out, deliver; wait where there is none, with filler work meanwhile; end when
 * the plan is finished. Returns how many tasks it completed. Whatever happens to the lease (ended, reset, cancelled) ends the work at once.
 */
export async function runScriptAgent(port: AgentPort, given: ScriptAgentOptions): Promise<number> {
  const over = new AbortController()
  const stop = watchPlan(port, given.plan, over)
  const options = { ...given, signal: AbortSignal.any([given.signal, over.signal]) }
  let completed = 0
  let next: Claimed | null = null
  try {
    // What it has claimed it carries out, or gives back: stopped, it goes on until it holds nothing.
    while (next !== null || !options.signal.aborted) {
      const claim: Claimed | null = next ?? (await claimNext(port, options, null, options.signal))
      next = null
      if (claim === null) continue
      const outcome = await work(port, options, claim)
      if (outcome.done) completed += 1
      next = outcome.next
    }
  } finally {
    stop.abort()
  }
  return completed
}

/** The next claim, or null where nothing came up in time or it was called off. `meanwhile`: the filler that the agent works on; then real work only. */
async function claimNext(port: AgentPort, options: ScriptAgentOptions, meanwhile: TaskId | null, signal: AbortSignal): Promise<Claimed | null> {
  const filler = meanwhile === null ? null : false
  try {
    const { claims } = await port.call("task.claimNext", { plan: options.plan, filler, max: 1, waitMs: WAIT_MS }, { signal, timeoutMs: WAIT_MS + 10_000 })
    return claims[0] ?? null
  } catch (error) {
    const code = error instanceof SkeinError ? error.code : null
    if (signal.aborted || code === "timed_out") return claimedAllTheSame(port, options, meanwhile)
    if (
      code === "nothing_ready" ||
      code === "at_limit" ||
      code === "budget_spent" ||
      code === "breaker_open" ||
      code === "policy_denied" ||
      code === "hub_stopping"
    )
      return null
    throw error
  }
}

/**
 * What a claim has brought that was called off, or whose answer did not come in time: it may be granted all the same. Left alone, that task would be nobody's to work on
 * until the session ends, and that would count as an attempt of its; only a session that may hold no more is told of it again.
 */
async function claimedAllTheSame(port: AgentPort, { agent, plan, session }: ScriptAgentOptions, known: TaskId | null): Promise<Claimed | null> {
  // Where the hub does not answer, nothing can be given back to it either.
  const answer = await port.call("task.list", { plan, owner: agent, state: ["claimed"] }).catch((error: unknown) => {
    if (!(error instanceof SkeinError)) throw error
    return { tasks: [] }
  })
  for (const task of answer.tasks) {
    const { id, fence, leaseEndsAtMs, leaseMs } = task
    if (task.session === session && id !== known && fence !== null) return { task, fence, leaseEndsAtMs: leaseEndsAtMs ?? 0, leaseMs: leaseMs ?? 0 }
  }
  return null
}

/** Ends everything, filler work too, when nothing is left of the plan. Asked at first, and after each task that is closed. */
function watchPlan(port: AgentPort, plan: PlanId | null, over: AbortController): AbortController {
  const stop = new AbortController()
  if (plan === null) return stop
  const finished = async (): Promise<boolean> => (await port.call("plan.show", { plan }, { signal: stop.signal })).plan.finished
  const watch = async (): Promise<void> => {
    const from = (await port.call("ledger.head", {})).seq + 1
    if (await finished()) return over.abort()
    for await (const entry of port.events({ from, signal: stop.signal })) {
      if (CLOSING.has(entry.type) && (await finished())) return over.abort()
    }
  }
  // A connection that mends itself brings the stream back; one that is closed for good fails the next call.
  watch().catch(() => undefined)
  return stop
}

/** Carries out one claim; an agent on filler work listens for real work meanwhile, and takes it at once. */
async function work(port: AgentPort, options: ScriptAgentOptions, claim: Claimed): Promise<{ done: boolean; next: Claimed | null }> {
  const { task, fence } = claim
  const lost = new AbortController()
  const over = AbortSignal.any([options.signal, lost.signal])
  const watch = watchLease(port, task.id, fence, lost)
  const better = new AbortController()
  const realWork = task.filler ? realWorkMeanwhile(port, options, task.id, lost, better.signal) : Promise.resolve(null)
  const progress = setInterval(() => void port.call("task.update", { task: task.id, fence, note: "at work" }).catch(() => undefined), PROGRESS_MS)
  try {
    options.say(`${task.id} under fence ${fence}: ${task.title}`)
    await port.call("task.update", { task: task.id, fence })
    const result = await runTask({
      task: { id: task.id, title: task.title, plan: task.plan, fence, run: task.run, env: { ...task.env, ...options.env }, gates: task.gates },
      agent: options.agent,
      cwd: options.cwd,
      workDir: join(options.workDir, `${task.id.replace("/", "-")}-${fence}`),
      inputs: await inputsOf(port, task.dependsOn),
      hub: options.hub,
      speed: options.speed,
      signal: over,
    })
    const done = lost.signal.aborted ? false : await report(port, options, claim, result)
    return { done, next: await settle(realWork, better) }
  } catch (error) {
    if (!(error instanceof SkeinError) || !leaseIsOver(error)) throw error
    options.say(`${task.id}: ${error.message}`)
    return { done: false, next: await settle(realWork, better) }
  } finally {
    clearInterval(progress)
    better.abort()
    watch.abort()
  }
}

async function settle(realWork: Promise<Claimed | null>, better: AbortController): Promise<Claimed | null> {
  better.abort()
  return realWork
}

/** Waits for real work while filler is done; claiming it releases the filler in the same entry batch, so the filler's run is ended. */
async function realWorkMeanwhile(
  port: AgentPort,
  options: ScriptAgentOptions,
  filler: TaskId,
  lost: AbortController,
  signal: AbortSignal,
): Promise<Claimed | null> {
  while (!signal.aborted && !options.signal.aborted) {
    const claim = await claimNext(port, options, filler, AbortSignal.any([signal, options.signal]))
    if (claim === null) continue
    lost.abort()
    return claim
  }
  return null
}

/** Ends the work when the ledger says that the lease is over. */
function watchLease(port: AgentPort, id: TaskId, fence: Seq, lost: AbortController): AbortController {
  const stop = new AbortController()
  const ends = new Set(["lease.ended", "task.cancelled", "task.reset", "task.released", "task.failed"])
  const watch = async (): Promise<void> => {
    for await (const entry of port.events({ from: fence + 1, signal: stop.signal })) {
      if (ends.has(entry.type) && (entry.data as { id?: unknown }).id === id) return lost.abort()
    }
  }
  watch().catch(() => undefined)
  return stop
}

/** Says how it went. Returns whether the task is completed. */
async function report(port: AgentPort, options: ScriptAgentOptions, { task, fence }: Claimed, result: TaskRunResult): Promise<boolean> {
  const { outcome, deliverable, evidence, usage, reason } = result
  const id = { task: task.id, fence }
  if (outcome === "done") {
    await port.call("task.complete", { ...id, deliverable: { text: deliverable?.text ?? "", evidence }, usage })
    options.say(`${task.id}: completed in ${Math.round(result.durationMs)} ms`)
    return true
  }
  options.say(`${task.id}: ${outcome}${reason === null ? "" : `: ${reason}`}`)
  if (outcome === "failed") await port.call("task.fail", { ...id, reason: reason ?? "failed", retry: true, usage })
  else await port.call("task.release", { ...id, reason: reason ?? "stopped" })
  return false
}

function leaseIsOver(error: SkeinError): boolean {
  return error.code === "stale_fence" || error.code === "not_owner" || error.code === "wrong_status"
}

/** What the dependencies delivered, by their names within the plan. */
async function inputsOf(port: AgentPort, dependsOn: readonly TaskId[]): Promise<Inputs> {
  const shown = await Promise.all(dependsOn.map((task) => port.call("task.show", { task })))
  return Object.fromEntries(
    shown.map(({ task }) => [
      task.id.slice(task.id.indexOf("/") + 1),
      { title: task.title, text: task.deliverable?.text ?? "", evidence: task.deliverable?.evidence ?? { testsPass: null, commit: null, links: [] } },
    ]),
  )
}
