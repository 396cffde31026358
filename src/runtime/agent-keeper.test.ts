import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { readerPreset, until } from "../../test/terminal/terminals.ts"
import type { Client } from "../client/client.ts"
import { AgentKeeper } from "./agent-keeper.ts"
import type { Driver } from "./driver.ts"
import type { Wanted } from "./supervised.ts"
import { SupervisorFolder } from "./supervisor-folder.ts"
import { SUPERVISOR_DEFAULTS } from "./supervisor-numbers.ts"

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

/** An agent that is kept in a place where processes live as the test says, and a hub that begins its sessions when the test lets it. */
function kept(): { keeper: AgentKeeper; done: string[]; died(): void; pass(ms: number): void; hub: { begins: Promise<void> } } {
  const path = mkdtempSync(join(tmpdir(), "skein-keeper-"))
  onTestFinished(() => rmSync(path, { recursive: true }))
  const folder = new SupervisorFolder(path)
  folder.prepare()
  const done: string[] = []
  let [pid, lives, nowMs, sessions] = [100, true, 1_000_000, 0]
  const driver: Driver = {
    channel: "tmux",
    start: ({ agent, resumeId }) => {
      pid += 1
      lives = true
      done.push(`start ${pid}`)
      return Promise.resolve({ ok: true, address: { channel: "tmux", agent, preset: "reader", session: resumeId ?? "c", socket: "s", pane: "%1", pid } })
    },
    deliver: (_address, { text }) => (done.push(`tell ${pid} ${text}`), Promise.resolve({ ok: true, channel: "tmux", handed: true, detail: "told" })),
    alive: () => Promise.resolve(lives ? { alive: true } : { alive: false, detail: "it has ended", exit: 3 }),
    lastHumanInputAtMs: () => Promise.resolve(null),
    interrupt: () => Promise.resolve(),
    stop: (address) => (done.push(`stop ${"pid" in address ? address.pid : ""}`), Promise.resolve()),
    capture: () => Promise.resolve(""),
    running: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  }
  const hub = { begins: Promise.resolve() }
  const call = async (name: string): Promise<unknown> => {
    if (name === "session.list") return { sessions: [] }
    if (name !== "session.start") return {}
    await hub.begins
    return { session: `s_${String((sessions += 1)).padStart(26, "0")}` }
  }
  const keeper = new AgentKeeper(WANTED, {
    folder,
    hub: { call: call as Client["call"] },
    url: () => "http://127.0.0.1:1",
    workspace: "main",
    drivers: { tmux: driver, process: driver, acp: driver },
    marks: path,
    preset: () => ({ ...readerPreset("paste"), interactive: { start: ["reader"], resume: ["reader", "{session}"], chooseSession: null } }),
    numbers: SUPERVISOR_DEFAULTS,
    nowMs: () => nowMs,
    exhausted: () => Promise.resolve(0),
    told: () => {},
  })
  return { keeper, done, hub, died: () => void (lives = false), pass: (ms) => void (nowMs += ms) }
}

test("no wake is taken of an agent that runs and whose session has not begun: the hub takes it for asleep, and would have it started", async () => {
  const { keeper, hub } = kept()
  const { promise, resolve } = Promise.withResolvers<void>()
  hub.begins = promise
  expect(keeper.wakeable).toBe(true)
  const looking = keeper.look(WANTED)
  await until("it runs", () => keeper.running.state === "running")
  expect(keeper.wakeable).toBe(false)
  resolve()
  await looking
  expect(keeper.wakeable).toBe(true)
})

test("a wake that was taken while its agent was down is told to it where it was started meanwhile; one that it did not answer starts it anew", async () => {
  const { keeper, done, died, pass } = kept()
  await keeper.look(WANTED)
  died()
  await keeper.look(WANTED)
  const { starts } = keeper.running
  pass(SUPERVISOR_DEFAULTS.restartMs)
  await keeper.look(WANTED)
  expect(done.splice(0)).toEqual(["start 101", "stop 101", "start 102"])
  const wake = { trigger: "u1.0.ada", resume: true, prompt: "read it", nonce: "[skein:u1.0.ada]", quietMs: 0, beside: false }
  expect(await keeper.startFor({ ...wake, starts })).toMatchObject({ ok: true, session: keeper.running.session })
  expect(done.splice(0)).toEqual(["tell 102 read it"])
  expect(await keeper.startFor({ ...wake, starts: keeper.running.starts })).toMatchObject({ ok: true })
  expect(done).toEqual(["stop 102", "start 103"])
})
