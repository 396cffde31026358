import fc from "fast-check"
import { expect, it } from "vitest"
import { expectEqual, expectSame } from "../../test/quick-expect.ts"
import { fold } from "../../test/scenario.ts"
import { Waking } from "../../test/waking.ts"
import type { Actor } from "./entry.ts"
import { decodeEntry } from "./entry.ts"
import { isRefusal } from "./refusal.ts"
import { isLive, REASON_CODES } from "./trigger.ts"
import type { ClaimedTrigger } from "./trigger-view.ts"
import { standOf } from "./trigger-why.ts"
import { wakePolicy } from "./wake-policy.ts"
import { fromSnapshot, takeSnapshot } from "./workspace.ts"

const SEED = Number(process.env["CORE_SEED"] ?? Date.now() % 0x7fffffff)
const AGENTS = ["bob", "cat"] as const

/** What is known without the core: who holds which job, and whose text is out. */
type Model = { claims: (Omit<ClaimedTrigger, "by"> & { by: Actor })[] }
class World extends Waking {
  readonly supervisors = [this.keeper, this.agent("other", { role: "supervisor" })]
  readonly actors = new Map(AGENTS.map((name) => [name as string, this.agent(name)]))

  // What the entries that were read so far say.
  readonly #holder = new Map<string, { fence: number; texts: number }>()
  readonly #ended = new Set<string>()
  readonly #failures = new Map<string, number>()
  #read = 0

