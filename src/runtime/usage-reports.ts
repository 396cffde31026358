import { randomUUID } from "node:crypto"
import type { Client } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import type { TurnUsage } from "./acp-connection.ts"

/** What passes by itself: the same is sent again. */
const AWAY: ReadonlySet<string> = new Set(["hub_unreachable", "timed_out", "hub_stopping", "storage_refused", "overloaded", "rate_limited"])
/** Reports that wait for a hub that is away, at the most: the oldest that is not on its way gives way, and that is told. */
export const WAITING_MAX = 1_000

/** What turns of agents used, told to the hub: each once, also where it has to be told again. */
export class UsageReports {
  readonly #hub: Pick<Client, "call">
  readonly #waiting: { usage: TurnUsage; session: string | null; key: string }[] = []
  #sending: Promise<void> | null = null

  readonly #told: (line: string) => void

  constructor(hub: Pick<Client, "call">, told: (line: string) => void) {
    this.#hub = hub
    this.#told = told
  }

  /** `session`: the agent's, with the hub. */
  add(usage: TurnUsage, session: string | null): void {
    this.#waiting.push({ usage, session, key: randomUUID() })
    // The first may be on its way at this moment.
    const [lost] = this.#waiting.length > WAITING_MAX ? this.#waiting.splice(1, 1) : []
    if (lost !== undefined) this.#told(`what ${lost.usage.agent} used is not on the ledger: ${WAITING_MAX} later reports wait for the hub`)
    void this.send()
  }

  /** Sends what waits; what the hub is not there to hear waits on. */
  send(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = null))
    return this.#sending
  }

  async #sendAll(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { usage, session, key } = next
      const { agent, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costMicroUsd } = usage
      const tokens = {
        inputTokens: inputTokens ?? 0,
        outputTokens: outputTokens ?? 0,
        cacheReadTokens: cacheReadTokens ?? 0,
        cacheWriteTokens: cacheWriteTokens ?? 0,
      }
      try {
        await this.#hub.call("usage.report", { agent, session, ...tokens, ...(costMicroUsd === null ? {} : { costMicroUsd }) }, { key })
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error
        // A session that is over by now is no reason to lose what was spent in it.
        if (error.code === "not_found" && session !== null) {
          next.session = null
          continue
        }
        if (AWAY.has(error.code)) return
        this.#told(`what ${agent} used is not on the ledger: ${error.message}`)
      }
      this.#waiting.shift()
    }
  }
}
