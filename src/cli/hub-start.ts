import { spawn } from "node:child_process"
import { closeSync, constants, mkdirSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { SkeinError } from "../contract/errors.ts"
import { HUB_MEMORY, hubArgs } from "./hub-memory.ts"
import { hasEnded, STOP_MS } from "./hub-stop.ts"
import { type HubFile, type Instance, isAlive, readHubFile } from "./instance.ts"

// Not by `import`, which would load Node's fetch and HTTP/2 with it: 14 MB, and 10 ms of each command that asks for the hub.
const { get } = process.getBuiltinModule("node:http")

/** How the hub is to listen. `port` null: as the last time, else a free one. */
export type Listening = { host: string; port: number | null; allowedHosts: readonly string[] }

/** How long a hub may take to answer after its start: it folds its ledgers first, a million entries in some seconds. */
const START_MS = 60_000
const POLL_MS = 25
/** How long a hub that listens may take to say so in `hub.json`. */
const FOUND_MS = 2_000
const HEALTH_MS = 1_500
const LAUNCHER = fileURLToPath(new URL("../../bin/skein.cjs", import.meta.url))

/**
 * The hub of the instance, started in the background where none answers. Throws `SkeinError` with what the hub said when it does not come up, and `signal`'s
 * reason where that gave up before the hub was there: none is left then.
 */
export async function ensureHub(instance: Instance, listening: Listening, signal?: AbortSignal): Promise<{ hub: HubFile; already: boolean }> {
  const running = await runningHub(instance)
  if (running !== null) return { hub: running, already: true }
  return { hub: await startHub(instance, listening, signal), already: false }
}

/** The hub that runs and answers, or null: a file left behind by one that died is passed over. */
async function runningHub(instance: Instance): Promise<HubFile | null> {
  const file = readHubFile(instance)
  return file !== null && isAlive(file.pid) && (await isHealthy(file.url)) ? file : null
}

/** Whether a hub answers at the address. */
export function isHealthy(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`${url}/health`, { timeout: HEALTH_MS, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on("timeout", () => request.destroy())
    request.on("error", () => resolve(false))
  })
}

async function startHub(instance: Instance, { host, port, allowedHosts }: Listening, signal: AbortSignal | undefined): Promise<HubFile> {
  // Before anything is written: what stands in the instance's place may be a link to somewhere else.
  const { prepareInstance } = await import("./instance-files.ts")
  await prepareInstance(instance)
  signal?.throwIfAborted()
  const logs = join(instance.directory, "logs")
  mkdirSync(logs, { recursive: true, mode: 0o700 })
  const outputFile = join(logs, "start.log")
  // Whoever starts one at the same moment writes to it too. A pipe in its place is refused, and not waited for.
  const output = openSync(outputFile, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND | constants.O_NONBLOCK, 0o600)
  const before = readHubFile(instance)
  const where = instance.repository === null ? ["--global"] : ["--repo", instance.repository]
  const args = [
    LAUNCHER,
    "up",
    "--foreground",
    "--json",
    ...where,
    "--host",
    host,
    ...(port === null ? [] : ["--port", String(port)]),
    ...allowedHosts.flatMap((name) => ["--allow-host", name]),
  ]
  // Its own session: neither Ctrl-C in this terminal nor its end reaches the hub.
  const child = spawn(process.execPath, [...hubArgs(), ...args], {
    detached: true,
    stdio: ["ignore", output, output],
    cwd: instance.repository ?? instance.directory,
    env: { ...HUB_MEMORY, ...process.env },
  })
  closeSync(output)
  let endedMs: number | null = null
  let how = ""
  const end = (said: string): void => {
    how ||= said
    endedMs ??= performance.now()
  }
  child.on("exit", (status, signal) =>
    end(signal === null ? `it ended with exit status ${status}, and said nothing` : `it ended by ${signal}, and said nothing`),
  )
  child.on("error", ({ message }) => end(message))
  child.unref()
  // At once, not at the next look: whoever interrupts twice is gone by then.
  let isThere = false
  signal?.addEventListener("abort", () => isThere || child.kill())
  const deadline = performance.now() + START_MS
  while (performance.now() < deadline) {
    const file = readHubFile(instance)
    isThere = file !== null && file.pid === child.pid && (await isHealthy(file.url)) && signal?.aborted !== true
    if (file !== null && isThere) return file
    if (endedMs !== null) {
      const error = errorIn(outputFile)
      // Somebody else was faster, and may still be folding its ledgers: that one is the hub, once it is there. What ours said is gone where yet another began
      // since, and with it the file anew.
      const isLocked = error === null || error.details["code"] === "locked"
      // The process that an old file names died, or is another program's by now, and anybody may listen where it did.
      const isOther = file !== null && isAlive(file.pid) && (isLocked || file.startedAtMs !== before?.startedAtMs)
      if (isOther && (await isHealthy(file.url))) return file
      if (!isLocked) throw notStarted(outputFile, "the hub did not start", how)
      await expectOther(instance, endedMs, outputFile, how)
    }
    if (signal?.aborted === true) {
      if (endedMs === null && child.pid !== undefined) await hasEnded(child.pid, STOP_MS)
      throw signal.reason
    }
    await sleep(POLL_MS)
  }
  child.kill("SIGKILL")
  throw notStarted(outputFile, `the hub did not answer within ${START_MS / 1_000} s`)
}

/**
 * Throws where the hub that was faster will not come: it holds the ledger before it listens, and listens before `hub.json` says so. `sinceMs`: when ours
 * ended, and `how`.
 */
async function expectOther({ directory }: Instance, sinceMs: number, outputFile: string, how: string): Promise<void> {
  const { readOwner } = await import("../ledger/writer-lock.ts")
  const owner = readOwner(join(directory, "ledger", "main.sqlite"))
  if (owner?.address === null ? isAlive(owner.pid) : performance.now() - sinceMs < FOUND_MS) return
  const failure = notStarted(outputFile, "the hub did not start", how)
  if (owner === null || owner.address === null || !isAlive(owner.pid)) throw failure
  const remedy = `It listens, and hub.json does not say so: end it (kill ${owner.pid}) and start it again. Nothing that it acknowledged is lost.`
  throw new SkeinError(failure.code, failure.message, remedy, failure.details)
}

/** What the hub said before it ended, as its own error told it. */
function notStarted(outputFile: string, message: string, silence = "it said nothing"): SkeinError {
  const error = errorIn(outputFile)
  if (error !== null) return new SkeinError("hub_unreachable", `${message}: ${error.message}`, error.remedy, error.details)
  const [said = ""] = readFileSync(outputFile, "utf8").trim().split("\n")
  return new SkeinError(
    "hub_unreachable",
    `${message}: ${said === "" ? silence : said}`,
    `See that the disk has room, look into ${outputFile} and hub.log beside it, or start it in sight: skein up --foreground`,
  )
}

/** The last error that a start told; null where it told none. */
function errorIn(outputFile: string): Pick<SkeinError, "message" | "remedy" | "details"> | null {
  for (const line of readFileSync(outputFile, "utf8").trim().split("\n").reverse()) {
    try {
      const { error } = JSON.parse(line) as { error?: { message: string; remedy: string; details: Record<string, unknown> } }
      if (error !== undefined) return error
    } catch {
      // Not every line is one of ours: Node's own complaint is told as it is.
    }
  }
  return null
}
