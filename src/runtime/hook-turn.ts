import { SkeinError } from "../contract/errors.ts"
import { noncesIn } from "../core/nonce.ts"
import type { HookAnswer } from "./hook-answer.ts"
import type { HookCall } from "./hook-call.ts"
import type { HookMark, HookMarkFile } from "./hook-mark.ts"
import { deliveryOf, type ShownMessage, type UnreadThread } from "./hook-messages.ts"
import type { RepositoryPath } from "./hook-paths.ts"
import type { UsedTokens } from "./hook-usage.ts"

/** What stands against the writing of a file. */
export type Holding = { agent: string; task: string | null; reason: string; endsAtMs: number | null }
export type FilesChecked = { allowed: boolean; paths: readonly { path: string; allowed: boolean; heldBy: Holding | null }[]; claimed: readonly string[] }

/** What a hook asks of the hub, as the agent that called. Each may throw. */
export type HookHub = {
  check(paths: readonly string[]): Promise<FilesChecked>
  unread(): Promise<{ threads: readonly (UnreadThread & { lastReadSeq: number })[] }>
  read(thread: string, sinceSeq: number): Promise<readonly ShownMessage[]>
  acknowledge(thread: string, lastReadSeq: number): Promise<void>
  /** Says that a turn began or ended; `nonce`: that of a wake, where one stands in the prompt. */
  turn(state: "started" | "ended", nonce: string | null, conversation: string | null): Promise<void>
  /** Turns that stop hooks may ask for in one conversation: an end to any loop, whatever its reason. */
  turnsMax(): Promise<number>
  /** `task` null: that which the agent is at work on. */
  report(used: UsedTokens, task: string | null, key: string): Promise<void>
}

export type Turn = {
  call: HookCall
  hub: HookHub
  mark: HookMarkFile
  /** The name of the agent that called. */
  agent: string
  /** Those of `call.paths` that lie in the repository. */
  paths: readonly RepositoryPath[]
  /** Edits need a claimed task. */
  requireClaim: boolean
  nowMs: number
  /** Usage comes another way: it is not to be counted twice. */
  usageElsewhere: boolean
}

/** Threads that one call looks into, and messages of each. */
const THREADS_MAX = 5
const MESSAGES_MAX = 10

/** What Skein has to say at this call. Throws what the hub throws: then the agent works on, and is told once. */
export async function answerTurn(turn: Turn): Promise<HookAnswer> {
  const { moment } = turn.call
  if (moment === "before") return checkEdit(turn)
  if (moment === "usage") {
    await reportUsage(turn, turn.mark.read())
    return {}
  }
  if (moment === "prompt") await tellTurn(turn, "started", noncesIn(promptOf(turn.call))[0] ?? null)
  const unlock = turn.mark.lock()
  // Another call of the same conversation is at it: what there is to say, it says.
  if (unlock === null) return {}
  try {
    let mark = await acknowledgePending(turn, turn.mark.read())
    if (moment === "stop" || moment === "end" || turn.call.finished !== null) mark = await reportUsage(turn, mark)
    if (moment === "end") {
      turn.mark.write(mark)
      turn.mark.sweep()
      await tellTurn(turn, "ended", null)
      return {}
    }
    if (moment === "stop") {
      const answer = await oneMoreTurn(turn, mark)
      if (answer.again === undefined) await tellTurn(turn, "ended", null)
      return answer
    }
    const delivered = await deliver(turn, mark)
    turn.mark.write({ ...delivered.mark, atStart: moment === "start" && delivered.text !== null })
    return delivered.text === null ? {} : { context: delivered.text }
  } finally {
    unlock()
  }
}

/** A wake counts as delivered when its turn begins; while a turn goes on, nothing is started beside it. What hinders this hinders the agent in nothing. */
async function tellTurn({ hub, call }: Turn, state: "started" | "ended", nonce: string | null): Promise<void> {
  try {
    await hub.turn(state, nonce, call.session?.slice(0, 200) ?? null)
  } catch {
    // Then the moved cursor is the evidence, or the nonce in a tool call.
  }
}

const PROMPT_SEARCHED_MAX = 256 * 1024

/** What the agent was given; opencode hands its parts over, and a nonce stands in them as it does in their JSON. */
function promptOf({ input: { prompt }, text }: HookCall): string {
  return (typeof prompt === "string" ? prompt : text).slice(0, PROMPT_SEARCHED_MAX)
}

