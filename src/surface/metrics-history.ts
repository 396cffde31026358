import type { Hub } from "../hub/hub.ts"

/** Counters and gauges of one workspace and of the surface at one moment, as `hub.metrics` gives them. */
export type Sample = { atMs: number } & Readonly<Record<string, number>>

/** Between two samples, and how many are kept of a workspace: two hours. */
const EVERY_MS = 5_000
const KEPT = 1_440
/** What of the loop and of the surface is kept: what charts are drawn from. */
const OF_LOOP = ["queue", "parked", "batches", "entries", "commands", "refused", "overloaded", "flushMs", "beats", "subscribers"] as const
const OF_SURFACE = ["requests", "connections"] as const

/** The hub's counters over the last two hours, in memory: what was before the hub's start nobody knows. */
export class MetricsHistory {
  readonly #hub: Hub
  readonly #surface: () => Record<string, number>
  /** Rings, by workspace: the oldest sample is where the next one goes. */
  readonly #rings = new Map<string, { samples: Sample[]; next: number }>()
  #sampledAtMs = Number.NEGATIVE_INFINITY

  constructor(hub: Hub, surface: () => Record<string, number>) {
    this.#hub = hub
    this.#surface = surface
  }

  /** Takes a sample if it is time; MUST be called about once a second. `monotonicMs`: of a clock that nobody sets. */
  tick(monotonicMs: number): void {
    if (monotonicMs - this.#sampledAtMs < EVERY_MS) return
    this.#sampledAtMs = monotonicMs
    const surface = this.#surface()
    for (const name of this.#hub.names()) {
      const loop = this.#hub.workspace(name)
      if (loop === null) continue
      const stats = loop.stats()
      const sample: Record<string, number> & { atMs: number } = { atMs: loop.nowMs() }
      for (const field of OF_LOOP) sample[field] = Math.round(stats[field] ?? 0)
      for (const field of OF_SURFACE) sample[field] = surface[field] ?? 0
      const ring = this.#rings.get(name) ?? { samples: [], next: 0 }
      ring.samples[ring.next] = sample
      ring.next = (ring.next + 1) % KEPT
      this.#rings.set(name, ring)
    }
  }

  /** The samples of a workspace after a time of the hub's clock, the oldest first. */
  since(workspace: string, afterMs: number): Sample[] {
    const { samples = [], next = 0 } = this.#rings.get(workspace) ?? {}
    return [...samples.slice(next), ...samples.slice(0, next)].filter(({ atMs }) => atMs > afterMs)
  }
}
