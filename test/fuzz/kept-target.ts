import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { operations } from "../../src/contract/operations.ts"
import { HeadlessDriver } from "../../src/runtime/headless.ts"
import type { AgentPreset } from "../../src/runtime/presets/preset.ts"
import { newRunning, type Running, type Wanted } from "../../src/runtime/supervised.ts"
import { SupervisorFolder } from "../../src/runtime/supervisor-folder.ts"
import { ControlClient } from "../../src/runtime/tmux/control.ts"
import { readerPreset } from "../terminal/terminals.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import type { Choices } from "./choices.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateBytes, mutateValue, oddText, writeJson } from "./mutation.ts"

/** What a supervisor reads back: its folder, tmux's control mode, and the lines of agents without a terminal. */
export const keptTarget: Target = {
  name: "kept",
  entrance: "a supervisor's folder, tmux's control mode, and the lines of agents without a terminal",
  casesPerSubject: 100,
  open: () => Promise.resolve(new KeptSubject()),
}

/** Answers each command by the file: in it `@` stands for the token by which an answer ends. */
const TMUX = `#!/bin/sh
while read -r line; do case $line in display-message*) token=\${line##*-p ?} && sed "s/@/\${token%?}/g" "\${0%/*}/stream" ;; esac; done
`
const SHOWN = ["%begin 1 2 1", "%end 1 9 1", "%error 2 2 1", "%exit", "%output %1 x", "", "%begin", "%end", "no such thing"]

const LINES: Json[] = [
  { type: "system", session_id: "c-1" },
  { type: "assistant", text: "hello" },
  { type: "result", session_id: "c-1", is_error: false, usage: { input_tokens: 1 } },
]
const ADDRESS: Json = { channel: "tmux", agent: "ada", preset: "reader", session: "c-1", socket: "skein-1", pane: "%1", pid: 4711 }
const WANTED: Wanted = {
  agent: "ada",
  preset: "reader",
  by: "tmux",
  binary: null,
  args: [],
  cwd: "/",
  env: {},
  passEnv: [],
  credentialFile: "/none",
  prompt: null,
  want: "running",
  reason: "",
  revision: 1,
}
const HOLDER: Json = { pid: 1, born: "x", session: "s_1", agent: "supervisor", startedAtMs: 1 }

