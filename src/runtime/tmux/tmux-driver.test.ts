import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { DELIVERIES_OF_A_SIZE, delivery, placeOf, readerPreset, SIZES, started, until, withoutTmux } from "../../../test/terminal/terminals.ts"
import { processTable } from "../process-table.ts"
import { bornOf } from "../supervisor-folder.ts"
import { OWNER, serversOf } from "./leftover.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

/** Texts that a shell in an agent's pane is to be spared. */
const SHELL_DELIVERIES = DELIVERIES_OF_A_SIZE * SIZES.length

describe.skipIf(withoutTmux !== null)("an agent in a terminal", { concurrent: true }, () => {
  test("is started in a window of its own, is found alive, and is ended with all that it started", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    expect(await place.driver.alive(address)).toEqual({ alive: true, untold: false })
    expect(place.tmux("list-windows", "-t", "main", "-F", "#{window_name}").trim()).toBe("ada")
    await until("it is ready", async () => (await place.driver.capture(address)).includes("ready for input"))
    await place.driver.stop(address, { graceMs: 2_000 })
    expect(await place.driver.alive(address)).toMatchObject({ alive: false })
    expect(() => process.kill(address.pid, 0)).toThrow("ESRCH")
  })

  test("takes a text of several lines as one, and nothing of it is a key", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    const evil = "one \u001b[201~\r/die\u0003 two\u0000\u009b3~\n\tthree"
    expect(await place.driver.deliver(address, delivery(evil))).toMatchObject({ ok: true, handed: true, channel: "tmux" })
    await until("the model has it", () => place.heard("ada").length === 1)
    expect(place.heard("ada")).toEqual([{ text: "one [201~\n/die two3~\n three" }])
    expect(await place.driver.alive(address)).toEqual({ alive: true, untold: false })
  })

  test("without bracketed paste gets its lines joined, so that they are one text", async (context) => {
    const place = placeOf(context)
    for (const mode of ["plain", "readline"] as const) {
      const address = await started(place, place.launch(mode, mode))
      await place.driver.deliver(address, delivery("first line\nsecond line"))
      await until("the model has it", () => place.heard(mode).length === 1)
      expect(place.heard(mode)).toEqual([{ text: "first line second line" }])
    }
  })

  test("that is not ready yet is waited for: what it would swallow is not sent", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste", "slow"))
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: true })
    await until("the model has it", () => place.heard("ada").length === 1)
  })

  test("that asks something gets nothing typed, at the start or later", async (context) => {
    const place = placeOf(context)
    const asking = await started(place, place.launch("ada", "paste", "menu"))
    expect(await place.driver.deliver(asking, delivery("wake up"))).toMatchObject({ ok: false, code: "MENU_OPEN" })
    const later = await started(place, place.launch("bob", "paste"))
    await place.driver.deliver(later, delivery("/menu"))
    await until("it asks", async () => (await place.driver.capture(later)).includes("1. Yes"))
    expect(await place.driver.deliver(later, delivery("wake up"))).toMatchObject({ ok: false, code: "MENU_OPEN" })
    expect([...place.heard("ada"), ...place.heard("bob")].filter(({ answered }) => answered !== undefined)).toEqual([])
  })

  test("whose account is used up is not asked again", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await place.driver.deliver(address, delivery("/out"))
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "QUOTA_EXHAUSTED" })
  })

  test("in copy mode gets nothing: tmux would swallow it", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await until("it is ready", async () => (await place.driver.capture(address)).includes("ready for input"))
    place.tmux("copy-mode", "-t", address.pane)
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "COPY_MODE" })
    place.tmux("send-keys", "-t", address.pane, "-X", "cancel")
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: true })
  })

  test("with a draft in its input keeps it", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await until("it is ready", async () => (await place.driver.capture(address)).includes("ready for input"))
    place.tmux("send-keys", "-t", address.pane, "-l", "half a thought")
    await until("the draft is there", async () => (await place.driver.capture(address)).includes("half a thought"))
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "DRAFT_PRESENT" })
    place.tmux("send-keys", "-t", address.pane, "Enter")
    await until("the person has sent it", () => place.heard("ada").length === 1)
    expect(place.heard("ada")).toEqual([{ text: "half a thought" }])
  })

  test("gets Enter again while its text stands unsent, at most twice", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste", "stubborn"))
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: true, detail: "7 bytes pasted, Enter 2 times" })
    expect(place.heard("ada")).toEqual([{ text: "wake up" }])
  })

  test("that is held up gets Enter only once the text stands in its input: both at once would be one paste", async (context) => {
    const preset = readerPreset("paste")
    // tmux lets its own child go on at once where that is stopped, but not a grandchild.
    const start = ["/bin/sh", "-c", '"$@"; exit 0', "sh", ...preset.interactive.start] as const
    const wrapped = { ...preset, name: "wrapped", interactive: { ...preset.interactive, start } }
    const place = placeOf(context, {}, [wrapped])
    const address = await started(place, { ...place.launch("ada", "paste"), preset: wrapped })
    await until("its prompt stands there", async () => /^>/m.test(await place.driver.capture(address)))
    const reader = (await processTable()).find(({ parent }) => parent === address.pid)?.pid ?? 0
    expect(reader).toBeGreaterThan(1)
    process.kill(reader, "SIGSTOP")
    setTimeout(() => process.kill(reader, "SIGCONT"), 1_000)
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: true, detail: "7 bytes pasted, Enter once" })
    await until("the model has it", () => place.heard("ada").length === 1)
    expect(place.heard("ada")).toEqual([{ text: "wake up" }])
  })

  test("that was left with a text unsent gets it sent, not typed again: its nonce says so", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await until("it is ready", async () => (await place.driver.capture(address)).includes("ready for input"))
    // As after a crash between paste and Enter.
    place.tmux("set-buffer", "-b", "crash", "wake up [n-4711]")
    place.tmux("paste-buffer", "-p", "-b", "crash", "-t", address.pane)
    await until("it stands there", async () => (await place.driver.capture(address)).includes("n-4711"))
    const wake = delivery("wake up [n-4711]", { nonce: "n-4711" })
    expect(await place.another().deliver(address, wake)).toMatchObject({ ok: true, detail: "its text stood in the input already, Enter once" })
    await until("the model has it", () => place.heard("ada").length === 1)
    expect(place.heard("ada")).toEqual([{ text: "wake up [n-4711]" }])
  })

  test("whose input holds an earlier wake that was never sent gets that one sent, and its own next", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await until("its prompt stands there", async () => /^>/m.test(await place.driver.capture(address)))
    place.tmux("set-buffer", "-b", "crash", "read it [skein:u1.2.ada]")
    place.tmux("paste-buffer", "-p", "-b", "crash", "-t", address.pane)
    await until("it stands there", async () => (await place.driver.capture(address)).includes("u1.2.ada"))
    // The supervisor that left it was killed a while ago: an Enter right after a paste is taken as part of it.
    await new Promise((settle) => setTimeout(settle, 300))
    const next = delivery("read it [skein:u2.3.ada]", { nonce: "[skein:u2.3.ada]" })
    expect(await place.driver.deliver(address, next)).toMatchObject({ ok: false, code: "DRAFT_PRESENT" })
    await until("the earlier one is sent", () => place.heard("ada").length === 1)
    expect(await place.driver.deliver(address, next)).toMatchObject({ ok: true })
    await until("both have come", () => place.heard("ada").length === 2)
    expect(place.heard("ada")).toEqual([{ text: "read it [skein:u1.2.ada]" }, { text: "read it [skein:u2.3.ada]" }])
  })

  test("that has died is told apart from one that lives, and from another in its place", async (context) => {
    const ended: unknown[] = []
    const place = placeOf(context, { events: { ended: (...what) => ended.push(what) } })
    const address = await started(place, place.launch("ada", "paste"))
    await place.driver.deliver(address, delivery("/die"))
    await until("it is dead", async () => !(await place.driver.alive(address)).alive)
    expect(await place.driver.alive(address)).toEqual({ alive: false, detail: "the agent has ended", exit: 3 })
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "PANE_DEAD" })
    await until("the poll tells it", () => ended.length > 0)
    expect(ended).toEqual([["ada", 3, "the agent has ended"]])
    place.tmux("respawn-pane", "-t", address.pane, "cat")
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "PANE_DEAD" })
    expect(await place.driver.capture(address)).not.toContain("wake up")
  })

  test("that takes long to end once its terminal is closed has the status that it ended with", async (context) => {
    const place = placeOf(context)
    const { preset, ...rest } = place.launch("ada", "paste")
    // As a process of many threads does on a machine without time for it.
    const start = ["/bin/sh", "-c", "trap '' HUP; exec <&- >&- 2>&-; sleep 2; exit 0"] as const
    const address = await started(place, { ...rest, preset: { ...preset, interactive: { ...preset.interactive, start } } })
    await until("its terminal is closed", () => place.tmux("display-message", "-p", "-t", address.pane, "#{pane_dead}").trim() === "1")
    expect(await place.driver.alive(address)).toEqual({ alive: false, detail: "the agent has ended", exit: 0 })
  })

  test("that has died and left a shell gets nothing typed, and nothing is run", { timeout: 60_000 + SHELL_DELIVERIES * 1_000 }, async (context) => {
    const preset = readerPreset("paste")
    const shell = {
      ...preset,
      name: "wrapped",
      interactive: { ...preset.interactive, start: ["/bin/sh", "-c", '"$@"; exec sh -i', "sh", ...preset.interactive.start] as const },
    }
    const place = placeOf(context, {}, [shell])
    const address = await started(place, { ...place.launch("ada", "paste"), preset: shell })
    expect(await place.driver.deliver(address, delivery("hello"))).toMatchObject({ ok: true })
    await until("the model has it", () => place.heard("ada").length === 1)
    await place.driver.deliver(address, delivery("/die"))
    await until("the shell is there", async () => /^[$#] ?$/m.test(await place.driver.capture(address)))
    for (let times = 0; times < SHELL_DELIVERIES; times += 1) {
      const text = `touch ${place.folder}/it-was-run # `.padEnd(SIZES[times % SIZES.length] ?? 60, "x")
      expect(await place.driver.deliver(address, delivery(text, { form: "body", quietMs: 0 }))).toMatchObject({ ok: false, code: "PANE_DEAD" })
    }
    expect(await place.driver.capture(address)).not.toContain("touch")
    expect(existsSync(`${place.folder}/it-was-run`)).toBe(false)
  })

  test("is left in peace while a person types there, unless the operator forces it", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await until("it is ready", async () => (await place.driver.capture(address)).includes("ready for input"))
    expect(await place.driver.lastHumanInputAtMs(address)).toBeNull()
    // A terminal of its own for the person: script(1) makes one.
    const person = spawn("script", ["-qec", `tmux -L ${place.socket} attach -t main`, "/dev/null"], {
      stdio: ["pipe", "ignore", "ignore"],
      env: { ...process.env, TERM: "xterm" },
    })
    try {
      await until("the person is there", () => place.tmux("list-clients", "-F", "#{client_control_mode}").includes("0"))
      person.stdin.write("hm\u007f\u007f")
      await until("it is noticed", async () => (await place.driver.lastHumanInputAtMs(address)) !== null)
      expect(Math.abs(((await place.driver.lastHumanInputAtMs(address)) ?? 0) - Date.now())).toBeLessThan(5_000)
      expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "OPERATOR_BUSY" })
      expect(place.heard("ada")).toEqual([])
      expect(await place.driver.deliver(address, delivery("forced", { quietMs: 0 }))).toMatchObject({ ok: true })
      await until("the model has it", () => place.heard("ada").length === 1)
    } finally {
      person.kill("SIGKILL")
    }
  })

  test("outlives its supervisor, and the next one finds it", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await place.driver.close()
    const next = place.another()
    expect(await next.running()).toEqual([address])
    expect(await next.deliver(address, delivery("still there?"))).toMatchObject({ ok: true })
    expect(await next.start(place.launch("ada", "paste"))).toMatchObject({ ok: false, code: "SPAWN_FAILED" })
  })

  test("is reached by processes when the control client dies, and by control mode again later", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    await until("control mode is up", () => place.driver.server.mode === "control")
    process.kill(place.driver.server.controlPid ?? 0, "SIGKILL")
    await until("it is noticed", () => place.driver.server.mode === "forking")
    expect(await place.driver.deliver(address, delivery("one"))).toMatchObject({ ok: true })
    await until("control mode is back", async () => (await place.driver.alive(address)).alive && place.driver.server.mode === "control")
    expect(await place.driver.deliver(address, delivery("two"))).toMatchObject({ ok: true })
    await until("both have come", () => place.heard("ada").length === 2)
  })

  test("that was lost with its tmux server is dead, and can be started again", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    place.tmux("kill-server")
    await until("it is noticed", async () => !(await place.driver.alive(address)).alive)
    expect(await place.driver.deliver(address, delivery("wake up"))).toMatchObject({ ok: false, code: "PANE_DEAD" })
    const again = await started(place, place.launch("ada", "paste"))
    expect(await place.driver.deliver(again, delivery("wake up"))).toMatchObject({ ok: true })
  })

  test("is started although its old server cannot end, for a client of a supervisor that was killed while it was told something", async (context) => {
    const place = placeOf(context)
    const address = await started(place, place.launch("ada", "paste"))
    // What it is told is not taken by anybody, and its owner is another.
    const client = spawn("tmux", ["-L", place.socket, "-C", "attach", "-t", "=hubctl"], {
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...process.env, [OWNER]: "1" },
    })
    client.stdin.on("error", () => {})
    client.stdout.pause()
    client.stdin.write("list-keys\n".repeat(200))
    await until("it is attached", () => place.tmux("list-clients", "-F", "#{client_pid}").split("\n").includes(String(client.pid)))
    place.tmux("kill-server")
    await until("it is noticed", async () => !(await place.driver.alive(address)).alive)
    expect(serversOf(place.socket)).toHaveLength(1)
    const again = await started(place, place.launch("ada", "paste"))
    expect(await place.driver.deliver(again, delivery("wake up"))).toMatchObject({ ok: true })
    await until("the old server has ended", () => serversOf(place.socket).length === 1)
    expect(bornOf(client.pid as number)).toBeNull()
    await place.driver.stop(again)
    await place.driver.close()
    expect(serversOf(place.socket)).toEqual([])
  })

  test("is not started where its program or folder is missing", async (context) => {
    const place = placeOf(context)
    const launch = place.launch("ada", "paste")
    expect(await place.driver.start({ ...launch, binary: "no-such-agent" })).toMatchObject({ ok: false, code: "SPAWN_FAILED", lacking: true })
    expect(await place.driver.start({ ...launch, cwd: `${place.folder}/nowhere` })).toMatchObject({ ok: false, code: "SPAWN_FAILED", lacking: true })
    expect(await place.driver.start({ ...launch, resumeId: "7" })).toMatchObject({ ok: false, code: "RESUME_FAILED" })
  })

  test("has its variables for itself: no other agent has them, and tmux tells them to nobody", async (context) => {
    const place = placeOf(context)
    await started(place, { ...place.launch("ada", "paste"), env: { AGENT_KEY: "s3cret" } })
    const bob = await started(place, place.launch("bob", "paste"))
    await until("it is itself", () => readFileSync(`/proc/${bob.pid}/cmdline`, "utf8").includes("line-reader"))
    const told = ["show-messages", "show-environment", "show-environment -g"].map((words) => place.tmux(...words.split(" "), "-t", "main"))
    expect([readFileSync(`/proc/${bob.pid}/environ`, "utf8"), ...told].filter((text) => text.includes("s3cret"))).toEqual([])
  })

  test("gets its environment without any process showing it among its arguments", async (context) => {
    for (const controlMode of [true, false]) {
      const place = placeOf(context, { controlMode })
      const secret = `s'e\\c"r$et-${Math.random()}`
      const address = await started(place, { ...place.launch("ada", "paste"), env: { AGENT_KEY: secret } })
      // A moment ago it was still tmux.
      await until("it has its key", () => readFileSync(`/proc/${address.pid}/environ`, "utf8").split("\0").includes(`AGENT_KEY=${secret}`))
      const shown = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && argumentsOf(pid).includes(secret))
      expect(shown).toEqual([])

      function argumentsOf(pid: string): string {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, "utf8")
        } catch {
          return ""
        }
      }
    }
  })
})
