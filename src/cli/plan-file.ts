import { createHash } from "node:crypto"
import type { Skills } from "../core/agent.ts"
import { ENTRY_MAX_BYTES } from "../core/entry.ts"
import { type AddPlan, type PlanAgent, type PlanTask, PLAN_TASKS_MAX } from "../core/plan.ts"
import { PRIORITIES, type Run } from "../core/task.ts"
import { PlanDocument, type Fault } from "./plan-document.ts"
import { checkFit, checkGraph, type Placed } from "./plan-graph.ts"
import { PlanValue, type TextLimits } from "./plan-value.ts"

/** Figures that a plan says of itself, for the report to compare with; all in ms. */
export type Figures = { criticalPathMs: number | null; oneAgentMs: number | null; bestKnownMs: number | null; lowerBoundMs: number | null }

/** A plan as its file says it: what goes to the hub, and what only `skein run` reads. */
export type PlanFile = {
  /** `commit` is null here: whoever runs it says on which commit. */
  plan: AddPlan
  /** The task whose deliverable is the run's report, as the file calls it. */
  report: string | null
  figures: Figures
  /** What will probably not end as meant, though nothing is wrong with the file. */
  warnings: Fault[]
}

/** Faults that are told of one file at the most: the rest follows when these are mended. */
export const FAULTS_MAX = 200

const PLAN_KEYS = ["plan", "title", "worktrees", "maxActiveAgents", "budgetUsd", "report", "figures", "agents", "tasks"]
const AGENT_KEYS = [
  "name",
  "kind",
  "role",
  "capabilities",
  "start",
  "maxActive",
  "model",
  "account",
  "costPerHourUsd",
  "heartbeatMs",
  "baseWeight",
  "successBonus",
  "successThreshold",
  "tier",
]
// prettier-ignore
const TASK_KEYS = ["id", "title", "body", "priority", "dependsOn", "requires", "budgetUsd", "touches", "run", "env", "estimate", "prefers", "model", "account", "gates", "filler", "review", "lease", "maxAttempts", "labels"]
const FIGURE_KEYS = ["criticalPath", "oneAgent", "bestKnown", "lowerBound"]

const DAY_MS = 24 * 3_600_000
const YEAR_MS = 365 * DAY_MS
// The contract's limits, said with line and column.
const TITLE = { max: 300 }
const BODY = { max: 32_768, lines: true }
const COMMAND = { max: 8_192, lines: true }
const ARGUMENT = { ...COMMAND, empty: true }
const GATE = { max: 4_096, lines: true }
const LINE = { max: 200 }
const LABEL = { max: 64 }
const GLOB = { max: 400 }
const MAX = { agents: 1_000, dependencies: 400, skills: 64, globs: 200, arguments: 256, variables: 64, gates: 32, labels: 32, attempts: 1_000 }

/** Reads a plan file and checks it whole. Gives the plan, or every fault with its place; writes nothing. */
export function parsePlanFile(bytes: Uint8Array): { ok: PlanFile } | { faults: Fault[] } {
  const document = new PlanDocument(bytes)
  const file = document.root === null ? null : readPlan(new PlanValue(document, document.root, ""), bytes, document)
  if (file !== null && document.faults.length === 0) return { ok: file }
  const faults = document.faults.toSorted((a, b) => a.line - b.line || a.column - b.column)
  return { faults: faults.slice(0, FAULTS_MAX) }
}

function readPlan(root: PlanValue, bytes: Uint8Array, document: PlanDocument): PlanFile | null {
  const keys = root.map(PLAN_KEYS, ["plan", "tasks"])
  if (keys === null) return null
  const name = keys.get("plan")?.name() ?? null
  const title = keys.get("title")?.text(TITLE) ?? name
  const agents = readAgents(keys.get("agents"))
  const tasks = readTasks(keys.get("tasks"))
  const report = keys.get("report")
  const reportTask = report?.name() ?? null
  if (report !== undefined && reportTask !== null && !tasks.some(({ value }) => value.id === reportTask)) {
    report.fault("unknown_dependency", `names ${reportTask}, which is no task of this plan`, "Name the task whose deliverable is the report.")
  }
  checkGraph(tasks)
  const worktrees = keys.get("worktrees")?.boolean() ?? false
  const maxActiveAgents = keys.get("maxActiveAgents")?.integer(1, 1_000_000) ?? null
  const budgetMicroUsd = keys.get("budgetUsd")?.microUsd() ?? null
  const figures = readFigures(keys.get("figures"))
  if (name === null || title === null || document.faults.length > 0) return null
  checkFit(tasks, agents)
  const digest = createHash("sha256").update(bytes).digest("hex")
  const team = agents.length > 0 ? agents.map(({ value }) => value) : [loneAgent(name, tasks)]
  const plan = { name, title, digest, commit: null, worktrees, maxActiveAgents, budgetMicroUsd, agents: team, tasks: tasks.map(({ value }) => value) }
  return { plan, report: reportTask, figures, warnings: document.warnings }
}