  /** What MUST hold after each step, read from its entries and from the state. */
  check(): void {
    const [holder, ended, failures] = [this.#holder, this.#ended, this.#failures]
    for (; this.#read < this.bytes.length; this.#read += 1) {
      const bytes = this.bytes[this.#read] as string
      const { type, data, seq, actor } = decodeEntry(bytes)
      const { id = "", fence = 0 } = data as { id?: string; fence?: number }
      const held = holder.get(id)
      if (type === "trigger.claimed") {
        expect(held, `${seq}: ${id} is claimed while another has it`).toBeUndefined()
        expect(ended.has(id), `${seq}: ${id} is claimed though it is over`).toBe(false)
        holder.set(id, { fence: seq, texts: 0 })
      } else if (type === "trigger.delivering") {
        expect(held?.fence, `${seq}: ${actor.agent} delivers ${id} without its claim`).toBe(fence)
        expect((held!.texts += 1), `${seq}: ${id} is delivered twice under one claim`).toBe(1)
      } else if (["trigger.failed", "trigger.deferred", "trigger.released", "trigger.cancelled", "trigger.confirmed"].includes(type)) holder.delete(id)
      if (type === "trigger.confirmed" || type === "trigger.cancelled") ended.add(id)
      if (type === "trigger.requested" || type === "trigger.retried") {
        ended.delete(id)
        failures.set(id, 0)
      }
      if (type === "trigger.failed") failures.set(id, (failures.get(id) ?? 0) + 1)
    }
    const { retries, resumes } = wakePolicy(this.state)
    for (const [id, count] of failures) expectSame(count <= retries + resumes + 2, true, `${count} failures of ${id}`)
    for (const job of this.state.triggers.values()) {
      const { code, text } = standOf(this.state, job, this.nowMs)
      expectSame(text.length > 8, true, `${job.id}: ${text}`)
      expectSame(code === null || REASON_CODES.includes(code), true, `${job.id}: ${code}`)
      const has = (): boolean => {
        if (!isLive(job)) return job.endedAtMs !== null
        if (job.status === "claimed" || job.status === "delivering") return job.claimEndsAtMs !== null
        if (job.status === "awaiting_ack") return job.sentAtMs !== null
        return Number.isFinite(job.notBeforeMs) && job.fence === null
      }
      expectSame(has(), true, `${job.id} has the time that is its status's`)
    }
    for (const agent of AGENTS) expectSame(this.state.jobs.liveOf(agent).filter((job) => job.fence !== null).length <= 1, true, agent)
  }
}

type Step = fc.Command<Model, World>
const step = (name: string, run: (model: Model, world: World) => void): Step => ({
  check: () => true,
  run: (model, world) => {
    run(model, world)
    world.check()
  },
  toString: () => name,
})
const quietly = (outcome: object): void => void isRefusal(outcome)

const steps = (): fc.Arbitrary<Step>[] => {
  const agent = fc.constantFrom(...AGENTS)
  const supervisor = fc.nat(1)
  const record = { channel: null, detail: "", session: null, untilMs: null, bits: 7 }
  // Mostly the newest claims; now and then one that is long over.
  const which = fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, fc.nat(9))
  const claims = (supervisors: fc.Arbitrary<number>): fc.Arbitrary<Step> =>
    fc.tuple(supervisors, fc.boolean()).map(([who, deliver]) =>
      step(`supervisor ${who} claims${deliver ? " and delivers" : ""}`, (model, world) => {
        const by = world.supervisors[who] as Actor
        if (world.state.sessions.get(by.session as string)?.status !== "live") return
        for (const claim of world.claim_([...AGENTS], by)) {
          model.claims.push({ ...claim, by })
          if (!deliver) continue
          world.record(claim, "delivering", {}, by)
          world.record(claim, "sent", {}, by)
        }
      }),
    )
  return [
    claims(supervisor),
    claims(fc.constant(0)),
    fc.tuple(agent, fc.constantFrom("agent", "team")).map(([to, where]) =>
      step(`post to ${to} in ${where}`, (_, world) => {
        const thread = where === "team" ? "team" : `agent/${to}`
        world.post(world.ann, thread)
      }),
    ),
    agent.map((to) => step(`trigger ${to}`, (_, world) => void world.ask(world.ann, to))),
    fc
      .tuple(
        which,
        fc.constantFrom("delivering", "sent", "failed", "deferred", "acked"),
        fc.constantFrom("PANE_DEAD", "SEND_KEYS_ERROR", "OPERATOR_BUSY", "RESUME_FAILED", "QUOTA_EXHAUSTED"),
        fc.boolean(),
      )
      .map(([at, kind, code, beside]) =>
        step(`record ${kind} ${code} of claim ${at}`, (model, world) => {
          // Any claim that was ever given, also one that is long over: only the fence keeps it out.
          const claim = model.claims.at(-1 - (at % Math.max(1, model.claims.length)))
          if (claim === undefined) return
          const untilMs = code === "QUOTA_EXHAUSTED" ? world.nowMs + 5_000 : null
          quietly(world.attempt("trigger.record", claim.by, { ...record, job: claim.job, fence: claim.fence, step: kind, code, beside, untilMs }))
        }),
      ),
    fc.tuple(which, agent, fc.constantFrom("turn", "nonce")).map(([at, who, evidence]) =>
      step(`${who} shows the ${evidence} of claim ${at}`, (model, world) => {
        const claim = model.claims.at(-1 - (at % Math.max(1, model.claims.length)))
        if (claim !== undefined) quietly(world.attempt("trigger.confirm", world.actors.get(who) as Actor, { job: claim.job, evidence }))
      }),
    ),
    fc.tuple(agent, fc.constantFrom("agent", "team")).map(([who, where]) =>
      step(`${who} reads ${where}`, (_, world) => {
        const thread = where === "team" ? "team" : `agent/${who}`
        const head = world.state.threads.get(thread)?.head ?? 0
        quietly(world.attempt("message.ack", world.actors.get(who) as Actor, { thread, lastReadSeq: head }))
      }),
    ),
    fc.constantFrom(10, 3_000, 5_000, 5_000, 31_000).map((ms) => step(`${ms} ms go by`, (_, world) => world.wait(ms))),
    fc.boolean().map((late) =>
      step(`sweep${late ? ", all unacked" : ""}`, (_, world) => {
        const unacked = late ? world.state.jobs.awaiting().map(({ id, fence }) => ({ id, fence: fence as number, idleMs: 30_000 })) : []
        const ended = world.sweep({ unacked }).some((type) => type === "trigger.failed" || type === "trigger.cancelled")
        // Idempotent: at the same moment nothing is left to do, but what a job that ended stood in the way of.
        expect(world.sweep().filter((type) => type !== "trigger.flagged" && !(ended && type === "trigger.requested"))).toEqual([])
        expect(world.sweep()).toEqual([])
      }),
    ),
    fc.tuple(which, fc.boolean()).map(([at, force]) =>
      step(`the operator retries job ${at}`, (_, world) => {
        const job = [...world.state.triggers.keys()][at]
        if (job !== undefined) quietly(world.attempt("trigger.retry", { agent: "olga", session: null, role: "operator" }, { job, reason: "again", force }))
      }),
    ),
    supervisor.map((who) =>
      step(`supervisor ${who} is lost or comes back`, (_, world) => {
        const id = (world.supervisors[who] as Actor).session as string
        const lost = world.state.sessions.get(id)?.status === "lost"
        world.must(
          "hub.sweep",
          { agent: "hub", session: null, role: "supervisor" },
          lost ? { beats: [id], silent: [] } : { beats: [], silent: [{ id, silentMs: 60_000 }] },
        )
      }),
    ),
  ]
}

it(`no job is ever delivered by two, attempts are bounded, and no job waits without a reason (seed ${SEED})`, () => {
  const commands = fc.commands(steps(), { maxCommands: 150, size: "max" })
  fc.assert(
    fc.property(commands, (cmds) => {
      const real = new World()
      fc.modelRun(() => ({ model: { claims: [] }, real }), cmds)
      const replayed = fold(real.bytes)
      expectEqual(takeSnapshot(replayed), takeSnapshot(real.state))
      const restored = fromSnapshot(takeSnapshot(real.state))
      expect(restored.jobs.live()).toEqual(real.state.jobs.live())
      expect(restored.jobs.covered()).toEqual(real.state.jobs.covered())
    }),
    { seed: SEED, numRuns: 100 },
  )
})
