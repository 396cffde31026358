import type { AgentId, Seq } from "../core/ids.ts"
import type { Role } from "../core/entry.ts"
import type { Request } from "./policy-request.ts"
import type { Verdict } from "./policy-set.ts"

/** One decision: `seq` is the state's that it was decided against. */
export type Judged = {
  atMs: number
  seq: Seq
  decision: "allow" | "deny"
  by: Verdict["by"] | "role"
  rule: string | null
  principal: AgentId
  role: Role
  action: string
  resource: string
  fault: string | null
}

const KEPT = 1_000
/** Denials are told of for so long, in ms. */
const TOLD_MS = 3_600_000
/** Agents and rules that are told of at once. */
const TOLD_MAX = 100

export type Denials = { agent: AgentId; action: string; rule: string | null; fault: string | null; count: number; lastAtMs: number }

export function judgedAs({ action, role, principal, resource }: Request, verdict: Verdict, seq: Seq, atMs: number): Judged {
  const { allowed, by, rule, fault } = verdict
  const on = resource.type === "Workspace" ? "workspace" : `${resource.type.toLowerCase()}/${resource.id}`
  return { atMs, seq, decision: allowed ? "allow" : "deny", by, rule, principal: principal.id, role, action, resource: on, fault }
}

/**
 * What was decided lately, in memory: every decision follows from the ledger (the state at its seq and the policy's text), so it can be made again, and
 * an agent that asks in vain a thousand times must not fill the ledger.
 */
export class PolicyLog {
  readonly #last: Judged[] = []
  #next = 0
  readonly #denials = new Map<string, Denials>()
  #counts = { allowed: 0, denied: 0 }

  get counts(): Readonly<{ allowed: number; denied: number }> {
    return this.#counts
  }

  /** Answers whether this is the first denial of its kind within the hour. */
  add(judged: Judged): boolean {
    this.#last[this.#next] = judged
    this.#next = (this.#next + 1) % KEPT
    if (judged.decision === "allow") {
      this.#counts.allowed += 1
      return false
    }
    this.#counts.denied += 1
    const { principal: agent, action, rule, fault, atMs } = judged
    const key = `${agent} ${action} ${rule ?? ""}`
    const known = this.#denials.get(key)
    const isNew = known === undefined || atMs - known.lastAtMs > TOLD_MS
    this.#denials.delete(key)
    this.#denials.set(key, { agent, action, rule, fault, count: isNew ? 1 : known.count + 1, lastAtMs: atMs })
    if (this.#denials.size > TOLD_MAX) this.#denials.delete(this.#denials.keys().next().value as string)
    return isNew
  }

  /** Newest first. */
  *newest(): Iterable<Judged> {
    for (let back = 1; back <= this.#last.length; back += 1) yield this.#last[(this.#next - back + KEPT) % KEPT] as Judged
  }

  /** Who was denied what within the hour, the latest first. */
  denials(nowMs: number): Denials[] {
    return [...this.#denials.values()].filter(({ lastAtMs }) => nowMs - lastAtMs <= TOLD_MS).reverse()
  }
}
