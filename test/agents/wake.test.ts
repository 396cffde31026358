import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, describe, expect, test } from "vitest"
import { httpClient } from "../../src/client/http.ts"
import { agentKind, type AgentKind } from "../../src/repo/agent-kinds.ts"
import { AcpDriver } from "../../src/runtime/acp.ts"
import type { Launch } from "../../src/runtime/driver.ts"
import { HeadlessDriver } from "../../src/runtime/headless.ts"
import { deliverNatively } from "../../src/runtime/native-inbox.ts"
import type { AgentPreset } from "../../src/runtime/presets/preset.ts"
import { presetNamed } from "../../src/runtime/presets/presets.ts"
import { sightOf } from "../../src/runtime/tmux/screen.ts"
import { json, newRepository, tidyUp } from "../cli-driver.ts"
import { delivery, newPlace, type Place, started, tidyTerminals, until, withoutTmux } from "../terminal/terminals.ts"
import { environmentFor } from "./driven.ts"
import { installed, WANTED } from "./installed.ts"
import { LoopbackModel } from "./loopback-model.ts"

/** The real agents, woken in each way that their preset knows, against a model of our own: what counts is what reached that model. */

/** Of a real agent that starts, beside others that do, on two processors. */
const WAKES_WITHIN_MS = 60_000
/** Words that make each one start without asking its user something first. */
const INTERACTIVE: Readonly<Record<AgentKind, readonly string[]>> = {
  claude: [],
  codex: ["-c", 'notice.model_migrations={"gpt-5.5"="gpt-6-sol"}'],
  gemini: ["-m", "gemini-2.5-flash"],
  opencode: ["--port", String(20_000 + (process.pid % 20_000))],
}
const HEADLESS: Readonly<Record<AgentKind, readonly string[]>> = { claude: [], codex: [], gemini: ["-m", "gemini-2.5-flash"], opencode: [] }

const folders: string[] = []
const models: LoopbackModel[] = []
afterEach(tidyTerminals)
afterAll(async () => {
  for (const model of models) await model.close()
  await tidyUp()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})

