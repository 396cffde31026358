import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, describe, expect, onTestFinished, test } from "vitest"
import { newPlace, readerPreset, started, tidyTerminals, until, withoutTmux } from "../../../test/terminal/terminals.ts"
import { removeServer } from "../../../test/left-running.ts"
import { ControlClient } from "./control.ts"
import { ForkingWay, quoted, type TmuxWay } from "./tmux-command.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

const language = process.env["LANG"]
afterEach(async () => {
  await tidyTerminals()
  speak(language)
})

function speak(lang: string | undefined): void {
  if (lang === undefined) delete process.env["LANG"]
  else process.env["LANG"] = lang
}

/** A tmux server and both ways to it, where no variable but LANG says how characters are written. */
async function ways(lang: string | undefined): Promise<{ forking: TmuxWay; control: TmuxWay }> {
  const socket = `skein-test-quoted-${process.pid}`
  const folder = mkdtempSync(join(tmpdir(), "skein-quoted-"))
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder, TMPDIR: tmpdir(), ...(lang === undefined ? {} : { LANG: lang }) }
  const forking = new ForkingWay("tmux", socket, env)
  expect(await forking.startServer(["new-session", "-d", "-s", "kept", "cat"])).toMatchObject({ ok: true })
  const control = new ControlClient({ tmux: "tmux", socket, session: "kept", env, onEnd: () => {} })
  onTestFinished(() => {
    control.close()
    spawnSync("tmux", ["-L", socket, "kill-server"])
    removeServer(socket)
    rmSync(folder, { recursive: true, force: true })
  })
  return { forking, control }
}

test.for([
  ["takes no SIGTERM", "trap '' TERM; i=0; while [ $((i += 1)) -lt 400 ]; do sleep 0.05; done"],
  ["leaves somebody behind who holds its output", "sleep 20 & sleep 20"],
  ["never stops complaining", "exec yes no >&2"],
])("a tmux that does not end, and %s, is ended, and told as that", async ([, does]) => {
  const folder = mkdtempSync(join(tmpdir(), "skein-no-tmux-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const tmux = join(folder, "tmux")
  writeFileSync(tmux, `#!/bin/sh\n${does}\n`, { mode: 0o755 })
  const way = new ForkingWay(tmux, "none", { PATH: process.env["PATH"] ?? "" }, 300)
  expect(await way.run({ words: ["list-sessions"] })).toEqual({ ok: false, error: "tmux has not ended within 0.3 s", lost: false })
})

const words = fc.string({ unit: fc.constantFrom("'", '"', "$", "\\", "#", "{", "}", ";", "~", "a", " ", "\n", "\r", "%", "ü", "鴈") })

describe.skipIf(withoutTmux !== null).for([undefined, "C", "C.UTF-8"])("where LANG is %s", (lang) => {
  test("tmux reads a quoted word back as it was, by a process or by control mode", async () => {
    const { forking, control } = await ways(lang)
    await fc.assert(
      fc.asyncProperty(words, async (word) => {
        for (const way of [forking, control]) {
          expect(await way.run({ words: ["set-environment", "-g", "WORD", word] })).toMatchObject({ ok: true })
          expect(await way.run({ words: ["show-environment", "-g", "WORD"] })).toEqual({ ok: true, lines: `WORD=${word}`.split("\n") })
        }
      }),
      { numRuns: 30, examples: [["\n"], ["a\n"], ["ü"]] },
    )
  })

  test.for([true, false])("an agent gets its arguments and its variables as they were given, ends of lines too (control mode: %s)", async (controlMode) => {
    speak(lang)
    const given = ["", "\n", "first\nsecond\n", "zwölf 鴈 '$HOME' \"`id`\" #{pane_id} ~ \\n;"]
    const place = newPlace({ controlMode })
    const script = 'require("node:fs").writeFileSync(process.argv[1], JSON.stringify([process.argv.slice(2), process.env.WORD])); setInterval(() => {}, 1000)'
    const file = join(place.folder, "given.json")
    const preset = readerPreset("paste")
    const telling = { ...preset, interactive: { ...preset.interactive, start: [process.execPath, "-e", script] as const } }
    await started(place, { ...place.launch("ada", "paste"), preset: telling, args: [file, ...given], env: { WORD: given.join("|") } })
    await until("it has told", () => spawnSync("test", ["-s", file]).status === 0)
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual([given, given.join("|")])
  })
})

test.skipIf(withoutTmux !== null)("a text lies in no file on its way: a supervisor that is killed leaves none", async () => {
  const place = newPlace()
  const before = process.env["TMPDIR"]
  const files = (process.env["TMPDIR"] = join(place.folder, "files"))
  mkdirSync(files)
  try {
    const address = await started({ ...place, driver: place.another() }, place.launch("ada", "paste"))
    await place.driver.deliver(address, { text: "a\nb", nonce: null, form: "body", quietMs: 0, acknowledged: () => false })
    expect(readdirSync(files)).toEqual([])
  } finally {
    if (before === undefined) delete process.env["TMPDIR"]
    else process.env["TMPDIR"] = before
  }
})

test("what no program can be given is refused", () => {
  expect(() => quoted("a\0b")).toThrow(RangeError)
})
