import type { AgentId } from "../core/ids.ts"
import type { Loop } from "../hub/loop.ts"
import type { Doers } from "./context.ts"

/** What a terminal showed last, as its supervisor said. */
export type Screen = { text: string; atMs: number }

/** How long after the last look at an agent its supervisor goes on reporting, in ms. */
const WANTED_MS = 15_000
/** What was reported longer ago than this is not shown: whoever reports comes back within seconds. */
const KEPT_MS = 60_000
const AGENTS_MAX = 200

/** The terminals that somebody looks at, in memory only: what an agent shows may hold anything, and is no part of the ledger. */
export class Screens {
  readonly #wanted = new Map<AgentId, number>()
  readonly #screens = new Map<AgentId, Screen>()

  /** Somebody looks at it: it is reported from now on, for a while. Answers what it showed last, or null. */
  look(agent: AgentId, nowMs: number): Screen | null {
    this.#forget(nowMs)
    if (this.#wanted.has(agent) || this.#wanted.size < AGENTS_MAX) this.#wanted.set(agent, nowMs)
    return this.#screens.get(agent) ?? null
  }

  /** What a supervisor saw, of agents that somebody looks at; the others are passed over. */
  report(screens: readonly { agent: AgentId; text: string }[], nowMs: number): void {
    this.#forget(nowMs)
    for (const { agent, text } of screens) if (this.#wanted.has(agent)) this.#screens.set(agent, { text, atMs: nowMs })
  }

  /** Those that somebody looks at. */
  wanted(nowMs: number): AgentId[] {
    this.#forget(nowMs)
    return [...this.#wanted.keys()].sort()
  }

  #forget(nowMs: number): void {
    for (const [agent, atMs] of this.#wanted) if (nowMs - atMs > WANTED_MS) this.#wanted.delete(agent)
    for (const [agent, { atMs }] of this.#screens) if (nowMs - atMs > KEPT_MS || !this.#wanted.has(agent)) this.#screens.delete(agent)
  }
}

const ofLoops = new WeakMap<Loop, Screens>()

function screensOf(loop: Loop): Screens {
  const screens = ofLoops.get(loop) ?? new Screens()
  ofLoops.set(loop, screens)
  return screens
}

/** Operations about what terminals show: of the supervisors that are connected to this hub. */
export const terminalActions: Doers<"terminal.report" | "terminal.show"> = {
  "terminal.report": ({ loop }, { screens }) => {
    screensOf(loop).report(screens, loop.nowMs())
    return Promise.resolve({ wanted: screensOf(loop).wanted(loop.nowMs()) })
  },

  "terminal.show": ({ loop }, { agent }) => Promise.resolve({ screen: screensOf(loop).look(agent, loop.nowMs()) }),
}
