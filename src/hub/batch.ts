import type { Chain } from "../core/chain.ts"
import { type ClaimNext, searchOn } from "../core/claim.ts"
import { commands } from "../core/command.ts"
import { type Actor, decodeEntry, encodeEntry, type Entry, ENTRY_MAX_BYTES } from "../core/entry.ts"
import { newEffort } from "../core/glob-match.ts"
import { recall } from "../core/idempotency.ts"
import type { Remembered } from "../core/key-table.ts"
import type { Walk } from "../core/ready.ts"
import { isRefusal, type Refusal, refuse } from "../core/refusal.ts"
import { Unfinished } from "../core/unfinished.ts"
import { evolve, type Workspace } from "../core/workspace.ts"
import type { Ledger, Stored } from "../ledger/ledger.ts"
import { failedInside, unreadable } from "./failures.ts"
import type { Policy } from "./policy.ts"
import type { Judged } from "./policy-log.ts"
import type { Waiting } from "./waiting.ts"

type Outcome =
  | { kind: "answer"; output: unknown }
  | { kind: "refusal"; refusal: Refusal }
  | { kind: "again"; remembered: Remembered }
  /** A bug. `recorded`: the command was done, and only its answer could not be built. */
  | { kind: "fault"; error: unknown; recorded: boolean }

/** Entries after which no claim can fit that did not fit before, nor sooner. All others may have made something ready, or somebody free to take it. */
const QUIET: ReadonlySet<string> = new Set([
  "task.claimed",
  "task.started",
  "task.progressed",
  "task.flagged",
  "task.help_wanted",
  "task.help_joined",
  "lease.renewed",
  "leases.renewed",
  "session.lost",
  "session.returned",
  "files.reserved",
  "files.renewed",
  "event.sent",
  "event.acked",
  "thread.created",
  "thread.joined",
  "thread.left",
  "thread.status_changed",
  "message.posted",
  "message.acked",
  "trigger.requested",
  "trigger.claimed",
  "trigger.delivering",
  "trigger.sent",
  "trigger.observed",
  "trigger.failed",
  "trigger.deferred",
  "trigger.released",
  "trigger.confirmed",
  "trigger.flagged",
  "trigger.cancelled",
  "trigger.retried",
  "supervisor.covering",
  "session.adopted",
  "policy.changed",
  "checkpoint.recorded",
])

/** Whether an entry may let a parked claim succeed. */
export function stirs(type: string): boolean {
  return !QUIET.has(type)
}

/** Commands decided one after the other, each against the state that the ones before it left: what they decide is folded in at once. */
export class Batch {
  readonly decided: { waiting: Waiting; outcome: Outcome }[] = []
  readonly stored: Stored[] = []
  /** Whether a parked claim may succeed now. */
  stirred = false
  readonly #state: Workspace
  readonly #chain: Chain
  readonly #nowMs: number
  readonly #policy: Policy
  readonly #judged: Judged[] = []
  readonly #onFault: (error: unknown, command: string) => void

  constructor(state: Workspace, chain: Chain, nowMs: number, policy: Policy, onFault: (error: unknown, command: string) => void) {
    this.#policy = policy
    this.#onFault = onFault
    this.#state = state
    this.#chain = chain
    this.#nowMs = nowMs
  }

  /**
   * Decides one and folds it in. Answers `Unfinished` where it is that: nothing came of it, and it is to be decided again, in another batch. Throws only where the
   * fold itself fails: then the state may be half changed, and the hub MUST stop.
   */
  decide(waiting: Waiting, input: unknown): Unfinished | null {
    const outcome = this.#decide(waiting, input as never)
    if (outcome instanceof Unfinished) return outcome
    this.decided.push({ waiting, outcome })
    return null
  }

