import { randomBytes } from "node:crypto"
import { aRole } from "../core/role.ts"
import { SkeinError } from "../contract/errors.ts"
import type { Input } from "../contract/operations.ts"
import type { Role } from "../core/entry.ts"
import { consistencyPath } from "../core/merkle.ts"
import { storageRefused } from "../hub/failures.ts"
import { costOf, priceOf } from "../core/usage.ts"
import { LedgerFailure } from "../ledger/ledger.ts"
import { prove } from "../ledger/proof.ts"
import { checkSession, makeCredential, OPERATOR } from "./auth.ts"
import { mismatch } from "./claim-mismatch.ts"
import type { Composite, Context, Doers } from "./context.ts"
import { policyActions } from "./policy-actions.ts"
import { reads } from "./reads.ts"
import { sendEvent } from "./send-event.ts"
import { waitForWork } from "./work-wait.ts"
import { threadReads } from "./thread-reads.ts"
import { permissionReads } from "./permission-reads.ts"
import { foresightActions } from "./foresight.ts"
import { terminalActions } from "./screens.ts"
import { triggerActions } from "./trigger-actions.ts"

/** Roles whose tokens a supervisor may mint: never one that could do more than it can itself. */
const MINTABLE: readonly Role[] = ["worker", "observer", "plugin", "orchestrator"]

/** 130 random bits: no two sessions, or threads, ever share an id. */
function drawId(prefix: "s_" | "t_"): string {
  let id: string = prefix
  for (const byte of randomBytes(26)) id += "0123456789abcdefghjkmnpqrstvwxyz"[byte & 31]
  return id
}

function directs({ caller }: Context): boolean {
  return caller.actor.role === "operator" || caller.actor.role === "supervisor"
}

/** Every operation that is more than a command handed to the loop. */
export const composites: Doers<Composite> = {
  ...reads,
  ...threadReads,
  ...triggerActions,
  ...policyActions,
  ...permissionReads,
  ...terminalActions,
  ...foresightActions,

  "session.start": async (context, { agent, ...input }) => {
    const { loop, caller, key, connection } = context
    const name = agent ?? caller.actor.agent
    if (name !== caller.actor.agent && !directs(context)) throw mismatch("agent", name, caller.actor.agent)
    const started = await loop.execute("session.start", caller.actor, { id: drawId("s_"), agent: name, ...input }, { key })
    if (input.owned) {
      loop.beat(started.session)
      connection?.own(loop, started.session)
    }
    return started
  },

  "session.beat": async (context, { sessions }) => {
    const { loop, caller } = context
    const own = await loop.read((state) => sessions.filter((id) => directs(context) || state.sessions.get(id)?.agent === caller.actor.agent))
    return { heard: own.filter((id) => loop.beat(id)) }
  },

  // Field by field: to copy all but one takes four times as long, and this is the call that must be quick.
  "task.claimNext": ({ loop, caller, key, signal, from }, { plan, labels, filler, max, waitMs }) => {
    const filter = { plan, labels, filler, max } satisfies Record<Exclude<keyof Input<"task.claimNext">, "waitMs">, unknown>
    return loop.execute("task.claimNext", caller.actor, filter, { key, waitMs, signal, from })
  },

  "event.send": sendEvent,

  "work.wait": waitForWork,
  "thread.create": ({ loop, caller, key }, { thread, ...input }) =>
    loop.execute("thread.create", caller.actor, { thread: thread ?? drawId("t_"), ...input }, { key }),

  "credential.issue": async ({ loop, caller }, { agent }) => {
    const { credential, id, hash } = makeCredential(agent)
    return { ...(await loop.execute("credential.issue", caller.actor, { agent, id, hash })), credential }
  },

  "token.mint": async ({ loop, auth, caller }, { agent: name, session }) => {
    const role = await loop.read((state) => {
      const agent = state.agents.get(name)
      if (agent === undefined) throw new SkeinError("not_found", `there is no agent ${name}`, "`skein agent list` lists the agents.", { agent: name })
      if (agent.status === "retired") throw new SkeinError("retired", `agent ${name} is retired`, "A retired agent does not come back.", { agent: name })
      if (!MINTABLE.includes(agent.role))
        throw new SkeinError("forbidden", `no token is minted for ${aRole(agent.role)}`, "Use that agent's own credential.", { agent: name, role: agent.role })
      if (session !== null) checkSession(state, name, session)
      return agent.role
    })
    const { actor, workspace, credential } = caller
    // The operator's own credential is no agent's: it cannot be revoked.
    const minter = credential === null || actor.agent === OPERATOR ? {} : { minter: { agent: actor.agent, credential } }
    return auth.mint({ actor: { agent: name, session, role }, workspace, credential: null, ...minter })
  },

  "ledger.prove": async ({ loop }, { seq }) => {
    const note = loop.note()
    const uncovered = new SkeinError(
      "not_found",
      `no checkpoint covers entry ${seq} yet`,
      "Wait for the next checkpoint, a second after activity, or make one: skein ledger checkpoint.",
      { seq },
    )
    if (note === null) throw uncovered
    try {
      return await prove({ read: (from, limit) => loop.entries(from, limit) }, seq, note, loop.tree)
    } catch (error) {
      if (error instanceof LedgerFailure && error.code === "unsupported") throw uncovered
      throw error
    }
  },

  "ledger.consistency": async ({ loop }, { from, to }) => {
    const head = await loop.read((state) => state.seq)
    if (from > to || from < 1)
      throw new SkeinError("invalid", `no ledger grew from ${from} to ${to} entries`, "Give two sizes, the smaller one first; the smaller is at least 1.", {
        from,
        to,
      })
    if (to > head) throw new SkeinError("not_found", `the ledger has ${head} entries, not ${to}`, "Ask up to its head.", { to, head })
    const proof = await loop.tree.roots(consistencyPath(from, to))
    return { from, to, proof: proof.map((hash) => Buffer.from(hash).toString("base64")) }
  },

  "ledger.checkpoint": ({ loop }) => loop.checkpoint(),

  "usage.report": ({ loop, caller, key, prices }, input) => {
    const price = input.costMicroUsd === null ? priceOf(prices, input.model) : null
    return loop.execute("usage.report", caller.actor, price === null ? input : { ...input, costMicroUsd: costOf(input, price) }, { key })
  },

  "workspace.create": async ({ hub }, { name }) => {
    if (hub.workspace(name) !== null)
      throw new SkeinError("already_exists", `there is a workspace ${name} already`, "Use it, or choose another name.", { workspace: name })
    const loop = await hub.create(name).catch((error: unknown) => {
      if (!(error instanceof LedgerFailure)) throw error
      throw error.code === "rolled_back" ? storageRefused(error) : new SkeinError("invalid", error.message, error.remedy, { workspace: name })
    })
    return { seq: loop.head.seq, workspace: name }
  },
}
