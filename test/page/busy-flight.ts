import type { Client } from "../../src/client/client.ts"
import type { PageRig } from "./page-rig.ts"

/** What somebody hostile would write into every field that takes a text. */
export const HOSTILE = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1"> \u001b[31mred\u001b[0m \u202ebackwards\u202c \u0000'

const TASKS: readonly { id: string; title: string; dependsOn?: string[]; review?: boolean }[] = [
  { id: "schema", title: "Agree on the schema of an order" },
  { id: "parser", title: "Read orders from the feed", dependsOn: ["schema"] },
  { id: "store", title: "Keep orders in the store", dependsOn: ["schema"] },
  { id: "prices", title: "Fetch prices once a minute", dependsOn: ["schema"] },
  { id: "totals", title: "Work out the totals", dependsOn: ["store", "prices"] },
  { id: "report", title: "Write the daily report", dependsOn: ["totals"] },
  { id: "mail", title: "Send the report by mail", dependsOn: ["report"], review: true },
  { id: "archive", title: "Archive what is older than a year", dependsOn: ["store"] },
  { id: "docs", title: "Describe the feed for operators" },
  { id: "load", title: "Try it with a million orders", dependsOn: ["totals"] },
]

export type BusyFlight = { plan: string; agents: Record<"ada" | "grace" | "linus" | "margaret", Client> }

/** A plan in the middle of its run: done, at work, blocked on one another, failed, waiting; with notes and costs. */
export async function busyFlight(rig: Pick<PageRig, "operator" | "agent">): Promise<BusyFlight> {
  const { operator } = rig
  const { plan } = await operator.plan.add({
    name: "orders",
    title: "Daily report of all orders",
    digest: "0".repeat(64),
    commit: null,
    agents: [],
    tasks: TASKS.map((task) => ({ maxAttempts: 1, estimateMs: 600_000, ...task })),
  })
  const agents = { ada: await rig.agent("ada"), grace: await rig.agent("grace"), linus: await rig.agent("linus"), margaret: await rig.agent("margaret") }
  const claim = async (agent: Client, name: string): Promise<{ task: string; fence: number }> => {
    const task = `${plan}/${name}`
    return { task, fence: (await agent.task.claim({ task })).fence }
  }
  const { ada, grace, linus, margaret } = agents
  const schema = await claim(ada, "schema")
  await ada.usage.report({ model: "claude-sonnet", inputTokens: 41_200, outputTokens: 3_100, costMicroUsd: 171_000 })
  await ada.task.complete({ ...schema, deliverable: { text: "The schema is in docs/order.md, with an example of each kind" } })
  const store = await claim(ada, "store")
  await ada.task.update({ ...store, progress: 0.4, note: "Tables are there; writing the migration of old orders" })
  const parser = await claim(grace, "parser")
  await grace.usage.report({ model: "gpt-5", inputTokens: 18_000, outputTokens: 2_400, costMicroUsd: 64_500 })
  await grace.task.update({ ...parser, progress: 0.75, note: "Reads all of last week's feed; three records have no currency" })
  const prices = await claim(linus, "prices")
  await linus.usage.report({ model: "gemini-pro", inputTokens: 9_000, outputTokens: 700, costMicroUsd: 12_250 })
  await linus.task.block({ ...prices, on: { kind: "task", ref: store.task }, reason: "Needs the table of currencies from the store" })
  const docs = await claim(margaret, "docs")
  await margaret.task.fail({ ...docs, reason: "The feed's own documentation is behind a login that I do not have", retry: false })
  return { plan, agents }
}
