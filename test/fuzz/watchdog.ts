import { Worker } from "node:worker_threads"

/** How long one case may keep the thread to itself, in ms: nothing that is asked of Skein takes a tenth of it. */
const STUCK_MS = 45_000

/** Runs beside the cases: a loop that never gives the thread back is beyond the reach of any timer in it. */
const WATCH = `
const { workerData } = require("node:worker_threads")
const { writeSync } = require("node:fs")
const [cells, ms, target] = workerData
let [seen, sinceMs] = [-1, Date.now()]
setInterval(() => {
  const now = Atomics.load(cells, 0)
  if (now !== seen || Atomics.load(cells, 1) === 0) [seen, sinceMs] = [now, Date.now()]
  else if (Date.now() - sinceMs > ms) {
    writeSync(2, "\\nFOUND by " + target + ": the case at seed " + Atomics.load(cells, 2) + " keeps the thread for more than " + ms + " ms\\n")
    process.kill(process.pid, "SIGKILL")
  }
}, 1000)
`

/** Ends this process, with target and seed said, when a case neither ends nor lets anything else run. */
export class Watchdog {
  /** A count of turns, whether a case runs, and its seed. */
  readonly #cells = new Int32Array(new SharedArrayBuffer(12))
  readonly #worker: Worker
  readonly #turns: NodeJS.Timeout

  constructor(target: string) {
    this.#worker = new Worker(WATCH, { eval: true, workerData: [this.#cells, STUCK_MS, target], execArgv: [] })
    this.#worker.unref()
    this.#turns = setInterval(() => Atomics.add(this.#cells, 0, 1), 1_000)
    this.#turns.unref()
  }

  /** A case begins. */
  watch(seed: number): void {
    Atomics.store(this.#cells, 2, seed)
    Atomics.store(this.#cells, 1, 1)
  }

  async close(): Promise<void> {
    clearInterval(this.#turns)
    await this.#worker.terminate()
  }
}
