import { type Client, connect, SkeinError } from "../../src/client/client.ts"
import type { Seq } from "../../src/core/ids.ts"
import { Chance } from "../../src/cli/simulation/chance.ts"

/** Something that a hub said was done. */
export type Told = { seq: Seq; agent: string; type: string; task: string }

/** What a client may hear when its hub is killed again and again. Anything else is a broken promise. */
const EXPECTED: ReadonlySet<string> = new Set(["hub_unreachable", "timed_out", "hub_stopping", "overloaded", "nothing_ready", "at_limit", "claim_denied"])

/** Real clients that work on and on, whatever happens to their hub, and write down what they were told. */
export class Load {
  readonly told: Told[] = []
  /** The last entry that the listener heard of. */
  heardSeq: Seq = 0
  readonly faults: string[] = []
  #stopped = false
  readonly #url: string
  readonly #seed: number
  readonly #clients: Client[] = []
  readonly #running: Promise<void>[] = []
  #tasks = 0
  /** Agents, credentials and sessions were told as well. */
  #startedSeq: Seq = 0

  constructor(url: string, seed: number) {
    this.#url = url
    this.#seed = seed
  }

  /** The last entry that anybody was told of. */
  get toldSeq(): Seq {
    return Math.max(
      this.heardSeq,
      this.#startedSeq,
      this.told.reduce((last, { seq }) => Math.max(last, seq), 0),
    )
  }

  get director(): Client {
    return this.#clients[0] as Client
  }

  async start(credentialFile: string, count: number): Promise<void> {
    const director = await this.#connect({ credentialFile })
    const names = Array.from({ length: count }, (_, at) => `w${at}`)
    const workers: Client[] = []
    for (const name of names) {
      await director.agent.add({ name })
      const { credential } = await director.credential.issue({ agent: name })
      const client = await this.#connect({ credential })
      await client.session()
      workers.push(client)
    }
    this.#startedSeq = (await director.ledger.head()).seq
    for (const [at, client] of workers.entries()) this.#running.push(this.#work(client, names[at] as string))
    this.#running.push(this.#direct(director), this.#listen(director))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const client of this.#clients) await client.close()
    await Promise.all(this.#running)
  }

  async #connect(identity: { credentialFile: string } | { credential: string }): Promise<Client> {
    const client = await connect({ url: this.#url, reconnect: { baseMs: 5, capMs: 100 }, ...identity })
    this.#clients.push(client)
    return client
  }

  /** One command that somebody waits for. Answers null where nobody could say what became of it. */
  async #ask<T>(what: string, call: () => Promise<T>): Promise<T | null> {
    try {
      return await call()
    } catch (error) {
      if (this.#stopped) return null
      const code = error instanceof SkeinError ? error.code : "none"
      if (!EXPECTED.has(code)) this.faults.push(`${what}: ${code}: ${String(error)}`)
      return null
    }
  }

  async #direct(director: Client): Promise<void> {
    while (!this.#stopped) {
      const task = `t${(this.#tasks += 1)}`
      const added = await this.#ask("task.add", () => director.task.add({ id: task, title: "work" }))
      if (added !== null) this.told.push({ seq: added.seq, agent: "operator", type: "task.added", task })
      await pause(4)
    }
  }

  async #work(client: Client, name: string): Promise<void> {
    const chance = new Chance(this.#seed, name.length + Number(name.slice(1)))
    for (let turn = 0; !this.#stopped; turn += 1) {
      const key = `${name}-${turn}`
      const answer = await this.#ask("task.claimNext", () => client.task.claimNext({ waitMs: 200 }, { key }))
      const claim = answer?.claims[0]
      if (claim === undefined) {
        await pause(2)
        continue
      }
      const task = claim.task.id
      this.told.push({ seq: claim.fence, agent: name, type: "task.claimed", task })
      if (chance.happens(0.2)) await this.#again(client, key, claim.fence)
      if (chance.happens(0.5)) {
        const updated = await this.#ask("task.update", () => client.task.update({ task, fence: claim.fence, progress: 0.5 }))
        if (updated !== null) this.told.push({ seq: updated.seq, agent: name, type: "task.progressed", task })
      }
      await pause(chance.below(6))
      // Whatever happens meanwhile: the lease is long, so the task stays its own until this is through.
      for (;;) {
        const done = await this.#ask("task.complete", () =>
          client.task.complete({ task, fence: claim.fence, deliverable: { text: "done" } }, { key: `${key}-done` }),
        )
        if (done !== null) this.told.push({ seq: done.seq, agent: name, type: "task.completed", task })
        if (done !== null || this.#stopped || this.faults.length > 0) break
        await pause(10)
      }
    }
  }

  /** The same key again, after whatever happened: the same claim. */
  async #again(client: Client, key: string, fence: Seq): Promise<void> {
    const again = await this.#ask("task.claimNext again", () => client.task.claimNext({ waitMs: 200 }, { key }))
    const heard = again?.claims[0]?.fence
    if (heard !== undefined && heard !== fence) this.faults.push(`key ${key} was answered with fence ${fence}, then with ${heard}`)
  }

  /** The stream of entries goes on over every crash, without a gap. */
  async #listen(director: Client): Promise<void> {
    try {
      for await (const { seq } of director.events({ from: 1 })) {
        if (seq !== this.heardSeq + 1) this.faults.push(`entry ${seq} was heard after ${this.heardSeq}`)
        this.heardSeq = seq
      }
    } catch (error) {
      if (!this.#stopped) this.faults.push(`the stream ended: ${String(error)}`)
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
