import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { operations } from "../../src/contract/operations.ts"
import type { PermissionRequest, TurnUsage } from "../../src/runtime/acp-connection.ts"
import { AcpDriver } from "../../src/runtime/acp.ts"
import type { Refused } from "../../src/runtime/driver.ts"
import { readerPreset } from "../terminal/terminals.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateBytes, mutateValue, oddText, oddValue, writeJson } from "./mutation.ts"

/** Agents that speak the Agent Client Protocol, or nearly: real processes that write lines made for the purpose, whatever they are asked. */
export const acpTarget: Target = {
  name: "acp",
  entrance: "what an agent writes that is spoken to by ACP: answers, requests, updates, and lines that are none",
  casesPerSubject: 60,
  open: () => Promise.resolve(new AcpSubject()),
}

/** At each line that it hears, the next file of its folder is what it says; after so many it ends, or says no more. */
const AGENT = `n=0; while IFS= read -r line; do [ -f "$0/$n" ] && cat "$0/$n"; n=$((n+1)); [ $n -ge $1 ] && exit 3; done`
const OPEN_MAX_MS = 600
const ENDLESS = 1_000_000
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/u

class AcpSubject implements Subject {
  readonly #folder = scratchFolder()
  #cases = 0
  #sent = ""

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const folder = join(this.#folder, String((this.#cases += 1)))
    mkdirSync(folder)
    const lives = choices.chance(10) ? ENDLESS : 3
    this.#say(folder, choices)
    const wrong: string[] = []
    const driver = new AcpDriver({
      openMaxMs: OPEN_MAX_MS,
      usage: (usage) => wrong.push(...wrongUsage(usage)),
      permission: (request) => Promise.resolve(answerTo(request)),
    })
    const told = listen()
    try {
      const came = await this.#talk(driver, folder, lives)
      const left = (await driver.running()).length
      if (left > 0) throw new Broken(`${left} agents are left when the driver is closed`)
      wrong.push(...told.lines.map((line) => `the person at the terminal is shown: ${JSON.stringify(line.slice(0, 300))}`))
      if (wrong[0] !== undefined) throw new Broken(wrong[0])
      return came
    } finally {
      told.end()
      await driver.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  async #talk(driver: AcpDriver, folder: string, lives: number): Promise<string> {
    const acp = { argv: ["/bin/sh", "-c", AGENT, folder, String(lives)] as const, resumes: true }
    const preset = { ...readerPreset("plain"), name: "hostile", acp }
    const started = await driver.start({ agent: "ada", preset, cwd: folder, env: {}, resumeId: null, prompt: null })
    if (!started.ok) return checkRefusal(started)
    const { address } = started
    const { session } = address
    if (!operations["session.adopt"].input.shape.resumeId.safeParse(session).success || session === null)
      throw new Broken(`its conversation is taken to be ${JSON.stringify(session)?.slice(0, 200)}`)
    const delivered = await driver.deliver(address, { text: "go on", nonce: "r1" } as never)
    const shown = await driver.capture(address)
    if (CONTROLS.test(shown.replaceAll("\n", ""))) throw new Broken(`shown as it came: ${JSON.stringify(shown.slice(0, 200))}`)
    if (!delivered.ok) checkRefusal(delivered)
    await driver.close()
    if ((await driver.alive(address)).alive) throw new Broken("an agent that was stopped is alive")
    return delivered.ok ? "a turn" : `no turn: ${delivered.code}`
  }

  /** The files that the agent answers with: valid ones, changed, with what nobody asked for between them. */
  #say(folder: string, choices: Choices): void {
    const spoilt = choices.pick([0, 1, 2, 2, 2, 3])
    this.#sent = ""
    for (let turn = 0; turn < 3; turn += 1) {
      const lines: Buffer[] = []
      for (let extras = turn === spoilt ? choices.below(4) : 0; extras > 0; extras -= 1) lines.push(line(this.#extra(choices)))
      const valid = answerOf(turn)
      const answer = turn === spoilt && choices.chance(60) ? this.#spoil(valid, choices) : valid
      lines.push(line(answer))
      let bytes: Buffer = Buffer.concat(lines)
      if (turn === spoilt && choices.chance(25)) bytes = mutateBytes(bytes, choices, 2)
      // Until the last line is whole nobody can know that it ends.
      if (turn !== spoilt || choices.chance(90)) bytes = Buffer.concat([bytes, Buffer.from("\n")])
      this.#sent += `--- ${turn}\n${bytes.toString("latin1").slice(0, 1_500)}\n`
      writeFileSync(join(folder, String(turn)), bytes)
    }
  }

  #spoil(valid: Json, choices: Choices): Json {
    const { id } = valid as { id: Json }
    if (choices.chance(30))
      return {
        jsonrpc: "2.0",
        id,
        error: {
          code: choices.pick<Json>([-32_603, 0, "x"]),
          message: choices.pick([oddText(choices), "limit: try again in 99999999999999999999 days"]),
          data: oddValue(choices),
        },
      }
    if (choices.chance(20)) return { jsonrpc: "2.0", id, result: oddValue(choices) }
    return mutateValue(valid, choices)
  }

  #extra(choices: Choices): Json {
    const extra = choices.pick<Json>([
      update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text: `said \u001b[2J\u202e${oddText(choices)}` } }),
      update({ sessionUpdate: "tool_call", toolCallId: "1", title: oddText(choices) }),
      update({ sessionUpdate: "usage_update", used: 1, size: 2, cost: { amount: choices.pick([0.25, -1, 1e300, 2 ** 53]), currency: "USD" } }),
      { jsonrpc: "2.0", id: choices.pick<Json>([7, "x", null, 1.5, oddValue(choices)]), method: "session/request_permission", params: PERMISSION },
      { jsonrpc: "2.0", id: 8, method: choices.pick(["fs/read_text_file", "terminal/create", "__proto__", oddText(choices)]), params: oddValue(choices) },
      { jsonrpc: "2.0", id: choices.pick<Json>([0, 1, 2, 99, "\u001b[2J", oddValue(choices)]), result: oddValue(choices) },
      { jsonrpc: "2.0", method: "$/cancel_request", params: { requestId: choices.pick<Json>([7, 0, oddValue(choices)]) } },
      oddValue(choices),
    ])
    return choices.chance(40) ? mutateValue(extra, choices) : extra
  }
}

