import type { Hub } from "../hub/hub.ts"
import type { Auth } from "./auth.ts"
import type { Connections, Guest } from "./connections.ts"
import type { Perform, SurfaceLog } from "./perform.ts"

/** What all connections of a hub have in common. */
export type SocketOptions = {
  hub: Hub
  auth: Auth
  perform: Perform
  log: SurfaceLog
  /** Longest message, and longest of a `plan.add`, in bytes. */
  bodyMaxBytes: number
  planMaxBytes: number
  /** Time between two pings; a connection that does not answer one before the next is ended. */
  pingMs: number
  requestId(): string
  version: string
  connections: Connections
}

/** What the upgrade said of who connects. `cookie`: the page's, where the page itself asked. */
export type Peer = { isLoopback: boolean; cookie: string | null; guest: Guest }
