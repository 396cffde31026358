import { showUsd } from "../core/money.ts"
import type { Figures } from "./plan-file.ts"
import { printable } from "./printable.ts"
import { showCount, showDuration } from "./quantity.ts"
import type { Audit } from "./ledger-source.ts"
import type { ChaosReport } from "./chaos.ts"
import type { RunMeasure } from "./run-measure.ts"
import { localName } from "./run-view.ts"
import { renderTable, wrapUnder } from "./table.ts"
import type { Terminal } from "./terminal.ts"

/** Columns of a line before its text. */
const LABEL = 15

/**
 * All that the closing report of a run tells. `scale`: by what its times are multiplied to be those of the plan: its speed where all of its work is stand-in, else 1.
 */
export type RunReport = {
  measure: RunMeasure
  speed: number
  scale: number
  figures: Figures
  chaos: ChaosReport | null
  audit: Audit | null
  advice: string[]
}

/** What `--json` prints last; times as they passed, and in `planned` multiplied back as well where all work was stand-in. */
export function reportRecord({ measure, speed, scale, figures, chaos, audit, advice }: RunReport): object {
  const planned =
    scale === 1 ? null : { makespanMs: measure.makespanMs * scale, criticalPathMs: measure.criticalPathMs * scale, workMs: measure.workMs * scale }
  const ledger =
    audit === null
      ? null
      : {
          ok: audit.verified.ok && audit.replayed?.mismatch === null,
          head: audit.verified.head,
          entries: audit.verified.entries,
          checkpoints: audit.verified.checkpoints,
          coveredTo: audit.verified.coveredTo,
          finding: audit.verified.finding,
          digest: audit.replayed?.digest ?? null,
          compared: audit.replayed?.compared ?? 0,
        }
  return { kind: "report", ...measure, speed, planned, figures, chaos, ledger, advice }
}

/** The closing report for people. */
export function reportText(terminal: Terminal, report: RunReport): string {
  const { bold } = terminal.colours
  const parts = [
    `${bold(`${printable(report.measure.title)} (${report.measure.plan})`)}: ${outcome(report.measure)}`,
    wrapUnder(terminal, LABEL, timeLines(report)),
    agentTable(terminal, report),
    wrapUnder(terminal, LABEL, otherLines(terminal, report)),
  ]
  return parts.filter((part) => part !== "").join("\n\n")
}

function outcome({ counts, finished, attempts }: RunMeasure): string {
  const rest = [
    counts.failed > 0 ? `${counts.failed} failed` : "",
    counts.unreachable > 0 ? `${counts.unreachable} out of reach` : "",
    counts.cancelled > 0 ? `${counts.cancelled} cancelled` : "",
  ].filter((part) => part !== "")
  return `${finished ? "finished" : "stopped"}, ${showCount(attempts.delivered, "task")} completed${rest.length > 0 ? `, ${rest.join(", ")}` : ""}`
}

function timeLines({ measure, speed, scale, figures, advice }: RunReport): string[] {
  const show = shown(scale)
  const { makespanMs, criticalPathMs, criticalPath, workMs } = measure
  const against = [
    figures.lowerBoundMs === null ? "" : `no schedule of this team is under ${hours(figures.lowerBoundMs)}`,
    figures.bestKnownMs === null ? "" : `best known ${hours(figures.bestKnownMs)}`,
    figures.criticalPathMs === null ? "" : `critical path ${hours(figures.criticalPathMs)}`,
    figures.oneAgentMs === null ? "" : `one agent alone ${hours(figures.oneAgentMs)}`,
  ].filter((part) => part !== "")
  // Work that went faster than the plan has it is not held against the plan's figure.
  const alone = scale === speed && figures.oneAgentMs !== null ? figures.oneAgentMs / scale : workMs
  const times = makespanMs === 0 || measure.agents.length < 2 ? "" : `, ${(alone / makespanMs).toFixed(2)} x as fast as one agent alone (${show(alone)})`
  const pace =
    speed === 1
      ? ""
      : scale === 1
        ? `; all times as they passed: only stand-in work goes at speed ${speed}`
        : `; ${showDuration(makespanMs)} on the clock, at speed ${speed}`
  return [
    `makespan       ${show(makespanMs)}${times}${pace}`,
    `critical path  ${show(criticalPathMs)}: ${criticalPath.map(localName).join(" > ").slice(0, 160)}`,
    ...(against.length > 0 ? [`the plan says  ${against.join(", ")}`] : []),
    ...advice.map((line, at) => `${at === 0 ? "to get further " : "               "}${line}`),
  ]
}

