import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest"
import { runTask, type RunnableTask, type TaskRunOptions, type TaskRunResult } from "./task-run.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "skein run "))
  mkdirSync(join(folder, "cwd"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function run(task: Partial<RunnableTask>, options: Partial<TaskRunOptions> = {}): Promise<TaskRunResult> {
  const whole: RunnableTask = { id: "check.1/size", title: "Size", plan: "check.1", fence: 42, run: null, env: {}, gates: [], ...task }
  return runTask({ task: whole, agent: "goose", cwd: join(folder, "cwd"), workDir: join(folder, "work"), inputs: {}, graceMs: 300, ...options })
}

const command = (line: string, options?: Partial<TaskRunOptions>, task: Partial<RunnableTask> = {}): Promise<TaskRunResult> =>
  run({ run: { command: line }, ...task }, options)

/** Whether the process whose id the file holds lives on; a dead one that waits to be reaped does not. */
function livesOn(pidFile: string): boolean {
  const pid = readFileSync(join(folder, "cwd", pidFile), "utf8").trim()
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

/** Whether it has run and is reaped: whoever started it has heard of its end. */
function hasEnded(pidFile: string): boolean {
  const file = join(folder, "cwd", pidFile)
  return existsSync(file) && readFileSync(file, "utf8").endsWith("\n") && !existsSync(`/proc/${readFileSync(file, "utf8").trim()}`)
}

async function gone(pidFile: string): Promise<boolean> {
  for (const end = Date.now() + 15_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 10))) if (!livesOn(pidFile)) return true
  return false
}

describe("a command", () => {
  test("that exits with 0 is done, and delivers its stdout", async () => {
    const result = await command("pwd; echo noise >&2")
    expect(result).toMatchObject({ ok: true, outcome: "done", exitCode: 0, reason: null, usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 } })
    expect(result.deliverable).toEqual({ text: `${join(folder, "cwd")}\n`, files: [] })
    expect(result.evidence).toEqual({ testsPass: null, commit: null, links: [] })
    expect(result.durationMs).toBeGreaterThan(0)
    expect(readFileSync(join(folder, "work", "output.log"), "utf8")).toContain("noise\n")
    expect(statSync(join(folder, "work")).mode & 0o777).toBe(0o700)
  })

  test("given as arguments is not read by a shell", async () => {
    expect((await run({ run: { argv: ["printf", "%s", "$HOME; `id`"] } })).deliverable?.text).toBe("$HOME; `id`")
    expect(await run({ run: { argv: [] } }, { workDir: join(folder, "other") })).toMatchObject({ outcome: "failed", reason: "`run.argv` is empty" })
  })

  test("may write its deliverable, its evidence and files of its own", async () => {
    const line = `echo ignored; echo '# Report' > "$SKEIN_OUT/deliverable.md"; echo '{"testsPass":true,"commit":"abcdef0"}' > "$SKEIN_OUT/evidence.json"; touch "$SKEIN_OUT/plot.svg"`
    const result = await command(line)
    expect(result).toMatchObject({
      ok: true,
      deliverable: { text: "# Report\n", files: ["plot.svg"] },
      evidence: { testsPass: true, commit: "abcdef0", links: [] },
    })
  })

  test("whose evidence cannot be read has failed, though it exited with 0", async () => {
    const result = await command(`echo '{"testsPass":"yes"}' > "$SKEIN_OUT/evidence.json"`)
    expect(result).toMatchObject({ ok: false, outcome: "failed", exitCode: 0, reason: expect.stringContaining("evidence.json") as string })
  })

  test("whose own evidence says that tests fail has failed: the hub would refuse it", async () => {
    const result = await command(`echo found it; echo '{"testsPass":false}' > "$SKEIN_OUT/evidence.json"`)
    expect(result).toMatchObject({ ok: false, outcome: "failed", deliverable: { text: "found it\n" }, evidence: { testsPass: false } })
    expect(result.reason).toContain("tests")
  })

  test("sees who and what it is for, what is declared and what it builds on; and nothing else of ours", async () => {
    process.env["SKEIN_TEST_SECRET"] = "swordfish"
    onTestFinished(() => void delete process.env["SKEIN_TEST_SECRET"])
    const inputs = { history: { title: "History", text: "42 commits\n", evidence: { testsPass: null, commit: "abcdef0", links: [] } } }
    const hub = { url: "http://127.0.0.1:4711", tokenFile: "/run/token" }
    const result = await command('env | grep -v "^PWD=" | sort; cat "$SKEIN_INPUTS"', { inputs, hub }, { env: { COLOUR: "grey", SKEIN_FENCE: "forged" } })
    const [variables = "", json = ""] = result.deliverable?.text.split(/^(?=\{)/m) ?? []
    const seen = Object.fromEntries(
      variables
        .trim()
        .split("\n")
        .map((line) => line.split("=")),
    )
    expect(seen).toMatchObject({
      SKEIN_TASK: "check.1/size",
      SKEIN_PLAN: "check.1",
      SKEIN_AGENT: "goose",
      SKEIN_FENCE: "42",
      SKEIN_OUT: join(folder, "work", "out"),
    })
    expect(seen).toMatchObject({ SKEIN_URL: hub.url, SKEIN_TOKEN_FILE: hub.tokenFile, COLOUR: "grey" })
    expect(variables).not.toContain("swordfish")
    expect(JSON.parse(json)).toEqual(inputs)
    expect(statSync(join(folder, "work", "inputs.json")).mode & 0o777).toBe(0o600)
  })

  test("that fails is failed with its exit status and the last lines of its stderr, free of control characters", async () => {
    const result = await command(String.raw`seq 100 >&2; printf '\033[31mboom\033[0m\007\n' >&2; exit 3`)
    expect(result).toMatchObject({ ok: false, outcome: "failed", exitCode: 3, deliverable: null })
    expect(result.reason).toBe(`it exited with 3: ${[90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100].join("\n")}\nboom`)
    expect(await command("echo only here; exit 1", { workDir: join(folder, "b") })).toMatchObject({ reason: "it exited with 1: only here" })
    expect((await command("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", { workDir: join(folder, "c") })).reason?.length).toBeLessThan(1_100)
    // A reason is at most 4,096 bytes in the contract.
    const long = await command("true", { workDir: join(folder, "e"), cwd: `/${"渡".repeat(3_000)}` })
    expect(Buffer.byteLength(long.reason ?? "")).toBeLessThanOrEqual(4_096)
    expect(await command("kill -SEGV $$", { workDir: join(folder, "d") })).toMatchObject({
      outcome: "failed",
      exitCode: null,
      reason: "it was killed by SIGSEGV",
    })
  })

  test("that exits with 75 is throttled, not failed", async () => {
    expect(await command("echo quota >&2; exit 75")).toMatchObject({
      ok: false,
      outcome: "throttled",
      exitCode: 75,
      reason: "it asked to be tried later (exit status 75): quota",
    })
  })

  test("that cannot be started has failed, with the remedy", async () => {
    expect(await run({ run: { argv: ["no-such-goose"] } })).toMatchObject({
      outcome: "failed",
      exitCode: null,
      reason: expect.stringMatching(/no program "no-such-goose".*Install it/) as string,
    })
    expect(await command("true", { cwd: "/no/such", workDir: join(folder, "b") })).toMatchObject({
      outcome: "failed",
      reason: expect.stringContaining("working directory") as string,
    })
    expect(await command("true", { workDir: join(folder, "c") }, { env: { "not-a-name": "" } })).toMatchObject({
      outcome: "failed",
      reason: expect.stringContaining("not-a-name") as string,
    })
  })

  test("that writes without end is cut honestly and not held up", async () => {
    const result = await command("yes | head -c 20000000")
    expect(result.ok).toBe(true)
    expect(result.deliverable?.text).toMatch(/^(y\n)+y?\n?\n?\[cut at \d+ bytes of more than 8388608\]\n$/)
    expect(Buffer.byteLength(result.deliverable?.text ?? "")).toBeLessThanOrEqual(32_768)
  })

  test("leaves nothing running behind it", async () => {
    await command("sleep 300 >/dev/null 2>&1 & echo $! > pid")
    expect(await gone("pid")).toBe(true)
  })

  test("there must be one", async () => {
    expect(await run({ run: null })).toMatchObject({ outcome: "failed", reason: expect.stringContaining("no `run`") as string })
  })

  test("a directory that another attempt has used is not used again", async () => {
    await command("true")
    await expect(command("true")).rejects.toThrow("EEXIST")
  })
})

describe("gates", () => {
  test("that all pass leave the task done; they run in order, in the same place, with the same environment", async () => {
    const result = await command("echo made > file", {}, { gates: ["cat file >> order", 'echo "$SKEIN_TASK" >> order'] })
    expect(result).toMatchObject({ ok: true, reason: null })
    expect(readFileSync(join(folder, "cwd", "order"), "utf8")).toBe("made\ncheck.1/size\n")
  })

  test("the first that fails is named, and those after it do not run; the deliverable is kept to look at", async () => {
    const result = await command("echo text", {}, { gates: ["true", "echo 'two tests fail' >&2; exit 4", "touch third"] })
    expect(result).toMatchObject({ ok: false, outcome: "failed", exitCode: 0, deliverable: { text: "text\n" } })
    expect(result.reason).toBe("gate `echo 'two tests fail' >&2; exit 4`: it exited with 4: two tests fail")
    expect(readdirSync(join(folder, "cwd"))).toEqual([])
  })

  test("do not run where the command failed, and gate stand-in work too", async () => {
    expect(await command("exit 1", {}, { gates: ["touch gate"] })).toMatchObject({ outcome: "failed" })
    expect(readdirSync(join(folder, "cwd"))).toEqual([])
    expect(await run({ run: { standIn: { ms: 1, costMicroUsd: 0 } }, gates: ["false"] }, { workDir: join(folder, "b") })).toMatchObject({
      outcome: "failed",
      reason: "gate `false`: it exited with 1",
    })
  })
})

describe("stand-in work", () => {
  test("lasts its time divided by the speed, costs what it says and delivers a small text", async () => {
    const result = await run({ run: { standIn: { ms: 3_600_000, costMicroUsd: 15_000_000 } } }, { speed: 24_000 })
    expect(result).toMatchObject({ ok: true, exitCode: null, usage: { costMicroUsd: 15_000_000, inputTokens: 0, outputTokens: 0 } })
    expect(result.durationMs).toBeGreaterThanOrEqual(150)
    expect(result.deliverable?.text).toMatch(/^Stand-in work for Size: 3600000 ms of work, done in \d+ ms at speed 24000\.\n$/)
  })

  test("ends at once when it is aborted, also where it would last longer than a timer can", async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(), 50)
    const result = await run({ run: { standIn: { ms: 1e15, costMicroUsd: 5 } } }, { signal: stop.signal })
    expect(result).toMatchObject({ ok: false, outcome: "aborted", deliverable: null, usage: { costMicroUsd: 0 } })
    expect(result.durationMs).toBeGreaterThanOrEqual(45)
  })
})