/** A plan that lists no agents gets one, which can do all that its tasks ask for. */
function loneAgent(plan: string, tasks: readonly Placed<PlanTask>[]): PlanAgent {
  const capabilities = new Map<string, number>()
  for (const { value } of tasks)
    for (const [skill, level] of Object.entries(value.requires ?? {})) capabilities.set(skill, Math.max(level, capabilities.get(skill) ?? 0))
  return { name: `${plan.slice(0, 57)}-agent`, start: true, kind: "script", capabilities: Object.fromEntries(capabilities) }
}

/** What a plan says of agents; `more`: further keys that an agent may have here, and how they are read. */
export function readAgents<More extends object = object>(
  list: PlanValue | undefined,
  more: { keys: readonly string[]; read: (keys: ReadonlyMap<string, PlanValue>) => More } | null = null,
): Placed<PlanAgent & Partial<More>>[] {
  const agents: Placed<PlanAgent & Partial<More>>[] = []
  for (const item of list?.items("Write a list of agents, each beginning with `- name:`.", MAX.agents) ?? []) {
    const keys = item.map([...AGENT_KEYS, ...(more?.keys ?? [])], ["name"])
    const nameValue = keys?.get("name")
    const name = nameValue?.name() ?? null
    if (keys === null) continue
    if (name === "hub") nameValue?.fault("wrong_name", "cannot be `hub`, which is the hub itself", "Choose another name.")
    if (name !== null && agents.some(({ value }) => value.name === name))
      nameValue?.fault("duplicate_id", `"${name}" is taken by an agent above`, "Give each agent a name of its own.")
    const profile = given({
      kind: keys.get("kind")?.name(),
      role: keys.get("role")?.word(["worker", "orchestrator", "observer"] as const),
      capabilities: readSkills(keys.get("capabilities")),
      maxActive: keys.get("maxActive")?.integer(1, 1_000_000),
      model: keys.get("model")?.text(LINE),
      account: keys.get("account")?.text(LINE),
      costPerHourMicroUsd: keys.get("costPerHourUsd")?.microUsd(),
      heartbeatMs: keys.get("heartbeatMs")?.integer(200, 300_000),
      baseWeight: keys.get("baseWeight")?.number(0.05, 0.95),
      successBonus: keys.get("successBonus")?.number(0.1, 10),
      successThreshold: keys.get("successThreshold")?.number(0, 1),
      tier: keys.get("tier")?.integer(1, 3),
    })
    const start = keys.get("start")?.boolean() ?? true
    if (name !== null) agents.push({ place: item, value: { name, start, ...profile, ...(more?.read(keys) as Partial<More>) } })
  }
  return agents
}

function readTasks(list: PlanValue | undefined): Placed<PlanTask>[] {
  const items = list?.items("Write a list of tasks, each beginning with `- id:`.", PLAN_TASKS_MAX)
  if (items === undefined || items === null) return []
  if (items.length === 0) list?.fault("wrong_value", "has no tasks", "Add one: `- id: NAME` and under it `title: …`")
  const tasks: Placed<PlanTask>[] = []
  for (const item of items) {
    const task = readTask(item)
    if (task !== null) tasks.push(task)
  }
  return tasks
}

function readTask(item: PlanValue): Placed<PlanTask> | null {
  const keys = item.map(TASK_KEYS, ["id", "title"])
  if (keys === null) return null
  const id = keys.get("id")?.name() ?? null
  const title = keys.get("title")?.text(TITLE) ?? ""
  const dependencies = keys.get("dependsOn")?.items("Write a list of task ids: [first, second]", MAX.dependencies)
  const dependsOn = dependencies?.flatMap((place) => {
    const value = place.name()
    return value === null ? [] : [{ place, value }]
  })
  const value = given({
    body: keys.get("body")?.text(BODY),
    priority: keys.get("priority")?.word(PRIORITIES),
    dependsOn: dependsOn?.map((dependency) => dependency.value),
    requires: readSkills(keys.get("requires")),
    budgetMicroUsd: keys.get("budgetUsd")?.microUsd(),
    touches: readTouches(keys.get("touches")),
    run: readRun(keys.get("run")),
    env: readEnvironment(keys.get("env")),
    estimateMs: keys.get("estimate")?.durationMs(1, YEAR_MS),
    prefers: keys.get("prefers")?.name(),
    model: keys.get("model")?.text(LINE),
    account: keys.get("account")?.text(LINE),
    gates: readTexts(keys.get("gates"), "Write a list of commands that must pass.", GATE, MAX.gates),
    filler: keys.get("filler")?.boolean(),
    review: keys.get("review")?.boolean(),
    leaseMs: keys.get("lease")?.durationMs(1_000, 3_600_000),
    maxAttempts: keys.get("maxAttempts")?.integer(1, MAX.attempts),
    labels: readTexts(keys.get("labels"), "Write a list of words: [core, slow]", LABEL, MAX.labels),
  })
  if (id === null) return null
  const task = { id, title, ...value }
  // Actor, command id and what else an entry holds take a few hundred bytes.
  if (Buffer.byteLength(JSON.stringify(task)) > ENTRY_MAX_BYTES - 1_024)
    item.fault("too_large", "is too large for one entry of the ledger", "Shorten it to 60,000 bytes: put long text in a file of the repository.")
  return { place: item, value: task, ...(dependsOn === undefined ? {} : { dependsOn: dependsOn.map(({ place }) => place) }) }
}

