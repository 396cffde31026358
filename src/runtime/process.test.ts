import { execFile, spawn } from "node:child_process"
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { ProcessError, startProcess, type RunningProcess, type StartOptions } from "./process.ts"

let folder = ""
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein process "))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function start(options: Partial<StartOptions> & ({ command: string } | { argv: readonly [string, ...string[]] })): Promise<RunningProcess> {
  const child = await startProcess({ name: "goose", cwd: folder, ...options })
  onTestFinished(() => void child.kill())
  return child
}

/** Whether a process lives; one that is dead and waits to be reaped does not. */
async function lives(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""))
  } catch {
    return false
  }
}

/** For what a failing test may leave behind: a leader's pid is its group's id. */
function killGroupOf(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL")
  } catch {
    // It has none left, as it should.
  }
}

async function diesWithin(pid: number, ms: number): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; await pause(10)) if (!(await lives(pid))) return true
  return false
}

/** The processes of a group that live, from /proc, which only Linux has. */
async function membersOf(group: number): Promise<number[]> {
  const found: number[] = []
  for (const entry of await readdir("/proc")) {
    const line = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "") : ""
    const [state, , pgrp] = line.slice(line.lastIndexOf(")") + 2).split(" ")
    if (Number(pgrp) === group && state !== "Z") found.push(Number(entry))
  }
  return found
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function until<T>(look: () => T | undefined | Promise<T | undefined>, ms = 15_000): Promise<T> {
  for (const end = Date.now() + ms; Date.now() < end; await pause(10)) {
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error("it did not come about in time")
}

/** Who is killed is gone a moment later, each in its own time: the programs that a test knows, and the watcher that stands beside them. */
const isEmptied = (group: number): Promise<true> => until(async () => ((await membersOf(group)).length === 0 ? true : undefined))

const pidIn = (text: string, label: string): number | undefined => {
  const found = new RegExp(`^${label}=(\\d+)$`, "m").exec(text)
  return found === null ? undefined : Number(found[1])
}

describe("a child's end", () => {
  test("the exit status, the duration and both outputs are reported", async () => {
    const child = await start({ command: "echo out; echo err >&2; exit 7" })
    const exit = await child.exited
    expect(exit).toMatchObject({ code: 7, signal: null })
    expect(exit.durationMs).toBeGreaterThan(0)
    expect(child.tail("stdout")).toBe("out\n")
    expect(child.tail("stderr")).toBe("err\n")
    expect(child.alive()).toBe(false)
  })

  test("arguments reach the program as they are, without a shell reading them", async () => {
    const child = await start({ argv: ["printf", "%s|", "a b", "$HOME", "`id`", "*", "", "line\nline"] })
    await child.exited
    expect(child.tail("stdout")).toBe("a b|$HOME|`id`|*||line\nline|")
  })

  test("standard input is what was given, and empty where nothing was", async () => {
    const fed = await start({ argv: ["cat"], stdin: "grain\n" })
    const unfed = await start({ argv: ["cat"] })
    const deaf = await start({ argv: ["true"], stdin: "x".repeat(1_000_000) })
    expect([(await fed.exited).code, (await unfed.exited).code, (await deaf.exited).code]).toEqual([0, 0, 0])
    expect([fed.tail(), unfed.tail()]).toEqual(["grain\n", ""])
  })

  test("the child has no children and no descriptors but its own", async () => {
    // Read by the shell itself, so that at that moment it has no child of its own making.
    const child = await start({ command: 'read -r children < /proc/$$/task/$$/children; echo "children=$children"; exec ls /proc/self/fd' })
    await child.exited
    const [children, ...descriptors] = child.tail("stdout").trim().split("\n")
    expect(children).toBe("children=")
    // What an ordinary child has: the three streams, the folder that `ls` reads, and what the test runner itself was left with.
    const ordinary = await promisify(execFile)("ls", ["/proc/self/fd"])
    expect(descriptors).toEqual(ordinary.stdout.trim().split("\n"))
  })

  test("what the child left running in its group ends with it", async () => {
    const child = await start({ command: "sleep 300 >/dev/null 2>&1 & echo left=$!; sleep 300 & echo holding=$!" })
    const exit = await child.exited
    expect(exit).toMatchObject({ code: 0 })
    for (const name of ["left", "holding"]) expect(await diesWithin(pidIn(child.tail(), name) ?? 0, 15_000), name).toBe(true)
    expect(await isEmptied(child.pid)).toBe(true)
  })

  test("a program that left the group and holds the output cannot keep the child from being over", async () => {
    const child = await start({ command: "setsid sh -c 'echo away=$$; touch left; exec sleep 300' & until [ -e left ]; do sleep 0.02; done" })
    const away = await until(() => pidIn(child.tail(), "away"))
    onTestFinished(() => void process.kill(away, "SIGKILL"))
    const exit = await child.exited
    expect(exit).toMatchObject({ code: 0 })
    expect(await lives(away)).toBe(true)
  })
})

describe("stopping", () => {
  const family = `trap '' TERM; sh -c 'trap "" TERM; echo grandchild=$$; while :; do sleep 0.1; done' & echo ready; wait; wait`

  test("stop asks with SIGTERM and the child may end in its own way", async () => {
    const child = await start({ command: "trap 'echo tidied; exit 3' TERM; echo ready; while :; do sleep 0.05; done" })
    await until(() => (child.tail().includes("ready") ? true : undefined))
    expect(await child.stop()).toMatchObject({ code: 3, signal: null })
    expect(child.tail()).toContain("tidied")
  })

  test("stop kills the whole group, grandchildren too, when the grace is over", async () => {
    const child = await start({ command: family })
    const grandchild = await until(() => pidIn(child.tail(), "grandchild"))
    const stopped = child.stop({ graceMs: 2_000 })
    await pause(100)
    expect([child.alive(), await lives(grandchild)]).toEqual([true, true])
    expect(await stopped).toMatchObject({ code: null, signal: "SIGKILL" })
    expect(await diesWithin(grandchild, 15_000)).toBe(true)
    expect(await isEmptied(child.pid)).toBe(true)
  })

  test("a grandchild that outlives the child has the rest of the grace to end in its own way", async () => {
    const child = await start({ command: `sh -c 'trap "sleep 0.3; echo saved; exit" TERM; echo ready; while :; do sleep 0.05; done' & wait` })
    await until(() => (child.tail().includes("ready") ? true : undefined))
    await child.stop({ graceMs: 15_000 })
    expect(child.tail()).toContain("saved")
  })

  test("a second stop can shorten the grace and never lengthens it", async () => {
    const child = await start({ command: family })
    await until(() => pidIn(child.tail(), "grandchild"))
    const first = child.stop({ graceMs: 60_000 })
    const second = child.stop({ graceMs: 50 })
    const third = child.stop({ graceMs: 60_000 })
    const ends = await Promise.all([first, second, third])
    expect(ends.map((end) => end.signal)).toEqual(["SIGKILL", "SIGKILL", "SIGKILL"])
  })

  test("a child that is suspended can be stopped", async () => {
    const child = await start({ command: "echo ready; kill -STOP $$; sleep 300" })
    await until(() => (child.tail().includes("ready") ? true : undefined))
    expect(await child.stop({ graceMs: 15_000 })).toMatchObject({ signal: "SIGTERM" })
  })

  test("interrupt is SIGINT to the group", async () => {
    const child = await start({ command: "trap 'exit 130' INT; echo ready; while :; do sleep 0.05; done" })
    await until(() => (child.tail().includes("ready") ? true : undefined))
    child.interrupt()
    expect(await child.exited).toMatchObject({ code: 130 })
  })

  test("kill ends everything at once, and every call after the end is harmless", async () => {
    const child = await start({ command: family })
    const grandchild = await until(() => pidIn(child.tail(), "grandchild"))
    expect(await child.kill()).toMatchObject({ signal: "SIGKILL" })
    expect(await diesWithin(grandchild, 15_000)).toBe(true)
    child.interrupt()
    expect(await child.stop()).toEqual(await child.kill())
  })
})

describe("the parent's death", () => {
  test("the whole group ends when the parent is killed with SIGKILL, also what ignores SIGTERM", async () => {
    const program = `
      import { startProcess } from ${JSON.stringify(new URL("./process.ts", import.meta.url).href)}
      const onOutput = ({ text }) => process.stdout.write(text)
      const stubborn = \`trap '' TERM INT HUP; sh -c 'trap "" TERM; echo grandchild=$$; while :; do sleep 0.1; done' & echo child=$$; while :; do sleep 0.1; done\`
      await startProcess({ name: "stubborn", command: stubborn, cwd: "/", onOutput })
      const stopping = await startProcess({ name: "stopping", command: "trap '' TERM; echo stopping=$$; while :; do sleep 0.1; done", cwd: "/", onOutput: (chunk) => { void stopping.stop({ graceMs: 600_000 }); onOutput(chunk) } })
      await startProcess({ name: "plain", command: "echo plain=$$; exec sleep 300", cwd: "/", onOutput })
      await startProcess({ name: "closed", command: "echo closed=$$; exec sleep 300 >/dev/null 2>&1", cwd: "/", onOutput })
    `
    const parent = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "pipe", "inherit"] })
    onTestFinished(() => void parent.kill("SIGKILL"))
    const pids: Record<string, number> = {}
    onTestFinished(() => Object.values(pids).forEach(killGroupOf))
    const wanted = ["child", "grandchild", "stopping", "plain", "closed"]
    for await (const line of createInterface(parent.stdout)) {
      const [label = "", pid = ""] = line.split("=")
      pids[label] = Number.parseInt(pid, 10)
      if (wanted.every((name) => name in pids)) break
    }
    for (const name of wanted) expect(await lives(pids[name] ?? 0), name).toBe(true)
    await pause(100)
    for (const name of wanted) expect(await lives(pids[name] ?? 0), name).toBe(true)

    parent.kill("SIGKILL")
    for (const name of wanted) expect(await diesWithin(pids[name] ?? 0, 15_000), name).toBe(true)
    for (const name of ["child", "stopping", "plain", "closed"]) expect(await isEmptied(pids[name] ?? 0), name).toBe(true)
  })
})

