/** `npm run picture`: makes `docs/page.png`, the page as it is built now, of a plan in the middle of its run. */
import { statSync } from "node:fs"
import { type Client, connect } from "../src/client/client.ts"
import { startInstance } from "../src/surface/served.contract.ts"
import { busyFlight } from "../test/page/busy-flight.ts"
import { launchChromium } from "../test/page/chromium.ts"

const FILE = "docs/page.png"
const MAX_BYTES = 300_000
const SIZE = { width: 1_280, height: 820 }

const hub = await startInstance({ level: "warn" })
const browser = await launchChromium()
const clients: Client[] = []
try {
  const join = async (credential: string): Promise<Client> => {
    const client = await connect({ url: hub.url, credential })
    clients.push(client)
    return client
  }
  const operator = await join(hub.operator)
  const kinds: Record<string, string> = { ada: "claude", grace: "codex", linus: "gemini", margaret: "opencode" }
  const agent = async (name: string): Promise<Client> => {
    const client = await join(await hub.agent(name, { kind: kinds[name] ?? "script" }))
    await client.session.start({ runtime: "picture", owned: true })
    return client
  }
  await busyFlight({ operator, agent })
  const answer = await fetch(`${hub.url}/enter/link`, { method: "POST", headers: { Authorization: `Bearer ${hub.operator}` } })
  const { path } = (await answer.json()) as { path: string }
  const page = await browser.newPage({ viewport: SIZE, colorScheme: "light", reducedMotion: "reduce" })
  await page.goto(hub.url + path)
  await page.waitForSelector("text=Needs you")
  await page.waitForSelector('tr:has(th:has-text("ada")) .state-active')
  await page.screenshot({ path: FILE })
} finally {
  await browser.close()
  for (const client of clients) await client.close()
  await hub.close()
}
const { size } = statSync(FILE)
if (size > MAX_BYTES) throw new Error(`${FILE} has ${size} bytes, and may have ${MAX_BYTES}: show less of the page`)
console.log(`${FILE}: ${Math.round(size / 1_000)} kB`)
