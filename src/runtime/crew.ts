import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { mkdir, rename, writeFile } from "node:fs/promises"
import { dirname, extname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { SkeinError } from "../contract/errors.ts"
import type { AgentId, PlanId } from "../core/ids.ts"
import { RepositoryError } from "../repo/git.ts"
import { addWorktree, listWorktrees } from "../repo/worktree.ts"
import type { Repository } from "../repo/instance.ts"
import { giveBack } from "./give-back.ts"
import { isRuntime, runtimeOf } from "./script-agent-runtime.ts"
import { startProcess, type RunningProcess } from "./process.ts"
import type { AgentPort } from "./script-agent.ts"

export type CrewOptions = {
  /** A client that may issue credentials and end sessions of others: the operator's, or a supervisor's. */
  port: Pick<AgentPort, "call">
  url: string
  workspace: string
  plan: PlanId
  repository: Repository
  /** Each agent works in a git worktree of its own at this commit (its full id); null: all work in the repository itself. */
  worktreesAt: string | null
  /** The plan was begun by an earlier run: what its agents left in their worktrees at that commit is theirs. */
  goesOn: boolean
  /** The folder of the plan file, which its commands may use. */
  planDirectory: string
  /** Where credentials of agents are kept (mode 0600), and what their tasks write. */
  agentsDirectory: string
  runsDirectory: string
  speed: number
  onEvent(event: CrewEvent): void
}

export type CrewEvent =
  | { kind: "started"; agent: AgentId; pid: number; cwd: string; again: boolean }
  | { kind: "said"; agent: AgentId; line: string }
  | { kind: "ended"; agent: AgentId; how: "finished" | "stopped" | "killed" | "crashed"; detail: string }
  | { kind: "given_up"; agent: AgentId; detail: string }

/** A crashed agent is started again this often in a row, at most. */
const RESTARTS_MAX = 3
const GRACE_MS = 3_000
/** How long an agent that is to start again waits for a hub, and how often it looks. */
const HUB_PATIENCE_MS = 20_000
const HUB_POLL_MS = 250
const MAIN = fileURLToPath(new URL(`../runtime/script-agent-main${extname(import.meta.url)}`, import.meta.url))

/** What an agent's worktree is called: agents of two workspaces may have the same name. */
export function worktreeOf(workspace: string, agent: AgentId): string {
  return workspace === "main" ? agent : `${workspace}.${agent}`
}

type Ending = { stopped: boolean; which: (session: { active: boolean; runtime: string }) => boolean }

type Member = { process: RunningProcess; restarts: number; stopping: boolean }

/**
 * The script agents of one plan, a process group each. Its owner is the one who knows first that an agent died, and tells the hub at once: the agent's session
 * ends, its leases with it, and a fresh process goes on.
 */
export class Crew {
  readonly #options: CrewOptions
  readonly #members = new Map<AgentId, Member>()
  readonly #worktrees = new Map<AgentId, string>()
  readonly #ended: Promise<void>[] = []
  #stopping = false

  constructor(options: CrewOptions) {
    this.#options = options
  }

  async start(agents: readonly AgentId[]): Promise<void> {
    for (const agent of agents) {
      // Of a run that was killed together with its hub: nobody beats for them, and their leases would hold the agent up.
      const note = this.#file(agent, "stopped")
      const left = existsSync(note) ? readFileSync(note, "utf8") : null
      const stopped = left !== null
      const reason = stopped ? "its run was stopped" : "nobody beats for it, and another run begins"
      // Of one that was ended while it stopped, the hub may still count on the agent, which is gone a second later; not so whoever else goes by its name.
      const told = await this.#endSessions(agent, reason, { stopped, which: ({ active, runtime }) => runtime === left || !active })
      if (told) rmSync(note, { force: true })
      await this.#begin(agent, 0)
    }
  }

  /** The agents whose processes run. */
  get running(): AgentId[] {
    return [...this.#members.keys()]
  }

  /** Settles when no process of the crew runs any more. */
  async finished(): Promise<void> {
    for (let at = 0; at < this.#ended.length; at += 1) await this.#ended[at]
  }

  /** SIGKILL to an agent's whole process group, as a crash would. */
  async kill(agent: AgentId): Promise<void> {
    await this.#members.get(agent)?.process.kill()
  }

  /** Ends all processes: they release what they hold; what does not end in time is killed, and what it holds is released for it. */
  async stop(graceMs = GRACE_MS): Promise<void> {
    this.#stopping = true
    // For the next run, where no hub hears of it, or this process is ended before one has. Not later: a second Ctrl-C ends it at once.
    try {
      for (const [agent, { process }] of this.#members) writeFileSync(this.#file(agent, "stopped"), runtimeOf(process.pid), { mode: 0o600 })
    } catch {
      // The disk is full. They are stopped all the same.
    }
    await Promise.all([...this.#members.values()].map((member) => ((member.stopping = true), member.process.stop({ graceMs }))))
    await this.finished()
  }

  async #begin(agent: AgentId, restarts: number): Promise<void> {
    const { url, workspace, plan, repository, worktreesAt, planDirectory, runsDirectory, speed, onEvent } = this.#options
    const cwd = worktreesAt === null ? (repository.top ?? repository.commonDir) : await this.#worktree(agent, worktreesAt)
    const tokenFile = await this.#credential(agent)
    const workDir = join(runsDirectory, agent)
    await mkdir(workDir, { recursive: true, mode: 0o700 })
    const env: Record<string, string> = {
      SKEIN_URL: url,
      SKEIN_TOKEN_FILE: tokenFile,
      SKEIN_WORKSPACE: workspace,
      SKEIN_AGENT: agent,
      SKEIN_PLAN: plan,
      SKEIN_WORK_DIR: workDir,
      SKEIN_SPEED: String(speed),
      SKEIN_EXAMPLES: planDirectory,
      SKEIN_REPO: cwd,
      ...(repository.top === null ? {} : { SKEIN_MAIN: repository.top }),
    }
    let rest = ""
    const process = await startProcess({
      name: agent,
      argv: [globalThis.process.execPath, "--disable-warning=ExperimentalWarning", MAIN],
      cwd,
      env,
      logFile: join(workDir, "agent.log"),
      onOutput: ({ text }) => {
        const lines = (rest + text).split("\n")
        rest = lines.pop() ?? ""
        for (const line of lines) onEvent({ kind: "said", agent, line })
      },
    })
    const member: Member = { process, restarts, stopping: this.#stopping }
    this.#members.set(agent, member)
    onEvent({ kind: "started", agent, pid: process.pid, cwd, again: restarts > 0 })
    this.#ended.push(this.#watch(agent, member))
    if (this.#stopping) await process.stop({ graceMs: GRACE_MS })
  }

  async #watch(agent: AgentId, member: Member): Promise<void> {
    const { code, signal } = await member.process.exited
    this.#members.delete(agent)
    const how = code === 0 ? "finished" : member.stopping ? "stopped" : signal === "SIGKILL" ? "killed" : "crashed"
    const detail = signal === null ? `exit status ${code}` : signal
    this.#options.onEvent({
      kind: "ended",
      agent,
      how,
      detail: how === "crashed" ? `${detail}: ${member.process.tail("stderr").trim().split("\n").at(-1) ?? ""}` : detail,
    })
    const own = runtimeOf(member.process.pid)
    // What another run of the plan has begun for the agent meanwhile is that one's.
    const which: Ending["which"] = ({ runtime }) => runtime === own || !isRuntime(runtime)
    const told = await this.#endSessions(agent, `its process ended: ${detail}`, { stopped: member.stopping, which })
    if (told) rmSync(this.#file(agent, "stopped"), { force: true })
    if (how === "finished" || how === "stopped" || this.#stopping) return
    const giveUp = (reason: string): void => this.#options.onEvent({ kind: "given_up", agent, detail: reason })
    if (member.restarts >= RESTARTS_MAX) return giveUp(`it ended badly ${RESTARTS_MAX + 1} times in a row`)
    // One agent that cannot go on is no reason for the others to stop.
    await this.#beginAgain(agent, member.restarts + 1).catch((error: unknown) => giveUp(error instanceof Error ? error.message : String(error)))
  }

  /** An agent that starts again goes on in its own worktree, whatever it left there: nobody else works in it, and work that was not saved is not thrown away. */
  async #worktree(agent: AgentId, commit: string): Promise<string> {
    const { repository, workspace, goesOn } = this.#options
    const name = worktreeOf(workspace, agent)
    const own = this.#worktrees.get(agent)
    const path =
      own ??
      (
        await addWorktree({ repository, name, commit }).catch(async (error: unknown) => {
          const left = goesOn && error instanceof RepositoryError && error.code === "worktree_dirty" ? await listWorktrees(repository) : []
          const found = left.find((worktree) => worktree.name === name && worktree.commit === commit)
          if (found === undefined) throw error
          return found
        })
      ).path
    this.#worktrees.set(agent, path)
    return path
  }

  /**
   * The hub need not wait for missed heartbeats: leases of a dead agent end now. `stopped`: nobody failed, so what it holds is given back before. False where no hub
   * answers: then they end by themselves.
   */
  async #endSessions(agent: AgentId, reason: string, { stopped, which }: Ending): Promise<boolean> {
    const { port, url, workspace } = this.#options
    try {
      const { sessions } = await port.call("session.list", { agent })
      const over = sessions.filter((session) => session.status !== "ended" && which(session)).map(({ id }) => id)
      if (stopped && over.length > 0) await giveBack({ agent, url, workspace, credentialFile: this.#file(agent, "credential") }, over, reason)
      for (const session of over) await port.call("session.end", { session, reason })
      return true
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      return false
    }
  }

  /** `stopped` names the process that is stopped, and is there until a hub has heard that it holds nothing any more. */
  #file(agent: AgentId, kind: "credential" | "stopped"): string {
    return join(this.#options.agentsDirectory, `${agent}.${kind}`)
  }

  /** Starts an agent again; a hub that is just being started again is waited for. */
  async #beginAgain(agent: AgentId, restarts: number): Promise<void> {
    for (const end = performance.now() + HUB_PATIENCE_MS; ;) {
      try {
        return await this.#begin(agent, restarts)
      } catch (error) {
        const mayCome = error instanceof SkeinError && error.code === "hub_unreachable" && !this.#stopping && performance.now() < end
        if (!mayCome) throw error
        await new Promise((settle) => setTimeout(settle, HUB_POLL_MS))
      }
    }
  }

  /** A credential of its own for each run; the one before it is void. The secret goes to a file and nowhere else. */
  async #credential(agent: AgentId): Promise<string> {
    const { port } = this.#options
    const { credentials } = (await port.call("agent.show", { name: agent })).agent
    const issued = await port.call("credential.issue", { agent })
    const path = this.#file(agent, "credential")
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    // Another process may run the plan at the same moment: each draft is its own, and what the other has voided already is void.
    const draft = `${path}.${issued.id}.part`
    await writeFile(draft, `${issued.credential}\n`, { mode: 0o600 })
    await rename(draft, path)
    for (const id of credentials) {
      await port.call("credential.revoke", { agent, id, reason: "replaced by a new run" }).catch((error: unknown) => {
        if (!(error instanceof SkeinError) || error.code !== "not_found") throw error
      })
    }
    return path
  }
}