async function scene(kind: AgentKind, binary: string, args: readonly string[]): Promise<{ model: LoopbackModel; launch: Launch; times(text: string): number }> {
  const model = new LoopbackModel(() => ({ text: "I have read it." }))
  models.push(model)
  const modelUrl = await model.listen()
  const home = mkdtempSync(join(tmpdir(), "skein-home-"))
  folders.push(home)
  const cwd = realpathSync(newRepository())
  const preset = presetNamed(kind)
  if (preset === null) throw new Error(`no preset ${kind}`)
  const env = environmentFor({ kind, binary, folder: cwd, home, modelUrl, prompt: "" })
  return {
    model,
    launch: { agent: kind, preset, binary, args, cwd, env, resumeId: null, prompt: null },
    // A request holds the whole conversation: how often the text was said in it. Not every one does: agents also ask for titles and the like.
    times: (text) => Math.max(0, ...model.asked.map(({ texts }) => texts.filter((one) => one.includes(text)).length)),
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const shown = async (place: Place, pane: string): Promise<string> => place.tmux("capture-pane", "-p", "-t", pane)

/** As a person would, who sees where he types: an agent that starts may throw away what comes before its prompt is there. */
async function draft(place: Place, { pane }: { pane: string }, preset: AgentPreset): Promise<void> {
  await until("its prompt is there", async () => sightOf({ text: await shown(place, pane), before: "" }, preset.screen).ready, WAKES_WITHIN_MS)
  place.tmux("send-keys", "-t", pane, "-l", "half a thought")
  await until("the draft is there", () => hasDraftOf(place, pane), WAKES_WITHIN_MS)
}

const hasDraftOf = async (place: Place, pane: string): Promise<boolean> => (await shown(place, pane)).includes("half a thought")

for (const kind of WANTED) {
  const found = installed(kind)
  if ("absent" in found) {
    console.warn(`SKIPPED: ${agentKind(kind).title} is not woken: ${found.absent}`)
    continue
  }
  const { binary } = found

  describe.skipIf(withoutTmux !== null)(`${agentKind(kind).title} in a terminal`, () => {
    test("gets each text once, of one line or of three, and keeps a person's draft", { timeout: 150_000 }, async () => {
      const { launch, times } = await scene(kind, binary, INTERACTIVE[kind])
      const place = newPlace({}, [launch.preset])
      const address = await started(place, launch)
      for (const text of ["Skein: wake number-one", "Skein: wake number-two\nsecond line\nthird line"]) {
        const mark = /number-\w+/.exec(text)?.[0] ?? ""
        const told = await place.driver.deliver(address, delivery(text, { nonce: mark, acknowledged: () => times(mark) > 0 }))
        expect(told, `${JSON.stringify(told)}\n${await shown(place, address.pane)}`).toMatchObject({ ok: true })
        await until(`${kind} has ${mark}`, () => times(mark) > 0, WAKES_WITHIN_MS).catch(async (error: unknown) => {
          throw new Error(await shown(place, address.pane), { cause: error })
        })
        await until("it is done", async () => (await shown(place, address.pane)).includes("I have read it."), WAKES_WITHIN_MS)
      }
      expect([times("number-one"), times("number-two")]).toEqual([1, 1])
      await new Promise((settle) => {
        setTimeout(settle, 1_500)
      })
      await draft(place, address, launch.preset)
      expect(await place.driver.deliver(address, delivery("Skein: wake number-three"))).toMatchObject({ ok: false, code: "DRAFT_PRESENT" })
      expect(await shown(place, address.pane)).toContain("half a thought")
      await place.driver.stop(address)
      await until("its process has gone", () => !lives(address.pid), WAKES_WITHIN_MS)
    })
  })

  test(`${agentKind(kind).title} without a terminal goes on with its conversation; one that it does not know fails at once`, { timeout: 150_000 }, async () => {
    const { launch, model } = await scene(kind, binary, HEADLESS[kind])
    const driver = new HeadlessDriver()
    try {
      const first = await driver.start({ ...launch, prompt: "the first text" })
      if (!first.ok) throw new Error(first.detail)
      const second = await driver.deliver(first.address, delivery("the second text"))
      expect(second).toMatchObject({ ok: true, channel: "process" })
      await until(
        "both are in one conversation",
        () => model.asked.some(({ texts }) => ["first", "second"].every((one) => texts.some((text) => text.includes(`the ${one} text`)))),
        WAKES_WITHIN_MS,
      )
      const [{ session } = first.address] = await driver.running()
      expect(session).toMatch(/./)
      await driver.stop(first.address)
      const unknown = kind === "opencode" ? "ses_00000000000000000000000000" : "00000000-0000-4000-8000-000000000000"
      expect(await driver.start({ ...launch, resumeId: unknown, prompt: "go on" })).toMatchObject({ ok: false, code: "RESUME_FAILED" })
    } finally {
      await driver.close()
    }
  })

  // The adapters that Claude Code and Codex need for it are packages of others.
  // Claude Code and Codex speak it through programs of their own makers' that are not driven here.
  if (kind === "gemini" || kind === "opencode")
    test(`${agentKind(kind).title} takes prompts by ACP`, { timeout: 150_000 }, async () => {
      const { launch, model } = await scene(kind, binary, HEADLESS[kind])
      const driver = new AcpDriver()
      try {
        const one = await driver.start({ ...launch, prompt: "the first text" })
        if (!one.ok) throw new Error(one.detail)
        expect(await driver.deliver(one.address, delivery("the second text"))).toMatchObject({ ok: true, channel: "acp" })
        await until("both have come", () => model.asked.at(-1)?.texts.some((text) => text.includes("the second text")) === true, WAKES_WITHIN_MS)
      } finally {
        await driver.close()
      }
    })
}

describe.skipIf(withoutTmux !== null)("without keystrokes, beside a person's draft,", () => {
  const codex = WANTED.includes("codex") ? installed("codex") : { absent: "" }
  test.runIf("binary" in codex)("Codex takes a text from its queue", { timeout: 150_000 }, async () => {
    if (!("binary" in codex)) return
    const { launch, times } = await scene("codex", codex.binary, INTERACTIVE.codex)
    const place = newPlace({}, [launch.preset])
    const address = await started(place, launch)
    await place.driver.deliver(address, delivery("Skein: hello number-one"))
    await until("the conversation has begun", () => times("number-one") === 1, WAKES_WITHIN_MS)
    const sessions = spawnSync("find", [join(launch.env["CODEX_HOME"] ?? "", "sessions"), "-name", "*.jsonl"], { encoding: "utf8" }).stdout
    const session = /([0-9a-f]{8}-[0-9a-f-]{27})\.jsonl/.exec(sessions)?.[1] ?? ""
    await new Promise((settle) => {
      setTimeout(settle, 1_500)
    })
    await draft(place, address, launch.preset)
    const target = { agent: "codex", preset: launch.preset, session, cwd: launch.cwd, env: launch.env, binary: codex.binary, marks: launch.cwd }
    expect(await deliverNatively(target, { text: "Skein: wake number-two", form: "nudge" })).toMatchObject({ ok: true, channel: "native" })
    await until("the model has it", () => times("number-two") === 1, WAKES_WITHIN_MS)
    await until("the draft is there still", () => hasDraftOf(place, address.pane))
  })

  const claude = WANTED.includes("claude") ? installed("claude") : { absent: "" }
  test.runIf("binary" in claude)("Claude Code is woken by its own waiter when a message comes", { timeout: 150_000 }, async () => {
    if (!("binary" in claude)) return
    const { launch, times } = await scene("claude", claude.binary, INTERACTIVE.claude)
    await json(launch.cwd, ["init", "--yes", "--agents", "claude"])
    await json(launch.cwd, ["agent", "add", "goose"])
    const { url } = JSON.parse(readFileSync(join(launch.cwd, ".skein", "hub.json"), "utf8")) as { url: string }
    const goose = httpClient({ url, credentialFile: join(launch.cwd, ".skein", "agents", "goose.credential") })
    const place = newPlace({}, [launch.preset])
    const address = await started(place, launch)
    const target = {
      agent: "claude",
      preset: launch.preset,
      session: address.session,
      cwd: launch.cwd,
      env: launch.env,
      marks: join(launch.cwd, ".skein", "hook-marks"),
    }
    let waits = false
    await until("its waiter waits", async () => (waits = (await deliverNatively(target, { text: "news", form: "nudge" })).ok), WAKES_WITHIN_MS).catch(
      async (error: unknown) => {
        throw new Error(await shown(place, address.pane), { cause: error })
      },
    )
    expect(waits).toBe(true)
    await draft(place, address, launch.preset)
    const { thread } = await goose.call("thread.create", { title: "Wake up", participants: ["claude"] })
    await goose.call("message.post", { thread, body: "the parser waits for you", kind: "chat", inReplyTo: null, metadata: {} })
    await until("the model has it", () => times("the parser waits for you") > 0, WAKES_WITHIN_MS)
    goose.close()
    // While it draws anew, a row may be empty for a moment.
    await until("the draft is there still", () => hasDraftOf(place, address.pane))
  })
})
