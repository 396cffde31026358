import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { parseDocument } from "yaml"

const examples = resolve(import.meta.dirname, "../examples")

type Skills = Record<string, number>
type StandIn = { standIn: string; costUsd: number }
type PlanTask = {
  id: string
  title: string
  dependsOn?: string[]
  requires?: Skills
  run: string | StandIn
  estimate?: string
  prefers?: string
  filler?: boolean
  priority?: string
}
type PlanAgent = { name: string; kind: string; capabilities: Skills; start?: boolean }
type PlanFile = {
  plan: string
  title: string
  agents?: PlanAgent[]
  tasks: PlanTask[]
  maxActiveAgents?: number
  budgetUsd?: number
  figures?: Record<string, string>
  report?: string
}

function readPlan(name: string): PlanFile {
  const document = parseDocument(readFileSync(join(examples, name), "utf8"), { strict: true, uniqueKeys: true })
  expect([...document.errors, ...document.warnings]).toEqual([])
  return document.toJS() as PlanFile
}

function inHours(text = ""): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  if (unit === undefined) throw new Error(`not a duration: ${text}`)
  return (Number(count) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as "ms" | "s" | "m" | "h"]) / 3_600_000
}

const meets = (agent: PlanAgent, { requires = {} }: PlanTask) => Object.entries(requires).every(([skill, level]) => (agent.capabilities[skill] ?? 0) >= level)

/** Hours of the longest chain of tasks that begins with each; throws on a circle. */
function chains(tasks: PlanTask[]): Map<string, number> {
  const hours = new Map<string, number>()
  const open = new Set<string>()
  const visit = (task: PlanTask): number => {
    const known = hours.get(task.id)
    if (known !== undefined) return known
    if (open.has(task.id)) throw new Error(`circle at ${task.id}`)
    open.add(task.id)
    const after = tasks.filter(({ dependsOn = [] }) => dependsOn.includes(task.id)).map(visit)
    hours.set(task.id, inHours(task.estimate ?? "0s") + Math.max(0, ...after))
    return hours.get(task.id) as number
  }
  tasks.forEach(visit)
  return hours
}

/** Works as the hub's rule says: whoever is free takes the ready task with the longest chain; fillers only when there is none. Returns hours. */
function schedule(agents: PlanAgent[], all: PlanTask[]): number {
  const chain = chains(all)
  const score = (task: PlanTask, agent: PlanAgent) => (chain.get(task.id) as number) * 10 + (task.prefers === agent.name ? 1 : 0)
  const open = new Set(all)
  const done = new Set<string>()
  const busy = new Map<PlanAgent, { task: PlanTask; until: number }>()
  let now = 0
  let lastReal = 0
  while (all.some((task) => !task.filler && !done.has(task.id))) {
    for (const agent of agents.filter((one) => !busy.has(one))) {
      const ready = [...open].filter((task) => meets(agent, task) && (task.dependsOn ?? []).every((id) => done.has(id)))
      const real = ready.filter((task) => !task.filler).toSorted((a, b) => score(b, agent) - score(a, agent))
      const task = real[0] ?? ready[0]
      if (task === undefined) continue
      open.delete(task)
      busy.set(agent, { task, until: now + inHours(task.estimate) })
    }
    if (busy.size === 0) throw new Error("nobody can do what is left")
    now = Math.min(...[...busy.values()].map(({ until }) => until))
    for (const [agent, { task, until }] of busy) {
      if (until > now) continue
      busy.delete(agent)
      done.add(task.id)
      if (!task.filler) lastReal = now
    }
  }
  return lastReal
}

describe("every plan of the examples", () => {
  const names = readdirSync(examples).filter((name) => name.endsWith(".yaml"))

  it.each(names)("%s names only tasks and agents that it has, each once, without a circle", (name) => {
    const { plan, tasks, agents = [] } = readPlan(name)
    expect(`${plan}.yaml`).toBe(name)
    const ids = tasks.map((task) => task.id)
    const team = agents.map((agent) => agent.name)
    expect(new Set(ids).size).toBe(ids.length)
    expect(new Set(team).size).toBe(team.length)
    for (const id of [...ids, ...team]) expect(id).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
    for (const { dependsOn = [], prefers } of tasks) {
      for (const dependency of dependsOn) expect(ids).toContain(dependency)
      expect(new Set(dependsOn).size).toBe(dependsOn.length)
      if (prefers !== undefined) expect(team).toContain(prefers)
    }
    expect(() => chains(tasks)).not.toThrow()
  })

  it.each(names)("%s has somebody for every task, and prefers only agents that can do it", (name) => {
    const { tasks, agents = [] } = readPlan(name)
    const team = agents.filter((agent) => agent.start !== false)
    for (const task of tasks) {
      if (team.length > 0)
        expect(
          team.filter((agent) => meets(agent, task)),
          task.id,
        ).not.toHaveLength(0)
      const favourite = team.find((agent) => agent.name === task.prefers)
      if (task.prefers !== undefined) expect(favourite !== undefined && meets(favourite, task), task.id).toBe(true)
    }
  })
})

