import type { Hub } from "../hub/hub.ts"
import type { LoopLog } from "../hub/loop-options.ts"
import type { Instance } from "./instance.ts"
import { cosignNow } from "./witness-list.ts"

/** How often witnesses are sent a checkpoint that they have not seen: they vouch for the past, not for the last second. */
const COSIGN_MS = 30_000

/** Keeps the witnesses of every workspace up to date while the hub runs, looking each `everyMs`. A witness that does not answer holds up nothing, and is asked again. */
export function keepCosigned(instance: Instance, hub: Hub, log: LoopLog, everyMs = COSIGN_MS): { stop(): void } {
  const sent = new Map<string, string>()
  let running = false
  const round = async (): Promise<void> => {
    if (running) return
    running = true
    for (const workspace of hub.names()) {
      const loop = hub.workspace(workspace)
      const note = loop?.note() ?? null
      if (loop === null || note === null || sent.get(workspace) === note) continue
      try {
        const { answers } = await cosignNow(instance, workspace, note, loop.ledger, loop.tree)
        for (const { url, outcome, reason, offence } of answers) {
          // A witness that refuses has seen another history: that is for people to look into.
          if (outcome === "refused") log.error({ workspace, url, offence, reason }, "a witness refuses to cosign")
          else if (outcome === "unusable") log.error({ workspace, url, reason }, "a witness cannot be asked")
          else if (outcome === "unreachable") log.warn({ workspace, url, reason }, "a witness does not answer")
        }
        if (answers.every(({ outcome }) => outcome !== "unreachable")) sent.set(workspace, note)
      } catch (error) {
        log.warn({ err: error, workspace }, "the witnesses could not be asked")
      }
    }
    running = false
  }
  const timer = setInterval(() => void round(), everyMs)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
