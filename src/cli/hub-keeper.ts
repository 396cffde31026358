import { SkeinError } from "../contract/errors.ts"
import { ensureHub } from "./hub-start.ts"
import { type HubFile, type Instance, isAlive, readHubFile } from "./instance.ts"

/** How often it is looked whether the hub's process lives, in ms. */
const LOOK_MS = 200
/** Who stops a hub may be about to start it again: a call of an agent waits 30 s for it, and this a little less. */
const PATIENCE_MS = 20_000
/** A hub that dies this often in one run does so for a reason. */
const RESTARTS_MAX = 5

export type Keeping = {
  instance: Instance
  hub: HubFile
  /** A line for whoever watches the run. */
  told(line: string): void
  /** There is no hub, and none will come: the run cannot go on. */
  lost(error: SkeinError): void
  /** How long a hub that was stopped is waited for, in ms; 20 s by default. */
  patienceMs?: number
}

/**
 * Keeps a hub there while a run goes on: one that died is started again at the address that the agents know, one that was stopped by somebody is waited for.
 * Nothing that it acknowledged is lost by that, and whatever was under way is asked again by its clients.
 */
export class HubKeeper {
  readonly #o: Keeping
  readonly #patienceMs: number
  readonly #timer: NodeJS.Timeout
  #hub: HubFile
  #restarts = 0
  #missingSinceMs: number | null = null
  #looking: Promise<void> | null = null

  constructor(keeping: Keeping) {
    this.#o = keeping
    this.#hub = keeping.hub
    this.#patienceMs = keeping.patienceMs ?? PATIENCE_MS
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => (this.#looking = null))
    }, LOOK_MS)
  }

  /** The process of the hub that is there now. */
  get pid(): number {
    return this.#hub.pid
  }

  /** Looks no more. A hub that is just being started is waited for, so that `pid` names it. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #look(): Promise<void> {
    if (isAlive(this.#hub.pid)) return
    const file = readHubFile(this.#o.instance)
    if (file !== null && file.pid !== this.#hub.pid) {
      if (isAlive(file.pid)) this.#adopt(file)
      return
    }
    // A hub that was asked to stop takes its file away.
    if (file === null) return this.#wait()
    if (this.#restarts === RESTARTS_MAX)
      return this.#give(`the hub died ${RESTARTS_MAX + 1} times`, "See .skein/logs/hub.log for why; the same command goes on.")
    this.#restarts += 1
    this.#o.told(`the hub (process ${this.#hub.pid}) died: starting another; nothing that it acknowledged is lost`)
    const { hostname, port } = new URL(this.#hub.url)
    try {
      const { hub } = await ensureHub(this.#o.instance, { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port), allowedHosts: [] })
      this.#adopt(hub)
    } catch (error) {
      this.#end(error instanceof SkeinError ? error : new SkeinError("hub_unreachable", error instanceof Error ? error.message : String(error), "skein doctor"))
    }
  }

  #adopt(hub: HubFile): void {
    const moved = new URL(hub.url).origin !== new URL(this.#hub.url).origin
    this.#hub = hub
    this.#missingSinceMs = null
    if (moved) this.#give(`the hub is at ${hub.url} now, where the agents of this run do not look for it`, "The same command goes on with the plan.")
    else this.#o.told(`the hub is back (process ${hub.pid})`)
  }

  #wait(): void {
    if (this.#missingSinceMs === null) {
      this.#missingSinceMs = performance.now()
      this.#o.told(`the hub was stopped: waiting ${this.#patienceMs / 1_000} s for it to come back (skein up)`)
    } else if (performance.now() - this.#missingSinceMs > this.#patienceMs) {
      this.#give("the hub was stopped in the middle of the run", "The same command starts it again, and goes on with the plan.")
    }
  }

  #give(message: string, remedy: string): void {
    this.#end(new SkeinError("hub_unreachable", message, remedy))
  }

  #end(error: SkeinError): void {
    clearInterval(this.#timer)
    this.#o.lost(error)
  }
}
