import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Child } from "./child.ts"
import { median, round, show, table } from "./figure.ts"
import type { Point } from "./growth-loop.ts"
import type { Made, Opened } from "./history.ts"
import { plot as plotOf } from "./plot.ts"

export type GrowthOptions = {
  directory: string
  rounds: number
  /** Open tasks, each more than the one before; measured with `agents` agents. */
  tasks: readonly number[]
  agents: number
  /** Agents, each more than the one before; measured with `open` open tasks. */
  teams: readonly number[]
  open: number
  claims: number
  /** Ledgers that a hub is started on, in entries. */
  starts: readonly number[]
  /** Only the start on a ledger of so many entries is timed. */
  entries?: number
  /** Where it is drawn; null: nowhere. */
  plot: string | null
}
export const GROWTH: Omit<GrowthOptions, "directory"> = {
  rounds: 3,
  tasks: [100, 1_000, 10_000, 100_000, 1_000_000],
  agents: 100,
  teams: [10, 100, 1_000, 10_000],
  open: 10_000,
  claims: 4_000,
  starts: [100_000, 1_000_000],
  plot: null,
}

export type Start = {
  entries: number
  /** The newest snapshot after unbroken work (0: there was none), and a start from it. */
  snapshotSeq: number
  fromSnapshotS: number
  /** The same once the hub had a quiet moment: its snapshot is near the head then. */
  quietSeq: number
  fromQuietS: number
  withoutSnapshotS: number
  makeS: number
}
export type GrowthReport = { byTasks: Point[]; byAgents: Point[]; starts: Start[]; plot: string | null; flatness: { tasks: number; agents: number } }

/** What a claim costs as tasks, agents and history grow. */
export async function benchGrowth({ directory, rounds, tasks, agents, teams, open, claims, starts, entries, plot }: GrowthOptions): Promise<GrowthReport> {
  if (entries !== undefined) {
    const only = await timeStart(join(directory, `start-${entries}`), entries, rounds)
    return { byTasks: [], byAgents: [], starts: [only], plot: null, flatness: { tasks: 0, agents: 0 } }
  }
  const byTasks = await climb(
    directory,
    "tasks",
    rounds,
    claims,
    tasks.map((count) => ({ tasks: count, agents })),
  )
  const byAgents = await climb(
    directory,
    "agents",
    rounds,
    claims,
    teams.map((count) => ({ tasks: open, agents: count })),
  )
  const timed: Start[] = []
  for (const length of starts) timed.push(await timeStart(join(directory, `start-${length}`), length, rounds))
  if (plot !== null) writeFileSync(plot, draw(byTasks, byAgents))
  const ratio = (points: Point[]): number => round((points.at(-1)?.cpuUsPerClaim ?? 0) / (points[0]?.cpuUsPerClaim ?? 1))
  return { byTasks, byAgents, starts: timed, plot, flatness: { tasks: ratio(byTasks), agents: ratio(byAgents) } }
}

/** The steps are climbed once: growing takes the time. Each is measured `rounds` times, and the median is told. */
async function climb(directory: string, name: string, rounds: number, claims: number, steps: readonly { tasks: number; agents: number }[]): Promise<Point[]> {
  const child = new Child("./growth-loop.ts", { execArgv: ["--max-old-space-size=8192"] })
  await child.call("open", { directory: join(directory, `growth-${name}`) })
  const points: Point[] = []
  // The code must be warm before the first step is measured.
  await child.call("grow", { tasks: steps[0]?.tasks ?? 0, agents: steps[0]?.agents ?? 0 })
  await child.call("measure", { tasks: steps[0]?.tasks ?? 0, claims })
  for (const step of steps) {
    await child.call("grow", step)
    const measured: Point[] = []
    for (let at = 0; at < rounds; at += 1) measured.push(await child.call<Point>("measure", { tasks: step.tasks, claims }))
    const fields = Object.keys(measured[0] as Point) as (keyof Point)[]
    points.push(Object.fromEntries(fields.map((field) => [field, round(median(measured.map((one) => one[field])))])) as Point)
    process.stderr.write(`bench: ${show(step.tasks)} open tasks, ${show(step.agents)} agents: ${show(points.at(-1)?.cpuUsPerClaim)} us a claim\n`)
  }
  child.kill()
  return points
}

/** A hub's start on a ledger of so many entries: from the snapshots that the hub kept while it wrote them, from one that it kept when it was quiet, and from the first entry on. */
async function timeStart(home: string, entries: number, rounds: number): Promise<Start> {
  const open = async (): Promise<Opened> => {
    const opener = new Child("./history.ts")
    const opened = await opener.call<Opened>("open", { directory: home })
    await opener.stop()
    return opened
  }
  const each = async (): Promise<{ seconds: number; seq: number }> => {
    const opened: Opened[] = []
    for (let at = 0; at < rounds; at += 1) opened.push(await open())
    return { seconds: round(median(opened.map((one) => one.seconds))), seq: opened[0]?.snapshotSeq ?? 0 }
  }
  const maker = new Child("./history.ts")
  const { seconds } = await maker.call<Made>("make", { directory: home, entries, snapshotEntries: null })
  await maker.stop()
  const kept = await each()
  const rester = new Child("./history.ts")
  await rester.call("rest", { directory: home })
  await rester.stop()
  const quiet = await each()
  rmSync(join(home, "snapshots"), { recursive: true, force: true })
  const gone = await each()
  return {
    entries,
    snapshotSeq: kept.seq,
    fromSnapshotS: kept.seconds,
    quietSeq: quiet.seq,
    fromQuietS: quiet.seconds,
    withoutSnapshotS: gone.seconds,
    makeS: round(seconds),
  }
}

function draw(byTasks: readonly Point[], byAgents: readonly Point[]): string {
  return plotOf({
    title: "CPU of a claim as work grows",
    xTitle: "open tasks, or agents (logarithmic)",
    yTitle: "µs of CPU a claim",
    lines: [
      { name: "by open tasks", points: byTasks.map(({ tasks, cpuUsPerClaim }) => [tasks, cpuUsPerClaim]) },
      { name: "by agents", points: byAgents.map(({ agents, cpuUsPerClaim }) => [agents, cpuUsPerClaim]) },
    ],
  })
}

export function describeGrowth({ byTasks, byAgents, starts, plot, flatness }: GrowthReport): string {
  const rows = (points: readonly Point[]): string[][] =>
    points.map(({ tasks, agents, cpuUsPerClaim, gcUsPerClaim, p50Ms, p99Ms, claimsPerS, rssMb }) => [
      show(tasks),
      ...[agents, cpuUsPerClaim, gcUsPerClaim, p50Ms, p99Ms, claimsPerS, rssMb].map(show),
    ])
  const heading = ["open tasks", "agents", "CPU us a claim", "of it GC", "p50", "p99 ms", "claims/s", "MB"]
  const startTable = table(
    ["start on entries", "snapshot at", "from it s", "after quiet at", "from it s", "without one s"],
    starts.map(({ entries, snapshotSeq, fromSnapshotS, quietSeq, fromQuietS, withoutSnapshotS }) =>
      [entries, snapshotSeq, fromSnapshotS, quietSeq, fromQuietS, withoutSnapshotS].map(show),
    ),
  )
  if (byTasks.length === 0) return startTable
  return [
    table(heading, rows(byTasks)),
    table(heading, rows(byAgents)),
    startTable,
    `last against first: ${show(flatness.tasks)} x by tasks, ${show(flatness.agents)} x by agents${plot === null ? "" : `; the plot is in ${plot}`}`,
  ].join("\n\n")
}
