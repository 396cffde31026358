/** The one report: what every task delivered, a summary table first. */
import { readDeliverable, readInputs, deliver, DELIVERABLE_BYTES } from "./delivery.mjs"
import { headCommit } from "./checkout.mjs"
import { code, cut, plural, table } from "./markdown.mjs"

const VERDICTS = ["findings", "not run", "ok", "not applicable"]
const MARK = { ok: "ok", findings: "**findings**", "not run": "**not run**", "not applicable": "not applicable" }
// Room for the lines around the sections.
const MARGIN_BYTES = 2_000

const rows = Object.entries(readInputs()).map(([task, { title, text }]) => {
  const delivered = readDeliverable(text)
  if (delivered === undefined) throw new Error(`task ${task} delivered no verdict: its deliverable.md must begin with one`)
  return { task, title, ...delivered }
})

const counts = VERDICTS.map((verdict) => [verdict, rows.filter((row) => row.verdict === verdict).length]).filter(([, count]) => count > 0)
const findings = rows.reduce((sum, row) => sum + row.findings, 0)
const seconds = rows.reduce((sum, row) => sum + row.seconds, 0)
const head = table(
  ["check", "verdict", "seconds", "findings", "in short"],
  rows.map((row) => [code(row.task), MARK[row.verdict], row.seconds.toFixed(1), row.findings, row.summary]),
)

/** The sections, each with an equal share of what short ones leave over. What has no more to say than the table has none. */
function joinSections(room) {
  const sections = rows.filter((row) => row.body !== "").map((row) => ({ row, text: `## ${code(row.title)}\n\n${row.summary}\n\n${row.body}` }))
  let left = room
  let waiting = sections.length
  for (const section of [...sections].sort((a, b) => Buffer.byteLength(a.text) - Buffer.byteLength(b.text))) {
    section.text = cut(section.text, Math.floor(left / waiting--), `… (cut; the rest is in what ${code(section.row.task)} delivered)`)
    left -= Buffer.byteLength(section.text) + 2
  }
  return sections.map((section) => section.text).join("\n\n")
}

const sections = joinSections(DELIVERABLE_BYTES - Buffer.byteLength(head) - MARGIN_BYTES)
deliver({
  check: "report",
  verdict: counts.some(([verdict]) => verdict === "findings" || verdict === "not run") ? "findings" : "ok",
  findings,
  summary: `${plural(rows.length, "check")} of commit ${headCommit().slice(0, 12)}: ${counts.map(([verdict, count]) => `${count} ${verdict}`).join(", ")}; ${plural(findings, "finding")}`,
  body: [head, `${seconds.toFixed(1)} seconds of work in all.`, sections].filter(Boolean).join("\n\n"),
})
