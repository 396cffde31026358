import { type Pair, specOf, type Step, WAITS_MS } from "./core-history.ts"
import { delivery, OPERATOR, type Scenario } from "./scenario.ts"
import { type Actor, HUB } from "../src/core/entry.ts"
import type { SessionId, TaskId } from "../src/core/ids.ts"

/** Steps of the core alone, by way of the commands that most change what is kept. */
export class Detached {
  readonly #scenario: Scenario
  constructor(scenario: Scenario) {
    this.#scenario = scenario
  }

  take(pair: Pair, { do: what, who, task: t, other, yes, n }: Step): void {
    const scenario = this.#scenario
    const actor = pair.actors[who % pair.actors.length] as Actor
    const ids = [...scenario.state.tasks.keys()]
    const id = ids[t % ids.length] as TaskId
    const fence = scenario.at(id).fence ?? 1
    const key = { id: `u${scenario.state.seq}`, hash: "u" }
    const ref = ids[other % ids.length] as TaskId
    const sessions: SessionId[] = [...scenario.state.sessions.keys()]
    if (what === "add") scenario.attempt("task.add", OPERATOR, { id: `u${ids.length}`, title: "u", ...specOf(n, yes), dependsOn: [id] }, key)
    if (what === "claim") scenario.attempt("task.claim", actor, { task: id }, key)
    if (what === "next") scenario.attempt("task.claimNext", actor, { plan: null, labels: [], filler: null, max: 2 }, key)
    if (what === "update" || what === "renew") scenario.attempt("task.update", actor, { task: id, fence, progress: 0.5, note: null }, key)
    if (what === "complete") scenario.attempt("task.complete", actor, { task: id, fence, ...delivery() }, key)
    if (what === "fail") scenario.attempt("task.fail", actor, { task: id, fence, reason: "r", retry: yes, usage: delivery().usage }, key)
    if (what === "release") scenario.attempt("task.release", actor, { task: id, fence, reason: "r" }, key)
    if (what === "block") scenario.attempt("task.block", actor, { task: id, fence, on: { kind: "task", ref }, reason: "r" }, key)
    if (what === "unblock") scenario.attempt("task.unblock", OPERATOR, { task: id, reason: "r" }, key)
    if (what === "review") scenario.attempt("task.review", OPERATOR, { task: id, approve: yes, reason: "r" }, key)
    if (what === "end") scenario.attempt("lease.end", OPERATOR, { task: id, reason: "r" }, key)
    if (what === "reset") scenario.attempt("task.reset", OPERATOR, { task: id, reason: "r" }, key)
    if (what === "cancel") scenario.attempt(n % 3 === 0 ? "plan.cancel" : "task.cancel", OPERATOR, { task: id, plan: "p.1", reason: "r" }, key)
    if (what === "edit") scenario.attempt("task.edit", OPERATOR, { task: id, reason: "r", changes: { ...specOf(n, yes), dependsOn: [ref] } }, key)
    if (what === "help") scenario.attempt("help.want", actor, { task: id, fence, reason: "r" }, key)
    if (what === "answer")
      scenario.attempt(
        "event.send",
        OPERATOR,
        {
          kind: "info",
          directive: null,
          to: yes ? { agent: "ann" } : { everyone: true },
          task: id,
          priority: "low",
          text: "t",
          payload: {},
          requiresAck: true,
        },
        key,
      )
    if (what === "session")
      scenario.attempt("session.start", OPERATOR, { id: `s_u${scenario.state.seq}`, agent: actor.agent, runtime: "u", resumeId: null, owned: yes }, key)
    if (what === "retire") scenario.attempt("agent.retire", OPERATOR, { name: actor.agent, reason: "r" }, key)
    if (what === "sweep") {
      scenario.wait(WAITS_MS[n % WAITS_MS.length] as number)
      scenario.attempt(
        "hub.sweep",
        HUB,
        { beats: sessions.filter((_, at) => (n >> at) % 2 === 0), silent: sessions.map((session) => ({ id: session, silentMs: 1_000_000 })) },
        null,
      )
      scenario.attempt("hub.start", HUB, { graceMs: 500_000 }, null)
    }
  }
}