async function checkEdit({ hub, paths, requireClaim, nowMs }: Turn): Promise<HookAnswer> {
  if (paths.length === 0) return {}
  const checked = await hub.check(paths.map(({ path }) => path))
  const held = checked.paths.flatMap(({ path, allowed, heldBy }) => (allowed || heldBy === null ? [] : [{ path, ...heldBy }]))
  if (held.length > 0) {
    const lines = held.map((holding) => `- ${holding.path} is held by ${holderOf(holding, nowMs)}`)
    const agents = [...new Set(held.map(({ agent }) => agent))].join(", ")
    return {
      deny: `Skein: not written, nothing was changed.\n${lines.join("\n")}\nWork on something else meanwhile, or ask ${agents} for it with post_message; wait_for_work tells when there is news.`,
    }
  }
  if (!checked.allowed) return { deny: "Skein: not written: the hub does not allow it, and names no holder. Look: list_files." }
  if (requireClaim && checked.claimed.length === 0)
    return { deny: "Skein: not written: this repository wants a claimed task for every edit (requireClaim), and you hold none. Call claim_task first." }
  return {}
}

function holderOf({ agent, task, reason, endsAtMs }: Holding, nowMs: number): string {
  const why = task === null ? JSON.stringify(reason.slice(0, 200)) : `task ${task}`
  if (endsAtMs === null) return `${agent} (${why}) until that is done`
  const leftS = Math.max(1, Math.ceil((endsAtMs - nowMs) / 1_000))
  const left = leftS < 120 ? `${leftS} s` : `${Math.ceil(leftS / 60)} min`
  return `${agent} (${why}) until ${new Date(endsAtMs).toISOString().slice(11, 19)} UTC, ${left} from now unless it goes on`
}

/** Tells the hub of what was put before the model at an earlier call: that this call came shows that the model has it. */
async function acknowledgePending({ hub }: Turn, mark: HookMark): Promise<HookMark> {
  const pending = Object.entries(mark.pending)
  // One that was moved further meanwhile, by the model itself, is no failure.
  await Promise.all(pending.map(([thread, number]) => hub.acknowledge(thread, number).catch(() => undefined)))
  return pending.length === 0 ? mark : { ...mark, pending: {}, atStart: false }
}

/** Unread messages that this conversation was not shown yet, and the mark that remembers them. */
export async function deliver({ hub, agent }: Pick<Turn, "hub" | "agent">, mark: HookMark): Promise<{ text: string | null; mark: HookMark }> {
  const { threads } = await hub.unread()
  const fresh = threads.filter(({ unread }) => unread > 0).slice(0, THREADS_MAX)
  const pages = await Promise.all(fresh.map(({ thread, lastReadSeq }) => hub.read(thread, Math.max(lastReadSeq, mark.shown[thread] ?? 0))))
  const messages = pages.flatMap((page) => page.filter(({ sender }) => sender !== agent).slice(0, MESSAGES_MAX))
  const delivery = deliveryOf(threads, messages)
  if (delivery === null) return { text: null, mark }
  return { text: delivery.text, mark: { ...mark, shown: { ...mark.shown, ...delivery.shown }, pending: { ...mark.pending, ...delivery.shown } } }
}

/** Unread messages are worth another turn: each at most once, since what was shown is not shown again; and never without end. */
async function oneMoreTurn(turn: Turn, mark: HookMark): Promise<HookAnswer> {
  const isOver = turn.call.again || mark.turns >= (await turn.hub.turnsMax())
  const { text, mark: after } = isOver ? { text: null, mark } : await deliver(turn, mark)
  turn.mark.write(text === null ? after : { ...after, turns: after.turns + 1 })
  return text === null ? {} : { again: `${text}\n\nYou were about to stop: deal with these first, then stop.` }
}

async function reportUsage(turn: Turn, mark: HookMark): Promise<HookMark> {
  if (turn.usageElsewhere) return mark
  // Before an edit, which is where agents call hooks most, nothing is counted.
  const { usageSince } = await import("./hook-usage.ts")
  const { used, mark: after, place } = usageSince(turn.call, mark)
  // The key says which stretch of the record it is: sent again, it counts once.
  const report = (one: UsedTokens, task: string | null): Promise<void> =>
    turn.hub.report(one, task, `usage:${turn.call.session ?? "none"}:${place}:${one.model}`.slice(0, 200))
  try {
    await Promise.all(used.map((one) => report(one, turn.call.finished).catch((error: unknown) => reportBare(error, () => report(one, null)))))
    return after
  } catch {
    // It is read again at the next look.
    return mark
  }
}

/** The task that the agent named may be none: what was used is its own all the same. What the hub will never take is not offered to it at each look. */
async function reportBare(error: unknown, again: () => Promise<void>): Promise<void> {
  if (!isFinal(error)) throw error
  try {
    await again()
  } catch (more) {
    if (!isFinal(more)) throw more
  }
}

const isFinal = (error: unknown): boolean => error instanceof SkeinError && (error.code === "invalid_input" || error.code === "not_found")
