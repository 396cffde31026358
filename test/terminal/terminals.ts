import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { TestContext } from "vitest"
import type { Address, Delivery, DriverEvents, Launch } from "../../src/runtime/driver.ts"
import type { AgentPreset, ScreenFacts } from "../../src/runtime/presets/preset.ts"
import { TmuxDriver } from "../../src/runtime/tmux/tmux-driver.ts"
import { removeServer } from "../left-running.ts"

/** Null where tmux is, else what a run without it has to say. */
export const withoutTmux: string | null =
  spawnSync("tmux", ["-V"]).status === 0 ? null : "SKIPPED: nothing is typed into terminals, since there is no tmux: apt-get install tmux"

export type Mode = "paste" | "plain" | "readline"
export type Scene = "menu" | "slow" | "stubborn"

/** Of the texts that each kind of reader gets, in bytes. */
export const SIZES: readonly number[] = [60, 1_500, 8_000]
export const DELIVERIES_OF_A_SIZE = Number(process.env["SKEIN_TEST_DELIVERIES"] ?? 68)

const READER = resolve("test/terminal/line-reader.mjs")

export function readerPreset(mode: Mode, facts: Partial<ScreenFacts> = {}): AgentPreset {
  return {
    name: `reader-${mode}`,
    interactive: { start: [process.execPath, READER, mode], resume: null, chooseSession: null },
    screen: {
      ready: ["^ready for input"],
      menus: ["^❯ 1\\. Yes"],
      exhausted: ["hit your usage limit"],
      emptyInput: "^> $",
      bracketedPaste: mode === "paste",
      enterAfterMs: mode === "paste" ? 150 : 30,
      readyWithinMs: 10_000,
      ...facts,
    },
    headless: null,
    acp: null,
    native: null,
  }
}

export type Place = {
  driver: TmuxDriver
  folder: string
  socket: string
  /** Runs tmux as a person would, and gives back what it wrote. */
  tmux(...args: string[]): string
  launch(agent: string, mode: Mode, scene?: Scene): Launch
  /** What has reached the model of an agent. */
  heard(agent: string): { text?: string; answered?: string }[]
  /** A driver as a supervisor that was started again has it. */
  another(): TmuxDriver
}

const opened: { driver: TmuxDriver; socket: string; folder: string }[] = []

export function newPlace(options: { controlMode?: boolean; events?: DriverEvents } = {}, presets: readonly AgentPreset[] = []): Place {
  const socket = `skein-test-${randomBytes(5).toString("hex")}`
  const folder = mkdtempSync(join(tmpdir(), "skein-terminal-"))
  const known = [...presets, readerPreset("paste"), readerPreset("plain"), readerPreset("readline")]
  const another = (): TmuxDriver => {
    const driver = new TmuxDriver({ socket, workspace: "main", preset: (name) => known.find((one) => one.name === name) ?? null, ...options })
    opened.push({ driver, socket, folder })
    return driver
  }
  const fileOf = (agent: string): string => join(folder, `${agent}.jsonl`)
  return {
    driver: another(),
    folder,
    socket,
    tmux: (...args) => spawnSync("tmux", ["-L", socket, ...args], { encoding: "utf8", timeout: 10_000 }).stdout,
    launch: (agent, mode, scene) => ({
      agent,
      preset: known.find(({ name }) => name === `reader-${mode}`) ?? readerPreset(mode),
      args: [fileOf(agent), ...(scene === undefined ? [] : [scene])],
      cwd: folder,
      env: {},
      resumeId: null,
      prompt: null,
    }),
    heard: (agent) =>
      existsSync(fileOf(agent))
        ? readFileSync(fileOf(agent), "utf8")
            .split("\n")
            // The last piece is empty, or a line that is being written.
            .slice(0, -1)
            .map((line) => JSON.parse(line) as { text?: string; answered?: string })
        : [],
    another,
  }
}

/** A place that ends with its test, and not with the tests that run beside it. */
export function placeOf({ onTestFinished }: Pick<TestContext, "onTestFinished">, ...given: Parameters<typeof newPlace>): Place {
  const place = newPlace(...given)
  onTestFinished(() => tidy(place.socket))
  return place
}

export async function tidyTerminals(): Promise<void> {
  for (const { socket } of [...opened]) await tidy(socket)
}

/** Ends one place with all drivers that it has. */
async function tidy(of: string): Promise<void> {
  for (const one of opened.filter(({ socket }) => socket === of)) {
    const { driver, socket, folder } = one
    opened.splice(opened.indexOf(one), 1)
    await driver.close()
    spawnSync("tmux", ["-L", socket, "kill-server"])
    removeServer(socket)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

export async function started(place: Place, launch: Launch): Promise<Extract<Address, { channel: "tmux" }>> {
  const one = await place.driver.start(launch)
  if (!one.ok || one.address.channel !== "tmux") throw new Error(`not started: ${JSON.stringify(one)}`)
  return one.address
}

export function delivery(text: string, given: Partial<Delivery> = {}): Delivery {
  return { text, nonce: null, form: "nudge", quietMs: 20_000, acknowledged: () => false, ...given }
}

export async function until(what: string, isSo: () => boolean | Promise<boolean>, maxMs = 45_000): Promise<void> {
  const endsAt = performance.now() + maxMs
  while (!(await isSo())) {
    if (performance.now() > endsAt) throw new Error(`not so after ${maxMs} ms: ${what}`)
    await new Promise((settle) => {
      setTimeout(settle, 20)
    })
  }
}
