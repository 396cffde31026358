import { readdirSync, readFileSync } from "node:fs"
import { parse } from "yaml"
import type { Fault } from "../../src/cli/plan-document.ts"
import { FAULTS_MAX, parsePlanFile } from "../../src/cli/plan-file.ts"
import { operations } from "../../src/contract/operations.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { type Json, mutateBytes, mutateValue, oddText, writeJson } from "./mutation.ts"

/** Plan files, from the examples that we ship: their bytes changed as YAML, or their values changed and written as JSON. */
export const planTarget: Target = {
  name: "plan",
  entrance: "plan files, as YAML and as JSON",
  casesPerSubject: 500,
  open: () => Promise.resolve(new PlanSubject()),
}

/** However broken a file is, its reader is through with it by then: what it cannot finish it must refuse. */
const READ_MAX_MS = 2_500

const EXAMPLES = readdirSync("examples")
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => readFileSync(`examples/${name}`))
const RICH = Buffer.from(`plan: rich
title: "Everything a plan may say"
worktrees: true
maxActiveAgents: 3
budgetUsd: 12.5
report: last
figures: { criticalPath: 1h, oneAgent: 2h, bestKnown: 90m, lowerBound: 60m }
agents:
  - { name: ann, kind: script, role: worker, capabilities: { js: 3, "big words": 5 }, maxActive: 2, model: m, account: a, costPerHourUsd: 0.5, heartbeatMs: 1000 }
  - { name: ben, start: false }
tasks:
  - id: first
    title: &t First
    body: |
      Several lines
      of text
    priority: high
    requires: { js: 2, constructor: 1 }
    touches: { writes: ["src/**"], reads: [README.md] }
    run: { argv: [echo, "hi there"] }
    env: { A: b }
    estimate: 10m
    gates: ["true"]
    labels: [one, two]
    lease: 5m
    maxAttempts: 3
  - { id: last, title: *t, dependsOn: [first], run: { standIn: 20m, costUsd: 1.25 }, filler: false, review: true, budgetUsd: 3 }
`)
const SEEDS = [...EXAMPLES, RICH]
const VALUES = SEEDS.map((seed) => parse(seed.toString("utf8")) as Json)

class PlanSubject implements Subject {
  #sent: Buffer = Buffer.alloc(0)

  describe(): string {
    return this.#sent.length > 800 ? `${this.#sent.subarray(0, 800).toString()}… (${this.#sent.length} bytes)` : this.#sent.toString()
  }