const PERMISSION: Json = {
  sessionId: "s",
  toolCall: { toolCallId: "1", title: "rm -r /", kind: "execute" },
  options: [
    { optionId: "yes", name: "Yes", kind: "allow_once" },
    { optionId: "no", name: "No", kind: "reject_once" },
  ],
}

function update(given: Json): Json {
  return { jsonrpc: "2.0", method: "session/update", params: { sessionId: "s", update: given } }
}

function line(value: Json): Buffer {
  return Buffer.from(`${writeJson(value)}\n`)
}

/** What a sound agent answers to the three requests that it is made. */
function answerOf(turn: number): Json {
  const results: Json[] = [
    { protocolVersion: 1, agentCapabilities: { loadSession: true } },
    { sessionId: "conversation-1" },
    { stopReason: "end_turn", usage: { totalTokens: 3, inputTokens: 1, outputTokens: 2 } },
  ]
  return { jsonrpc: "2.0", id: turn, result: results[turn] as Json }
}

/** As a person would, who is asked for leave: the text is cut, and each option can be named. */
function answerTo({ title, options }: PermissionRequest): string | null {
  if (title.length > 10_000) throw new Broken(`a title of ${title.length} characters is asked of a person`)
  return options[0]?.id ?? null
}

function wrongUsage({ agent, session: _session, ...used }: TurnUsage): string[] {
  const given = Object.fromEntries(Object.entries(used).filter(([, value]) => value !== null))
  const read = operations["usage.report"].input.safeParse({ agent, ...given })
  return read.success ? [] : [`the hub would not take this usage: ${JSON.stringify(given)}`]
}

function checkRefusal({ code, detail }: Refused): string {
  if (detail === "" || detail.length > 4_000) throw new Broken(`a refusal with ${detail.length} characters of detail`)
  if (/Cannot (read|destructure)|is not a function|call stack|\n\s+at /.test(detail)) throw new Broken(`a refusal that tells of our own code: ${detail}`)
  return `refused: ${code}`
}

/** What is written to the console meanwhile: a library that does so writes over somebody's terminal. */
function listen(): { lines: string[]; end(): void } {
  const lines: string[] = []
  const { error, log, warn } = console
  const take = (...words: unknown[]): void => void lines.push(words.map(String).join(" "))
  Object.assign(console, { error: take, log: take, warn: take })
  return { lines, end: () => void Object.assign(console, { error, log, warn }) }
}
