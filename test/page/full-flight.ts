import type { Page } from "playwright-core"
import type { Client } from "../../src/client/client.ts"
import { busyFlight } from "./busy-flight.ts"
import type { PageRig } from "./page-rig.ts"

/** Where every view has something to show: the part of the address behind the page's own, and what is there once it shows it. */
const PLACES = {
  flight: { hash: "#/flight", shows: ".flight-plans" },
  plan: { hash: "#/plan/orders.1", shows: ".task-row" },
  // Its heading takes the focus a moment after it is there: keys that are pressed before that are pressed elsewhere.
  task: { hash: `#/plan/orders.1/${encodeURIComponent("orders.1/store")}`, shows: ".task-panel:has(h2:focus) .task-facts" },
  threads: { hash: "#/threads", shows: ".pair-list .threads a" },
  // It goes to its end a moment after that is there: whoever has moved on by then is taken back.
  thread: { hash: "#/threads/prices", shows: "#m-12", goesTo: "#m-12" },
  files: { hash: "#/files", shows: ".files-parts table" },
  ledger: { hash: "#/ledger", shows: ".row-type" },
  entry: { hash: "#/ledger/12", shows: ".causes, .data" },
  money: { hash: "#/money", shows: ".money-parts table" },
  agents: { hash: "#/agents", shows: ".pair-list .threads a" },
  agent: { hash: "#/agents/ada", shows: ".traits" },
  charts: { hash: "#/charts", shows: ".plot canvas" },
} as const

type Place = keyof typeof PLACES
export const EVERYWHERE = Object.keys(PLACES) as readonly Place[]

/** Goes there, and waits until the view shows what it has. */
export async function goToPlace(page: Page, place: Place): Promise<void> {
  const { hash, shows, goesTo } = { goesTo: null, ...PLACES[place] }
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await page.locator(shows).first().waitFor()
  if (goesTo !== null) await page.waitForFunction(`document.querySelector(${JSON.stringify(goesTo)}).getBoundingClientRect().top < innerHeight`)
}

const FURTHER = ["barbara", "claude", "dennis", "edsger", "frances", "guido", "hedy", "ivan", "jean", "ken", "lynn", "niklaus", "radia", "shafi", "tim", "xia"]

/** A flight of twenty agents of which every view has much to show: plans, threads, held files, budgets, what went wrong. */
export async function fullFlight(rig: Pick<PageRig, "operator" | "agent">): Promise<void> {
  const { operator } = rig
  const { agents } = await busyFlight(rig)
  const layers = Array.from({ length: 60 }, (_, at) => ({
    id: `step${at}`,
    title: `Step ${at} of moving the archive to the new store, with its checks`,
    dependsOn:
      at < 20 ? [] : [`step${at - 20}`, `step${20 * (Math.floor(at / 20) - 1) + ((at * 7) % 20)}`].filter((id, index, all) => all.indexOf(id) === index),
    touches: [`src/archive/part${at}/**`],
    estimateMs: 300_000 + 60_000 * (at % 7),
  }))
  await operator.plan.add({ name: "archive", title: "Move the archive", digest: "1".repeat(64), commit: null, agents: [], tasks: layers })
  await operator.budget.set({ scope: "workspace", windowMs: 86_400_000, limitMicroUsd: 20_000_000, perClaimMicroUsd: 500_000, warnPercent: [50, 90] })
  let at = 0
  for (const name of FURTHER) {
    const agent: Client = await rig.agent(name)
    const task = `archive.1/step${at}`
    const { fence } = await agent.task.claim({ task })
    await agent.usage.report({
      task,
      model: at % 2 === 0 ? "claude-sonnet" : "gpt-5",
      inputTokens: 9_000 + 500 * at,
      outputTokens: 700,
      costMicroUsd: 30_000 + 7_000 * at,
    })
    await agent.task.update({
      task,
      fence,
      progress: ((at * 13) % 90) / 100,
      note: `Copied ${at * 41} of 1,600 records of part ${at}; the checksums of two are not what the old store says`,
    })
    at += 1
  }
  await operator.budget.set({ scope: "agent/ken", limitMicroUsd: 200_000, warnPercent: [50] })
  for (const [id, title] of [
    ["prices", "Where prices come from"],
    ["schema", "What an order is"],
    ["release", "When we can release"],
  ] as const)
    await operator.thread.create({ thread: id, title, participants: ["ada", "grace"] })
  for (let turn = 0; turn < 12; turn += 1) {
    const speaker = turn % 2 === 0 ? agents.ada : agents.grace
    await speaker.message.post({
      thread: "prices",
      body: `Point ${turn}: the feed has prices of the day before where the exchange is closed. ${"We can keep both. ".repeat(turn)}`,
    })
  }
  await agents.ada.message.post({ thread: "schema", body: "The currency is a field of its own.", metadata: { eventType: "decision" } })
}
