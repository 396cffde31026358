import { constants } from "node:os"

/** The exit status of a process that a signal ended, as shells have it: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
