import { SkeinError } from "../../contract/errors.ts"
import type { Commands } from "../../core/command.ts"
import { type Actor, decodeEntry, type Entry } from "../../core/entry.ts"
import type { PlanTask } from "../../core/plan.ts"
import { viewPlan } from "../../core/view.ts"
import { openHub } from "../../hub/hub.ts"
import type { Loop } from "../../hub/loop.ts"
import { memorySnapshots } from "../../hub/snapshots.ts"
import { VirtualClock } from "../../hub/virtual-clock.ts"
import { MemoryStore } from "../../ledger/memory.ts"
import { sha256 } from "../../ledger/sha256.ts"
import { measure } from "../run-measure.ts"
import { IDLE_TOLERANCE_MS, RunRecord } from "../run-record.ts"
import { whyStalled } from "../stall.ts"
import { SimulatedAgent } from "./agent.ts"
import { Chance } from "./chance.ts"
import { drawFortune, drawOutage, inOutage } from "./fortune.ts"
import { Observation, THROTTLED_MAX } from "./observation.ts"
import { costOf, criticalPathMs, type Member, plannedMs, realTasks, type Scenario } from "./scenario.ts"

/** What one simulated run came to. Times in ms of the virtual clock, money in micro-USD. */
export type Trial = {
  seed: number
  finished: boolean
  /** Why nothing moved any more; empty where the plan was finished. */
  stopped: string[]
  makespanMs: number
  costMicroUsd: number
  /** The same by the books of the plan's budget, settled and overrun; null where it has none. */
  bookedMicroUsd: number | null
  /** Of the cost, what went into attempts that did not complete their task. */
  wastedMicroUsd: number
  /** Whether some attempt had no price: then the cost is too low. */
  unpriced: boolean
  /** What one agent alone would have worked, as long as each task took. */
  workMs: number
  /** How long tasks were ready before somebody took them, all together. */
  waitingMs: number
  /** Tasks that were ready while somebody else held files that they touch, and for how long all together. */
  conflicts: number
  conflictMs: number
  /** How long agents were there and had nothing to do, filler work left out; and with filler work. */
  idleMs: number
  fillerMs: number
  /** Times that an agent had nothing to do, or filler, for over half a second though a task was ready that it could have taken. */
  idleWhileReady: number
  attempts: { delivered: number; failed: number; crashed: number; throttled: number }
  failedTasks: number
  breakersOpened: number
  /** Claims that were made under a breaker that was open: never one, or a breaker is broken. */
  intoOpenBreaker: number
  /** Claims after which more was settled and reserved in a budget than its limit: never one, or budgets are broken. */
  overReserved: number
  agents: { agent: string; workMs: number; completed: number }[]
  entries: number
}

const OPERATOR: Actor = { agent: "director", session: null, role: "operator" }
/** A lease as long as leases get: agents that live would renew theirs all the time, and those that die are found by their silence. */
const LEASE_MS = 3_600_000
/** Nothing has happened for so long: nothing will. Longer than any breaker is open, or any provider asks to be left alone. */
const STILL_MS = 2 * 3_600_000
/** A simulated reviewer takes so long, in ms. */
const REVIEW_MS = 10 * 60_000
/** Tasks that one agent works on at once, at the most. */
const LANES_MAX = 16
/** Nobody reads the checkpoints of a ledger that lives for a moment. */
const NEVER_MS = 1e15
const CLOSING = new Set(["task.completed", "task.failed", "task.cancelled"])

/** One run of the plan: the hub's own loop and core on a virtual clock and a ledger in memory, with simulated agents. The same scenario and seed give the same run. */
export async function runTrial(scenario: Scenario, seed: number): Promise<Trial> {
  const clock = new VirtualClock()
  const store = new MemoryStore()
  const chance = new Chance(seed, 1)
  const quiet = (): void => undefined
  const fatal: unknown[] = []
  const hub = await clock.until(
    openHub({
      clock,
      sha256,
      openLedger: () => Promise.resolve(store.open()),
      snapshots: memorySnapshots(),
      log: { info: quiet, warn: quiet, error: quiet },
      sign: () => Promise.resolve(""),
      fatal: (error) => void fatal.push(error),
      bits: () => chance.below(0x1_0000_0000),
      limits: { graceMs: 0, checkpointMs: NEVER_MS, checkpointEntries: NEVER_MS, snapshotEntries: NEVER_MS },
    }),
  )
  const loop = hub.workspace("main") as Loop
  const plan = await begin(scenario, clock, loop)
  const record = new RunRecord(
    plan,
    scenario.team.map(({ name }) => name),
  )
  const observation = new Observation(record)
  populate(scenario, seed, { clock, loop, plan, broke: (error) => void fatal.push(error) })
  let movedMs = loop.nowMs()
  let finished = false
  while (!finished) {
    await clock.step(clock.monotonicMs() + STILL_MS)
    if (fatal.length > 0) throw new Error("bug: a simulated run broke off", { cause: fatal[0] })
    for (let at = record.state.seq; at < store.entries.length; at += 1) {
      const entry = decodeEntry((store.entries[at] as { bytes: string }).bytes)
      observation.take(entry)
      if (/^(task|lease|plan)\./.test(entry.type)) movedMs = entry.atMs
      if (entry.type === "task.submitted") approve(entry, clock, loop)
      finished ||= CLOSING.has(entry.type) && viewPlan(record.state, plan)?.finished === true
    }
    // Whoever is throttled every time claims and lets go for ever: something moves, and nothing comes of it.
    if (loop.nowMs() - movedMs > STILL_MS || observation.hopeless !== null) break
  }
  return outcome(seed, finished, record, observation, loop.nowMs())
}

