import { expect, test } from "vitest"
import type { Client } from "../client/client.ts"
import type { TurnUsage } from "./acp-connection.ts"
import { UsageReports, WAITING_MAX } from "./usage-reports.ts"

function used(agent: string): TurnUsage {
  return { agent, session: "n1", inputTokens: 1, outputTokens: 1, cacheReadTokens: null, cacheWriteTokens: null, costMicroUsd: 7 }
}

test("what gives way to later reports while the hub takes its time is told; all else reaches the hub, once", async () => {
  const heard: string[] = []
  const told: string[] = []
  const slow = Promise.withResolvers<void>()
  const call = async (_: string, { agent }: { agent: string }): Promise<void> => {
    heard.push(agent)
    if (agent === "a0") await slow.promise
  }
  const reports = new UsageReports({ call } as unknown as Pick<Client, "call">, (line) => told.push(line))
  const agents = Array.from({ length: WAITING_MAX + 2 }, (_, at) => `a${at}`)
  for (const agent of agents) reports.add(used(agent), null)
  slow.resolve()
  await reports.send()
  expect(told).toEqual(["a1", "a2"].map((agent) => `what ${agent} used is not on the ledger: ${WAITING_MAX} later reports wait for the hub`))
  expect(heard).toEqual(agents.filter((agent) => agent !== "a1" && agent !== "a2"))
})