describe("the environment", () => {
  test("a secret of the parent does not reach the child, what is declared does", async () => {
    process.env["SKEIN_TEST_SECRET"] = "swordfish"
    onTestFinished(() => void delete process.env["SKEIN_TEST_SECRET"])
    const child = await start({ argv: ["env"], env: { GREETING: "hello there", TERM: "dumb" } })
    await child.exited
    const names = child
      .tail("stdout")
      .trim()
      .split("\n")
      .map((line) => line.slice(0, line.indexOf("=")))
    expect(child.tail()).not.toContain("swordfish")
    expect(child.tail()).toContain("GREETING=hello there\n")
    expect(child.tail()).toContain("TERM=dumb\n")
    // The launcher's shell may add PWD, OLDPWD, SHLVL and _, which tell nothing.
    expect(names.filter((name) => !["PATH", "HOME", "LANG", "TERM", "TMPDIR", "GREETING", "PWD", "OLDPWD", "SHLVL", "_"].includes(name))).toEqual([])
  })

  test.each([
    ["a name with a dash", { "not-a-name": "x" }],
    ["an empty name", { "": "x" }],
    ["a value with a NUL byte", { NAME: "a\0b" }],
  ])("%s is refused", async (_, env) => {
    await expect(start({ command: "true", env })).rejects.toMatchObject({ name: "ProcessError", code: "declaration_invalid" })
  })
})

