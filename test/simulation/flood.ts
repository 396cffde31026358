import type { Target } from "../../src/core/directive.ts"
import type { Caller } from "./caller.ts"

const EVERYONE = { everyone: true } as const

/** More than an inbox holds, from somebody whom no limit holds up: to all, to a role, or to one. */
export async function flood(caller: Caller): Promise<void> {
  const { chance } = caller.world
  const to = chance.pick<Target>([EVERYONE, { role: "worker" }, { agent: "agent0" }])
  for (let left = chance.between(150, 230); left > 0; left -= 1) await tell(caller, to, chance.happens(0.3))
}

/** As much as one agent may have wait in an inbox, or tries to; or acknowledges some of what waits for it. */
export async function fillInbox(caller: Caller): Promise<void> {
  const { chance } = caller.world
  if (chance.happens(0.3)) {
    const waiting = caller.world.notices(caller.name)
    for (const seq of waiting.slice(-chance.between(1, 12))) await caller.ask("event.ack", { seq })
    return
  }
  const to = chance.pick<Target>([EVERYONE, { role: "worker" }, { agent: "agent0" }])
  for (let left = chance.between(5, 25); left > 0; left -= 1) if ((await tell(caller, to, false))?.kind !== "ok") return
}

function tell(caller: Caller, to: Target, directs: boolean): Promise<{ kind: "ok" | "error" } | null> {
  const said = directs ? ({ kind: "directive", directive: "nudge" } as const) : ({ kind: "info", directive: null } as const)
  return caller.ask("event.send", { ...said, to, task: null, priority: "normal", text: `from ${caller.name}`, payload: {}, requiresAck: true })
}
