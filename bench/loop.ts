import type { Address, Claim, Driver, Engine } from "./engine.ts"
import { claimsInLedger, ledgerPath, openOn, OPERATOR } from "./open-hub.ts"
import { join } from "node:path"
import { SkeinError } from "../src/contract/errors.ts"
import type { Actor } from "../src/core/entry.ts"
import { MANY_ACTIVE, patiently } from "./skein.ts"

/** Commands handed to the loop at once: two full batches, which it takes whatever the disk does. */
export const AT_ONCE = 1_000

/** The hub's loop on its ledger, called in its own process: what a claim costs before any socket. */
export function startLoop(directory: string): Promise<Engine> {
  const home = join(directory, "loop")
  return Promise.resolve({ name: "loop", address: { home }, pid: null, stored: () => claimsInLedger(ledgerPath(home)), stop: () => Promise.resolve() })
}

export async function loopDriver({ home = "" }: Address): Promise<Driver> {
  const hub = await openOn(home)
  const loop = await hub.create("main")
  let claimants = 0
  let keys = 0
  return {
    async fill(tasks) {
      for (let at = 0; at < tasks.length; at += AT_ONCE) {
        await Promise.all(tasks.slice(at, at + AT_ONCE).map((id) => patiently(() => loop.execute("task.add", OPERATOR, { id, title: `Task ${id}` }))))
      }
    },
    async claimant() {
      const agent = `agent-${(claimants += 1)}`
      await loop.execute("agent.add", OPERATOR, { name: agent, maxActive: MANY_ACTIVE })
      const actor: Actor = { agent, session: null, role: "worker" }
      return {
        async claim(): Promise<Claim | null> {
          const key = { id: `k-${(keys += 1)}`, hash: "00112233445566778899aabbccddeeff" }
          try {
            const { claims } = await loop.execute("task.claimNext", actor, { plan: null, labels: [], filler: null, max: 1 }, { key })
            const [claim] = claims
            return claim === undefined ? null : { task: claim.task.id, fence: claim.fence }
          } catch (error) {
            if (error instanceof SkeinError && error.code === "nothing_ready") return null
            throw error
          }
        },
        close: () => Promise.resolve(),
      }
    },
    listen(onClaim) {
      const leave = loop.subscribe(loop.head.seq + 1, {
        deliver({ text }) {
          for (const { type, data } of JSON.parse(text) as { type: string; data: { id: string } }[]) if (type === "task.claimed") onClaim(data.id)
        },
        writable: () => true,
        resync: () => undefined,
        end: () => undefined,
      })
      return Promise.resolve(leave)
    },
    close: () => hub.close(),
  }
}