function agentTable(terminal: Terminal, { measure, scale }: RunReport): string {
  if (measure.agents.length === 0) return ""
  const show = shown(scale)
  const rows = measure.agents.map(({ agent, completed, fillers, lost, workMs, fillerMs, waitingMs, blockedMs }) => [
    agent,
    completed,
    fillers,
    lost,
    show(workMs),
    show(fillerMs),
    show(waitingMs + blockedMs),
  ])
  const columns = ["agent", "completed", "fillers", "lost tries", "at work", "on filler", "waiting"].map((head, at) => ({ head, right: at > 0 }))
  return renderTable(terminal, columns, rows)
}

function otherLines(terminal: Terminal, { measure, chaos, audit }: RunReport): string[] {
  const { green, red } = terminal.colours
  const { claims, attempts, idle, costMicroUsd, budgetMicroUsd, failed } = measure
  const mark = (good: boolean): string => (good ? green("ok") : red("NO"))
  const lines = [
    `claims         ${claims.count}, ${showDuration(claims.p50Ms)} from ready to claimed in the middle, ${showDuration(claims.p99Ms)} at the 99th percentile`,
  ]
  const lostText = attempts.lost === 0 ? "none lost" : `${attempts.lost} lost (${showCount(attempts.leasesEnded, "lease")} ended)`
  lines.push(`attempts       ${attempts.delivered} delivered, ${lostText}${attempts.released > 0 ? `, ${attempts.released} given back` : ""}`)
  if (costMicroUsd > 0 || budgetMicroUsd !== null)
    lines.push(
      `cost           ${showUsd(costMicroUsd)}${budgetMicroUsd === null ? "" : ` of ${showUsd(budgetMicroUsd)}: ${mark(costMicroUsd <= budgetMicroUsd)}`}`,
    )
  const worst = idle.worst === null ? "" : `; the longest, ${idle.worst.agent} for ${showDuration(idle.worst.ms)}`
  lines.push(
    `nobody idle    ${mark(idle.stretches === 0)}: while work that it could do was ready, no agent waited longer than ${showDuration(idle.longestMs)}${worst}`,
  )
  if (chaos !== null) lines.push(`chaos          ${mark(chaos.completedBy !== null)}: ${chaosText(chaos)}`)
  for (const { task, reason } of failed) lines.push(`failed         ${red(localName(task))}: ${printable(reason ?? "")}`)
  if (audit !== null) lines.push(`ledger         ${mark(audit.verified.ok && audit.replayed?.mismatch === null)}: ${auditText(audit)}`)
  return lines
}

function chaosText({ agent, task, leaseEndedAfterMs, reclaimedBy, reclaimedAfterMs, completedBy }: ChaosReport): string {
  const then = [
    leaseEndedAfterMs === null ? "its lease was not seen to end" : `its lease was over after ${leaseEndedAfterMs} ms`,
    reclaimedBy === null ? "" : `${reclaimedBy} took over after ${reclaimedAfterMs} ms`,
    completedBy === null ? "" : `${completedBy} completed it`,
  ].filter((part) => part !== "")
  return `${agent} was killed in the middle of ${localName(task)}; ${then.join(", ")}`
}

export function auditText({ verified, replayed, tookMs }: Audit): string {
  if (verified.finding !== null) return `${verified.finding.message}. ${verified.finding.remedy}`
  const head = `head ${verified.head.seq} ${verified.head.hash.slice(0, 16)}, ${verified.entries} entries and ${showCount(verified.checkpoints, "checkpoint")} verified in ${showDuration(tookMs)}`
  if (replayed === null) return head
  const against = replayed.mismatch === null ? `as recorded at ${showCount(replayed.compared, "checkpoint")}` : `NOT as recorded at entry ${replayed.mismatch}`
  return `${head}; replayed to state ${replayed.digest.slice(0, 16)}, ${against}`
}

function shown(scale: number): (ms: number) => string {
  return (ms) => (scale === 1 ? showDuration(ms) : hours(ms * scale))
}

function hours(ms: number): string {
  return `${Number((ms / 3_600_000).toFixed(2))} h`
}
