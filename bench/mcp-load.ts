/** The process that holds the MCP clients: it does as it is told, and says what it saw. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { answer } from "./child.ts"
import type { Claim } from "./engine.ts"

export type Claimed = { seconds: number; latenciesMs: number[]; claims: Claim[] }
/** Any revision but the newest costs the same: it is the one that three of the four agents can speak. */
const REVISION = "2025-11-25"

const clients: Client[] = []

answer({
  async connect({ url, bearers }: { url: string; bearers: (string | null)[] }) {
    for (const bearer of bearers) {
      const client = new Client({ name: "bench", version: "1" }, { supportedProtocolVersions: [REVISION], versionNegotiation: { mode: "legacy" } })
      const requestInit = bearer === null ? {} : { headers: { authorization: `Bearer ${bearer}` } }
      await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }))
      clients.push(client)
    }
  },
  /** Every client claims one task after the other until none is left; against a peer, `calls` in all. */
  async claim({ calls }: { calls: number | null }): Promise<Claimed> {
    const latenciesMs: number[] = []
    const claims: Claim[] = []
    let left = calls ?? Number.POSITIVE_INFINITY
    const work = async (client: Client): Promise<void> => {
      while (left > 0) {
        left -= 1
        const startMs = performance.now()
        const { structuredContent, isError } = await client.callTool({ name: "claim_task", arguments: {} })
        const { claims: got = [], code } = structuredContent as { claims?: { fence: number; task: { id: string } }[]; code?: string }
        if (isError === true && code === "nothing_ready") return
        if (isError === true) throw new Error(`claim_task: ${code}`)
        latenciesMs.push(performance.now() - startMs)
        claims.push(...got.map(({ fence, task }) => ({ task: task.id, fence })))
      }
    }
    const startMs = performance.now()
    await Promise.all(clients.map(work))
    return { seconds: (performance.now() - startMs) / 1_000, latenciesMs, claims }
  },
  async stop() {
    await Promise.all(clients.map((client) => client.close()))
  },
})
