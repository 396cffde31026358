import type { Commands } from "../src/core/command.ts"
import type { Actor } from "../src/core/entry.ts"
import type { Metadata } from "../src/core/message.ts"
import type { Trigger, WakeSweep } from "../src/core/trigger.ts"
import type { ClaimedTrigger } from "../src/core/trigger-view.ts"
import { Scenario } from "./scenario.ts"

export const PLAIN: Metadata = { eventType: null, severity: null, file: null, line: null, endLine: null, task: null }
export const BITS = 0x8000_0000
const SWEEP: WakeSweep = { busy: [], unacked: [], bits: BITS }

/** A team with a supervisor, and the steps by which agents are woken. */
export class Waking extends Scenario {
  readonly keeper: Actor = this.agent("keeper", { role: "supervisor" })
  readonly ann: Actor = this.agent("ann")
  readonly boss: Actor = this.agent("boss", { role: "orchestrator" })
  #requests = 0

  /** An agent without a session: asleep. */
  asleep(name: string): Actor {
    this.must("agent.add", { agent: "olga", session: null, role: "operator" }, { name })
    return { agent: name, session: null, role: "worker" }
  }

  /** A session of an agent that the supervisor keeps. */
  kept(name: string, id: string, { resumeId = null, by = this.keeper }: { resumeId?: string | null; by?: Actor } = {}): string {
    return this.must("session.start", by, { id, agent: name, runtime: "tmux", resumeId, owned: true }).answer.session
  }

  post(by: Actor, thread: string, body = "hello", metadata: Partial<Metadata> = {}): number {
    return this.must("message.post", by, { thread, body, kind: "chat", inReplyTo: null, metadata: { ...PLAIN, ...metadata } }).answer.message
  }

  ask(by: Actor, target: string, thread = `agent/${target}`, prompt = ""): string {
    const job = `r${String((this.#requests += 1)).padStart(24, "0")}`
    return this.must("trigger.participant", by, { job, request: job, thread, target, reason: "now", prompt }).answer.job
  }

  claim_(agents: string[], by: Actor = this.keeper, busy: string[] = []): ClaimedTrigger[] {
    return this.must("trigger.claim", by, { agents, max: 8, busy }).answer.jobs
  }

  /** The wake for what an agent has not read: the supervisor covers the agent, takes the wake and sends it. */
  woken(agent: string): ClaimedTrigger {
    this.claim_([agent])
    this.sweep()
    const [claim] = this.claim_([agent]) as [ClaimedTrigger]
    this.send(claim)
    return claim
  }

  record(
    claim: Pick<ClaimedTrigger, "job" | "fence">,
    step: Commands["trigger.record"]["input"]["step"],
    more: Partial<Commands["trigger.record"]["input"]> = {},
    by: Actor = this.keeper,
  ): Trigger {
    const { job, fence } = claim
    this.must("trigger.record", by, {
      job,
      fence,
      step,
      channel: null,
      code: null,
      detail: "",
      session: null,
      beside: false,
      untilMs: null,
      bits: BITS,
      ...more,
    })
    return this.job(job)
  }

  /** Handed over: the agent has its text. */
  send(claim: Pick<ClaimedTrigger, "job" | "fence">, more: Partial<Commands["trigger.record"]["input"]> = {}): Trigger {
    this.record(claim, "delivering")
    return this.record(claim, "sent", more)
  }

  sweep(wakes: Partial<WakeSweep> = {}): string[] {
    const { entries } = this.must("hub.sweep", { agent: "hub", session: null, role: "supervisor" }, { beats: [], silent: [], wakes: { ...SWEEP, ...wakes } })
    return entries.map(({ type }) => type)
  }

  /** The agent was idle for its whole time and showed nothing. */
  timesOut(id: string): Trigger {
    const { fence } = this.job(id)
    this.sweep({ unacked: [{ id, fence: fence as number, idleMs: 30_000 }] })
    return this.job(id)
  }

  job(id: string): Trigger {
    const found = this.state.triggers.get(id)
    if (found === undefined) throw new Error(`there is no trigger ${id}`)
    return found
  }

  /** The newest job of an agent. */
  of(target: string): Trigger {
    const jobs = [...this.state.triggers.values()].filter((job) => job.target === target).sort((a, b) => b.createdSeq - a.createdSeq)
    if (jobs[0] === undefined) throw new Error(`there is no trigger of ${target}`)
    return jobs[0]
  }
}
