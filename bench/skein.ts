import { spawn } from "node:child_process"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { type Client, connect, type Output, SkeinError } from "../src/client/client.ts"
import { httpClient } from "../src/client/http.ts"
import { endLater } from "./child.ts"
import type { Address, Claim, Claimant, Driver, Engine } from "./engine.ts"
import { claimsInLedger, ledgerPath } from "./open-hub.ts"
import { sleep } from "./scratch.ts"

/** The most tasks that an agent may work on at once: a bench's agent claims and never completes. */
export const MANY_ACTIVE = 1_000_000
const START_MS = 60_000
/** Tasks that are added at once; a hub lets one connection have 1,000 calls in flight. */
const ADDED_AT_ONCE = 500

export type HubAddress = { url: string; credential: string; directory: string }
export type RunningHub = { pid: number; address: HubAddress; stop(): Promise<void>; kill(): void }

export type HubOptions = { execArgv?: readonly string[]; env?: Readonly<Record<string, string>> }

/** A hub in a process of its own, started as a user starts it: `skein up --foreground --global`, with a global instance under `directory`. */
export async function startHub(directory: string, { execArgv = [], env = {} }: HubOptions = {}): Promise<RunningHub> {
  const instance = join(directory, "skein")
  mkdirSync(directory, { recursive: true })
  const fromSource = process.env["SKEIN_BENCH_SOURCE"] === "1"
  const program = fromSource
    ? [join(import.meta.dirname, "hub.ts"), instance]
    : [join(import.meta.dirname, "..", "bin", "skein.cjs"), "up", "--foreground", "--json", "--global"]
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...execArgv, ...program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, XDG_STATE_HOME: directory, ...env },
  })
  endLater(child)
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const url = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the hub did not start in time")), START_MS)
    child.once("exit", (code: number | null) => reject(new Error(`the hub ended with ${code} before it was up`)))
    createInterface({ input: child.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as { url?: string }
      if (said.url === undefined) return
      clearTimeout(late)
      resolve(said.url)
    })
  })
  return {
    pid: child.pid as number,
    address: { url, credential: readFileSync(join(instance, "operator.credential"), "utf8").trim(), directory: instance },
    async stop() {
      child.kill("SIGTERM")
      await ended
    },
    kill: () => void child.kill("SIGKILL"),
  }
}

export async function startSkein(directory: string, name: "skein" | "http"): Promise<Engine> {
  const hub = await startHub(join(directory, name), profiling(name))
  return { name, address: hub.address, pid: hub.pid, stored: () => claimsInLedger(ledgerPath(hub.address.directory)), stop: () => hub.stop() }
}

/** With SKEIN_BENCH_PROFILE=DIR the hub writes a CPU profile there when it ends. */
function profiling(name: string): HubOptions {
  const into = process.env["SKEIN_BENCH_PROFILE"]
  return into === undefined ? {} : { execArgv: ["--cpu-prof", `--cpu-prof-dir=${join(into, name)}`, "--cpu-prof-interval=250"] }
}

/** Adds an agent that may hold any number of tasks; answers its credential. */
export async function addAgent(operator: Client, name: string): Promise<string> {
  await patiently(() => operator.agent.add({ name, maxActive: MANY_ACTIVE }))
  const { credential } = await patiently(() => operator.credential.issue({ agent: name }))
  return credential
}

/** Setting up is not measured, and asks faster than one agent may: it waits as it is told. */
export async function patiently<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof SkeinError) || (error.code !== "rate_limited" && error.code !== "overloaded")) throw error
      await sleep((error.retryAfterMs ?? 50) + 50)
    }
  }
}

export async function addTasks(operator: Client, tasks: readonly string[]): Promise<void> {
  for (let at = 0; at < tasks.length; at += ADDED_AT_ONCE) {
    await Promise.all(tasks.slice(at, at + ADDED_AT_ONCE).map((id) => patiently(() => operator.task.add({ id, title: `Task ${id}` }))))
  }
}

type ClaimNext = (input: object) => Promise<Output<"task.claimNext">>

/** The next tasks that are ready; none where none is left. */
async function claimNext(call: ClaimNext, input: object): Promise<Claim[]> {
  try {
    const { claims } = await call(input)
    return claims.map(({ task, fence }) => ({ task: task.id, fence }))
  } catch (error) {
    if (error instanceof SkeinError && error.code === "nothing_ready") return []
    throw error
  }
}

/** The client that users of `skein/client` have, over WebSocket; `http`: the one that the CLI calls with. Both send idempotency keys with every claim. */
export async function skeinDriver(address: Address, over: "websocket" | "http"): Promise<Driver> {
  const { url = "", credential = "" } = address
  const operator = await connect({ url, credential })
  const open: { close(): unknown }[] = [operator]
  const run = `${process.pid}`
  let claimants = 0
  return {
    fill: (tasks) => addTasks(operator, tasks),
    async claimant(): Promise<Claimant> {
      claimants += 1
      const own = await addAgent(operator, `agent-${run}-${claimants}`)
      const client = over === "http" ? httpClient({ url, credential: own }) : await connect({ url, credential: own })
      open.push(client)
      const call: ClaimNext = (input) => client.call("task.claimNext", input)
      return {
        claim: async () => (await claimNext(call, {}))[0] ?? null,
        claimSeveral: (max) => claimNext(call, { max }),
        close: async () => client.close(),
      }
    },
    async listen(onClaim) {
      const leaving = new AbortController()
      const { seq } = await operator.call("ledger.head", {})
      const events = operator.events({ from: seq + 1, signal: leaving.signal })
      void (async () => {
        for await (const { type, data } of events) if (type === "task.claimed") onClaim((data as { id: string }).id)
      })()
      // The subscription stands when a call that was sent after it is answered.
      await operator.call("ledger.head", {})
      return () => leaving.abort()
    },
    async close() {
      for (const one of open) await one.close()
    },
  }
}