describe("an end from outside", () => {
  const stubborn = `trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 0.05; done' & echo $! > pid; echo ready; while :; do sleep 0.05; done`

  test("aborting ends the whole process group, and is nobody's fault", async () => {
    const stop = new AbortController()
    const onOutput = ({ text }: { text: string }): void => void (text.includes("ready") && stop.abort())
    const aborted = await command(stubborn, { signal: stop.signal, onOutput })
    expect(aborted).toMatchObject({ ok: false, outcome: "aborted", exitCode: null, reason: "it was aborted" })
    expect(await gone("pid")).toBe(true)
  })

  test("aborted before it began, nothing is run", async () => {
    expect(await command("touch ran", { signal: AbortSignal.abort() })).toMatchObject({ outcome: "aborted" })
    expect(readdirSync(join(folder, "cwd"))).toEqual([])
  })

  test("a command that a SIGTERM ended a moment before it was aborted was aborted: both came of one signal to the group", async () => {
    const stop = new AbortController()
    const result = command("echo $$ > pid; kill -TERM $$", { signal: stop.signal })
    for (const end = Date.now() + 15_000; Date.now() < end && !hasEnded("pid"); await new Promise((resolve) => setTimeout(resolve, 5)));
    stop.abort()
    expect(await result).toMatchObject({ outcome: "aborted", reason: "it was aborted" })
    expect(await command("kill -TERM $$", { workDir: join(folder, "alone") })).toMatchObject({ outcome: "failed", reason: "it was killed by SIGTERM" })
  })

  test("a command that ends well on SIGTERM was aborted all the same", async () => {
    const stop = new AbortController()
    const ready = ({ text }: { text: string }): void => void (text.includes("ready") && stop.abort())
    expect(await command("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done", { signal: stop.signal, onOutput: ready })).toMatchObject({
      ok: false,
      outcome: "aborted",
    })
  })

  test("the time limit ends the group, and counts as failed", async () => {
    expect(await command(stubborn, { timeoutMs: 1_000 })).toMatchObject({ outcome: "failed", reason: "it was not done after 1000 ms" })
    expect(await gone("pid")).toBe(true)
  })

  test("the time limit holds for the command and its gates together", async () => {
    const result = await command("sleep 0.2", { timeoutMs: 3_000 }, { gates: ["sleep 0.1", "sleep 300"] })
    expect(result).toMatchObject({ outcome: "failed", reason: "gate `sleep 300`: it was not done after 3000 ms" })
  })
})
