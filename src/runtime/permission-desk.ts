import { randomUUID } from "node:crypto"
import type { Client, Entry, Output } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import { onOneLine } from "../core/one-line.ts"
import { type PermissionRequest, rejection } from "./acp-connection.ts"

export const RULE_ANSWERS = ["allow_once", "allow_always", "reject_once", "reject_always", "ask"] as const
/** What the instance's settings say of requests; the first rule that fits decides. What is left out fits everything. `ask` leaves it to the operator. */
export type PermissionRule = {
  agents?: readonly string[] | undefined
  /** The agent's word for what it wants to do: read, edit, delete, move, search, execute, think, fetch, other. */
  kinds?: readonly string[] | undefined
  /** A regular expression for the title, flag `u`. */
  title?: string | undefined
  answer: (typeof RULE_ANSWERS)[number]
}

export type DeskOptions = {
  hub: Pick<Client, "call">
  rules: readonly PermissionRule[]
  /** The agent's session with the hub. */
  session(agent: string): string | null
  told(line: string): void
}

/** `option` null: refused. */
type Answer = { option: string | null }
type Open = { agent: string; settle(answer: Answer | null): void }

const HUB_AWAY_POLL_MS = 1_000
/** So long a hub that does not answer is asked again for: then the request is refused, as it would be without anybody there. */
const HUB_AWAY_MAX_MS = 60_000

/**
 * Where agents that are spoken to by messages ask leave. A rule of the settings decides, or the operator at the hub; who is not answered in time is refused. Each step
 * is on the ledger before the agent hears of it.
 */
export class PermissionDesk {
  readonly #o: DeskOptions
  readonly #open = new Map<number, Open>()

  constructor(options: DeskOptions) {
    this.#o = options
  }

  /** The option that is chosen; null: the agent is told that it was cancelled. `signal`: its turn was ended, and nobody waits any more. */
  async ask(request: PermissionRequest, signal: AbortSignal): Promise<string | null> {
    const { agent, title, kind, options } = request
    const rule = ruleFor(this.#o.rules, request)
    const asked = await this.#ask({
      agent,
      session: this.#o.session(agent),
      title: oneLine(title, 1_000) || "something that it does not name",
      kind: kind === null ? null : oneLine(kind, 64) || null,
      options: options.slice(0, 16).map(({ id, name, kind: word }) => ({ id, name: oneLine(name, 300) || id, kind: oneLine(word, 64) || "other" })),
      rule,
    })
    if (asked === null) return rejection(request)
    if (asked.status === "answered") {
      this.#o.told(`${agent} asks leave (${title}): ${asked.option ?? "refused"} by ${rule?.name ?? "the operator"}`)
      return asked.option ?? rejection(request)
    }
    if (asked.status !== "open") return rejection(request)
    this.#o.told(`${agent} asks leave (${title}): skein permission answer ${asked.permission}`)
    const answer = await this.#answer(asked.permission, agent, signal)
    return answer === null ? null : (answer.option ?? rejection(request))
  }

  /** An entry of the ledger, in which an answer may stand. */
  heard({ type, data }: Pick<Entry, "type" | "data">): void {
    if (type !== "permission.answered" && type !== "permission.ended") return
    const { id, option = null } = data as { id: number; option?: string | null }
    this.#open.get(id)?.settle({ option })
  }

  /** Looks whether an answer came that was not heard: while the hub was away. */
  async look(): Promise<void> {
    for (const agent of new Set([...this.#open.values()].map((one) => one.agent))) {
      const { permissions } = await this.#o.hub.call("permission.list", { open: false, agent, limit: 1_000 })
      for (const { id, status, option } of permissions) if (status !== "open") this.#open.get(id)?.settle({ option })
    }
  }

  /** Null where the hub does not take it, or cannot be asked. */
  async #ask(input: Parameters<Client["permission"]["ask"]>[0]): Promise<Output<"permission.ask"> | null> {
    // One key for every try: a hub that took the request and could not say so any more is not to put it to the operator twice.
    const key = randomUUID()
    for (const endsAt = performance.now() + HUB_AWAY_MAX_MS; ;) {
      try {
        return await this.#o.hub.call("permission.ask", input, { key })
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error
        const mayCome = ["hub_unreachable", "timed_out", "hub_stopping", "storage_refused", "overloaded"].includes(error.code) && performance.now() < endsAt
        if (!mayCome) {
          this.#o.told(`${input.agent} asks leave (${input.title}), and it is refused: ${error.message}`)
          return null
        }
        await new Promise((settle) => setTimeout(settle, HUB_AWAY_POLL_MS))
      }
    }
  }

  async #answer(permission: number, agent: string, signal: AbortSignal): Promise<Answer | null> {
    const answer = new Promise<Answer | null>((settle) => {
      this.#open.set(permission, { agent, settle })
      signal.addEventListener("abort", () => settle(null), { once: true })
      if (signal.aborted) settle(null)
    })
    try {
      // It may have come before anybody listened.
      await this.look().catch(() => undefined)
      return await answer
    } finally {
      this.#open.delete(permission)
      if (signal.aborted) await this.#o.hub.call("permission.withdraw", { permission, reason: "the turn was ended" }).catch(() => undefined)
    }
  }
}

/** The rule that decides, with the option that it chooses; null: none does. What a rule would choose and is not offered is left to the operator. */
export function ruleFor(rules: readonly PermissionRule[], request: PermissionRequest): { name: string; option: string | null } | null {
  const { agent, kind, title, options } = request
  const at = rules.findIndex(
    (rule) =>
      (rule.agents === undefined || rule.agents.includes(agent)) &&
      (rule.kinds === undefined || rule.kinds.includes(kind ?? "other")) &&
      (rule.title === undefined || new RegExp(rule.title, "u").test(title)),
  )
  const answer = rules[at]?.answer
  if (answer === undefined || answer === "ask") return null
  const name = `permissions[${at}]`
  const once = answer.replace("always", "once")
  const option = options.find((one) => one.kind === answer) ?? options.find((one) => one.kind === once)
  if (option !== undefined) return { name, option: option.id }
  return answer.startsWith("reject") ? { name, option: null } : null
}

function oneLine(text: string, most: number): string {
  const clean = onOneLine(text, " ").trim()
  return [...clean].slice(0, most).join("").slice(0, most).toWellFormed()
}
