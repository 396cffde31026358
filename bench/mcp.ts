import { join } from "node:path"
import { connect } from "../src/client/client.ts"
import { httpClient } from "../src/client/http.ts"
import { Child } from "./child.ts"
import { compare } from "./claims.ts"
import type { Claim } from "./engine.ts"
import { medians, median, percentile, round, show, table } from "./figure.ts"
import type { Claimed } from "./mcp-load.ts"
import { claimsInLedger, ledgerPath } from "./open-hub.ts"
import { addAgent, addTasks, type HubAddress, startHub } from "./skein.ts"

export type McpOptions = { directory: string; clients: number; tasks: number; rounds: number }
export const MCP: Omit<McpOptions, "directory"> = { clients: 50, tasks: 2_000, rounds: 3 }

type Figures = { callsPerS: number; p50Ms: number; p99Ms: number }
export type McpReport = {
  clients: number
  tasks: number
  doubled: number
  lost: number
  mcp: Figures
  /** A bare server of the same library whose tool answers a constant, called by the same clients as often. */
  constant: Figures
  /** The same claims by the client that the command line uses, over HTTP. */
  http: Figures
}

/** Clients that all claim at once until no task is left, over MCP; beside it what the library costs by itself, and what our own HTTP does. */
export async function benchMcp({ directory, clients, tasks, rounds }: McpOptions): Promise<McpReport> {
  const found = { doubled: 0, lost: 0 }
  const all: Record<"mcp" | "constant" | "http", Figures[]> = { mcp: [], constant: [], http: [] }
  for (let at = 0; at < rounds; at += 1) {
    const hub = await startHub(join(directory, `round-${at}`))
    try {
      const bearers = await agentsOf(hub.address, clients)
      const over = {
        mcp: async () => byMcp(new URL("/mcp", hub.address.url).href, bearers, null),
        http: () => byHttp(hub.address.url, bearers),
      }
      for (const way of ["mcp", "http"] as const) {
        await fill(hub.address, way, tasks)
        const got = await over[way]()
        const stored = (await claimsInLedger(ledgerPath(hub.address.directory))).filter(({ task }) => task.startsWith(way))
        const { doubled, lost } = compare(way, tasks, got.claims, stored)
        found.doubled += doubled
        found.lost += lost
        all[way].push(figures(got))
      }
    } finally {
      await hub.stop()
    }
    all.constant.push(figures(await byPeer(clients, tasks)))
  }
  return { clients, tasks, ...found, mcp: medians(all.mcp), constant: medians(all.constant), http: medians(all.http) }
}

async function agentsOf({ url, credential }: HubAddress, count: number): Promise<string[]> {
  const operator = await connect({ url, credential })
  const bearers: string[] = []
  for (let at = 0; at < count; at += 1) bearers.push(await addAgent(operator, `agent-${at}`))
  await operator.close()
  return bearers
}

async function fill({ url, credential }: HubAddress, prefix: string, count: number): Promise<void> {
  const operator = await connect({ url, credential })
  await addTasks(
    operator,
    Array.from({ length: count }, (_, at) => `${prefix}${at}`),
  )
  await operator.close()
}

async function byMcp(url: string, bearers: (string | null)[], calls: number | null): Promise<Claimed> {
  const load = new Child("./mcp-load.ts")
  await load.call("connect", { url, bearers })
  const claimed = await load.call<Claimed>("claim", { calls })
  await load.stop()
  return claimed
}

async function byPeer(clients: number, calls: number): Promise<Claimed> {
  const peer = new Child("./mcp-peer.ts")
  const url = await peer.call<string>("listen")
  const claimed = await byMcp(
    url,
    Array.from({ length: clients }, () => null),
    calls,
  )
  await peer.stop()
  return claimed
}

async function byHttp(url: string, bearers: readonly string[]): Promise<Claimed> {
  const latenciesMs: number[] = []
  const claims: Claim[] = []
  const work = async (credential: string): Promise<void> => {
    const client = httpClient({ url, credential })
    for (;;) {
      const startMs = performance.now()
      const answer = await client.call("task.claimNext", {}).catch((error: { code?: string }) => {
        if (error.code === "nothing_ready") return null
        throw error
      })
      if (answer === null) break
      latenciesMs.push(performance.now() - startMs)
      claims.push(...answer.claims.map(({ fence, task }) => ({ task: task.id, fence })))
    }
    client.close()
  }
  const startMs = performance.now()
  await Promise.all(bearers.map(work))
  return { seconds: (performance.now() - startMs) / 1_000, latenciesMs, claims }
}

function figures({ seconds, latenciesMs }: Claimed): Figures {
  return { callsPerS: round(latenciesMs.length / seconds), p50Ms: round(median(latenciesMs)), p99Ms: round(percentile(latenciesMs, 0.99)) }
}

export function describeMcp({ clients, tasks, doubled, lost, mcp, constant, http }: McpReport): string {
  const row = (name: string, { callsPerS, p50Ms, p99Ms }: Figures): string[] => [name, show(callsPerS), show(p50Ms), show(p99Ms)]
  const rows = [row("claim_task over MCP", mcp), row("a constant over MCP, bare server", constant), row("task.claimNext over HTTP", http)]
  return [
    table([`${clients} clients at once`, "calls/s", "p50", "p99 ms"], rows),
    `of ${tasks} tasks a round: doubled ${doubled}, lost ${lost}; MCP costs ${show(constant.callsPerS / mcp.callsPerS)} times a constant's time, and ${show(http.callsPerS / mcp.callsPerS)} times our HTTP's`,
  ].join("\n\n")
}
