import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { operations } from "../../src/contract/operations.ts"
import { DELIVERABLE_MAX_BYTES, deliverableText, DeliverableError, producedFiles, readDeliverable, readEvidence } from "../../src/runtime/deliverable.ts"
import { AGENT_KINDS } from "../../src/repo/agent-kinds.ts"
import { presetNamed } from "../../src/runtime/presets/presets.ts"
import type { AgentPreset } from "../../src/runtime/presets/preset.ts"
import { quotaNotice } from "../../src/runtime/quota-notice.ts"
import { lastText } from "../../src/runtime/screen-reports.ts"
import { readPane } from "../../src/runtime/tmux/pane.ts"
import { hasDraft, screenOf, shows, sightOf } from "../../src/runtime/tmux/screen.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateBytes, mutateText, mutateValue, oddText, writeJson } from "./mutation.ts"

/** What agents' terminals show, as tmux tells it, and what commands leave behind as their work. */
export const saidTarget: Target = {
  name: "said",
  entrance: "what agents' terminals show, panes as tmux tells of them, and the files that a command leaves as its work",
  casesPerSubject: 400,
  open: () => Promise.resolve(new SaidSubject()),
}

/** However a screen looks, whoever looks at it is through with it by then, of its own time. */
const LOOK_MAX_MS = 1_500
const PHRASES = [
  "You've hit your usage limit. Try again at Oct 9th, 2026 3:05 PM.",
  "Claude usage limit reached|1790000000",
  "session limit reached ∙ resets 3pm (Europe/Berlin)",
  "Access resets at 3:05 PM GMT+2",
  "Your quota will reset after 12h22m44s",
  "Quota exceeded. try again in 2 days, 4 hours and 5 minutes",
  "limit: try again in 99999999999999999999 days",
  '{"resets_at": 1790000000, "resets_in_seconds": 99999999999999999999}',
  "resets 3pm (Nowhere/At-all)",
  "resets 99:99 (../../etc/passwd)",
  "❯ ",
  "❯ 1. Yes",
  "› ",
  "Do you want to proceed?",
  "%end 1 2 1",
  "\u001b[2J\u001b]0;x\u0007",
  "│ > ",
]
const PANE = "%1|100|50|0||0|0|2|3|/dev/pts/1|skein-ann|ann|claude|c1|node"
const EVIDENCE: Json = { testsPass: true, commit: "0123abc", links: ["https://example.org/1"] }
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/

class SaidSubject implements Subject {
  readonly #folder = scratchFolder()
  #sent = ""

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    switch (choices.below(3)) {
      case 0:
        return this.#pane(choices)
      case 1:
        return this.#work(choices)
      default:
        return this.#screen(choices)
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  #screen(choices: Choices): string {
    const rows = Array.from({ length: choices.pick([1, 5, 50, 200]) }, () => {
      const row = choices.chance(60) ? choices.pick(PHRASES) : oddText(choices)
      return (choices.chance(40) ? mutateText(row, choices) : row).repeat(choices.pick([1, 1, 1, 40])).slice(0, 4_000)
    })
    this.#sent = rows.join("\n")
    const screen = screenOf(rows, { x: choices.pick([0, 2, 10_000]), y: choices.pick([0, rows.length - 1, rows.length, 99_999]) })
    const start = process.cpuUsage()
    const nowMs = 1_790_000_000_000
    let came = "nothing"
    for (const { screen: facts } of AGENT_KINDS.map((kind) => presetNamed(kind) as AgentPreset)) {
      const { ready, menu } = sightOf(screen, facts)
      if (hasDraft(screen, facts) || ready || menu) came = "seen"
      shows(screen, choices.pick(["[skein t_0123456789abcdef]", oddText(choices)]))
      const quota = quotaNotice(screen.text, facts.exhausted, nowMs)
      if (quota === null) continue
      came = quota.untilMs === null ? "quota, no time" : "quota"
      if (quota.said === "" || quota.said.length > 500) throw new Broken(`a notice of ${quota.said.length} characters`)
      if (quota.untilMs !== null && !(Math.abs(quota.untilMs - nowMs) < 4 * 366 * 86_400_000)) throw new Broken(`a quota that comes back at ${quota.untilMs}`)
    }
    const text = lastText(screen.text)
    if (CONTROLS.test(text)) throw new Broken(`shown as it came: ${JSON.stringify(CONTROLS.exec(text)?.[0])}`)
    if (!operations["terminal.report"].input.safeParse({ screens: [{ agent: "ann", text }] }).success) throw new Broken("a screen that the hub does not take")
    const { user, system } = process.cpuUsage(start)
    if ((user + system) / 1_000 > LOOK_MAX_MS) throw new Broken(`to look at ${screen.text.length} characters took ${(user + system) / 1_000} ms`)
    return came
  }

  #pane(choices: Choices): string {
    this.#sent = choices.chance(50) ? mutateText(PANE, choices) : mutateBytes(Buffer.from(PANE), choices, 2).toString("utf8")
    const pane = readPane(this.#sent)
    if (pane === null) return "no pane"
    // What is stopped is a process group of that id: of 0 it would be our own.
    if (!/^%\d+$/.test(pane.pane) || !Number.isSafeInteger(pane.pid) || pane.pid < 1) throw new Broken(`a pane of process ${pane.pid}`)
    return "a pane"
  }

  async #work(choices: Choices): Promise<string> {
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder)
    let evidence = EVIDENCE
    for (let changes = choices.below(3); changes > 0; changes -= 1) evidence = mutateValue(evidence, choices)
    const bytes = Buffer.from(writeJson(evidence))
    const said = oddText(choices).repeat(choices.pick([1, 100]))
    const files: [string, Buffer][] = [
      ["evidence.json", choices.chance(30) ? mutateBytes(bytes, choices, 2) : bytes],
      ["deliverable.md", choices.chance(50) ? mutateBytes(Buffer.from(said), choices) : Buffer.from(said)],
    ]
    this.#sent = files.map(([name, text]) => `--- ${name}\n${text.toString("latin1").slice(0, 1_000)}`).join("\n")
    for (const [name, text] of files)
      if (choices.chance(10)) symlinkSync(choices.pick(["/etc/passwd", "/dev/zero", name, "none"]), join(this.#folder, name))
      else if (choices.chance(3)) mkdirSync(join(this.#folder, name))
      else writeFileSync(join(this.#folder, name), text)
    await producedFiles(this.#folder)
    try {
      const text = (await readDeliverable(this.#folder)) ?? ""
      for (const one of [text, deliverableText(said)])
        if (CONTROLS.test(one) || Buffer.byteLength(one) > DELIVERABLE_MAX_BYTES || !one.isWellFormed())
          throw new Broken(`a deliverable of ${Buffer.byteLength(one)} bytes: ${JSON.stringify(one.slice(0, 200))}`)
      const found = await readEvidence(this.#folder)
      const taken = operations["task.complete"].input.safeParse({ task: "a", fence: 1, deliverable: { text, evidence: found } })
      if (!taken.success) throw new Broken(`the hub would not take it: ${JSON.stringify(taken.error.issues[0])}`)
      return "work"
    } catch (error) {
      if (!(error instanceof DeliverableError)) throw error
      if (CONTROLS.test(error.message) || error.message === "") throw new Broken(`a fault without words, or with controls: ${JSON.stringify(error.message)}`)
      return `refused: ${error.message.slice(0, 20)}`
    }
  }
}
