import type { ClientConnection, RequestPermissionRequest, RequestPermissionResponse } from "@agentclientprotocol/sdk"
import type { RunningProcess } from "./process.ts"

/** What an agent asks leave for. */
export type PermissionRequest = {
  agent: string
  session: string
  title: string
  kind: string | null
  options: readonly { id: string; name: string; kind: string }[]
}

/** What a turn has used, as far as the agent says; null where it does not. */
export type TurnUsage = {
  agent: string
  session: string
  inputTokens: number | null
  outputTokens: number | null
  cacheReadTokens: number | null
  cacheWriteTokens: number | null
  /** Millionths of a US dollar, of this turn alone. */
  costMicroUsd: number | null
}

export type AcpCallbacks = {
  /**
   * The option that is chosen, or null: none, the agent is told that it was cancelled. Without this every request is rejected. `signal` aborts with the turn: then
   * nobody waits for an answer any more.
   */
  permission?(request: PermissionRequest, signal: AbortSignal): Promise<string | null>
  usage?(usage: TurnUsage): void
  /** What it says and does, in words. */
  shown?(agent: string, text: string): void
}

const SHOWN_UNITS = 65_536
/** Requests of one agent that wait at once, at the most: more are rejected unasked. */
const ASKED_MAX = 64
/** Of what an agent calls the thing that it asks leave for. */
const TITLE_MAX = 4_096
/** As the hub takes them at the most: a figure beyond is no truth. */
const TOKENS_MAX = 1e12
const COST_MAX_USD = 1e6

/** One agent behind one pipe, with the one conversation that it has here. */
export class AcpConnection {
  readonly agent: string
  readonly connection: ClientConnection
  readonly child: RunningProcess
  session = ""
  busy = false
  shown = ""
  readonly #callbacks: AcpCallbacks
  readonly #asked = new Set<() => void>()
  #costUsd = 0
  /** Null until it is known: what a conversation that is gone on with had cost before is none of its new turns'. */
  #reportedUsd: number | null = 0

  constructor(agent: string, connection: ClientConnection, child: RunningProcess, callbacks: AcpCallbacks) {
    this.agent = agent
    this.connection = connection
    this.child = child
    this.#callbacks = callbacks
  }

  /** The conversation is one from before. */
  goesOnWith(session: string): void {
    this.session = session
    this.#reportedUsd = null
  }

  /** A `session/update`, as it came. */
  take(params: unknown): void {
    const update = fieldsOf(fieldsOf(params)["update"])
    const cost = fieldsOf(update["cost"])
    const content = fieldsOf(update["content"])
    const { amount } = cost
    const { text } = content
    const { title } = update
    if (update["sessionUpdate"] === "usage_update" && cost["currency"] === "USD" && typeof amount === "number" && amount >= 0 && amount <= COST_MAX_USD) {
      this.#costUsd = amount
      if (!this.busy) this.#reportedUsd ??= this.#costUsd
    }
    if (update["sessionUpdate"] === "agent_message_chunk" && content["type"] === "text" && typeof text === "string") this.#show(text)
    if (update["sessionUpdate"] === "tool_call" && typeof title === "string") this.#show(`\n[${title.slice(0, TITLE_MAX)}]\n`)
  }

  async permit({ sessionId, toolCall, options }: RequestPermissionRequest): Promise<RequestPermissionResponse> {
    const given = options.map(({ optionId, name, kind }) => ({ id: optionId, name, kind }))
    const request = { agent: this.agent, session: sessionId, title: (toolCall.title ?? "").slice(0, TITLE_MAX), kind: toolCall.kind ?? null, options: given }
    const ask = this.#asked.size < ASKED_MAX ? this.#callbacks.permission : undefined
    const chosen = ask === undefined ? rejection(request) : await this.#answer(request, ask)
    // An answer that was not offered is none.
    if (chosen === null || !given.some(({ id }) => id === chosen)) return { outcome: { outcome: "cancelled" } }
    return { outcome: { outcome: "selected", optionId: chosen } }
  }

  /** With the turn all that it asks ends too: the protocol wants an answer to each. */
  cancelRequests(): void {
    for (const none of this.#asked) none()
    this.#asked.clear()
  }

  /** At the end of a turn: what the agent says of it, and what its conversation costs more than before. */
  reportUsage(usage: unknown): void {
    const fields = fieldsOf(usage)
    const count = (name: string): number | null => countOf(fields[name])
    const before = this.#reportedUsd
    const costMicroUsd = before !== null && this.#costUsd > before ? Math.round((this.#costUsd - before) * 1e6) : null
    this.#reportedUsd = Math.max(before ?? 0, this.#costUsd)
    this.#show("\n")
    const [inputTokens, outputTokens] = [count("inputTokens"), count("outputTokens")]
    if (costMicroUsd === null && inputTokens === null && outputTokens === null) return
    const [cacheReadTokens, cacheWriteTokens] = [count("cachedReadTokens"), count("cachedWriteTokens")]
    this.#callbacks.usage?.({ agent: this.agent, session: this.session, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costMicroUsd })
  }

  async #answer(request: PermissionRequest, ask: NonNullable<AcpCallbacks["permission"]>): Promise<string | null> {
    const turn = new AbortController()
    let settled = (_none: null): void => {}
    const cancelled = new Promise<null>((settle) => (settled = settle))
    const none = (): void => {
      settled(null)
      turn.abort()
    }
    this.#asked.add(none)
    try {
      return await Promise.race([ask(request, turn.signal), cancelled])
    } catch {
      return rejection(request)
    } finally {
      this.#asked.delete(none)
    }
  }

  #show(text: string): void {
    this.shown = (this.shown + text).slice(-SHOWN_UNITS)
    try {
      this.#callbacks.shown?.(this.agent, text)
    } catch {
      // A log that cannot be written takes no agent down.
    }
  }
}

export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function countOf(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= TOKENS_MAX ? value : null
}

/** What an agent is answered that is refused: by an option of its own where it has one. */
export function rejection({ options }: PermissionRequest): string | null {
  return options.find(({ kind }) => kind === "reject_once")?.id ?? null
}
