import { type Client, connect, SkeinError } from "../src/client/client.ts"
import { percentile, round } from "./figure.ts"
import { addAgent } from "./skein.ts"
import { sleep } from "./scratch.ts"

/** `failed`: calls that the client gave up on, its own repeats included. */
export type Stood = { count: number; p50Ms: number; p99Ms: number; failed: number }

/**
 * Somebody with one thing to ask at a time while others flood the hub, through the real client: a call's time is from asking to having it, the client's own
 * repeats after `overloaded` included.
 */
export class Bystander {
  readonly #client: Client
  readonly #held: { task: string; fence: number }
  #going: Promise<Stood> | null = null
  #stopped = false

  private constructor(client: Client, held: { task: string; fence: number }) {
    this.#client = client
    this.#held = held
  }

  static async open({ url, credential }: { url: string; credential: string }): Promise<Bystander> {
    const operator = await connect({ url, credential })
    await operator.task.add({ id: "bystander", title: "Stands by" })
    const client = await connect({ url, credential: await addAgent(operator, "bystander") })
    await operator.close()
    const { fence } = await client.task.claim({ task: "bystander" })
    return new Bystander(client, { task: "bystander", fence })
  }

  start(): void {
    this.#stopped = false
    this.#going = this.ask(() => this.#stopped)
  }

  async stop(): Promise<Stood> {
    this.#stopped = true
    return (await this.#going) ?? { count: 0, p50Ms: Number.NaN, p99Ms: Number.NaN, failed: 0 }
  }

  /** Asks on and on until it is over; `asked` calls have been made then. */
  async ask(over: (asked: number) => boolean): Promise<Stood> {
    const latenciesMs: number[] = []
    let failed = 0
    while (!over(latenciesMs.length + failed)) {
      const askedMs = performance.now()
      try {
        await this.#client.task.update({ ...this.#held, progress: 0.5 })
        latenciesMs.push(performance.now() - askedMs)
      } catch (error) {
        if (!(error instanceof SkeinError && error.code === "overloaded")) throw error
        failed += 1
      }
      await sleep(1)
    }
    return { count: latenciesMs.length, p50Ms: round(percentile(latenciesMs, 0.5)), p99Ms: round(percentile(latenciesMs, 0.99)), failed }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