class KeptSubject implements Subject {
  readonly #folder = scratchFolder()
  #sent = ""

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  attempt(choices: Choices): Promise<string> {
    const how = choices.below(10)
    return how < 6 ? this.#kept(choices) : how < 8 ? this.#stream(choices) : this.#lines(choices)
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  async #kept(choices: Choices): Promise<string> {
    const path = join(this.#folder, "supervisor")
    rmSync(path, { recursive: true, force: true })
    const folder = new SupervisorFolder(path)
    folder.prepare()
    const running: Json = { ...newRunning("ada"), state: "running", address: ADDRESS, session: "s_1", startedAtMs: 1, revision: 1 }
    this.#sent = ""
    const spoil = (name: string, sound: Json): void => {
      const value = choices.chance(70) ? mutateValue(sound, choices) : sound
      const text = Buffer.from(writeJson(value))
      const bytes = choices.chance(30) ? mutateBytes(text, choices, 2) : text
      this.#sent += `${name}: ${bytes.toString("latin1").slice(0, 1_000)}\n`
      writeFileSync(join(path, name), bytes)
    }
    spoil("running/ada.json", running)
    spoil("wanted/ada.json", WANTED)
    spoil("supervisor.json", HOLDER)
    const [wanted, kept, last] = [folder.wanted(), folder.runningOf("ada"), folder.lastHolder()]
    checkAddress(kept)
    if (!operations["session.end"].input.safeParse({ session: kept.session ?? "s_1" }).success) throw new Broken(`a session ${JSON.stringify(kept.session)}`)
    if (last !== null && last.session !== null && typeof last.session !== "string") throw new Broken(`a session ${JSON.stringify(last.session)}`)
    folder.record({ ...kept, detail: "looked at" })
    if (folder.runningOf("ada").detail !== "looked at") throw new Broken("what is written is not read back")
    if (!folder.hold({ session: null, agent: "supervisor", startedAtMs: 1 }) || !folder.isHeld()) throw new Broken("the place is not to be had")
    folder.release()
    return `${wanted.length} wanted, ${kept.address === null ? "nothing known" : "an address"}, ${last === null ? "nobody" : "one before"}`
  }

  async #stream(choices: Choices): Promise<string> {
    // What a pane shows may look like the end of an answer.
    const shown = Array.from({ length: choices.below(4) }, () =>
      choices.chance(50) ? choices.pick(SHOWN) : oddText(choices).toWellFormed().replace(/[\n@]/g, ""),
    )
    const sound = Buffer.from(`%begin 1 2 1\n${shown.map((line) => `${line}\n`).join("")}%end 1 2 1\n%begin 1 3 1\n@\n%end 1 3 1\n`)
    const isSound = choices.chance(50)
    const stream = isSound ? sound : mutateBytes(sound, choices, 3)
    this.#sent = stream.toString("latin1")
    writeFileSync(join(this.#folder, "stream"), stream)
    const tmux = join(this.#folder, "tmux")
    writeFileSync(tmux, TMUX, { mode: 0o700 })
    const client = new ControlClient({ tmux, socket: "none", session: "main", env: { PATH: process.env["PATH"] ?? "" }, onEnd: () => {} })
    const answers = [client.run({ words: ["list-sessions"] }), client.run({ words: ["set-buffer", "--", oddText(choices).replaceAll("\0", "")] })]
    client.close()
    const [first, second] = await Promise.all(answers)
    if (isSound && !(first?.ok === true && JSON.stringify(first.lines) === JSON.stringify(shown))) throw new Broken(`taken for ${JSON.stringify(first)}`)
    for (const reply of [first, second])
      if (reply === undefined || (reply.ok ? !Array.isArray(reply.lines) : typeof reply.error !== "string")) throw new Broken("no reply")
    return `${first?.ok === true ? "answered" : "refused"}, then ${second?.ok === true ? "answered" : "refused"}`
  }

  async #lines(choices: Choices): Promise<string> {
    const spoilt = LINES.map((line) => (choices.chance(50) ? mutateValue(line, choices) : line)).map((line) => Buffer.from(`${writeJson(line)}\n`))
    const odd: Json = { session_id: oddText(choices) }
    const bytes = Buffer.concat([...(choices.chance(30) ? [Buffer.from(`${writeJson(odd)}\n`)] : []), ...spoilt])
    const said = choices.chance(40) ? mutateBytes(bytes, choices, 3) : bytes
    this.#sent = said.toString("latin1")
    writeFileSync(join(this.#folder, "said"), said)
    const headless = {
      start: ["/bin/sh", "-c", `cat said; exit ${choices.pick([0, 0, 1])}`] as const,
      resume: null,
      chooseSession: null,
      promptBy: "stdin" as const,
      sessionFields: [["session_id"]],
      unknownSession: { exit: 1, says: "no such" },
    }
    const preset: AgentPreset = { ...readerPreset("plain"), headless }
    const driver = new HeadlessDriver()
    try {
      const started = await driver.start({ agent: "ada", preset, cwd: this.#folder, env: {}, resumeId: null, prompt: "go on" })
      if (!started.ok) return `refused: ${started.code}`
      const { session } = started.address
      if (!operations["session.adopt"].input.shape.resumeId.safeParse(session).success)
        throw new Broken(`its conversation is taken to be ${JSON.stringify(session)?.slice(0, 200)}`)
      const shown = await driver.capture(started.address)
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(shown)) throw new Broken(`shown as it came: ${JSON.stringify(shown.slice(0, 200))}`)
      return session === null ? "a turn, no conversation" : "a turn"
    } finally {
      await driver.close()
    }
  }
}

/** Drivers are handed it as it is: it goes into tmux's own conditions, and its process is signalled. */
function checkAddress({ address }: Running): void {
  if (address === null) return
  const { pid } = address
  if (!Number.isSafeInteger(pid) || pid < 0) throw new Broken(`an address of process ${JSON.stringify(pid)}`)
  if (address.channel === "tmux" && !/^%\d+$/.test(address.pane)) throw new Broken(`an address of pane ${JSON.stringify(address.pane)}`)
  if (typeof address.preset !== "string") throw new Broken(`an address of preset ${JSON.stringify(address.preset)}`)
}
