import { signalStatus } from "../runtime/signal-status.ts"
import type { Terminal } from "./terminal.ts"

/**
 * Ends what follows until it is told to stop: the first Ctrl-C or SIGTERM, which the exit status then says; the second ends the process where it stands.
 * SIGHUP counts where there is a terminal to leave in order. Elsewhere it ends the process by itself, and a reader who has seen enough (`| head`), which
 * is told by the same signal, is no failure.
 */
export function untilInterrupted({ isLive }: Terminal): AbortSignal {
  const stopped = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM", ...(isLive ? (["SIGHUP"] as const) : [])] as const)
    process.once(signal, () => {
      process.exitCode = signalStatus(signal)
      stopped.abort()
    })
  return stopped.signal
}
