import { readFileSync } from "node:fs"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Choices, reduce } from "./choices.ts"
import { Watchdog } from "./watchdog.ts"

/** What is attacked: made fresh every `casesPerSubject` cases, so that no case stands on too many others. */
export type Target = {
  name: string
  /** What enters from outside here, in a few words. */
  entrance: string
  casesPerSubject: number
  /** How long a case may take, in ms: longer where it sees to hangs itself. */
  deadlineMs?: number
  open(): Promise<Subject>
}

export type Subject = {
  /** One case. Answers in a word or two what came of it; throws what is wrong. */
  attempt(choices: Choices): Promise<string>
  /** Checked at the end of all cases of this subject; throws what is wrong. */
  close(): Promise<void>
  /** What the last case sent, for people. */
  describe(): string
}

export type Campaign = {
  seed: number
  /** Ends after so many cases, or when the time is over, whichever is first. */
  cases: number
  untilMs: number
  /** A case that takes longer is a hang. */
  deadlineMs?: number
  /** Time for making a found case simpler; 20 s by default. */
  reduceMs?: number
}

/** A broken promise: the seed makes the case again; `made` are its choices, reduced, for a test that stays. */
export type Found = { target: string; seed: number; message: string; sent: string; made: number[] }

export type Outcome = { target: string; cases: number; tookMs: number; grewBytes: number; outcomes: Map<string, number>; found: Found | null }

const DEADLINE_MS = 25_000
/** Memory that may be left after a campaign that was not there after its first subject: code, caches, fragmentation. */
const GROWTH_MAX_BYTES = 96 * 1024 * 1024

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** Runs cases `seed`, `seed` + 1, … of a target until one breaks a promise. */
export async function campaign(
  target: Target,
  { seed, cases, untilMs, deadlineMs = target.deadlineMs ?? DEADLINE_MS, reduceMs = 20_000 }: Campaign,
): Promise<Outcome> {
  const strays = new Strays()
  const watchdog = new Watchdog(target.name)
  const outcomes = new Map<string, number>()
  const startedMs = performance.now()
  let [done, startBytes] = [0, 0]
  let found: Found | null = null
  try {
    while (found === null && done < cases && performance.now() < untilMs) {
      const subject = await target.open()
      const first = done
      // One at least, however long it took to open.
      for (; found === null && done < Math.min(cases, first + target.casesPerSubject) && (done === first || performance.now() < untilMs); done += 1) {
        const choices = Choices.from(seed + done)
        watchdog.watch(seed + done)
        const result = await attempt(subject, choices, strays, deadlineMs)
        if ("wrong" in result) found = { target: target.name, seed: seed + done, message: result.wrong, sent: subject.describe(), made: choices.made }
        else outcomes.set(result.came, (outcomes.get(result.came) ?? 0) + 1)
      }
      const end = await ended(subject, strays, deadlineMs)
      if (end !== null)
        found ??= { target: target.name, seed: seed + first, message: `after cases ${seed + first} to ${seed + done - 1}: ${end}`, sent: "", made: [] }
      if (first === 0) startBytes = memoryBytes()
    }
    const grewBytes = memoryBytes() - startBytes
    if (grewBytes > GROWTH_MAX_BYTES && done > target.casesPerSubject)
      found ??= { target: target.name, seed, message: `memory grew by ${grewBytes} bytes in ${done} cases`, sent: "", made: [] }
    if (found !== null && found.made.length > 0 && reduceMs > 0) found = await reduced(target, found, strays, deadlineMs, performance.now() + reduceMs)
    return { target: target.name, cases: done, tookMs: performance.now() - startedMs, grewBytes, outcomes, found }
  } finally {
    strays.close()
    await watchdog.close()
  }
}

async function reduced(target: Target, found: Found, strays: Strays, deadlineMs: number, untilMs: number): Promise<Found> {
  let best = found
  const fails = async (choices: Choices): Promise<boolean> => {
    const subject = await target.open()
    const result = await attempt(subject, choices, strays, deadlineMs)
    const sent = subject.describe()
    await ended(subject, strays, deadlineMs)
    // Another fault than the one that is looked for would lead astray.
    if (!("wrong" in result) || kindOf(result.wrong) !== kindOf(found.message)) return false
    best = { ...best, message: result.wrong, sent }
    return true
  }
  const made = await reduce(found.made, fails, untilMs)
  return { ...best, made }
}

/** What a message is about, without the figures in it. */
function kindOf(message: string): string {
  return message.slice(0, 60).replaceAll(/[\d"]+/g, "")
}

async function attempt(subject: Subject, choices: Choices, strays: Strays, deadlineMs: number): Promise<{ came: string } | { wrong: string }> {
  try {
    const came = await within(subject.attempt(choices), deadlineMs, "the case hangs")
    // What is rejected behind the case's back is reported a turn later.
    await new Promise((resolve) => setImmediate(resolve))
    const stray = strays.take()
    return stray === null ? { came } : { wrong: stray }
  } catch (error) {
    return { wrong: strays.take() ?? told(error) }
  }
}

async function ended(subject: Subject, strays: Strays, deadlineMs: number): Promise<string | null> {
  try {
    await within(subject.close(), 2 * deadlineMs, "the end hangs")
    return strays.take()
  } catch (error) {
    return strays.take() ?? told(error)
  }
}

function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error instanceof Broken ? error.message : (error.stack ?? error.message)
}

/** A promise that is not kept, said by a target: its message says it all. */
export class Broken extends Error {}

function within<Result>(work: Promise<Result>, ms: number, what: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Broken(`${what}: more than ${ms} ms`)), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** How long a process that was started has waited for a processor, in ms: it does not hang by that. 0 where the system does not tell. */
export function starvedMs(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6
  } catch {
    return 0
  }
}

/** Errors that nobody caught: they would have ended a hub. */
class Strays {
  readonly #seen: string[] = []
  readonly #others = { rejection: process.listeners("unhandledRejection"), exception: process.listeners("uncaughtException") }
  readonly #rejected = (error: unknown): void => void this.#seen.push(`unhandled rejection: ${told(error)}`)
  readonly #thrown = (error: unknown): void => void this.#seen.push(`uncaught exception: ${told(error)}`)

  constructor() {
    // A test runner listens too, and would fail another test for it.
    process.removeAllListeners("unhandledRejection").removeAllListeners("uncaughtException")
    process.on("unhandledRejection", this.#rejected).on("uncaughtException", this.#thrown)
  }

  take(): string | null {
    return this.#seen.splice(0)[0] ?? null
  }

  close(): void {
    process.off("unhandledRejection", this.#rejected).off("uncaughtException", this.#thrown)
    for (const listener of this.#others.rejection) process.on("unhandledRejection", listener)
    for (const listener of this.#others.exception) process.on("uncaughtException", listener)
  }
}

function memoryBytes(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
