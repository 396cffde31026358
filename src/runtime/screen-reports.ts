import type { Client } from "../client/client.ts"

/** What is needed of one agent that is run here. */
type Shown = { readonly agent: string; capture(lines: number): Promise<string> }

export type ScreenReportsOptions = { hub: Pick<Client, "call">; agents(): readonly Shown[] }

const WATCHED_MS = 1_000
/** Between two questions whether anybody looks, while nobody does. */
const IDLE_MS = 3_000
const LINES = 200
const TEXT_MAX = 16_384
/** Escape sequences and what else is no text: whoever looks sees characters, not commands. */
const NO_TEXT = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b.|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/** Tells the hub what the terminals show that somebody looks at; nothing else leaves this machine. */
export class ScreenReports {
  readonly #o: ScreenReportsOptions
  #wanted: readonly string[] = []
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(options: ScreenReportsOptions) {
    this.#o = options
  }

  begin(): void {
    if (this.#isOver) return
    this.#timer = setTimeout(() => void this.#report().finally(() => this.begin()), this.#wanted.length > 0 ? WATCHED_MS : IDLE_MS)
  }

  close(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  async #report(): Promise<void> {
    const { hub, agents } = this.#o
    const looked = agents().filter(({ agent }) => this.#wanted.includes(agent))
    try {
      const screens = await Promise.all(looked.map(async (one) => ({ agent: one.agent, text: lastText(await one.capture(LINES)) })))
      this.#wanted = (await hub.call("terminal.report", { screens })).wanted
    } catch {
      // A hub that is away is no reason to stop: it comes back, and a look is only a look.
      this.#wanted = []
    }
  }
}

/** The end of what a terminal shows, as plain text. */
export function lastText(shown: string): string {
  return shown.replace(NO_TEXT, "").trimEnd().slice(-TEXT_MAX)
}