describe("the plan of the repository check", () => {
  const { tasks, agents = [], maxActiveAgents, report } = readPlan("repository-check.yaml")

  it("has a dozen checks and a report that waits for all of them", () => {
    expect(tasks).toHaveLength(13)
    const { id, dependsOn } = tasks.at(-1) as PlanTask
    expect(report).toBe(id)
    expect(dependsOn).toEqual(tasks.slice(0, -1).map((task) => task.id))
  })

  it("runs only scripts that are there, with arguments that a shell leaves alone", () => {
    for (const { run } of tasks) {
      const [, script = "", rest = ""] = /^node "\$SKEIN_EXAMPLES\/(repository-check\/[a-z-]+\.mjs)"(.*)$/.exec(run as string) ?? []
      expect(existsSync(join(examples, script)) && script.endsWith(".mjs"), script).toBe(true)
      expect(rest).toMatch(/^( [a-z0-9/]+)*$/)
    }
  })

  it("covers each tested folder with all of its shards, once", () => {
    const shards = tasks.map(({ run }) => /tests\.mjs" (.*)$/.exec(run as string)?.[1]).filter(Boolean)
    expect(shards).toEqual(["src/core 1/2", "src/core 2/2", "src/ledger 1/2", "src/ledger 2/2"])
  })

  it("has three agents of different capabilities, and loses no task with any one of them", () => {
    expect(maxActiveAgents).toBe(3)
    expect(new Set(agents.map((agent) => JSON.stringify(agent.capabilities))).size).toBe(3)
    for (const task of tasks) expect(agents.filter((agent) => meets(agent, task)).length, task.id).toBeGreaterThanOrEqual(2)
  })
})

describe("the plan of phase zero", () => {
  const { tasks, agents = [], maxActiveAgents, budgetUsd, figures } = readPlan("phase-zero.yaml")
  const real = tasks.filter((task) => !task.filler)
  const fillers = tasks.filter((task) => task.filler)
  const team = agents.filter((agent) => agent.start !== false)
  const agent = (name: string) => team.find((one) => one.name === name) as PlanAgent
  const hours = (some: PlanTask[]) => some.reduce((sum, { run }) => sum + inHours((run as StandIn).standIn), 0)
  const onlyBus = real.filter((task) => team.every((one) => meets(one, task) === (one.name === "bus")))

  it("has 26 tasks of 37 hours for 555 USD within a budget of 630", () => {
    expect(real).toHaveLength(26)
    expect(hours(real)).toBe(37)
    expect(real.reduce((sum, { run }) => sum + (run as StandIn).costUsd, 0)).toBe(555)
    expect(budgetUsd).toBe(630)
    for (const task of tasks) expect(task.estimate).toBe((task.run as StandIn).standIn)
  })

  it("has a critical path of 10.5 h, and 15.5 h that only bus can do", () => {
    expect(Math.max(...chains(real).values())).toBe(10.5)
    expect(hours(onlyBus)).toBe(15.5)
    expect(figures).toEqual({ criticalPath: "10.5h", oneAgent: "37h", bestKnown: "18h", lowerBound: "17.5h" })
  })

  it("has six agents at work and a seventh who is not started", () => {
    expect(team.map((one) => one.name)).toEqual(["cli", "bus", "sip", "ndi", "webrtc", "h323"])
    expect(maxActiveAgents).toBe(6)
    expect(agents.filter((one) => one.start === false).map((one) => one.name)).toEqual(["talent"])
  })

  it("has the filler tasks of each agent, short, of low priority, and at no cost", () => {
    const counts = Object.groupBy(fillers, (task) => task.prefers as string)
    expect(Object.fromEntries(Object.entries(counts).map(([name, some]) => [name, some?.length]))).toEqual({
      ndi: 4,
      webrtc: 4,
      h323: 4,
      sip: 5,
      cli: 6,
      bus: 5,
    })
    for (const { run, priority, dependsOn = [] } of fillers)
      expect({ run, priority, dependsOn }).toEqual({ run: { standIn: "30m", costUsd: 0 }, priority: "low", dependsOn: [] })
  })

  it("cannot be done by these six under 17.5 h, and the rule by which work is claimed needs no more", () => {
    const chain = chains(real)
    const shortestTail = Math.min(...onlyBus.map((task) => (chain.get(task.id) as number) - inHours(task.estimate)))
    expect(hours(onlyBus) + shortestTail).toBe(17.5)
    expect(schedule(team, real)).toBe(17.5)
    expect(schedule(team.toReversed(), tasks)).toBe(17.5)
  })

  it("takes one agent alone 37 h, and is down to its critical path with a second bus and a second cli", () => {
    const capabilities = Object.assign({}, ...team.map((one) => one.capabilities)) as Skills
    expect(schedule([{ name: "alone", kind: "script", capabilities }], real)).toBe(37)
    const second = (name: string) => ({ ...agent(name), name: `${name}-2` })
    expect(schedule([...team, second("bus")], real)).toBeLessThanOrEqual(13.5)
    expect(schedule([...team, second("bus"), second("cli")], real)).toBe(10.5)
  })
})

describe("the plan of the tutorial", () => {
  it("greets: what two tasks delivered reaches the third", () => {
    const { tasks } = readPlan("hello.yaml")
    expect(tasks).toHaveLength(3)
    const scratch = mkdtempSync(join(tmpdir(), "hello-"))
    const inputs: Record<string, unknown> = {}
    const SKEIN_INPUTS = join(scratch, "inputs.json")
    for (const { id, title, run } of tasks) {
      writeFileSync(SKEIN_INPUTS, JSON.stringify(inputs))
      execFileSync("sh", ["-c", run as string], { env: { PATH: process.env["PATH"], SKEIN_OUT: scratch, SKEIN_INPUTS } })
      inputs[id] = { title, text: readFileSync(join(scratch, "deliverable.md"), "utf8"), evidence: null }
    }
    rmSync(scratch, { recursive: true })
    expect(inputs["greet"]).toMatchObject({ text: "Hello, skein!\n" })
  })
})
