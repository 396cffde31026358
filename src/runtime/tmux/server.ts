import { createHash } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { lacking, type Refused, refused } from "../driver.ts"
import { childEnvironment, findExecutable } from "../environment.ts"
import { ControlClient } from "./control.ts"
import { endOrphans, endServers, serversOf } from "./leftover.ts"
import { ForkingWay, type Reply, type TmuxCommand, type TmuxWay } from "./tmux-command.ts"

/** The session that the control client is attached to: it keeps the server up while no agent runs. */
const CONTROL_SESSION = "hubctl"
const RECONNECT_MS = 1_000
/** A server that was asked to end is looked for so often, at this interval. */
const GOING_TRIES = 30
const GOING_MS = 100

/** A tmux server's name that no other instance of this machine has; people attach with `tmux -L NAME attach`. */
export function socketName(instanceDirectory: string): string {
  return `skein-${createHash("sha256").update(instanceDirectory).digest("hex").slice(0, 12)}`
}

export type ServerOptions = {
  socket: string
  /** False: a process for each command, as where control mode does not come up. For the bench and tests. */
  controlMode?: boolean
}

/** Set on every server of ours. */
const SETTINGS: readonly (readonly [string, ...string[]])[] = [
  // A pane whose agent has died stays, so that its last words and its exit status can be read, and nothing takes its id.
  ["set-option", "-g", "remain-on-exit", "on"],
  ["set-option", "-g", "history-limit", "5000"],
  ["set-option", "-g", "automatic-rename", "off"],
  ["set-option", "-g", "allow-rename", "off"],
  // Whoever attaches must not hand its own variables to agents that start later.
  ["set-option", "-g", "update-environment", ""],
  ["set-option", "-s", "escape-time", "20"],
  // It would keep the commands that it was given, with texts and variables, for every agent in it to read.
  ["set-option", "-s", "message-limit", "0"],
]

/** A tmux server of our own: started when first needed, and again when it was lost; spoken to by control mode, or by processes while that is not up. */
export class TmuxServer implements TmuxWay {
  readonly socket: string
  readonly #controlMode: boolean
  readonly #env = childEnvironment({})
  #forking: ForkingWay | null = null
  #tmux: string | null = null
  #control: ControlClient | null = null
  #lastTryMs = 0
  #closed = false

  constructor({ socket, controlMode = true }: ServerOptions) {
    if (!/^[\w-]{1,40}$/.test(socket)) throw new RangeError(`socket ${JSON.stringify(socket)}: letters, digits, _ and -, at most 40`)
    this.socket = socket
    this.#controlMode = controlMode
  }

  /** Null when the server runs, else why it cannot. */
  async ensure(): Promise<Refused | null> {
    const forking = await this.#fork()
    if (forking === null) return lacking("there is no program tmux on the path: install it (apt-get install tmux, brew install tmux)")
    const found = await this.#through(forking, ["has-session", "-t", `=${CONTROL_SESSION}`])
    if (!found.ok) {
      const problem = await this.#start(forking)
      if (problem !== null) return refused("SPAWN_FAILED", problem)
      for (const words of SETTINGS) {
        const set = await forking.run({ words })
        if (!set.ok) return refused("SPAWN_FAILED", set.error)
      }
    }
    this.#connect()
    return null
  }

  /** Where the last server of that name is still going down it refuses, for ever if it waits for a client that is stuck: it is helped. */
  async #start(forking: ForkingWay): Promise<string | null> {
    for (let tries = 1; ; tries += 1) {
      const started = await forking.startServer(["new-session", "-d", "-s", CONTROL_SESSION, "-n", "idle", "-x", "80", "-y", "24", "/bin/sh", "-c", "exec cat"])
      if (started.ok || /duplicate session/.test(started.error)) return null
      if (!/server exited|lost server/.test(started.error) || tries > GOING_TRIES) return started.error
      endOrphans(this.socket)
      if (tries === GOING_TRIES) endServers(this.socket)
      await sleep(GOING_MS)
    }
  }

  /** By control mode where it is up. A command that was on its way when control mode broke has a reply that says `lost`: it may have been run. */
  async run(command: TmuxCommand): Promise<Reply> {
    this.#connect()
    if (this.#control !== null) return this.#control.run(command)
    const forking = await this.#fork()
    return forking === null ? { ok: false, error: "there is no program tmux", lost: true } : forking.run(command)
  }

  get mode(): "control" | "forking" {
    return this.#control === null ? "forking" : "control"
  }

  /** The control client's process, for who watches or tests it. */
  get controlPid(): number | undefined {
    return this.#control?.pid
  }

  /** Agents live on in their panes; a server without any is ended. */
  async close(): Promise<void> {
    if (this.#closed) return
    const left = await this.run({ words: ["list-sessions", "-F", "#{session_name}"] })
    this.#closed = true
    const ends = left.ok && left.lines.every((name) => name === CONTROL_SESSION)
    if (ends) await (await this.#fork())?.spawn(["kill-server"], "")
    this.#control?.close()
    this.#control = null
    if (ends) await this.#ended()
  }

  async #ended(): Promise<void> {
    for (let looks = 0; looks < GOING_TRIES && serversOf(this.socket).length > 0; looks += 1) {
      endOrphans(this.socket)
      await sleep(GOING_MS)
    }
  }

  #through(forking: ForkingWay, words: readonly [string, ...string[]]): Promise<Reply> {
    return this.#control === null ? forking.run({ words }) : this.#control.run({ words })
  }

  async #fork(): Promise<ForkingWay | null> {
    if (this.#forking !== null) return this.#forking
    const found = await findExecutable("tmux", "/", this.#env["PATH"] ?? "/usr/bin:/bin")
    if (typeof found !== "string") return null
    this.#tmux = found
    this.#forking = new ForkingWay(found, this.socket, this.#env)
    return this.#forking
  }

  #connect(): void {
    const now = performance.now()
    if (!this.#controlMode || this.#closed || this.#control !== null || this.#tmux === null || (this.#lastTryMs !== 0 && now - this.#lastTryMs < RECONNECT_MS))
      return
    // Those of a supervisor that was killed: they would keep this server from ending.
    if (this.#lastTryMs === 0) endOrphans(this.socket)
    this.#lastTryMs = now
    const control = new ControlClient({
      tmux: this.#tmux,
      socket: this.socket,
      session: CONTROL_SESSION,
      env: this.#env,
      onEnd: () => {
        if (this.#control === control) this.#control = null
      },
    })
    this.#control = control
  }
}