  /** Answers all of them, once the ledger holds what they decided. */
  async answer(ledger: Pick<Ledger, "read">, refused: (waiting: Waiting, refusal: Refusal) => void): Promise<void> {
    this.#policy.keep(this.#judged)
    const again: Promise<void>[] = []
    for (const { waiting, outcome } of this.decided) {
      if (outcome.kind === "answer") waiting.resolve(outcome.output)
      else if (outcome.kind === "refusal") refused(waiting, outcome.refusal)
      else if (outcome.kind === "again") again.push(answerAgain(this.#state, ledger, waiting, outcome.remembered))
      else {
        this.#onFault(outcome.error, waiting.name)
        waiting.reject(failedInside(waiting.name, outcome.recorded))
      }
    }
    if (again.length > 0) await Promise.all(again)
  }

  #decide({ name, actor, key, search }: Waiting, input: never): Outcome | Unfinished {
    const state = this.#state
    const command = commands[name]
    const judged = this.#judged.length
    let entries: Entry[]
    let texts: string[]
    try {
      if (key !== null) {
        const remembered = recall(state, actor.agent, key.id, key.hash)
        if (remembered !== null) return isRefusal(remembered) ? { kind: "refusal", refusal: remembered } : { kind: "again", remembered }
      }
      const denied = this.#policy.refusal(name, actor, input, this.#nowMs, this.#judged)
      if (denied !== null) return { kind: "refusal", refusal: denied }
      const asked = name === "task.claimNext" ? (this.#claim(actor, input, search?.walk ?? null) as never) : input
      const decision = command.decide(state, actor, asked, this.#nowMs)
      if (isRefusal(decision)) return { kind: "refusal", refusal: decision }
      entries = []
      texts = []
      for (const { type, causedBy = null, data } of decision) {
        const seq = state.seq + 1 + entries.length
        const entry: Entry = { seq, atMs: this.#nowMs, type, v: 1, actor, commandId: key?.id ?? null, commandHash: key?.hash ?? null, causedBy, data }
        entries.push(entry)
        texts.push(encodeEntry(entry))
      }
    } catch (error) {
      if (!(error instanceof Unfinished)) return { kind: "fault", error, recorded: false }
      this.#judged.length = judged
      return error
    }
    const long = texts.findIndex(tooLong)
    if (long >= 0) return { kind: "refusal", refusal: tooLarge(entries[long] as Entry) }
    for (let at = 0; at < entries.length; at += 1) {
      const entry = entries[at] as Entry
      const bytes = texts[at] as string
      evolve(state, entry)
      this.stored.push({ seq: entry.seq, bytes, hash: this.#chain.append(bytes) })
      this.stirred ||= stirs(entry.type)
    }
    try {
      return { kind: "answer", output: command.answer(state, actor, input, entries) }
    } catch (error) {
      return { kind: "fault", error, recorded: entries.length > 0 }
    }
  }

  /** A claim as it is decided. Where its search goes on it does so first: what that meets stands for nothing, so it is neither told nor logged. Throws `Unfinished`. */
  #claim(actor: Actor, input: ClaimNext, walk: Walk | null): ClaimNext {
    const shared = walk === null ? input : { ...input, effort: newEffort(input.steps) }
    if (walk !== null) searchOn(this.#state, actor, this.#policy.guarded(actor, shared, this.#nowMs, []), this.#nowMs, walk)
    return this.#policy.guarded(actor, shared, this.#nowMs, this.#judged)
  }
}

/** The same key again: the answer is built from the entries that it made the first time. */
async function answerAgain(state: Workspace, ledger: Pick<Ledger, "read">, waiting: Waiting, { first, last }: Remembered): Promise<void> {
  try {
    const stored = await ledger.read(first, last - first + 1)
    const entries = stored.map(({ bytes }) => decodeEntry(bytes))
    waiting.resolve(commands[waiting.name].answer(state, waiting.actor, waiting.input as never, entries))
  } catch {
    waiting.reject(unreadable())
  }
}

function tooLong(text: string): boolean {
  return text.length > ENTRY_MAX_BYTES || (text.length * 3 > ENTRY_MAX_BYTES && Buffer.byteLength(text) > ENTRY_MAX_BYTES)
}

function tooLarge(entry: Entry): Refusal {
  return refuse(
    "too_large",
    `the entry ${entry.type} would be longer than ${ENTRY_MAX_BYTES} bytes`,
    "Shorten its texts: put what is large in a file or a commit, and name it.",
    { type: entry.type, limit: ENTRY_MAX_BYTES },
  )
}