/** Adds agents and plan, as `skein run` would. */
async function begin({ plan, team }: Scenario, clock: VirtualClock, loop: Loop): Promise<string> {
  const execute = <Name extends keyof Commands>(name: Name, input: Commands[Name]["input"]): Promise<Commands[Name]["output"]> =>
    clock.until(loop.execute(name, OPERATOR, input))
  for (const { start: _, success: __, ...profile } of team) await execute("agent.add", profile)
  const tasks = plan.tasks.map((task) => ({ ...task, leaseMs: LEASE_MS }))
  const { plan: id } = await execute("plan.add", { ...plan, agents: team.map(({ name, start }) => ({ name, start })), tasks })
  // What takes a little longer than planned is paid from what is free; only where nothing is, the money is gone.
  if (plan.budgetMicroUsd !== null) {
    const rules = { limitMicroUsd: null, perClaimMicroUsd: null, warnPercent: [], graceMs: 300_000, absorb: true }
    await execute("budget.set", { scope: `plan/${id}`, windowMs: null, reason: "simulated", ...rules, limitMicroUsd: plan.budgetMicroUsd })
  }
  return id
}

type Place = { clock: VirtualClock; loop: Loop; plan: string; broke: (error: unknown) => void }

function populate(scenario: Scenario, seed: number, { clock, loop, plan, broke }: Place): void {
  const tasks = new Map(scenario.plan.tasks.map((task) => [`${plan}/${task.id}`, task]))
  const attempts = new Map<string, number>()
  const startMs = clock.monotonicMs()
  const aboutMs = Math.max(criticalPathMs(scenario), realTasks(scenario.plan).reduce((ms, task) => ms + plannedMs(task, scenario), 0) / scenario.team.length)
  const outage = drawOutage(scenario, seed, aboutMs)
  const attempt = (member: Member, id: string): { task: PlanTask; fortune: ReturnType<typeof drawFortune> } => {
    const task = tasks.get(id) as PlanTask
    const number = (attempts.get(id) ?? 0) + 1
    attempts.set(id, number)
    const fortune = drawFortune(scenario, member, task, seed, number)
    const atMs = clock.monotonicMs() - startMs
    if (outage === null || task.filler === true || atMs < outage.fromMs || atMs >= outage.toMs) return { task, fortune }
    const needed = outage.what === "model" ? (task.model ?? member.model) : (member.account ?? `agent/${member.name}`)
    return { task, fortune: needed === outage.name ? inOutage(outage, fortune) : fortune }
  }
  const world = { clock, loop, plan, attempt, costOf: (task: PlanTask, member: Member, ms: number) => costOf(task, member, ms, scenario) }
  for (const member of scenario.team)
    for (let lane = 0; lane < Math.min(member.maxActive ?? 1, LANES_MAX); lane += 1) new SimulatedAgent(member, world, lane).live().catch(broke)
}

/** Somebody approves what waits for a review. */
function approve({ data }: Entry, clock: VirtualClock, loop: Loop): void {
  const { id } = data as { id: string }
  clock.after(REVIEW_MS, () => {
    loop.execute("task.review", OPERATOR, { task: id, approve: true, reason: "simulated" }).catch((error: unknown) => {
      // It was cancelled or reset meanwhile.
      if (!(error instanceof SkeinError)) throw error
    })
  })
}

function outcome(seed: number, finished: boolean, record: RunRecord, observation: Observation, nowMs: number): Trial {
  const { hopeless } = observation
  const stopped = finished ? [] : hopeless === null ? whyStalled(record, nowMs) : [`${hopeless} was throttled ${THROTTLED_MAX} times`]
  const { makespanMs, costMicroUsd, workMs, agents, idle, counts, attempts } = measure(record, IDLE_TOLERANCE_MS)
  const sum = (figure: (agent: (typeof agents)[number]) => number): number => agents.reduce((total, agent) => total + figure(agent), 0)
  const { wastedMicroUsd, unpriced, waitingMs, conflicts, conflictMs, breakersOpened, intoOpenBreaker, overReserved, failed, crashed, throttled } = observation
  const books = record.state.budgets.get(`plan/${record.plan}`)
  return {
    seed,
    finished: finished && counts.failed === 0 && counts.unreachable === 0,
    stopped: !finished && stopped.length === 0 ? ["nothing moved for two hours"] : stopped,
    makespanMs,
    costMicroUsd,
    bookedMicroUsd: books === undefined ? null : books.settledMicroUsd + books.overrunMicroUsd,
    wastedMicroUsd,
    unpriced,
    workMs,
    waitingMs,
    conflicts: conflicts.size,
    conflictMs,
    idleMs: sum(({ waitingMs: waiting, blockedMs }) => waiting + blockedMs),
    fillerMs: sum(({ fillerMs }) => fillerMs),
    idleWhileReady: idle.stretches,
    attempts: { delivered: attempts.delivered, failed, crashed, throttled },
    failedTasks: counts.failed + counts.unreachable,
    breakersOpened,
    intoOpenBreaker,
    overReserved,
    agents: agents.map(({ agent, workMs: atWorkMs, completed }) => ({ agent, workMs: atWorkMs, completed })),
    entries: record.state.seq,
  }
}