function readSkills(value: PlanValue | undefined): Skills | null {
  const entries = value?.entries("Write skills with their level, 1 to 5: { docs: 1 }")
  if (value === undefined || entries === undefined || entries === null) return null
  if (entries.size > MAX.skills) value.fault("too_many", `names ${entries.size} skills`, `Keep to ${MAX.skills}.`)
  const skills: Record<string, number> = Object.create(null) as Record<string, number>
  for (const [skill, { value: level }] of entries) {
    if (!isSkill(skill))
      level.fault("wrong_name", `cannot be a skill: "${skill.slice(0, 80)}"`, "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit.")
    const read = level.integer(1, 5)
    if (read !== null) skills[skill] = read
  }
  return { ...skills }
}

function isSkill(text: string): boolean {
  // `__proto__` begins with no letter; nothing else that a name can be means anything to an object.
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)
}

function readTexts(value: PlanValue | undefined, remedy: string, limits: TextLimits, max: number): string[] | null {
  const items = value?.items(remedy, max)
  return items?.flatMap((item) => item.text(limits) ?? []) ?? null
}

function readTouches(value: PlanValue | undefined): string[] | null {
  const globs = value?.items("Write a list of globs: [src/**, docs/*.md]", MAX.globs)
  if (globs === undefined || globs === null) return null
  return globs.flatMap((item) => {
    const glob = item.text(GLOB)
    if (glob === null) return []
    const outside = /^[/~]/.test(glob) || glob.includes("\\") || /^[A-Za-z]:/.test(glob) || glob.split("/").includes("..")
    return outside
      ? (item.fault(
          "path_traversal",
          `leads out of the repository: "${glob.slice(0, 80)}"`,
          "Write it from the root of the repository, with `/` and without `..`.",
        ) ?? [])
      : [glob]
  })
}

function readRun(value: PlanValue | undefined): Run | null {
  if (value === undefined) return null
  if (!value.isMap()) {
    const command = value.text(COMMAND)
    return command === null ? null : { command }
  }
  const keys = value.map(["argv", "standIn", "costUsd"])
  const argv = keys?.get("argv")
  const standIn = keys?.get("standIn")
  if (keys === null || (argv === undefined) === (standIn === undefined)) {
    return keys === null
      ? null
      : value.fault(
          "wrong_value",
          "says neither or both of `argv` and `standIn`",
          "Write a command as text, { argv: [program, argument] } or { standIn: 90m, costUsd: 22.5 }.",
        )
  }
  if (argv !== undefined) {
    keys.get("costUsd")?.fault("unknown_key", "goes with `standIn` alone", "Leave it out: what a command costs is what it reports.")
    const items = argv.items("Write a program and its arguments: [node, check.mjs]", MAX.arguments)
    if (items?.length === 0) argv.fault("wrong_value", "is empty", "Begin with the program: [node, check.mjs]")
    return { argv: items?.flatMap((item) => item.text(ARGUMENT) ?? []) ?? [] }
  }
  const ms = standIn?.durationMs(0, 30 * DAY_MS)
  const costMicroUsd = keys.get("costUsd")?.microUsd() ?? 0
  return ms === undefined || ms === null ? null : { standIn: { ms, costMicroUsd } }
}

function readEnvironment(value: PlanValue | undefined): Record<string, string> | null {
  const entries = value?.entries('Write variables with their values: { LEVEL: "3" }')
  if (value === undefined || entries === undefined || entries === null) return null
  if (entries.size > MAX.variables) value.fault("too_many", `names ${entries.size} variables`, `Keep to ${MAX.variables}.`)
  const env: [string, string][] = []
  for (const [name, { value: content }] of entries) {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name) || name.startsWith("__"))
      content.fault("wrong_name", `cannot be a variable's name: "${name.slice(0, 80)}"`, "Use letters, digits and _, and begin with a letter or _.")
    else if (name.startsWith("SKEIN_"))
      content.fault("wrong_name", `is Skein's own to set: ${name.slice(0, 80)}`, "Use a name that does not begin with SKEIN_.")
    const text = content.text(ARGUMENT)
    if (text !== null) env.push([name, text])
  }
  return Object.fromEntries(env)
}

function readFigures(value: PlanValue | undefined): Figures {
  const keys = value?.map(FIGURE_KEYS)
  const read = (key: string): number | null => keys?.get(key)?.durationMs(1, YEAR_MS * 100) ?? null
  return { criticalPathMs: read("criticalPath"), oneAgentMs: read("oneAgent"), bestKnownMs: read("bestKnown"), lowerBoundMs: read("lowerBound") }
}

type Given<Fields> = { [Key in keyof Fields]?: Exclude<Fields[Key], null | undefined> }

/** Only the fields that the file gave: what is left out takes its default at the hub. */
function given<Fields extends Record<string, unknown>>(fields: Fields): Given<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)) as Given<Fields>
}
