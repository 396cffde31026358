import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { Page } from "playwright-core"

const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** What axe finds wrong by WCAG 2.2 A and AA that is serious or critical: its rule, and where. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(SOURCE)
  const run = `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] })`
  const { violations } = (await page.evaluate(run)) as { violations: { id: string; impact: string; nodes: { html: string }[] }[] }
  return violations.flatMap(({ id, impact, nodes }) =>
    impact === "serious" || impact === "critical" ? nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`) : [],
  )
}
