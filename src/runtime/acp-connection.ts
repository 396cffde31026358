import type { ClientConnection, RequestPermissionRequest, RequestPermissionResponse, SessionUpdate } from "@agentclientprotocol/sdk"
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
  update?(agent: string, update: SessionUpdate): void
  /** What it says and does, in words. */
  shown?(agent: string, text: string): void
}

const SHOWN_UNITS = 65_536

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

  take(update: SessionUpdate): void {
    if (update.sessionUpdate === "usage_update" && update.cost?.currency === "USD") {
      this.#costUsd = update.cost.amount
      if (!this.busy) this.#reportedUsd ??= this.#costUsd
    }
    if (update.sessionUpdate === "agent_message_chunk" && update.content.type === "text") this.#show(update.content.text)
    if (update.sessionUpdate === "tool_call") this.#show(`\n[${update.title}]\n`)
    this.#callbacks.update?.(this.agent, update)
  }

  async permit({ sessionId, toolCall, options }: RequestPermissionRequest): Promise<RequestPermissionResponse> {
    const given = options.map(({ optionId, name, kind }) => ({ id: optionId, name, kind }))
    const request = { agent: this.agent, session: sessionId, title: toolCall.title ?? "", kind: toolCall.kind ?? null, options: given }
    const chosen = this.#callbacks.permission === undefined ? rejection(request) : await this.#answer(request, this.#callbacks.permission)
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
    const fields = (typeof usage === "object" && usage !== null ? usage : {}) as Record<string, unknown>
    const count = (name: string): number | null => (typeof fields[name] === "number" ? fields[name] : null)
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
    this.#callbacks.shown?.(this.agent, text)
  }
}

/** What an agent is answered that is refused: by an option of its own where it has one. */
export function rejection({ options }: PermissionRequest): string | null {
  return options.find(({ kind }) => kind === "reject_once")?.id ?? null
}
