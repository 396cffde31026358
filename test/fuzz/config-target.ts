import { parse } from "yaml"
import { parseConfig } from "../../src/cli/config.ts"
import { UsageError } from "../../src/cli/failure.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { type Json, mutateBytes, mutateValue, writeJson } from "./mutation.ts"

/** An instance's `config.yaml`: its bytes changed as YAML, or its values changed and written as JSON. */
export const configTarget: Target = {
  name: "config",
  entrance: "config.yaml of an instance",
  casesPerSubject: 500,
  open: () => Promise.resolve(new ConfigSubject()),
}

const SOUND = Buffer.from(`requireClaim: true
prices:
  big-model: &price { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 }
  other-model: *price
wake: { ackMs: 9000, reconcileMs: 500, restarts: 3 }
permissions:
  - { agents: [ann], kinds: [read], title: "^npm (test|run)", answer: allow_once }
  - answer: ask
presets:
  mine:
    interactive: { start: [mine, "-i"], resume: [mine, "{session}"], chooseSession: ["--id", "{session}"] }
    screen: { ready: ["^> $"], menus: ["\\\\[y/n\\\\]"], exhausted: [], emptyInput: null, bracketedPaste: true, enterAfterMs: 10, readyWithinMs: 100 }
    headless: { start: [mine, "-p"], promptBy: argument, sessionFields: [[session, id]], unknownSession: { exit: 2, says: "no .* session" } }
    acp: { argv: [mine, acp], resumes: true }
    native: { way: command, argv: [mine, send] }
    beside: true
`)

class ConfigSubject implements Subject {
  #sent = ""

  describe(): string {
    return this.#sent.slice(0, 1_500)
  }

  attempt(choices: Choices): Promise<string> {
    this.#sent = draft(choices)
    return Promise.resolve().then(() => {
      try {
        parseConfig(this.#sent, "config.yaml")
        return "taken"
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        if (error.remedy === "") throw new Broken(`no remedy: ${error.message}`)
        return `refused: ${error.message.replaceAll(/[\d"]+/g, "").slice(0, 30)}`
      }
    })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function draft(choices: Choices): string {
  if (choices.chance(10)) return `prices: *${choices.pick(["a", "price", "__proto__"])}\n`
  if (choices.chance(10)) return bomb(choices.between(1, 12))
  if (choices.chance(50)) return mutateBytes(SOUND, choices).toString("utf8")
  return writeJson(mutateValue(parse(SOUND.toString("utf8")) as Json, choices))
}

/** Each line names the one before it nine times. */
function bomb(lines: number): string {
  let text = "a0: &a0 x\n"
  for (let at = 1; at <= lines; at += 1) text += `a${at}: &a${at} [${Array.from({ length: 9 }, () => `*a${at - 1}`).join(",")}]\n`
  return text
}
