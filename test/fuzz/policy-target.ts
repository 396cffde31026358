import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import { DEFAULT_POLICY } from "../../src/contract/default-policy.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { layInstance, RAW, type Ran, runHere } from "./cli-run.ts"
import { checkErrorBody, FuzzedHub } from "./fuzzed-hub.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateBytes, mutateValue, oddText, writeJson } from "./mutation.ts"

/** Files that verbs are given: policies in Cedar, the cases that they are tried on, and teams to simulate. */
export const policyTarget: Target = {
  name: "policy",
  entrance: "policies in Cedar, their cases, and team files, as verbs are given them",
  casesPerSubject: 120,
  open: async () => new PolicySubject(await FuzzedHub.open()),
}

const RULES = Buffer.from(`${DEFAULT_POLICY}
@id("nights")
@reason("nobody ships at night")
forbid (principal, action in [Action::"task.complete", Action::"task.claim"], resource)
when { context.hourUtc < 6 || (principal has name && principal.name like "bot-*") }
unless { ["ann", "ben"].contains(principal.name) };
`)
const CASES = `- { principal: ann, action: task.claim, resource: task/a, expect: allow }
- { principal: { name: bot, role: worker }, action: task.complete, resource: task/b, expect: &d deny }
- { principal: ben, action: task.cancel, resource: task/c, expect: *d }
`
const TEAM = `agents:
  - &one { name: fast, count: 2, capabilities: { node: 3 }, costPerHourUsd: 4, success: { node: 0.7 }, maxActive: 1 }
  - { name: good, tier: 2, kind: script, model: m }
  - { name: off, start: false }
`
const PLAN = "plan: p\ntasks:\n  - { id: a, title: A, estimate: 1m, requires: { node: 1 } }\n  - { id: b, title: B, dependsOn: [a] }\n"
const EXITS = new Set([0, 1, 2])

class PolicySubject implements Subject {
  readonly #hub: FuzzedHub
  readonly #repository = scratchFolder()
  #sent = ""

  constructor(hub: FuzzedHub) {
    this.#hub = hub
    layInstance(this.#repository, hub)
    writeFileSync(join(this.#repository, "plan.yaml"), PLAN)
  }

  describe(): string {
    return this.#sent.slice(0, 2_500)
  }

  async attempt(choices: Choices): Promise<string> {
    const file = (name: string, bytes: Buffer): string => {
      writeFileSync(join(this.#repository, name), bytes)
      this.#sent += `\n--- ${name}\n${bytes.toString("latin1")}`
      return name
    }
    this.#sent = ""
    const verb = choices.pick(["check", "set", "test", "test", "simulate", "simulate"])
    const cedar = (): string => file("team.cedar", spoiltText(RULES, choices))
    const cases = (): string => file("cases.yaml", spoiltYaml(CASES, choices))
    const args = {
      check: () => ["policy", "check", cedar()],
      set: () => ["policy", "set", cedar(), "--reason", "tried"],
      test: () => ["policy", "test", ...(choices.chance(50) ? [cedar()] : []), "--cases", cases(), ...(choices.chance(20) ? ["--last", "20"] : [])],
      simulate: () => ["simulate", "plan.yaml", "--team", file("team.yaml", spoiltYaml(TEAM, choices)), "--runs", "1", "--no-advice"],
    }[verb as "check"]()
    if (choices.chance(4)) args[args.findIndex((arg) => /\.(cedar|yaml)$/.test(arg))] = choices.pick(["/dev/zero", ".", "none"])
    this.#sent = `${args.join(" ")}${this.#sent}`
    const ran = await runHere([...args, ...(choices.chance(50) ? ["--json"] : [])], {}, this.#repository)
    const came = judge(ran)
    this.#hub.checkSound()
    if (verb === "set" && ran.exit === 0) await this.#goBack()
    return `${verb}: ${came}`
  }

  async close(): Promise<void> {
    rmSync(this.#repository, { recursive: true, force: true })
    await this.#hub.close()
  }

  /** Whatever a policy says, the operator is not locked out by it. */
  async #goBack(): Promise<void> {
    const { exit, error } = await runHere(["policy", "set", "--shipped", "--reason", "tried"], {}, this.#repository)
    if (exit !== 0) throw new Broken(`a policy that the hub took locks the operator out: ${JSON.stringify(error)}`)
  }
}

function judge({ exit, output, error, stray }: Ran): string {
  if (!EXITS.has(exit)) throw new Broken(`exit status ${exit}: ${JSON.stringify(error)}`)
  if (RAW.test(output.replaceAll(/[\u202a-\u202e\u2066-\u2069]/gu, output.startsWith("{") ? "" : "$&")))
    throw new Broken(`a terminal would act on this: ${JSON.stringify(output.slice(0, 500))}`)
  if (exit !== 0 && error === null && output.trim() === "") throw new Broken(`exit status ${exit}, and no word of why: ${stray.slice(0, 300)}`)
  return error === null ? (exit === 0 ? "done" : "faults told") : checkErrorBody(error)
}

/** Cedar with its bytes changed, its marks put elsewhere, or nested and chained without end. */
function spoiltText(sound: Buffer, choices: Choices): Buffer {
  switch (choices.below(5)) {
    case 0:
      return sound
    case 1: {
      const open = choices.pick(["(", "[", "!", "-", "if true then ", "principal.", "{a: ", "true && ", "// x\r", '"'])
      const many = open.repeat(choices.pick([3, 40, 600, 20_000]))
      return Buffer.concat([sound, Buffer.from(`permit (principal, action, resource) when { ${many}true };\n`)])
    }
    case 2: {
      const text = sound.toString("utf8")
      const word = choices.pick(["principal", "action", "resource", "context", "like", "has", "in", "Action", "@id", "forbid", "6", '"ann"', "&&"])
      return Buffer.from(
        text.replace(word, () => choices.pick(["__proto__", "?principal", "9223372036854775808", "x", "Nobody::", '"\\u{0}"', oddText(choices), ""])),
      )
    }
    default:
      return mutateBytes(sound, choices)
  }
}

function spoiltYaml(sound: string, choices: Choices): Buffer {
  switch (choices.below(6)) {
    case 0:
      return Buffer.from(sound)
    case 1:
      return Buffer.from(`${sound}- *${choices.pick(["none", "one", "d"])}\n`)
    case 2:
      return Buffer.from(choices.pick(["[", "- ", "{a: "]).repeat(choices.pick([3, 70, 5_000, 60_000])))
    case 3: {
      const count = choices.pick([10, 1_000, 10_000, 100_000])
      return Buffer.from(
        choices.pick([
          `agents:\n  - { name: many, count: ${count} }\n  - { name: more, count: ${count} }\n`,
          Array.from({ length: Math.min(count, 20_000) }, (_, at) => `k${at}: 1\n`).join(""),
        ]),
      )
    }
    case 4: {
      const value = mutateValue(parse(sound) as Json, choices)
      return Buffer.from(writeJson(choices.chance(50) ? mutateValue(value, choices) : value))
    }
    default:
      return mutateBytes(Buffer.from(sound), choices)
  }
}
