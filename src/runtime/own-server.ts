import { randomBytes } from "node:crypto"
import { createServer } from "node:net"
import type { AgentPreset } from "./presets/preset.ts"
import type { RunBy } from "./supervised.ts"

/** Where an agent in a terminal is served over loopback HTTP: a port, and the password that keeps other users of the machine out. */
export type OwnServer = { port: number; password: string }

/** A server for an agent whose inbox is its own HTTP server; null where it has none, or was told by its arguments where to listen. */
export async function drawServer({ native }: AgentPreset, by: RunBy, args: readonly string[]): Promise<OwnServer | null> {
  if (native?.way !== "opencode-http" || by !== "tmux" || args.some((word) => word === "--port" || word.startsWith("--port="))) return null
  return { port: await freePort(), password: randomBytes(24).toString("base64url") }
}

export function serverArgs(server: OwnServer | null): string[] {
  return server === null ? [] : ["--port", String(server.port)]
}

/** The password goes by the environment: arguments can be read by everybody. */
export function serverEnv(server: OwnServer | null): Record<string, string> {
  return server === null ? {} : { OPENCODE_SERVER_PASSWORD: server.password }
}

/** One that is free now; who takes it before the agent does makes that agent fall back to its terminal. */
function freePort(): Promise<number> {
  return new Promise((settle, fail) => {
    const probe = createServer()
    probe.on("error", fail)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => settle(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
}
