/** Fields of `list-clients` that are needed here. */
export const CLIENT_FORMAT = "#{client_control_mode}|#{client_activity}|#{pane_id}|#{client_name}"

/**
 * When people last typed, by pane. tmux knows it by client alone, to the second, so it is the pane's that the client shows; a client that has moved on since
 * the last look counts for both. Keys that were sent by command do not move it.
 */
export class People {
  readonly #typedAtMs = new Map<string, number>()
  readonly #shown = new Map<string, string>()

  look(lines: readonly string[]): void {
    const present = new Set<string>()
    for (const line of lines) {
      const [control, activity, pane, ...name] = line.split("|")
      if (control !== "0" || pane === undefined || !/^\d+$/.test(activity ?? "")) continue
      const client = name.join("|")
      present.add(client)
      // Any moment of that second: the last is the careful one.
      const atMs = Number(activity) * 1_000 + 999
      this.#typed(pane, atMs)
      const before = this.#shown.get(client)
      if (before !== undefined && before !== pane) this.#typed(before, atMs)
      this.#shown.set(client, pane)
    }
    for (const client of this.#shown.keys()) if (!present.has(client)) this.#shown.delete(client)
  }

  typedAtMs(pane: string): number | null {
    return this.#typedAtMs.get(pane) ?? null
  }

  /** Whether a person has typed there in the last `ms`. */
  typedWithin(pane: string, ms: number, nowMs: number): boolean {
    const atMs = this.#typedAtMs.get(pane)
    return atMs !== undefined && nowMs - atMs < ms
  }

  forget(pane: string): void {
    this.#typedAtMs.delete(pane)
  }

  #typed(pane: string, atMs: number): void {
    this.#typedAtMs.set(pane, Math.max(atMs, this.#typedAtMs.get(pane) ?? 0))
  }
}
