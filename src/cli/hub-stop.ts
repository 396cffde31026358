import { setTimeout as sleep } from "node:timers/promises"
import { isAlive } from "./instance.ts"

/** How long a hub may take to end in order: it answers what waits and records last checkpoints. */
export const STOP_MS = 30_000
const POLL_MS = 20

/** Has a hub end in order, and waits until its process is gone. False where it was not within `STOP_MS`. */
export async function stopHub(pid: number): Promise<boolean> {
  try {
    process.kill(pid, "SIGTERM")
  } catch (error) {
    // It is gone already, as it should be.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return true
    throw error
  }
  return hasEnded(pid, STOP_MS)
}

/** Waits until a process is gone; false where it was not within so many ms. */
export async function hasEnded(pid: number, withinMs: number): Promise<boolean> {
  for (const deadline = performance.now() + withinMs; isAlive(pid); await sleep(POLL_MS)) if (performance.now() > deadline) return false
  return true
}