describe("output", () => {
  test("control characters are data and come through unchanged", async () => {
    const child = await start({ command: String.raw`printf '\033[31mred\033[0m\a\b\r\177'` })
    await child.exited
    expect(child.tail("stdout")).toBe("\u001b[31mred\u001b[0m\u0007\b\r\u007f")
  })

  test("a character that arrives in two pieces is whole", async () => {
    const pieces: string[] = []
    const child = await start({ command: String.raw`printf '\342\202'; sleep 0.1; printf '\254\n'`, onOutput: ({ text }) => pieces.push(text) })
    await child.exited
    expect(pieces.join("")).toBe("€\n")
  })

  test("beyond the limit output is counted and dropped, the log says so, and the child is not held up", async () => {
    const logFile = join(folder, "capped.log")
    let handedOn = ""
    const child = await start({
      command: "yes 0123456789abcde | head -c 5000000; echo the end >&2",
      logFile,
      outputMaxBytes: 1_000,
      onOutput: ({ text }) => (handedOn += text),
    })
    expect(await child.exited).toMatchObject({ code: 0 })
    expect(child.output()).toMatchObject({ bytes: 5_000_008, cut: true, logError: null })
    expect(handedOn).toHaveLength(1_000)
    expect(await readFile(logFile, "utf8")).toBe(`${handedOn}\n[output cut at 1000 bytes]\n`)
    expect(child.tail("stderr")).toBe("the end\n")
    expect(child.tail("stdout")).toHaveLength(32_768)
    expect((await stat(logFile)).mode & 0o777).toBe(0o600)
  })

  test("a log that cannot be written is reported and takes nothing down", async () => {
    const child = await start({ command: "echo fine", logFile: join(folder, "no such folder", "x.log") })
    expect(await child.exited).toMatchObject({ code: 0 })
    expect(child.tail()).toBe("fine\n")
    expect(child.output().logError?.message).toContain("ENOENT")
  })
})

