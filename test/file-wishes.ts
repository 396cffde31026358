import type { Actor } from "../src/core/entry.ts"
import type { ReserveFiles } from "../src/core/files.ts"
import { Scenario } from "./scenario.ts"

export function wish(globs: string[], more: Partial<ReserveFiles> = {}): ReserveFiles {
  return { globs, mode: "exclusive", ttlMs: 900_000, reason: "work", task: null, fence: null, ...more }
}

export function reserve(scenario: Scenario, actor: Actor, globs: string[], more: Partial<ReserveFiles> = {}): string {
  return scenario.must("files.reserve", actor, wish(globs, more)).answer.lease
}

export function team(): { scenario: Scenario; ann: Actor; bob: Actor } {
  const scenario = new Scenario()
  return { scenario, ann: scenario.agent("ann", { maxActive: 3 }), bob: scenario.agent("bob", { maxActive: 3 }) }
}
