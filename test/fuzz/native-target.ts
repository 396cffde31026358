import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { dirname, join } from "node:path"
import { operations } from "../../src/contract/operations.ts"
import type { AgentKeeper, Reach } from "../../src/runtime/agent-keeper.ts"
import { type Delivered, type Delivery, refused } from "../../src/runtime/driver.ts"
import { deliverNatively, type NativeTarget } from "../../src/runtime/native-inbox.ts"
import { presetNamed } from "../../src/runtime/presets/presets.ts"
import type { AgentPreset } from "../../src/runtime/presets/preset.ts"
import { typable } from "../../src/runtime/tmux/typable.ts"
import { WakeRunner, type WakeRunning } from "../../src/runtime/wake-runner.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import type { Choices } from "./choices.ts"
import { RAW } from "./cli-run.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { mutateBytes, mutateText, oddText } from "./mutation.ts"

/** Agents' own inboxes, as a supervisor hands a wake to them: the program that takes a text, the server, and the mark of a hook that waits. */
export const nativeTarget: Target = {
  name: "native",
  entrance: "what agents' own inboxes answer: a program, a server, the mark of a hook that waits",
  casesPerSubject: 100,
  open: () => NativeSubject.open(),
}

const TEXT = 'wake up; $(touch run) "quoted" --thread x'
const SESSION = "11111111-2222-4333-8444-555555555555"
const SAID = [
  "Error: thread not found",
  "error: no rollout found for conversation",
  "database is locked",
  "error: unrecognized subcommand 'queue'",
  "\u001b[31mError\u001b[0m \u202egnp",
  "thread 'main' panicked at core/src/x.rs:1:1",
  "💥".repeat(400),
  "",
]
const ANSWERS = [
  "HTTP/1.1 204 No Content\r\n\r\n",
  'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{"a"',
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 500 Internal Server Error\r\n\r\n<html>",
  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 299 \u001b[2J\r\nX: \u202e\r\n\r\n",
]
const SOON = { commandMs: 120, requestMs: 120 }
const SLOW = { commandMs: 10_000, requestMs: 10_000 }
const JOB = { job: "u1.2.ada", fence: 7, target: "ada", thread: "t", hop: "live", reason: "unread messages", prompt: "", by: "operator", nonce: "u1.2.ada" }

/** What a case hands over to, and what may come of it: null where nobody knows. */
type Case = { target: NativeTarget; ok: boolean | null; limits: typeof SOON }

class NativeSubject implements Subject {
  readonly #folder = scratchFolder()
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What the server was asked, and what it answers: null, nothing at all. */
  #asked: string[] = []
  #answer: { bytes: Buffer; ends: boolean } | null = null
  #cases = 0
  #sent = ""

  private constructor(server: Server) {
    this.#server = server.on("connection", (socket) => {
      this.#sockets.add(socket)
      socket.on("error", () => undefined).once("close", () => this.#sockets.delete(socket))
      socket.once("data", (head) => {
        this.#asked.push(head.toString("latin1").split("\r\n", 1)[0] ?? "")
        if (this.#answer === null) return
        if (this.#answer.ends) socket.end(this.#answer.bytes)
        else socket.write(this.#answer.bytes)
      })
    })
  }

  static async open(): Promise<NativeSubject> {
    const server = createServer()
    await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle))
    return new NativeSubject(server)
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const folder = join(this.#folder, String((this.#cases += 1)))
    mkdirSync(folder)
    this.#asked = []
    try {
      const [name, made] = choices.pick([
        ["program", () => this.#program(folder, choices)],
        ["server", () => this.#listening(folder, choices)],
        ["hook", () => this.#waiter(folder, choices)],
      ] as [string, () => Case][])
      const { target, ok, limits } = made()
      const wake = new Wake(target, limits)
      const came = await wake.run()
      checkAnswer(came, ok)
      if (came.ok && name === "program") checkGiven(join(folder, "given"), target)
      this.#checkAsked(target)
      checkGone(folder)
      return `${name}: ${came.ok ? "taken" : came.code}`
    } finally {
      for (const socket of this.#sockets) socket.destroy()
      rmSync(folder, { recursive: true, force: true })
    }
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    await new Promise((settle) => this.#server.close(settle))
  }

  /** A program that takes a text, and prints and ends as it likes. */
  #program(folder: string, choices: Choices): Case {
    const said = choices.chance(50) ? choices.pick(SAID) : oddText(choices)
    writeFileSync(join(folder, "said"), choices.chance(40) ? mutateBytes(Buffer.from(said), choices, 2) : said)
    const exit = choices.pick([0, 0, 1, 2, 101, 126, 127, 255])
    const say = choices.pick(["cat said", "cat said >&2", "cat said; cat said >&2", ":"])
    const note = `printf '%s\\0' "$@" > given; echo $$ > pids`
    const ends: [string, boolean, typeof SOON][] = choices.chance(15)
      ? [
          [`${say}; exec sleep 20`, false, SOON],
          [`trap '' TERM INT HUP; ${say}; sleep 20; exit 0`, false, SOON],
          [`exec yes "$(cat said)"`, false, SOON],
          ["exec yes no such thread >&2", false, SOON],
          ["exec >&- 2>&-; exec sleep 20", false, SOON],
        ]
      : [
          [`${say}; exit ${exit}`, exit === 0, SLOW],
          [`${say}; kill -${choices.pick(["KILL", "SEGV", "TERM", "ABRT"])} $$`, false, SLOW],
          [`sleep 20 & echo $! >> pids; ${say}; exit ${exit}`, exit === 0, SLOW],
          [`head -c 300000 /dev/urandom; ${say}; exit ${exit}`, exit === 0, SLOW],
          [`cat >/dev/null; ${say}; exit ${exit}`, exit === 0, SLOW],
        ]
    const [does, ok, limits] = choices.pick(ends)
    const binary = join(folder, "codex")
    const head = choices.chance(90) ? "#!/bin/sh\n" : choices.pick(["", "#!/none/sh\n", "#!\n", "\u007fELF\n"])
    const isRunnable = !choices.chance(5)
    writeFileSync(binary, `${head}${note}\n${does}\n`, { mode: isRunnable ? 0o755 : 0o644 })
    const given = this.#odd({ binary: choices.chance(95) ? binary : choices.pick(["none", folder, "", join(folder, "said")]) }, choices)
    this.#sent = `${head}${does}\n${JSON.stringify({ ...given, said })}`
    // An odd name, folder or variable may keep it from being started; what is not ended by 0 has not taken it. Without a PATH it finds nothing to wait by.
    const isStarted = isRunnable && head === "#!/bin/sh\n" && given.binary === binary && Object.keys(given).length === 1
    return { target: { ...this.#target("codex", folder), ...given }, ok: isStarted || (!ok && given.env === undefined) ? ok : null, limits }
  }

  /** A server that answers with whatever bytes, now, later or never. */
  #listening(folder: string, choices: Choices): Case {
    const { port } = this.#server.address() as { port: number }
    const sound = choices.pick(ANSWERS)
    const bytes = choices.chance(50) ? mutateBytes(Buffer.from(sound), choices, 3) : Buffer.from(sound)
    this.#answer = choices.chance(8) ? null : { bytes, ends: choices.chance(70) }
    const url = choices.chance(85) ? `http://127.0.0.1:${port}` : choices.pick(["http://127.0.0.1:1", "http://127.0.0.1:99999", "", "x", "file:///etc/passwd"])
    const given = this.#odd({ url, password: choices.pick(["pass", oddText(choices)]) }, choices)
    this.#sent = `${JSON.stringify(this.#answer?.bytes.toString("latin1"))} ${this.#answer?.ends}\n${JSON.stringify(given)}`
    const says = this.#answer === null ? "" : bytes.toString("latin1")
    return { target: { ...this.#target("opencode", folder), ...given }, ok: /HTTP\/1\.\d 2\d\d/i.test(says) ? null : false, limits: SOON }
  }

  /** The mark of a hook that waits, with whatever in it and in its place. */
  #waiter(folder: string, choices: Choices): Case {
    const target = this.#target("claude", folder)
    const path = join(target.marks, `ada.${SESSION}.waiter`)
    const sound = `${process.pid} abcdef`
    const how = choices.below(8)
    mkdirSync(target.marks)
    const text = how === 1 ? choices.pick(["", "0", "-1", "1", "1 x", "1e999", `${2 ** 31}`, "NaN", "-4711 x", "2147483647 x"]) : mutateText(sound, choices)
    if (how === 2) mkdirSync(path)
    else if (how === 3) execFileSync("mkfifo", [path])
    else if (how === 4) symlinkSync(choices.pick(["/dev/zero", path, "/proc/self/environ", "/none"]), path)
    else if (how !== 5) writeFileSync(path, how === 0 ? sound : text)
    const pid = Number(text.split(" ")[0])
    const given = this.#odd({}, choices)
    this.#sent = `waiter ${how}: ${JSON.stringify(text)} ${JSON.stringify(given)}`
    const isSound = how === 0 && Object.keys(given).length === 0
    return { target: { ...target, ...given }, ok: isSound ? true : how === 0 || (how !== 5 && how !== 2 && pid > 1) ? null : false, limits: SLOW }
  }

  #target(kind: string, folder: string): NativeTarget {
    return { agent: "ada", preset: presetNamed(kind) as AgentPreset, session: SESSION, cwd: folder, env: {}, marks: join(folder, "marks") }
  }

  /** Now and then something else about the agent is odd too. */
  #odd(given: Partial<NativeTarget>, choices: Choices): Partial<NativeTarget> {
    if (!choices.chance(20)) return given
    const odd = choices.pick<Partial<NativeTarget>>([
      { session: choices.pick([null, "-x", "--help", "../other", oddText(choices)]) },
      { cwd: choices.pick(["/none", "", "/dev/null"]) },
      { env: { [choices.pick(["A", "1", "", "PATH", "A B"])]: oddText(choices) } },
    ])
    return { ...given, ...odd }
  }

  /** It is asked for the one thing, once: no redirect is followed to where its password would go too. */
  #checkAsked({ session }: NativeTarget): void {
    const wrong = this.#asked.find((line) => !line.startsWith("POST /session/") || !line.endsWith("/prompt_async HTTP/1.1"))
    if (wrong !== undefined || this.#asked.length > 1) throw new Broken(`asked: ${JSON.stringify(this.#asked)}`)
    if (this.#asked.length > 0 && session === null) throw new Broken("asked about no conversation")
  }
}

/** A supervisor that is given one job, an agent with nothing but its inbox, and a hub that looks at what is recorded. */
class Wake {
  readonly #wrong: string[] = []
  readonly #target: NativeTarget
  readonly #limits: typeof SOON
  #came: Delivered | null = null

  constructor(target: NativeTarget, limits: typeof SOON) {
    this.#target = target
    this.#limits = limits
  }

  async run(): Promise<Delivered> {
    let jobs: unknown[] = [{ ...JOB, failed: { live: 0 }, origin: "unread", session: null, forced: null }]
    const steps: string[] = []
    const call = (name: string, input: unknown): Promise<unknown> => {
      if (name === "trigger.claim") return Promise.resolve({ jobs: jobs.splice(0) })
      const read = operations["trigger.record"].input.safeParse(input)
      if (!read.success) this.#wrong.push(`the hub would not take ${JSON.stringify(input)?.slice(0, 600)}`)
      else steps.push(read.data.step)
      return Promise.resolve({})
    }
    const runner = new WakeRunner({
      hub: { call } as unknown as WakeRunning["hub"],
      keepers: () => [this.#keeper()],
      quietMs: () => 0,
      quotaEndMs: () => 0,
      told: (line) => void (line.includes("job u1.2.ada:") && this.#wrong.push(`the delivery was thrown out of: ${line}`)),
      beforeText: () => Promise.resolve(true),
    })
    await runner.look()
    await runner.close()
    jobs = []
    if (this.#wrong[0] !== undefined) throw new Broken(this.#wrong[0])
    const last = this.#came?.ok === true ? "sent" : "failed"
    if (this.#came === null || steps.join() !== `delivering,${last}`)
      throw new Broken(`recorded: ${steps.join()}, and it came to ${JSON.stringify(this.#came)}`)
    return this.#came
  }

  #keeper(): AgentKeeper {
    const reach = async (delivery: Delivery, { onChannel }: Reach): Promise<Delivered> => {
      if (!(await onChannel("native"))) return refused("TARGET_NOT_FOUND", "the job is somebody else's now")
      this.#came = await deliverNatively(this.#target, { ...delivery, text: TEXT }, this.#limits)
      return this.#came
    }
    return { agent: "ada", wakeable: true, allowsBeside: false, running: { starts: 1 }, reach } as unknown as AgentKeeper
  }
}

function checkAnswer(came: Delivered, ok: boolean | null): void {
  const { detail } = came
  if (ok !== null && came.ok !== ok)
    throw new Broken(`${came.ok ? "taken" : `refused as ${came.code}`}, where it ${ok ? "took" : "did not take"} it: ${detail}`)
  if (came.ok) return
  if (!["TARGET_NOT_FOUND", "SEND_KEYS_ERROR"].includes(came.code)) throw new Broken(`a refusal ${came.code}`)
  if (detail === "" || detail.length > 4_000) throw new Broken(`a refusal with ${detail.length} characters of detail`)
  if (!detail.isWellFormed()) throw new Broken(`half of a character: ${JSON.stringify(detail)}`)
  if (RAW.test(detail)) throw new Broken(`a terminal would act on this: ${JSON.stringify(detail)}`)
  if (/Cannot (read|destructure)|is not a function|call stack|\n\s+at /.test(detail)) throw new Broken(`a refusal that tells of our own code: ${detail}`)
}

/** The text is one argument, as it was. */
function checkGiven(path: string, { session }: NativeTarget): void {
  if (!existsSync(path)) return
  const given = readFileSync(path, "utf8").split("\0").slice(0, -1)
  const meant = ["queue", "--thread", (session ?? "").toWellFormed(), `--message=${typable(TEXT, "nudge", true)}`]
  if (JSON.stringify(given) !== JSON.stringify(meant)) throw new Broken(`it was given ${JSON.stringify(given)}`)
}

/** Whatever it started is ended. */
function checkGone(folder: string): void {
  const pids = existsSync(join(folder, "pids")) ? readFileSync(join(folder, "pids"), "utf8").split("\n") : []
  for (const pid of pids.filter((text) => /^\d+$/.test(text)).map(Number)) if (isRunning(pid, dirname(folder))) throw new Broken(`process ${pid} goes on`)
}

function isRunning(pid: number, mark: string): boolean {
  try {
    const state = readFileSync(`/proc/${pid}/stat`, "utf8")
    const isOurs = readFileSync(`/proc/${pid}/environ`, "utf8").includes(mark)
    return isOurs && !/\) [ZX] /.test(state)
  } catch {
    return false
  }
}