describe("a child that cannot be started", () => {
  test.each([
    ["a program that is not there", { argv: ["no-such-goose"] as const }, "program_missing"],
    ["a path that is not there", { argv: ["./no-such-goose"] as const }, "program_missing"],
    ["a file that is not executable", { argv: ["./plain.txt"] as const }, "program_not_executable"],
    ["a folder in the place of a program", { argv: ["/"] as const }, "program_not_executable"],
    ["a working directory that is not there", { argv: ["true"] as const, cwd: "/no/such/folder" }, "directory_unusable"],
    ["a working directory that is a file", { argv: ["true"] as const, cwd: "/etc/passwd" }, "directory_unusable"],
    ["an argument with a NUL byte", { argv: ["echo", "a\0b"] as const }, "declaration_invalid"],
    ["an argument that is longer than the kernel takes", { argv: ["echo", "x".repeat(4_000_000)] as const }, "start_failed"],
  ])("%s is an error with a code and a remedy", async (_, options, code) => {
    await writeFile(join(folder, "plain.txt"), "text")
    await chmod(join(folder, "plain.txt"), 0o644)
    const error: unknown = await start(options).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ProcessError)
    expect(error).toMatchObject({ code })
    expect((error as ProcessError).message).toContain("goose")
    expect((error as ProcessError).remedy).toMatch(/\.$/)
  })

  test("a program is looked for in the PATH that the child will have", async () => {
    const script = join(folder, "only-here")
    await writeFile(script, "#!/bin/sh\necho found\n")
    await chmod(script, 0o755)
    const child = await start({ argv: ["only-here"], env: { PATH: `/no/such:${folder}:/usr/bin:/bin` } })
    await child.exited
    expect(child.tail()).toBe("found\n")
    await expect(start({ argv: ["only-here"], env: { PATH: "/usr/bin:/bin" } })).rejects.toMatchObject({ code: "program_missing" })
  })
})
