import { fnv1a } from "../core/fnv.ts"
import type { AgentId } from "../core/ids.ts"

/** How long a lot holds, in ms: about as long as whoever was refused needs to hear of it and stay away. */
const LOT_MS = 20

/**
 * An agent's lot at this moment, from 0 to below 1: the same for `LOT_MS`, then another, each agent's turn at a moment of its own. By hash and not by dice, so that
 * one question asked twice has one answer, and each run of a simulation is the same (FNV-1a, then the finalizer of C. Ettinger's lowbias32).
 */
export function lotOf(agent: AgentId, nowMs: number): number {
  const name = fnv1a(agent)
  const turn = Math.floor(nowMs / LOT_MS + (mixed(name) >>> 24) / 0x100)
  // From one on: with none the lot would be what the moment of the turn was drawn from.
  return mixed(name ^ Math.imul(turn + 1, 0x9e3779b1)) / 0x1_0000_0000
}

function mixed(bits: number): number {
  const a = Math.imul(bits ^ (bits >>> 16), 0x7feb352d)
  const b = Math.imul(a ^ (a >>> 15), 0x846ca68b)
  return (b ^ (b >>> 16)) >>> 0
}