  async attempt(choices: Choices): Promise<string> {
    this.#sent = draft(choices)
    // Its own time, not that of others on the same machine.
    const start = process.cpuUsage()
    const read = parsePlanFile(this.#sent)
    const { user, system } = process.cpuUsage(start)
    const tookMs = (user + system) / 1_000
    if (tookMs > READ_MAX_MS) throw new Broken(`reading ${this.#sent.length} bytes took ${tookMs.toFixed(0)} ms`)
    if ("faults" in read) {
      if (read.faults.length === 0) throw new Broken("a plan was refused without a fault")
      if (read.faults.length > FAULTS_MAX) throw new Broken(`${read.faults.length} faults were told`)
      for (const fault of read.faults) checkFault(fault, this.#sent)
      return `refused: ${read.faults[0]?.code}`
    }
    const taken = operations["plan.add"].input.safeParse(read.ok.plan)
    if (!taken.success) throw new Broken(`a plan that the file's reader takes is refused by the contract: ${JSON.stringify(taken.error.issues[0])}`)
    return read.ok.warnings.length > 0 ? "taken with warnings" : "taken"
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function draft(choices: Choices): Buffer {
  const at = choices.below(SEEDS.length)
  switch (choices.below(5)) {
    case 0:
      return mutateBytes(SEEDS[at] as Buffer, choices)
    case 1: {
      let value = VALUES[at] as Json
      for (let changes = choices.between(1, 3); changes > 0; changes -= 1) value = mutateValue(value, choices)
      const text = Buffer.from(writeJson(value))
      return choices.chance(30) ? mutateBytes(text, choices, 2) : text
    }
    case 2:
      return changeLine(SEEDS[at] as Buffer, choices)
    case 3:
      return nested(choices)
    default:
      return aliased(choices)
  }
}

/** One line left out, doubled, moved, indented otherwise, or with another value. */
function changeLine(bytes: Buffer, choices: Choices): Buffer {
  const lines = bytes.toString("utf8").split("\n")
  const at = choices.below(lines.length)
  const line = lines[at] as string
  const other = choices.below(lines.length)
  switch (choices.below(7)) {
    case 0:
      lines.splice(at, 1)
      break
    case 1:
      lines.splice(other, 0, line)
      break
    case 2:
      lines[at] = `${" ".repeat(choices.below(8))}${line.trimStart()}`
      break
    case 3:
      lines[at] = `\t${line}`
      break
    case 4:
      lines[at] = line.replace(/:.*$/, () => `: ${oddText(choices)}`)
      break
    case 5:
      lines[at] = line.replace(
        /:.*$/,
        () =>
          `: ${choices.pick(["-1", "0", "1e99", ".inf", ".nan", "0x1F", "1_000", "~", "yes", "2001-01-01", "[]", "{}", "10 h", "99999999999999999999h", "&x y", "*x", "!!int 3", "!!js/function x", "<<: *t", "? x", "1m30s"])}`,
      )
      break
    default:
      lines[at] = `${line} ${choices.pick(["# note", "#", ": x", "&anchor", "|", ">2-", "'", '"', "\\"])}`
  }
  return Buffer.from(lines.join("\n"))
}

/** Brackets, lists, maps and blocks, one in the other, deeper than any stack. */
function nested(choices: Choices): Buffer {
  const [open, close] = choices.pick([
    ["[", "]"],
    ['{"a":', "}"],
    ["- ", ""],
    ["? ", ""],
    ["[{a: ", "}]"],
    ["!!seq [", "]"],
    ["a: &a [", "]"],
  ] as const)
  const depth = choices.pick([10, 300, 3_000, 30_000, 300_000])
  const value = `${open.repeat(depth)}1${choices.chance(70) ? close.repeat(depth) : ""}`
  return Buffer.from(choices.chance(50) ? value : `plan: deep\ntasks: ${value}\n`)
}

/** Aliases to aliases, many times over: small to write, endless to read out. */
function aliased(choices: Choices): Buffer {
  const [levels, width] = [choices.pick([2, 8, 30]), choices.pick([2, 10, 40])]
  let text = "plan: bomb\nx: &l0 [a, b]\n"
  for (let level = 1; level <= levels; level += 1) text += `x${level}: &l${level} [${Array.from({ length: width }, () => `*l${level - 1}`).join(", ")}]\n`
  const use = choices.pick([
    `tasks: *l${levels}`,
    `tasks:\n  - { id: a, title: T, labels: *l${levels}, gates: *l${levels} }`,
    `tasks: &self [*self, { id: a, title: *self }]`,
    `tasks: [*none]`,
    `<<: *l1\ntasks: []`,
  ])
  return Buffer.from(`${choices.chance(50) ? text : text.replaceAll(/^x\d*: /gm, "- ")}${use}\n`)
}

function checkFault({ code, line, column, message, remedy, at }: Fault, bytes: Buffer): void {
  const shown = JSON.stringify({ code, line, column, at: at.slice(0, 80), message: message.slice(0, 200), remedy: remedy.slice(0, 100) })
  const lines = bytes.toString("utf8").split("\n").length + bytes.toString("utf8").split("\r").length
  if (!(line >= 1 && column >= 1 && line <= lines)) throw new Broken(`a fault stands nowhere in a file of ${lines} lines: ${shown}`)
  if (message === "" || remedy === "" || code.length === 0) throw new Broken(`a fault without words or remedy: ${shown}`)
  if (message.length > 4_000) throw new Broken(`a fault of ${message.length} characters: ${shown}`)
}
